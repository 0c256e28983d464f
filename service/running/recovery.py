"""Clearing up after a process that died: its commands are killed, its jobs are lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from service import jobs
from service.errors import LedgerError, NotFound
from service.jobs import End, Job, Stream
from service.journal import Journal
from service.ledger import Leader, Ledger
from service.peers.notices import Peers
from service.running import orphans
from service.running.cgroups import Cgroups
from service.running.run import Run

log = logging.getLogger(__name__)

_NONE: Mapping[str, Run] = {}


class Recovery:
    """Finds the jobs of processes that died, and ends them."""

    def __init__(
        self, ledger: Ledger, peers: Peers, journals: Path, owner: str, cgroups: Cgroups | None
    ) -> None:
        """`owner` is this process."""
        self._ledger = ledger
        self._peers = peers
        self._journals = journals
        self._owner = owner
        self._cgroups = cgroups

    async def clear_up_here(self, runs: Mapping[str, Run]) -> None:
        """End what our predecessor left, but for the runs that go on; we hold its lock."""
        await self._clear_up(self._owner, runs)

    async def look(self) -> int:
        """End what others left that are dead; return how many jobs were lost.

        What one has left in a bad state keeps nobody from ending what another left.
        """
        looks = [self.look_at(owner) for owner in await self._ledger.owners()]
        found = await asyncio.gather(*looks, return_exceptions=True)
        for failure in found:
            if isinstance(failure, BaseException):
                raise failure
        return sum(found)  # type: ignore[arg-type]

    async def look_at(self, owner: str) -> int:
        """End what one process left, if it is dead; return how many jobs were lost."""
        if owner == self._owner or not owner.isdecimal():
            return 0  # ours, or of a kind that a later version has: that version's to judge
        with self._peers.if_dead(int(owner)) as is_dead:
            return await self._clear_up(owner) if is_dead else 0

    async def _clear_up(self, owner: str, runs: Mapping[str, Run] = _NONE) -> int:
        """The commands are killed first: a job is not lost while it may still do something."""
        unfinished = [job for job in await self._ledger.unfinished(owner) if job.id not in runs]
        if not unfinished:
            return 0
        leaders = [one for one in await self._ledger.leaders(owner) if one.job_id not in runs]
        ids = [job.id for job in unfinished]
        spared = [run.cgroup for run in runs.values() if run.cgroup is not None]
        if not await asyncio.to_thread(self._kill, owner, ids, leaders, spared):
            log.error("some processes of the jobs that %s left could not be killed", owner)
        ends = await asyncio.to_thread(self._ends, unfinished)
        # all at once: they are written together
        written = await asyncio.gather(
            *(self._ledger.end(job.id, end) for job, end in zip(unfinished, ends, strict=True)),
            return_exceptions=True,
        )
        return _judge(owner, unfinished, written)

    def _kill(
        self,
        owner: str,
        ids: Sequence[str],
        leaders: Sequence[Leader],
        spared: Sequence[Path] = (),
    ) -> bool:
        # what one can't do keeps the other from nothing
        is_clear = self._cgroups is None
        if (cgroups := self._cgroups) is not None:
            is_clear = _tried(owner, lambda: cgroups.clear(owner, spared))
        return _tried(owner, lambda: orphans.kill(ids, leaders)) and is_clear

    def _ends(self, unfinished: Sequence[Job]) -> list[End]:
        return [_lost(self._journals, job) for job in unfinished]


def _tried(owner: str, kill: Callable[[], bool]) -> bool:
    try:
        return kill()
    except Exception:  # the jobs are lost all the same
        log.exception("the processes that %s left cannot be looked for", owner)
        return False


def _judge(owner: str, unfinished: Sequence[Job], written: Sequence[BaseException | None]) -> int:
    """Return how many ends were written; LedgerError when some could not be."""
    for job, failure in zip(unfinished, written, strict=True):
        if failure is not None and not isinstance(failure, LedgerError | NotFound):
            log.error("job %s could not be called lost: %s", job.id, failure)
    lost = sum(failure is None for failure in written)
    log.warning("%s died and lost %d jobs", owner, lost)
    for failure in written:
        if isinstance(failure, LedgerError):
            raise failure  # the next look tries again
    return lost


def _lost(journals: Path, job: Job) -> End:
    error = f"process {job.owner} died while it owned the job"
    stdout = stderr = jobs.NOTHING
    try:
        journal = Journal.open(journals, job.id)
        stdout = Stream(journal.bytes("stdout"), journal.dropped("stdout"))
        stderr = Stream(journal.bytes("stderr"), journal.dropped("stderr"))
    except Exception as exc:  # spoilt, or not to be read now: one bad job is one bad job
        log.exception("the output of job %s cannot be read", job.id)
        error += f"; its output cannot be read: {exc}"
    return End(
        state="lost",
        reason="crash",
        error=error,
        finished_at=jobs.now(),
        stdout=stdout,
        stderr=stderr,
    )
