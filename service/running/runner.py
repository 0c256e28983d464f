"""The jobs of one process: claimed while there is room, run, and written down when they end.

Two invariants: a job is in `runs` from its claim until its end is in the ledger (or it waits in
the queue again), and a slot is taken from the moment a claim is asked for until the command has
ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from service.errors import Conflict, LedgerError, NoRoom
from service.guard.process import Link
from service.jobs import End, Job, Spec, StoredSpec
from service.journal import Journal
from service.ledger import Claim, Ledger, Start
from service.peers.notices import Peers
from service.peers.waiters import Waiters
from service.running.cgroups import Cgroups
from service.running.claiming import Claiming
from service.running.command import Inherited
from service.running.handover import Handovers
from service.running.recording import Recording
from service.running.recovery import Recovery
from service.running.run import Run
from service.running.slots import Slots
from service.running.starting import Starting
from service.running.succession import take_over
from service.settings import JobsSettings
from service.tasks import Background, Tasks

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
LEFT_LOOK_S = 0.2  # of one that has left, which nobody tells of anything
STOPPED = "stopped because the service was stopped"


class Accepted(NamedTuple):
    """What came of a submission: its jobs, whether an earlier one had made them, and those of
    them that run here, by id.
    """

    jobs: list[Job]
    is_repeated: bool
    runs: dict[str, Run]


class Runner:
    """The jobs of one process."""

    def __init__(
        self,
        ledger: Ledger,
        peers: Peers,
        journals: Path,
        settings: JobsSettings,
        owner: str,
        background: Background,
        *,
        slots: Slots,
        inherited: Inherited,
        link: Link | None = None,
        cgroups: Cgroups | None = None,
        on_end: Callable[[End, str], None] = lambda end, created_at: None,
    ) -> None:
        """Nothing happens before `start`. `on_end(end, created_at)` is called for each job.

        With a `link` to a guard jobs outlive the process.
        """
        self.owner = owner
        self.background = background
        self.runs: dict[str, Run] = {}
        self.waiters = Waiters(ledger, peers, self.runs)
        self.is_draining = False
        self.has_left = False  # what is this process's by its port is the next one's by now
        self._released: dict[str, tuple[int, int]] = {}
        self._has_stopped = False
        self._ledger = ledger
        self._peers = peers
        self._journals = journals
        self._settings = settings
        self._on_end = on_end
        self._slots = slots
        self._inherited = inherited
        self._progress = asyncio.Event()
        self._tasks = Tasks(self._progress.set)
        self._handovers = Handovers(link, self.runs, self._progress.set)
        self._claiming = Claiming(ledger, peers, owner, self._slots, self._claimed)
        self._starting = Starting(self._started, self._found_no_room)
        self._recording = Recording(ledger, owner, self.runs, self._tasks, self._tell_changes)
        self._cgroups = cgroups
        self._recovery = Recovery(ledger, peers, journals, owner, cgroups)
        self._answers_held = 0  # for jobs that run elsewhere

    @property
    def can_leave(self) -> bool:
        """Whether jobs outlive the process."""
        return self._handovers.are_possible

    async def start(self) -> None:
        """Go on with what the process before us has left, clear up the rest, begin to take work."""
        self._handovers.start()
        await self._take_over()
        await self._recovery.clear_up_here(self.runs)
        if self._cgroups:
            await self._cgroups.create(self.owner)
        self._peers.listen(self._on_work, self._on_news)
        self._peers.watch(self._on_death)
        self.background.start("the look for work", self._look_regularly)

    async def drain(self, limit_s: float) -> None:
        """Take no more work, let what runs end or stop it after `limit_s`; await every record.

        Answers that are held for a job are held on, as long as that takes, wherever the job runs.
        """
        self._take_no_more()
        try:
            await asyncio.wait_for(self._wait_while(lambda: self._is_busy), limit_s)
        except TimeoutError:
            log.warning("the drain limit is over: stopping %d jobs", len(self.runs))
            self.waiters.release()
            self._stop_all(self.runs)
            await self._wait_while(lambda: self._is_busy)
        self.waiters.release()
        if self._cgroups:
            self._cgroups.remove(self.owner)

    async def leave(self, limit_s: float) -> None:
        """Let go of all jobs, which go on, and leave them to the next process.

        That takes some moments, until the youngest of them are known to the guard. Those for which
        it has no room may end; they are stopped after `limit_s`.
        """
        self._take_no_more()
        try:
            await asyncio.wait_for(self._wait_while(lambda: self._is_holding), limit_s)
        except TimeoutError:
            young = [id for id in self.runs if id not in self._handovers]
            log.warning("stopping %d jobs that cannot be handed over", len(young))
            self._stop_all(young)
            await self._wait_while(lambda: self._is_holding)
        self._released = {run.id: run.release() for run in self.runs.values()}
        log.info("%d jobs are left to the next process", len(self.runs))
        self.runs.clear()
        self.owner = ""  # from now on they are another process's

    def fail(self) -> None:
        """At the end of a process that has failed: what outlives it is not to be killed with it."""
        for id, run in list(self.runs.items()):
            if id in self._handovers:
                run.release_at_once()
                del self.runs[id]

    def let_go(self) -> None:
        """After `leave`: let the next process begin."""
        self._handovers.leave(self._released)
        self.has_left = True

    async def answer_all(self) -> None:
        """After `let_go`: return when no answer is held for a job any more."""
        while self._answers_held:
            await self.waiters.look()
            await asyncio.sleep(LEFT_LOOK_S)

    async def submit(
        self,
        specs: Sequence[Spec],
        *,
        key: str = "",
        fingerprint: bytes = b"",
        rerun_of: str | None = None,
    ) -> Accepted:
        """Accept new jobs, and claim as many as there is room for in the same breath.

        While draining it claims none: nginx still sends requests on connections that it has open,
        and a POST that was sent is not passed on to another process.
        """
        accepting = self._tasks.keep(self._accept(specs, key, fingerprint, rerun_of))
        # what was claimed is started, whatever becomes of the client; and after its answer
        accepted = asyncio.shield(accepting)
        accepting.add_done_callback(self._starting.soon)
        return await accepted

    async def wait_ended(self, job: Job, run: Run | None, timeout_s: float) -> Job:
        """Return the job when it has ended, or as it is when the time is up; `run` if it's here."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        if run is not None:
            await asyncio.wait([run.written], timeout=timeout_s)
            if run.end is not None and run.written.done():
                return job.ended(run.end, self.owner, run.cancel_requested)
        if (left := until - loop.time()) > 0:
            with self._held():
                await self.waiters.wait(job.id, "ended", left)
        return await self._ledger.get(job.id)

    async def cancel(self, id: str) -> tuple[Job, bool]:
        """Write the wish down and, where the job is this process's, carry it out.

        Returns the job, and whether there was still something to cancel.
        """
        job, has_changed = await self._ledger.request_cancel(id)
        if job.owner == self.owner and not job.has_ended:
            self._stop(id)
        if has_changed and job.has_ended:
            self._tell_ended([id])
        return job, has_changed

    def signal(self, id: str, number: int) -> None:
        """Signal the process group of a job that this process owns; Conflict unless it runs."""
        run = self.runs.get(id)
        if run is None:
            raise Conflict("the job is not running")
        run.signal(number)

    async def _accept(
        self, specs: Sequence[Spec], key: str, fingerprint: bytes, rerun_of: str | None
    ) -> Accepted:
        room = min(len(specs), self._slots.free)
        with self._claiming.asked(room) as claims:
            submission = await self._ledger.submit(
                specs,
                queue_limit=self._settings.queued,
                owner=self.owner,
                room=room,
                key=key,
                fingerprint=fingerprint,
                rerun_of=rerun_of,
            )
            claims += submission.claims
        self._tell_changes()
        runs = {job.id: run for job in submission.jobs if (run := self.runs.get(job.id))}
        if not submission.is_repeated and len(runs) < len(specs):
            self._claiming.tell_of_work()  # older jobs came first, or there was no room for all
        return Accepted(submission.jobs, submission.is_repeated, runs)

    def _claimed(self, claim: Claim, is_unwanted: bool) -> None:
        journal = Journal(self._journals, claim.id, **self._asked(claim))
        self.runs[claim.id] = run = self._run(claim, journal)
        self._starting.add(run)
        if is_unwanted:
            run.cancel_requested = True
            run.cancel()
        elif self._has_stopped:  # it was on its way when all others were
            run.cancel(STOPPED)
        self.waiters.tell(claim.id, "claimed")

    def _asked(self, claim: Claim) -> dict[str, Any]:
        """Return what was asked for the job's output."""
        asked = claim.spec.limits.output_bytes
        return {
            "output_bytes": self._settings.output_bytes if asked is None else asked,
            "is_awaited": isinstance(claim.spec, StoredSpec) and claim.spec.awaits_reader,
        }

    def _run(self, claim: Claim, journal: Journal) -> Run:
        keeper = self._handovers if self._handovers.are_possible else None
        return Run(claim, journal, self._inherited, self._ended, keeper)

    async def _take_over(self) -> None:
        taken = await take_over(self._ledger, self.owner, self._handovers, self._followed)
        for run, start in taken:
            self.runs[run.id] = run
            self._slots.take(1)
            self._recording.start_soon(start)

    def _followed(self, claim: Claim) -> Run:
        return self._run(claim, Journal.take_over(self._journals, claim.id, **self._asked(claim)))

    def _started(self, start: Start) -> None:
        self._slots.found_room()
        self._recording.start_soon(start)
        self._handovers.store_soon(self.runs[start.id])

    def _found_no_room(self, runs: list[Run], exc: NoRoom) -> None:
        pause_s = self._slots.found_no_room()
        log.warning("%s; %d jobs wait in the queue again", exc, len(runs))
        self._tasks.start(self._put_back(runs))
        asyncio.get_running_loop().call_later(pause_s, self._claim_more)

    async def _put_back(self, runs: list[Run]) -> None:
        cancelled = await self._recording.unclaim([run.id for run in runs])
        for run in runs:
            self._forget(run)
            run.give_up()
        self._slots.give_back(len(runs))
        self._tell_ended(cancelled)
        self._claiming.tell_of_work()
        self._claim_more()
        self._progress.set()

    def _ended(self, run: Run) -> None:
        self._slots.give_back(1)
        self._tasks.start(self._write_end(run))
        self._claim_more()
        if run.end is not None:
            self._on_end(run.end, run.created_at)

    async def _write_end(self, run: Run) -> None:
        try:
            await self._recording.end(run)
            self._handovers.forget(run.id)  # not before
        finally:
            self._forget(run)
            self._tell_ended([run.id])
            run.close()

    def _forget(self, run: Run) -> None:
        if self.runs.get(run.id) is run:  # and not one that came of another claim since
            del self.runs[run.id]

    def _stop(self, id: str) -> None:
        """Carry out a cancel that the ledger knows of."""
        if run := self.runs.get(id):
            if not run.cancel_requested:
                run.cancel_requested = True
                run.cancel()
        else:
            self._claiming.refuse(id)

    def _tell_ended(self, ids: Sequence[str]) -> None:
        for id in ids:
            self.waiters.tell(id, "ended")
        if ids:
            self._tell_changes()

    def _tell_changes(self) -> None:
        """Tell those who follow, here and elsewhere, to look into the ledger."""
        self.waiters.changes.tell()
        self._peers.tell_news()

    def _claim_more(self) -> None:
        if self._claiming.begin():
            self._tasks.start(self._claim())

    async def _claim(self) -> None:
        if await self._claiming.claim():
            self._starting.soon()
            self._tell_changes()
            self._claim_more()  # some may have ended meanwhile

    def _on_work(self) -> None:
        self._claiming.know_of_work(True)
        self._claim_more()

    def _on_news(self) -> None:
        self._tasks.start(self.waiters.look())

    def _on_death(self, port: int) -> None:
        self._tasks.start(self._recover(port))

    async def _recover(self, port: int) -> None:
        if await self._recovery.look_at(str(port)):
            self._tell_changes()
        await self._find_work()

    async def _look_regularly(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            await self._look()

    async def _look(self) -> None:
        """Find what no notice told of: work that waits, wishes and ends, peers that died.

        Each look answers for itself: what one can't do keeps no other from its own.
        """
        looks = (self._carry_out_cancels, self._recover_others, self.waiters.look, self._find_work)
        failures = await asyncio.gather(*(look() for look in looks), return_exceptions=True)
        for failure in failures:
            if isinstance(failure, LedgerError | OSError):
                log.error("%s", failure)  # no ledger, or no descriptor: it is tried again
            elif failure is not None:
                raise failure

    async def _carry_out_cancels(self) -> None:
        for id in await self._ledger.cancels(self.owner):
            self._stop(id)

    async def _recover_others(self) -> None:
        self._peers.watch(self._on_death)
        if await self._recovery.look():
            self._tell_changes()

    async def _find_work(self) -> None:
        if not self.is_draining and (await self._ledger.tally())["queued"]:
            self._on_work()

    def _take_no_more(self) -> None:
        self.is_draining = True
        self._slots.close()
        self._claiming.know_of_work(True)  # nothing that we should be told of

    def _stop_all(self, ids: Iterable[str]) -> None:
        self._has_stopped = True
        for id in list(ids):
            self.runs[id].cancel(STOPPED)

    async def _wait_while(self, is_so: Callable[[], bool]) -> None:
        while is_so():
            self._progress.clear()  # it tells of the time before, too
            await self._progress.wait()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """While an answer is held the process has something to do."""
        self._answers_held += 1
        try:
            yield
        finally:
            self._answers_held -= 1
            self._progress.set()

    @property
    def _is_busy(self) -> bool:
        return bool(self._tasks or self.runs or self._answers_held)

    @property
    def _is_holding(self) -> bool:
        """Whether something would be lost with this process."""
        return bool(self._tasks) or any(id not in self._handovers for id in self.runs)
