-- Version 3: the jobs that nobody has claimed, the oldest first: claims ask for these alone.

CREATE INDEX jobs_waiting ON jobs (id) WHERE state = 'queued' AND owner IS NULL;
