"""What is written and read of single jobs, in SQL: each a part of a transaction of the caller's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from service.errors import Conflict, KeyReused, NotFound
from service.jobs import End, Job, State, check_move, now
from service.ledger import Claim, Start, Submission
from service.ledger.rows import COLUMNS, END_COLUMNS, claim_of, encode, end_row, job_of

_ids = msgspec.json.Decoder(list[str]).decode


def insert(
    db: apsw.Connection,
    jobs: Sequence[Job],
    rows: Iterable[tuple[Any, ...]],
    owner: str | None = None,
) -> None:
    """Add queued jobs, which are the owner's where one is named."""
    db.executemany(
        "INSERT INTO jobs (id, state, spec, stdin, created_at, rerun_of, owner)"
        " VALUES (?, 'queued', ?, ?, ?, ?, ?)",
        [(*row, owner) for row in rows],
    )
    labels = [(name, value, job.id) for job in jobs for name, value in job.labels.items()]
    if labels:
        db.executemany("INSERT INTO labels (name, value, job_id) VALUES (?, ?, ?)", labels)


def note_stepped(db: apsw.Connection, ids: Sequence[str]) -> None:
    """Mark jobs whose ids tell another time than `created_at`."""
    db.executemany("UPDATE jobs SET has_clock_stepped = 1 WHERE id = ?", [(id,) for id in ids])


def is_any_waiting(db: apsw.Connection) -> bool:
    """Whether a job waits that nobody has claimed."""
    sql = "SELECT 1 FROM jobs WHERE state = 'queued' AND owner IS NULL LIMIT 1"
    return db.execute(sql).fetchone() is not None


def claim(db: apsw.Connection, owner: str, limit: int) -> list[Claim]:
    """Make up to `limit` of the oldest waiting jobs the owner's."""
    if limit < 1:
        return []
    rows = db.execute(
        "UPDATE jobs SET owner = ? WHERE id IN (SELECT id FROM jobs WHERE state = 'queued'"
        " AND owner IS NULL ORDER BY id LIMIT ?) RETURNING id, spec, stdin, created_at",
        (owner, limit),
    ).fetchall()
    return sorted((claim_of(*row) for row in rows), key=lambda claim: claim.id)


def repeated(db: apsw.Connection, key: str, fingerprint: bytes) -> list[Job] | None:
    """Return the jobs of a key that was used before; None for a new one."""
    sql = "SELECT fingerprint, job_ids FROM submissions WHERE key = ?"
    row = db.execute(sql, (key,)).fetchone()
    if row is None:
        return None
    if row[0] != fingerprint:
        raise KeyReused("this Idempotency-Key was used before with another body")
    try:
        return [get_job(db, id) for id in _ids(row[1])]
    except NotFound as exc:
        raise Conflict("a job of this Idempotency-Key was deleted") from exc


def withdraw(
    db: apsw.Connection, submission: Submission, owner: str, key: str
) -> Submission | None:
    """Undo a submission; where others have one of its jobs already, it stands, without claims."""
    if submission.is_repeated:
        return None
    unclaim(db, owner, [claim.id for claim in submission.claims])
    ids = encode([job.id for job in submission.jobs]).decode()
    waiting = db.execute(
        "SELECT count(*) FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
        " AND state = 'queued' AND owner IS NULL",
        (ids,),
    ).get
    if waiting < len(submission.jobs):
        return msgspec.structs.replace(submission, claims=[])
    for job in submission.jobs:
        forget(db, job.id, job.labels)
    if key:
        db.execute("DELETE FROM submissions WHERE key = ?", (key,))
    return None


def count(db: apsw.Connection, state: State) -> int:
    """Return how many jobs are in a state."""
    count: int = db.execute("SELECT jobs FROM tally WHERE state = ?", (state,)).get
    return count


def unclaim(db: apsw.Connection, owner: str, ids: Sequence[str]) -> list[str]:
    """Let an owner's claims wait again; return those that are cancelled instead."""
    cancelled = []
    for id in ids:
        rows = db.execute(
            "UPDATE jobs SET owner = NULL WHERE id = ? AND state = 'queued' AND owner = ?"
            " RETURNING cancel_requested",
            (id, owner),
        )
        if (row := rows.fetchone()) and row[0]:
            end(db, id, End(state="cancelled", reason="cancelled", finished_at=now()))
            cancelled.append(id)
    return cancelled


def take_over(db: apsw.Connection, owner: str, ids: Sequence[str]) -> list[Claim]:
    """Count a handover for those of an owner's jobs that have not ended."""
    rows = db.execute(
        "UPDATE jobs SET handovers = handovers + 1 WHERE owner = ? AND finished_at IS NULL"
        " AND id IN (SELECT value FROM json_each(?)) RETURNING id, spec,"
        " CASE stdin WHEN CAST('\"open\"' AS BLOB) THEN stdin END, created_at",
        (owner, encode(list(ids)).decode()),
    ).fetchall()
    return [claim_of(*row) for row in rows]


def start(db: apsw.Connection, start: Start) -> None:
    """Write down that a claimed job runs; ValueError when it cannot."""
    db.execute(
        "UPDATE jobs SET state = 'running', pid = ?, started_at = ?, boot_id = ?, start_ticks = ?"
        " WHERE id = ? AND state = 'queued' AND owner IS NOT NULL",
        (start.pid, start.started_at, start.boot_id, start.start_ticks, start.id),
    )
    if not db.changes() and not _is_running_as(db, start):
        check_move(_state(db, start.id), "running")
        raise ValueError(f"job {start.id} was not claimed")


def _is_running_as(db: apsw.Connection, start: Start) -> bool:
    """Whether this very start was written before."""
    sql = "SELECT 1 FROM jobs WHERE id = ? AND state = 'running' AND pid = ? AND started_at = ?"
    return bool(db.execute(sql, (start.id, start.pid, start.started_at)).get)


def end(
    db: apsw.Connection,
    id: str,
    end: End,
    journal: bytes | None = None,
    *,
    got_input: bool = True,
) -> None:
    """Write down how a job ended; ValueError when it cannot end so."""
    before = _state(db, id)
    if before == end.state and _has_ended_as(db, id, end):
        return
    if before == "queued" and (end.started_at or end.state == "lost"):
        before = "running"  # it ran, or it may have: both moves are written as one
    check_move(before, end.state)
    db.execute(
        f"UPDATE jobs SET {END_COLUMNS}, journal = ? WHERE id = ?",
        (*end_row(end, got_input), journal, id),
    )


def _has_ended_as(db: apsw.Connection, id: str, end: End) -> bool:
    """Whether this very end was written before."""
    sql = "SELECT reason, finished_at, exit_code, signal FROM jobs WHERE id = ?"
    return bool(
        db.execute(sql, (id,)).get == (end.reason, end.finished_at, end.exit_code, end.signal)
    )


def forget(db: apsw.Connection, id: str, labels: Mapping[str, str]) -> bool:
    """Remove a job; whether it was there."""
    db.execute("DELETE FROM jobs WHERE id = ?", (id,))
    is_gone = db.changes() > 0
    if labels:
        db.executemany(
            "DELETE FROM labels WHERE name = ? AND value = ? AND job_id = ?",
            [(name, value, id) for name, value in labels.items()],
        )
    return is_gone


def _state(db: apsw.Connection, id: str) -> State:
    row = db.execute("SELECT state FROM jobs WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound(f"no such job: {id}")
    state: State = row[0]
    return state


def get_job(db: apsw.Connection, id: str) -> Job:
    """Return a job; NotFound."""
    row = db.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound(f"no such job: {id}")
    return job_of(*row)
