-- Moments are milliseconds since 1970.
--
-- `phase` is the state, finer than what is shown:
-- 0 ready, 1 delayed until wake_at, 2 behind another job with its ordering key,
-- 3 running, 4 input required, 5 done, 6 failed, 7 cancelled.
CREATE TABLE jobs (
    n INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of submission
    id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    tenant TEXT NOT NULL,
    ordering_key TEXT,
    unique_key TEXT,
    idempotency_key TEXT,
    source TEXT,
    priority INTEGER NOT NULL,
    phase INTEGER NOT NULL,
    -- When a delayed job may become ready: its run_at, a back-off, or its source's pause.
    wake_at INTEGER NOT NULL,
    held INTEGER NOT NULL DEFAULT 0,     -- whether it is delayed because of its source
    run_at INTEGER NOT NULL,
    cancel INTEGER NOT NULL DEFAULT 0,
    token INTEGER NOT NULL DEFAULT 0,    -- claims so far: the fencing number
    attempts INTEGER NOT NULL DEFAULT 0, -- of the present budget
    max_attempts INTEGER NOT NULL,
    worker TEXT,
    lease_until INTEGER,
    stage TEXT,
    stage_at INTEGER,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER,
    bytes INTEGER NOT NULL DEFAULT 0,
    bytes_total INTEGER,
    cost_cap INTEGER,
    cost_spent INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    input TEXT,
    failures TEXT,                       -- JSON list
    document_errors INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    seq INTEGER NOT NULL DEFAULT 0       -- of the latest event
) STRICT;

-- Where it matters, queries name their index: without statistics SQLite prefers an equality
-- to a range, and would walk over every job in a phase.
CREATE INDEX jobs_ready ON jobs (priority, tenant, kind, n) WHERE phase = 0;
CREATE INDEX jobs_phase ON jobs (phase, n);
CREATE INDEX jobs_wake ON jobs (wake_at) WHERE phase = 1;
CREATE INDEX jobs_ordering ON jobs (ordering_key, n) WHERE ordering_key IS NOT NULL AND phase < 5;
CREATE INDEX jobs_unique ON jobs (tenant, unique_key) WHERE unique_key IS NOT NULL AND phase < 5;
CREATE UNIQUE INDEX jobs_idempotency ON jobs (tenant, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_source ON jobs (source, phase, n) WHERE source IS NOT NULL;
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE phase > 4;
CREATE INDEX jobs_tenant ON jobs (tenant, n);

-- Whose turn it is. A lane is there when it may have ready jobs; a claim that finds it
-- empty deletes it. `served` grows with every claim, and is one for all lanes of a tenant.
CREATE TABLE lanes (
    priority INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    served INTEGER NOT NULL,
    PRIMARY KEY (tenant, priority, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX lanes_turn ON lanes (priority DESC, served, tenant, kind);
CREATE TABLE tenants (tenant TEXT PRIMARY KEY, served INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE turn (n INTEGER NOT NULL) STRICT;
INSERT INTO turn VALUES (0);

CREATE TABLE counts (
    phase INTEGER NOT NULL,
    kind TEXT NOT NULL,
    tenant TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (phase, kind, tenant)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER job_counted AFTER INSERT ON jobs BEGIN
    INSERT INTO counts VALUES (new.phase, new.kind, new.tenant, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER job_moved AFTER UPDATE OF phase ON jobs WHEN old.phase <> new.phase BEGIN
    UPDATE counts SET jobs = jobs - 1
        WHERE phase = old.phase AND kind = old.kind AND tenant = old.tenant;
    INSERT INTO counts VALUES (new.phase, new.kind, new.tenant, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER job_gone AFTER DELETE ON jobs BEGIN
    UPDATE counts SET jobs = jobs - 1
        WHERE phase = old.phase AND kind = old.kind AND tenant = old.tenant;
    DELETE FROM events WHERE n = old.n;
    DELETE FROM document_errors WHERE n = old.n;
END;

CREATE TABLE events (
    n INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    is_progress INTEGER NOT NULL, -- the next report of progress replaces it
    event TEXT NOT NULL,          -- JSON
    PRIMARY KEY (n, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE document_errors (
    n INTEGER NOT NULL,
    i INTEGER NOT NULL,
    error TEXT NOT NULL, -- JSON
    PRIMARY KEY (n, i)
) STRICT, WITHOUT ROWID;

-- Sources with failures in a row. `probe` is the job that tries a source which is open.
CREATE TABLE breakers (
    source TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    open_until INTEGER, -- none while it is closed
    opened INTEGER NOT NULL DEFAULT 0, -- times in a row
    probe INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    schedule TEXT NOT NULL, -- JSON
    next_at INTEGER,
    last_job BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_next ON schedules (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
