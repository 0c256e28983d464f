-- Version 3: lists by time, and no scan in retention.

-- 1 where the time in the id is not that of created_at, since the clock had stepped. Of all other
-- jobs the id tells when they were accepted, so a span of time is a range of ids.
ALTER TABLE jobs ADD COLUMN has_clock_stepped INTEGER;
CREATE INDEX jobs_clock_stepped ON jobs (id) WHERE has_clock_stepped = 1;

-- Retention forgets the oldest keys.
CREATE INDEX submissions_created_at ON submissions (created_at);
