-- Webhooks. Moments are milliseconds since 1970.
CREATE TABLE endpoints (
    id BLOB PRIMARY KEY,
    tenant TEXT NOT NULL,
    url TEXT NOT NULL,
    types TEXT NOT NULL,      -- JSON list of event types; empty for all
    kinds TEXT NOT NULL,      -- JSON list of kinds of jobs; empty for all
    secrets TEXT NOT NULL,    -- JSON list, the newest first
    is_active INTEGER NOT NULL,
    off_reason TEXT,
    paused_until INTEGER NOT NULL DEFAULT 0, -- it asked for less
    -- Until when the message that is on its way is waited for: one at a time, in order.
    busy_until INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX endpoints_tenant ON endpoints (tenant);

-- One row for each message to each endpoint, written by the transaction that changes the
-- job. `state`: 0 waits, 1 delivered, 2 dead letter.
CREATE TABLE deliveries (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, -- the `webhook-id`, one for all attempts
    endpoint BLOB NOT NULL,
    type TEXT NOT NULL,
    payload TEXT NOT NULL,   -- the body, byte for byte
    state INTEGER NOT NULL DEFAULT 0,
    -- Attempts begun: the fencing number. While one is under way, next_at is when it is
    -- given up.
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL,
    last_status INTEGER,
    last_error TEXT,
    created_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE INDEX deliveries_due ON deliveries (endpoint, next_at) WHERE state = 0;
CREATE INDEX deliveries_endpoint ON deliveries (endpoint, n);
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE state > 0;
CREATE TRIGGER endpoint_gone AFTER DELETE ON endpoints BEGIN
    DELETE FROM deliveries WHERE endpoint = old.id;
END;
