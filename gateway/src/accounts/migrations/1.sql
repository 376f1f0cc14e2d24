-- API keys. A secret is kept as its BLAKE3 hash only.
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL,
    -- The secret before the last rotation, and until when it still works.
    old_hash BLOB,
    old_until INTEGER,
    name TEXT NOT NULL,
    tenant TEXT NOT NULL,
    labels TEXT NOT NULL,       -- JSON list
    scopes TEXT NOT NULL,       -- JSON list
    limits TEXT NOT NULL,       -- JSON object
    created_at INTEGER NOT NULL, -- here and below: milliseconds since 1970
    expires_at INTEGER,
    revoked_at INTEGER,
    rotated_at INTEGER
) STRICT;

-- Changes with every change of `keys`: a running service looks at this number
-- to know when to read the keys again.
CREATE TABLE key_changes (n INTEGER NOT NULL) STRICT;
INSERT INTO key_changes VALUES (0);
CREATE TRIGGER key_inserted AFTER INSERT ON keys BEGIN UPDATE key_changes SET n = n + 1; END;
CREATE TRIGGER key_updated AFTER UPDATE ON keys BEGIN UPDATE key_changes SET n = n + 1; END;
CREATE TRIGGER key_deleted AFTER DELETE ON keys BEGIN UPDATE key_changes SET n = n + 1; END;

-- One row for each call to a model: the ledger and the log of metadata. A row
-- is `open` from admission until the call is settled, and holds the tokens of
-- the prompt meanwhile, so that a call under way in a killed process counts.
CREATE TABLE calls (
    call_id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    key_id TEXT,
    tenant TEXT NOT NULL,
    route TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    cached_prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL, -- billionths of a US dollar, so that sums are exact
    latency_ms REAL NOT NULL,
    ttft_ms REAL,
    cache TEXT NOT NULL,
    retries INTEGER NOT NULL,
    fallbacks INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    finish TEXT NOT NULL,
    refused INTEGER,
    citations INTEGER
) STRICT;
CREATE INDEX calls_at ON calls (at);
CREATE INDEX calls_key_at ON calls (key_id, at);
CREATE INDEX calls_request ON calls (request_id);

-- Masked texts of the sampled share of calls.
CREATE TABLE samples (
    call_id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    prompt TEXT NOT NULL,
    answer TEXT NOT NULL
) STRICT;
CREATE INDEX samples_at ON samples (at);
