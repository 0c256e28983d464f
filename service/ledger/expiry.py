"""What may not stay is found by a reader, so that others write meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apsw

from service.jobs import ENDED, STEP_MS, least_id
from service.ledger import Bounds
from service.ledger.rows import size_of
from service.ledger.stored import read_spec

# Far more than a follower that reconnects can have missed.
EVENTS_KEPT = 100_000
EVENTS_PER_JOB = 4
# The specs of expired jobs that are read at once, or one.
SPEC_BYTES = 4 << 20


def read_expired(
    db: apsw.Connection, bounds: Bounds, limit: int
) -> list[tuple[str, Mapping[str, str]]]:
    """Return the ids and labels of up to `limit` of the oldest ended jobs that may not stay."""
    sql = f"SELECT id, spec FROM jobs WHERE id IN ({_SOURCES}) ORDER BY id LIMIT :limit"
    expired: list[tuple[str, Mapping[str, str]]] = []
    size = 0
    for id, spec in db.execute(sql, _bindings(db, bounds, limit)):
        size += size_of(spec)
        if expired and size > SPEC_BYTES:
            break
        expired.append((id, read_spec(spec).labels))
    return expired


def read_untidy(
    db: apsw.Connection, bounds: Bounds, limit: int
) -> tuple[list[tuple[Any, ...]], int]:
    """Return rows of up to `limit` keys that may go, and the number up to which events may, or 0.

    A key stays for as long as one of its jobs may still run, or is as young as jobs that stay.
    """
    oldest = db.execute("SELECT created_at FROM jobs ORDER BY id LIMIT 1").get
    keys = db.execute(
        "SELECT key FROM submissions WHERE created_at < ? AND NOT EXISTS ("
        "SELECT 1 FROM json_each(job_ids) JOIN jobs ON jobs.id = value WHERE finished_at IS NULL)"
        " ORDER BY created_at LIMIT ?",
        (max(oldest or "", bounds.finished_after), limit),
    ).fetchall()
    first = db.execute("SELECT coalesce(min(seq), 0) FROM events").get
    last = db.execute("SELECT coalesce(max(seq), 0) FROM events").get
    seq = min(last - EVENTS_KEPT, first + limit * EVENTS_PER_JOB)
    return keys, seq if seq >= first else 0


def _bindings(db: apsw.Connection, bounds: Bounds, limit: int) -> dict[str, str | int]:
    """Say how many must go, or else how old; a job that ended before a time began before it."""
    counts = dict(db.execute("SELECT state, jobs FROM tally"))
    too_many = sum(counts.get(state, 0) for state in ENDED) - bounds.count
    if too_many > 0:
        return {"limit": min(too_many, limit), "before": "~", "finished_before": "~"}
    before = least_id(bounds.finished_after, STEP_MS)
    return {"limit": limit, "before": before, "finished_before": bounds.finished_after}


_SOURCES = " UNION ALL ".join(
    f"SELECT * FROM (SELECT id FROM jobs WHERE state = '{state}' AND id < :before"
    " AND finished_at < :finished_before ORDER BY id LIMIT :limit)"
    for state in sorted(ENDED)
)
