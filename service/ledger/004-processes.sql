-- Version 4: what a process that takes over must know: which commands run, and whom to stop.

-- The command's process, told from a later one with the same number: the boot, and the clock ticks
-- from then to its start. Wall clocks are stepped; these are not.
ALTER TABLE jobs ADD COLUMN boot_id TEXT;
ALTER TABLE jobs ADD COLUMN start_ticks INTEGER;

-- An owner looks for the wishes that nobody could tell it.
CREATE INDEX jobs_cancel_requested ON jobs (owner) WHERE cancel_requested = 1 AND finished_at IS NULL;
