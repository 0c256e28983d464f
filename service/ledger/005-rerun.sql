-- A job made by running another one again, and what it was made of.

ALTER TABLE jobs ADD COLUMN rerun_of TEXT;

-- From here on `stdin` stays with an ended job when it is short; an empty blob says that it was not
-- kept.
