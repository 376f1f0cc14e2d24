-- Many chats to be answered in their own time, and their answers.
CREATE TABLE batches (
    id TEXT PRIMARY KEY,
    key_id TEXT,
    created_at INTEGER NOT NULL,
    cancelled_at INTEGER,
    -- When the last of its items was answered, failed or cancelled.
    ended_at INTEGER
) STRICT;
CREATE INDEX batches_created ON batches (created_at);

CREATE TABLE batch_items (
    batch_id TEXT NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    custom_id TEXT NOT NULL,
    request TEXT NOT NULL,      -- JSON
    state TEXT NOT NULL,        -- waiting, done, failed or cancelled
    result TEXT,                -- JSON: the response, or the error
    PRIMARY KEY (batch_id, n)
) STRICT;
CREATE INDEX batch_items_waiting ON batch_items (n, batch_id) WHERE state = 'waiting';
