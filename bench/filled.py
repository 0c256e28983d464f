"""A ledger with many ended jobs, written with SQL on the real schema."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import apsw

from bench.place import Place
from service.jobs import Spec, Usage
from service.journal import Journal
from service.ledger.rows import encode, new_job, row_of
from service.ledger.sqlite import SqliteLedger
from service.state import StateDir

ARGS = ["/usr/bin/convert", "-resize", "640x480", "/srv/images/in.jpg", "/srv/images/out.jpg"]
OUTPUT = b"out.jpg JPEG 640x480 640x480+0+0 8-bit sRGB 48211B 0.050u 0:00.021\n"

# Ids are UUIDv7, a millisecond apart, so that they sort by time as real ones do; of twenty jobs
# one has failed and one was cancelled.
FILL = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :jobs),
job(n, ms, id, at) AS (
    SELECT n, :first + n,
           printf('%08x-%04x-7%03x-8%03x-%012x', (:first + n) >> 16, (:first + n) & 65535,
                  n & 4095, (n * 7919) & 4095, (n * 2654435761) & 281474976710655),
           strftime('%Y-%m-%dT%H:%M:%S', (:first + n) / 1000, 'unixepoch')
               || printf('.%03d417Z', (:first + n) % 1000)
    FROM number)
INSERT INTO jobs (id, state, owner, spec, created_at, started_at, finished_at, duration, pid,
                  reason, exit_code, signal, usage, stdout_bytes, journal)
SELECT id,
       CASE n % 20 WHEN 7 THEN 'failed' WHEN 13 THEN 'cancelled' ELSE 'succeeded' END,
       printf('888%d', 5 + n % 4), :spec, at, at, at, 0.021 + (n % 100) / 1000.0, 1000 + n % 30000,
       CASE n % 20 WHEN 13 THEN 'cancelled' ELSE 'exit' END,
       CASE n % 20 WHEN 7 THEN 1 WHEN 13 THEN NULL ELSE 0 END,
       CASE n % 20 WHEN 13 THEN 'SIGTERM' END, :usage, :size, :journal
FROM job
"""

# What jobs that were sent with labels and an Idempotency-Key have besides.
LABEL = ("app", "thumbnails")
LABEL_AND_KEY = """
INSERT INTO labels (name, value, job_id) SELECT :name, :value, id FROM jobs;
INSERT INTO submissions (key, fingerprint, job_ids, created_at)
SELECT 'key-' || id, randomblob(32), json_array(id), created_at FROM jobs;
"""


def state(place: Place, jobs: int, *, has_labels_and_keys: bool = False) -> Path:
    """Return a state directory of so many ended jobs, made at the first call."""
    path = place.path / f"filled-{jobs}{'-labels-and-keys' if has_labels_and_keys else ''}"
    if not path.exists():
        state = StateDir(path)
        state.create()
        SqliteLedger(state.ledger).close()  # the schema
        _fill(state.ledger, state.journals, jobs, has_labels_and_keys)
    return path


def _fill(path: Path, journals: Path, jobs: int, has_labels_and_keys: bool) -> None:
    name, value = LABEL
    labels = {name: value} if has_labels_and_keys else {}
    spec = Spec(args=ARGS, timeout=60.0, labels=labels)
    _, text, *_ = row_of(new_job("", spec, ""), spec)
    bindings = {
        "jobs": jobs,
        "first": time.time_ns() // 1_000_000 - jobs - 60_000,
        "spec": text,
        "usage": encode(Usage(0.012, 0.004, 12_345_678)).decode(),
        "size": len(OUTPUT),
        "journal": asyncio.run(_inline(journals)),
    }
    db = apsw.Connection(str(path))
    db.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144")
    db.execute(FILL, bindings)
    if has_labels_and_keys:
        db.execute(LABEL_AND_KEY, {"name": name, "value": value})
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


async def _inline(journals: Path) -> bytes | None:
    """Return the output of one job as it stands in the ledger."""
    journal = Journal(journals, "", output_bytes=1 << 24)
    journal.write("stdout", OUTPUT)
    blob = journal.finish()
    journal.close()
    return blob
