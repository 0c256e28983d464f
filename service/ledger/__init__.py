"""The ledger: the database of jobs that all processes share. It alone decides what is true.

`Ledger` is the interface, and `tests/ledger` holds the contract that every backend must keep.

    sqlite      the backend for one machine             statements  its SQL of single jobs
    connection  opened, migrated, in turns to write     thread      where blocking calls are made
    writer      transactions, made durable              expiry      what may not stay
    rows        jobs as rows, and back                  pages       lists of jobs
    stored      what another version may have written
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from service.jobs import End, Job, Spec, State


class Claim(msgspec.Struct, frozen=True):
    """A queued job that now belongs to one process, and all that is needed to run it."""

    id: str
    spec: Spec
    created_at: str


class Asked(msgspec.Struct, frozen=True):
    """What a job was asked to run.

    `has_all` says whether its stdin, if it had any, is in there: what was long, or was written
    while the job ran, is not kept.
    """

    spec: Spec
    has_all: bool


class Start(msgspec.Struct, frozen=True):
    """That a claimed job's command runs, and its process's identity where that is known."""

    id: str
    pid: int
    started_at: str
    boot_id: str | None = None
    start_ticks: int | None = None


class Leader(msgspec.Struct, frozen=True):
    """A command's process: of all that ever have its number, the one that started then."""

    job_id: str
    pid: int
    boot_id: str
    start_ticks: int


class Submission(msgspec.Struct, frozen=True):
    """What came of a submission: its jobs in order, and whether an earlier one had made them.

    `claims` are jobs that became the submitter's with it: the oldest that waited, so not always
    its own.
    """

    jobs: list[Job]
    is_repeated: bool = False
    claims: list[Claim] = []


class Query(msgspec.Struct, frozen=True):
    """Which jobs to list: any of `states`, all of `labels`, older than the job `before`.

    They were accepted at `since` or later, and before `until` (times as in a Job), and `text`
    occurs in the arguments, joined by blanks, whatever the case of its letters.
    """

    states: tuple[State, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    limit: int = 50
    before: str | None = None
    since: str | None = None
    until: str | None = None
    text: str = ""


class Page(msgspec.Struct, frozen=True, dict=True):
    """Jobs, newest first, and the id to go on `before`; None at the end.

    There may be fewer than the limit and more to come: a page is bounded in bytes too, and a
    search in time.
    """

    jobs: list[Job]
    next_cursor: str | None

    @functools.cached_property
    def document(self) -> bytes:
        """The page as JSON, worked out once for all who were given it."""
        return msgspec.json.encode(self)


class Event(msgspec.Struct, frozen=True):
    """A change of state: the job as it was right after, numbered in the order of the changes."""

    seq: int
    job: Job


class Bounds(msgspec.Struct, frozen=True):
    """Which ended jobs may stay: not older than `finished_after`, and the newest `count`."""

    finished_after: str
    count: int


class Ledger(Protocol):
    """What every ledger can do. Every verb is one atomic change, seen by all processes.

    Any of them may raise LedgerError when the ledger can't be read or written, and has then
    changed nothing, whatever became of others' changes at the same time; QueryTooSlow when it
    would take too long. Cancelling a verb's await does not undo it.
    """

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
        """Write new queued jobs, all or none; they survive a power loss once this returns.

        In the same change up to `room` of the oldest waiting jobs become this owner's.

        With a `key` that was used before, the earlier jobs come back when the `fingerprint` is
        the same, else KeyReused is raised. Raises Full when more than `queue_limit` would wait.
        `rerun_of` is the job that they run again.
        """
        ...

    async def claim(self, owner: str, limit: int) -> list[Claim]:
        """Make up to `limit` of the oldest waiting jobs this owner's; durable as `submit` is."""
        ...

    async def unclaim(self, owner: str, ids: Sequence[str]) -> list[str]:
        """Put this owner's claims that were never started back into the queue, in their old places.

        Those with a wish to cancel are cancelled instead, and returned. Any that is not this
        owner's, or runs, or has ended, stays as it is.
        """
        ...

    async def take_over(self, owner: str, ids: Sequence[str]) -> list[Claim]:
        """Count a handover for those of this owner's jobs that have not ended.

        Returns what is needed to run them on, which is without the stdin that they have got.
        """
        ...

    async def start(self, starts: Sequence[Start]) -> None:
        """Write down that claimed jobs run; what was written before changes nothing.

        Each start is a change of its own: ValueError for a job that can't run any more, NotFound
        for one that is gone, after all the others were written.
        """
        ...

    async def end(
        self, id: str, end: End, journal: bytes | None = None, *, got_input: bool = True
    ) -> None:
        """Write down how a job ended, and that it ran where `start` has not said so yet.

        `journal` is its output when it was small, else None. Without `got_input` nothing was
        written to an open stdin, and nothing is missing for another run. The same end, written
        again, changes nothing; ValueError for a move that isn't legal, so for another end than was
        written.
        """
        ...

    async def request_cancel(self, id: str) -> tuple[Job, bool]:
        """Cancel a job that waits, or note the wish on one that is claimed; NotFound.

        Returns the job, and whether there was still something to cancel.
        """
        ...

    async def forget(self, id: str) -> Job:
        """Remove an ended job; NotFound, or Conflict while it may still run."""
        ...

    async def get(self, id: str) -> Job:
        """Return one job; NotFound."""
        ...

    async def asked(self, id: str) -> Asked:
        """Return what a job was asked to run; NotFound."""
        ...

    async def progress(self, ids: Sequence[str]) -> dict[str, Literal["claimed", "ended"]]:
        """Return those of `ids` that somebody has claimed, or that have ended or are unknown."""
        ...

    async def journal(self, id: str) -> bytes | None:
        """Return the output that was stored with the job's end; None when it wasn't small."""
        ...

    async def page(self, query: Query) -> Page:
        """Return one page of jobs."""
        ...

    async def unfinished(self, owner: str) -> list[Job]:
        """Return the jobs that this owner has claimed and not ended."""
        ...

    async def leaders(self, owner: str) -> list[Leader]:
        """Return the processes of this owner's jobs that are written down as running."""
        ...

    async def cancels(self, owner: str) -> list[str]:
        """Return this owner's unfinished jobs that somebody wished to cancel."""
        ...

    async def owners(self) -> list[str]:
        """Return every owner of an unfinished job."""
        ...

    async def events(self, after: int, limit: int) -> list[Event]:
        """Return up to `limit` changes of state after a number; none when there are no more.

        There may be fewer and more to come: they are bounded in bytes too. Those of forgotten jobs
        are left out.
        """
        ...

    async def last_event(self) -> int:
        """Return the number of the newest change of state; 0 when there was none."""
        ...

    async def expire(self, bounds: Bounds, limit: int) -> list[str]:
        """Forget up to `limit` of the oldest ended jobs that may not stay; return their ids."""
        ...

    async def tidy(self, bounds: Bounds, limit: int) -> int:
        """Remove up to about `limit` records that only forgotten jobs or old events need.

        Returns how many; 0 when there are no more.
        """
        ...

    async def tally(self) -> Mapping[State, int]:
        """Return how many jobs there are in each state."""
        ...

    async def probe(self) -> None:
        """Return when the ledger can be written; LedgerError when it can't."""
        ...

    def close(self) -> None:
        """Finish what was asked, then let go of the files; blocks for as long as that takes."""
        ...
