-- Version 2: every change of state, in order, for those who follow them.

CREATE TABLE events (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL,
    state  TEXT NOT NULL
);

CREATE TRIGGER jobs_events_insert AFTER INSERT ON jobs BEGIN
    INSERT INTO events (job_id, state) VALUES (NEW.id, NEW.state);
END;

CREATE TRIGGER jobs_events_update AFTER UPDATE OF state ON jobs BEGIN
    -- a short job's start is written with its end; and what is lost may have run
    INSERT INTO events (job_id, state)
        SELECT NEW.id, 'running' WHERE OLD.state = 'queued' AND NEW.state <> 'running'
            AND (NEW.started_at IS NOT NULL OR NEW.state = 'lost');
    INSERT INTO events (job_id, state) VALUES (NEW.id, NEW.state);
END;
