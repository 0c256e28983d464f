-- The ledger, version 1. The version stands in PRAGMA user_version; what changes it later is a
-- numbered file beside this one, never an edit here.

CREATE TABLE jobs (
    id               TEXT PRIMARY KEY,   -- UUIDv7: sorts by the time of acceptance
    state            TEXT NOT NULL CHECK (state IN
                         ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'lost')),
    owner            TEXT,               -- queued with an owner: claimed, its command may run any moment
    spec             TEXT NOT NULL,      -- JSON: what was asked, without stdin
    stdin            BLOB,               -- JSON of stdin; gone when the job has ended
    created_at       TEXT NOT NULL,
    started_at       TEXT,
    finished_at      TEXT,
    duration         REAL,
    pid              INTEGER,
    cancel_requested INTEGER NOT NULL DEFAULT 0,  -- a wish, not a state
    has_timed_out    INTEGER NOT NULL DEFAULT 0,
    reason           TEXT,
    error            TEXT,
    exit_code        INTEGER,
    signal           TEXT,
    usage            TEXT,               -- JSON
    stdout_bytes     INTEGER NOT NULL DEFAULT 0,
    stdout_dropped   INTEGER NOT NULL DEFAULT 0,
    stderr_bytes     INTEGER NOT NULL DEFAULT 0,
    stderr_dropped   INTEGER NOT NULL DEFAULT 0,
    journal          BLOB                -- the output of a job that printed little; else in files
);

-- Claims take the oldest queued job; lists filter by state.
CREATE INDEX jobs_state ON jobs (state, id);

-- One row, written to find out whether the ledger can be.
CREATE TABLE probe (at TEXT NOT NULL);
INSERT INTO probe VALUES ('');

-- What each process owns: found when it has died.
CREATE INDEX jobs_owner ON jobs (owner) WHERE owner IS NOT NULL AND finished_at IS NULL;

CREATE TABLE labels (
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    job_id TEXT NOT NULL,
    PRIMARY KEY (name, value, job_id)
) WITHOUT ROWID;

-- What an Idempotency-Key stood for, so that the same request is never run twice.
CREATE TABLE submissions (
    key         TEXT PRIMARY KEY,
    fingerprint BLOB NOT NULL,           -- of the request's body
    job_ids     TEXT NOT NULL,           -- JSON, in the order of the request
    created_at  TEXT NOT NULL
) WITHOUT ROWID;

-- How many jobs are in each state, kept by triggers: counting a million rows takes too long.
CREATE TABLE tally (
    state TEXT PRIMARY KEY,
    jobs  INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

INSERT INTO tally (state)
VALUES ('queued'), ('running'), ('succeeded'), ('failed'), ('cancelled'), ('lost');

CREATE TRIGGER jobs_tally_insert AFTER INSERT ON jobs BEGIN
    UPDATE tally SET jobs = jobs + 1 WHERE state = NEW.state;
END;

CREATE TRIGGER jobs_tally_update AFTER UPDATE OF state ON jobs BEGIN
    UPDATE tally SET jobs = jobs - 1 WHERE state = OLD.state;
    UPDATE tally SET jobs = jobs + 1 WHERE state = NEW.state;
END;

CREATE TRIGGER jobs_tally_delete AFTER DELETE ON jobs BEGIN
    UPDATE tally SET jobs = jobs - 1 WHERE state = OLD.state;
END;
