"""The ledger in SQLite: one file in WAL mode, shared by the processes of one machine.

Each process has one writer and one reader connection, each on a thread of its own. A group of
writes is one transaction. It is synced to disk before anybody is told when it holds an operation
that a client or the rule "nothing runs twice" depends on (submit, claim, cancel); what follows
from those alone (start, end) survives a killed process at once, and a power loss with the next
sync: until then such a job would be found `lost`, never run again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import apsw
import msgspec

from service.errors import Conflict, Full, LedgerError, NotFound, QueryTooSlow
from service.jobs import (
    STEP_MS,
    End,
    Ids,
    Job,
    Spec,
    State,
    id_milliseconds,
    now,
    rfc3339,
)
from service.ledger import (
    Asked,
    Bounds,
    Claim,
    Event,
    Leader,
    Page,
    Query,
    Start,
    Submission,
    statements,
)
from service.ledger.connection import (
    BUSY_MILLISECONDS,
    TimeLimit,
    Turn,
    Wal,
    connect,
    migrate,
    refuse_unsound_sqlite,
    told,
)
from service.ledger.expiry import read_expired, read_untidy
from service.ledger.pages import PAGE_BYTES, Part, add_functions, is_searched, read_part
from service.ledger.rows import (
    COLUMNS,
    SPEC,
    asked_of,
    encode,
    job_of,
    new_job,
    row_of,
    size_of,
)
from service.ledger.thread import DatabaseThread, Group
from service.ledger.writer import Writer

T = TypeVar("T")
log = logging.getLogger(__name__)

# Others wait to write for so long while jobs are forgotten, or for as long as one job takes.
EXPIRE_S = 0.01
# What is read of events at once.
EVENTS_BYTES = 4 << 20

# A search ends after so long, or after so long when it has found nothing. So many are made at once,
# and others wait for so long. It looks at so many jobs at first, then at as many as take so long.
SEARCH_S = 2.0
SEARCH_IN_VAIN_S = 10.0
SEARCHES = 2
SEARCH_TURN_S = 10.0
SEARCH_SPAN = 10_000
SEARCH_PART_S = 0.015


class SqliteLedger:
    """See `service.ledger.Ledger` for what the verbs promise."""

    def __init__(
        self, path: Path, on_commit: Callable[[float], None] = lambda seconds: None
    ) -> None:
        """Open the ledger, made or migrated where needed; raises LedgerError.

        `on_commit` is called, on the writer's thread, with the seconds that a group took.
        """
        refuse_unsound_sqlite()
        self._new_id = Ids()
        self._searches = asyncio.Semaphore(SEARCHES)
        try:
            with ExitStack() as opened:
                self._writer = self._open(path, opened, on_commit)
                self._opened = opened.pop_all()
        except (apsw.Error, OSError, LedgerError) as exc:
            raise LedgerError(f"{path}: {exc}") from exc
        self._writes = DatabaseThread("ledger-writer", self._writer.perform, gives_up=True)
        self._read_limit = TimeLimit(self._read_db)
        self._reads = DatabaseThread("ledger-reader", self._perform_reads)

    def _open(self, path: Path, opened: ExitStack, on_commit: Callable[[float], None]) -> Writer:
        turn = opened.enter_context(closing(Turn(path)))
        # two at once that make a new file's mode WAL: one would be told that it is locked
        with turn.within(BUSY_MILLISECONDS / 1000):
            self._db = opened.enter_context(closing(connect(path)))
            migrate(self._db)
        self._wal = opened.enter_context(closing(Wal(path)))
        self._read_db = opened.enter_context(closing(connect(path, is_reader=True)))
        add_functions(self._read_db)
        return Writer(self._db, self._wal, turn, on_commit)

    def close(self) -> None:
        """Finish what was asked, then close; blocks for as long as that takes.

        Where another process does not let go of its turn, what waits for it ends with this one.
        """
        has_ended = self._writes.close()
        self._reads.close()
        if not has_ended:
            log.error("the ledger is left open: the turn to write does not come")
            return
        with self._opened:
            self._writer.mend()

    async def submit(
        self,
        specs: Sequence[Spec],
        *,
        queue_limit: int,
        owner: str = "",
        room: int = 0,
        key: str = "",
        fingerprint: bytes = b"",
        rerun_of: str | None = None,
    ) -> Submission:
        """Write new queued jobs, all or none, and claim up to `room`."""
        at = time.time_ns() // 1000
        created_at = rfc3339(at)
        jobs = [new_job(self._new_id(), spec, created_at, rerun_of) for spec in specs]
        stepped = [job.id for job in jobs if not _is_in_step(job.id, at)]
        rows = [row_of(job, spec) for job, spec in zip(jobs, specs, strict=True)]
        new = [Claim(job.id, spec, created_at) for job, spec in zip(jobs, specs, strict=True)]

        def write() -> Submission:
            if key and (earlier := statements.repeated(self._db, key, fingerprint)) is not None:
                return Submission(earlier, is_repeated=True)
            is_any_waiting = statements.is_any_waiting(self._db)
            waiting = statements.count(self._db, "queued") if is_any_waiting else 0
            if waiting + len(rows) - room > queue_limit:  # what is claimed at once doesn't wait
                raise Full("too many jobs are queued")
            if room > 0 and not is_any_waiting:
                claims = new[:room]  # nobody is older: they are ours from the beginning
                statements.insert(self._db, jobs[:room], rows[:room], owner)
                statements.insert(self._db, jobs[room:], rows[room:])
            else:
                statements.insert(self._db, jobs, rows)
                claims = statements.claim(self._db, owner, room)
            if stepped:
                statements.note_stepped(self._db, stepped)
            if key:
                ids = encode([job.id for job in jobs]).decode()
                self._db.execute(
                    "INSERT INTO submissions (key, fingerprint, job_ids, created_at)"
                    " VALUES (?, ?, ?, ?)",
                    (key, fingerprint, ids, created_at),
                )
            return Submission(jobs, claims=claims)

        def undo(submission: Submission) -> Submission | None:
            return statements.withdraw(self._db, submission, owner, key)

        return await self._writes.call(write, is_durable=True, undo=undo)

    async def claim(self, owner: str, limit: int) -> list[Claim]:
        """Make up to `limit` of the oldest waiting jobs this owner's."""

        def write() -> list[Claim]:
            return statements.claim(self._db, owner, limit)

        def undo(claims: list[Claim]) -> None:
            statements.unclaim(self._db, owner, [claim.id for claim in claims])

        return await self._writes.call(write, is_durable=True, undo=undo)

    async def unclaim(self, owner: str, ids: Sequence[str]) -> list[str]:
        """Put claims that were never started back into the queue."""

        def write() -> list[str]:
            return statements.unclaim(self._db, owner, ids)

        return await self._writes.call(write)

    async def take_over(self, owner: str, ids: Sequence[str]) -> list[Claim]:
        """Count a handover for those of this owner's jobs that have not ended."""

        def write() -> list[Claim]:
            return statements.take_over(self._db, owner, ids)

        return await self._writes.call(write)

    async def start(self, starts: Sequence[Start]) -> None:
        """Write down that claimed jobs run."""
        writes = [partial(statements.start, self._db, start) for start in starts]
        # each answers for itself; all are in one group
        outcomes = await asyncio.gather(
            *(self._writes.call(write) for write in writes), return_exceptions=True
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def end(
        self, id: str, end: End, journal: bytes | None = None, *, got_input: bool = True
    ) -> None:
        """Write down how a job ended, and that it ran."""

        def write() -> None:
            statements.end(self._db, id, end, journal, got_input=got_input)

        await self._writes.call(write)

    async def request_cancel(self, id: str) -> tuple[Job, bool]:
        """Cancel a job that waits, or note the wish on one that is claimed."""

        def write() -> tuple[Job, bool]:
            job = statements.get_job(self._db, id)
            if job.has_ended:
                return job, False
            if job.owner is None:
                statements.end(
                    self._db, id, End(state="cancelled", reason="cancelled", finished_at=now())
                )
            self._db.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ?", (id,))
            return statements.get_job(self._db, id), True

        return await self._writes.call(write, is_durable=True)

    async def forget(self, id: str) -> Job:
        """Remove an ended job."""

        def write() -> Job:
            job = statements.get_job(self._db, id)
            if not job.has_ended:
                raise Conflict(f"the job is {job.state}")
            statements.forget(self._db, id, job.labels)
            return job

        return await self._writes.call(write, is_durable=True)

    async def get(self, id: str) -> Job:
        """Return one job."""
        return await self._reads.call(lambda: statements.get_job(self._read_db, id))

    async def asked(self, id: str) -> Asked:
        """Return what a job was asked to run."""

        def read() -> Asked:
            sql = "SELECT spec, stdin FROM jobs WHERE id = ?"
            row = self._read_db.execute(sql, (id,)).fetchone()
            if row is None:
                raise NotFound(f"no such job: {id}")
            return asked_of(*row)

        return await self._reads.call(read)

    async def progress(self, ids: Sequence[str]) -> dict[str, Literal["claimed", "ended"]]:
        """Return those of `ids` that somebody has claimed, or that have ended or are unknown."""
        sql = (
            "SELECT id, owner FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
            " AND finished_at IS NULL"
        )

        def read() -> dict[str, Literal["claimed", "ended"]]:
            unfinished = dict(self._read_db.execute(sql, (encode(ids).decode(),)))
            waiting = {id for id, owner in unfinished.items() if owner is None}
            return {
                id: "claimed" if id in unfinished else "ended" for id in ids if id not in waiting
            }

        return await self._reads.call(read)

    async def journal(self, id: str) -> bytes | None:
        """Return the output that was stored with the job's end."""

        def read() -> bytes | None:
            row = self._read_db.execute("SELECT journal FROM jobs WHERE id = ?", (id,)).fetchone()
            return row[0] if row else None

        return await self._reads.call(read)

    async def page(self, query: Query) -> Page:
        """Return one page of jobs."""
        if not is_searched(query):
            part = await self._read_part(query)
            return Page(part.jobs, part.before)
        return await self._search(query)

    async def _search(self, query: Query) -> Page:
        """Wait for one's turn: whoever else reads waits for a part of each search at most."""
        try:
            async with asyncio.timeout(SEARCH_TURN_S):
                await self._searches.acquire()
        except TimeoutError:
            raise QueryTooSlow("too many searches at once") from None
        try:
            return await self._search_in_parts(query)
        finally:
            self._searches.release()

    async def _search_in_parts(self, query: Query) -> Page:
        """Look at more and more jobs until the page is full, or the time is up."""
        begun_at = time.monotonic()
        jobs: list[Job] = []
        span, room = SEARCH_SPAN, PAGE_BYTES
        while True:
            part_begun_at = time.monotonic()
            part = await self._read_part(query, span, room)
            jobs += part.jobs
            room -= part.size
            left = query.limit - len(part.jobs)
            now_at = time.monotonic()
            is_over = now_at - begun_at > (SEARCH_S if jobs else SEARCH_IN_VAIN_S)
            if part.is_full or part.before is None or not left or is_over:
                return Page(jobs, part.before)
            span = span * 2 if now_at - part_begun_at < SEARCH_PART_S else span
            query = msgspec.structs.replace(query, before=part.before, limit=left)

    async def _read_part(
        self, query: Query, span: int | None = None, room: int = PAGE_BYTES
    ) -> Part:
        def read() -> Part:
            return read_part(self._read_db, query, span, room)

        return await self._reads.call(read, same=(query, span, room))

    async def unfinished(self, owner: str) -> list[Job]:
        """Return the jobs that this owner has claimed and not ended."""
        sql = f"SELECT {COLUMNS} FROM jobs WHERE owner = ? AND finished_at IS NULL"

        def read() -> list[Job]:
            return [job_of(*row) for row in self._read_db.execute(sql, (owner,))]

        return await self._reads.call(read)

    async def leaders(self, owner: str) -> list[Leader]:
        """Return the processes of this owner's jobs that are written down as running."""
        sql = (
            "SELECT id, pid, boot_id, start_ticks FROM jobs"
            " WHERE owner = ? AND finished_at IS NULL AND start_ticks IS NOT NULL"
        )

        def read() -> list[Leader]:
            return [Leader(*row) for row in self._read_db.execute(sql, (owner,))]

        return await self._reads.call(read)

    async def cancels(self, owner: str) -> list[str]:
        """Return this owner's unfinished jobs that somebody wished to cancel."""
        sql = "SELECT id FROM jobs WHERE owner = ? AND cancel_requested = 1 AND finished_at IS NULL"

        def read() -> list[str]:
            return [id for (id,) in self._read_db.execute(sql, (owner,))]

        return await self._reads.call(read)

    async def owners(self) -> list[str]:
        """Return every owner of an unfinished job."""
        sql = "SELECT DISTINCT owner FROM jobs WHERE owner IS NOT NULL AND finished_at IS NULL"

        def read() -> list[str]:
            return [owner for (owner,) in self._read_db.execute(sql)]

        return await self._reads.call(read)

    async def events(self, after: int, limit: int) -> list[Event]:
        """Return the changes of state after a number."""
        sql = (
            f"SELECT seq, events.state, {', '.join(f'jobs.{name}' for name in COLUMNS.split(', '))}"
            " FROM events JOIN jobs ON jobs.id = job_id WHERE seq > ? ORDER BY seq LIMIT ?"
        )

        def read() -> list[Event]:
            events: list[Event] = []
            size = 0
            for seq, state, *row in self._read_db.execute(sql, (after, limit)):
                size += size_of(row[SPEC])
                if events and size > EVENTS_BYTES:
                    break
                events.append(Event(seq, job_of(*row).as_of(state)))
            return events

        return await self._reads.call(read)

    async def last_event(self) -> int:
        """Return the number of the newest change of state."""

        def read() -> int:
            last: int = self._read_db.execute("SELECT coalesce(max(seq), 0) FROM events").get
            return last

        return await self._reads.call(read)

    async def expire(self, bounds: Bounds, limit: int) -> list[str]:
        """Forget up to `limit` of the oldest ended jobs that may not stay."""
        expired = await self._reads.call(lambda: read_expired(self._read_db, bounds, limit))

        def write() -> list[str]:
            until = time.monotonic() + EXPIRE_S
            gone = []
            for id, labels in expired:
                if statements.forget(self._db, id, labels):
                    gone.append(id)
                if time.monotonic() > until:
                    break
            return gone

        return await self._writes.call(write) if expired else []

    async def tidy(self, bounds: Bounds, limit: int) -> int:
        """Remove up to `limit` keys of forgotten jobs, and old events."""
        keys, seq = await self._reads.call(lambda: read_untidy(self._read_db, bounds, limit))

        def write() -> int:
            self._db.executemany("DELETE FROM submissions WHERE key = ?", keys)
            self._db.execute("DELETE FROM events WHERE seq <= ?", (seq,))
            return len(keys) + self._db.changes()

        return await self._writes.call(write) if keys or seq else 0

    async def tally(self) -> Mapping[State, int]:
        """Return how many jobs there are in each state."""

        def read() -> Mapping[State, int]:
            return dict(self._read_db.execute("SELECT state, jobs FROM tally"))

        return await self._reads.call(read)

    async def probe(self) -> None:
        """Return when the ledger can be written."""

        def write() -> None:
            self._writer.check()
            # a write that changes nothing would not touch the disk
            self._db.execute("UPDATE probe SET at = ?", (now(),))

        await self._writes.call(write)

    def _perform_reads(self, group: Group) -> None:
        for operation in group:
            self._read_limit.start()
            try:
                operation.outcome = operation.call()
            except Exception as exc:
                operation.outcome = told(exc, "read")


def _is_in_step(id: str, microseconds: int) -> bool:
    """Whether an id that was made after this Unix time tells about the same."""
    return 0 <= id_milliseconds(id) - microseconds // 1000 < STEP_MS
