-- How often a running job was taken over by a new process of its owner's.

ALTER TABLE jobs ADD COLUMN handovers INTEGER NOT NULL DEFAULT 0;
