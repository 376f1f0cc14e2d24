-- One row for each question that was answered, refused, failed or left, whether or not a
-- model wrote the answer.
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    query_id TEXT NOT NULL,     -- the client may have chosen it, so it may come twice
    at INTEGER NOT NULL,        -- milliseconds since 1970
    key_id TEXT,
    tenant TEXT NOT NULL,
    collection TEXT NOT NULL,
    provider TEXT NOT NULL,     -- who wrote it; empty if no provider did
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,      -- answered, refused, failed or abandoned
    citations INTEGER NOT NULL,
    sources_ms REAL,            -- from the request to the sources
    latency_ms REAL NOT NULL    -- from the request to the end
) STRICT;
CREATE INDEX answers_at ON answers (at);
CREATE INDEX answers_query ON answers (query_id);

-- What people said of an answer, with its texts as they sent them.
CREATE TABLE feedback (
    answer_id INTEGER PRIMARY KEY REFERENCES answers (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    rating TEXT NOT NULL,       -- up or down
    question TEXT NOT NULL,
    answer TEXT NOT NULL,
    comment TEXT NOT NULL,
    cited TEXT NOT NULL         -- JSON list of {uri, text}
) STRICT;
CREATE INDEX feedback_at ON feedback (at);
