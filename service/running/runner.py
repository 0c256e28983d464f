"""Claims jobs while there is room, runs them, and writes down how each one ended.

Two invariants: a job is in `runs` from its claim until its end is in the ledger, and a slot is
taken from the moment a claim is asked for until the command has ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from service.errors import Conflict, LedgerError, NotFound, ServiceError
from service.jobs import End, Job, Spec
from service.journal import Journal
from service.ledger import Claim, Ledger, Start
from service.peers.notices import KNOWS_OF_WORK, Peers
from service.peers.waiters import Waiters
from service.running.recovery import recover
from service.running.run import Run
from service.running.sweep import Sweep
from service.settings import JobsSettings

T = TypeVar("T")
log = logging.getLogger(__name__)

# A job that ends sooner is written down once, with its start and its end together.
START_DELAY_S = 0.02
# A start takes 0.1 to 1 ms, in which nothing else happens here: so much of them in one go.
STARTS_S = 0.001
LOOK_INTERVAL_S = 1.0
RETRY_INTERVAL_S = 1.0


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
        on_end: Callable[[End, str], None] = lambda end, created_at: None,
    ) -> None:
        """Take its parts; nothing happens before `start`."""
        self.owner = owner
        self.runs: dict[str, Run] = {}
        self.waiters = Waiters(ledger, peers, self.runs)
        self.is_draining = False
        self._ledger = ledger
        self._peers = peers
        self._journals = journals
        self._settings = settings
        self._on_end = on_end
        self._slots = settings.running
        self._unwanted: set[str] = set()  # cancelled while their claims were on their way to us
        self._claimed: deque[Run] = deque()  # and not started yet
        self._is_starting = False
        self._starts: list[Start] = []
        self._knows_of_work = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sweep = Sweep()
        self._idle = asyncio.Event()

    async def start(self) -> None:
        """Clear up after our predecessor, then begin to take work."""
        await recover(self._ledger, self._journals, self.owner)
        self._peers.listen(self._on_work, self._on_news)
        self._looking = asyncio.create_task(self._look_regularly())

    async def drain(self, limit_s: float) -> None:
        """Take no more work, let what runs end or stop it after `limit_s`; await every record."""
        self.is_draining = True
        self._looking.cancel()
        self._set_knows_of_work(True)  # nothing that we should be told of
        self.waiters.release()
        self._check_idle()
        try:
            await asyncio.wait_for(self._idle.wait(), limit_s)
        except TimeoutError:
            log.warning("the drain limit is over: stopping %d jobs", len(self.runs))
            for run in list(self.runs.values()):
                run.cancel("stopped because the service was stopped")
            await self._idle.wait()

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
        accepting = self._keep(self._accept(specs, key, fingerprint, rerun_of))
        # what was claimed is started, whatever becomes of the client; and after its answer
        accepted = asyncio.shield(accepting)
        accepting.add_done_callback(self._start_soon)
        return await accepted

    async def wait_ended(self, job: Job, run: Run | None, timeout_s: float) -> Job:
        """Return the job when it has ended, or as it is when the time is up; `run` if it's here."""
        if run is None:
            await self.waiters.wait(job.id, "ended", timeout_s)
        else:
            await asyncio.wait([run.written], timeout=timeout_s)
            if run.end is not None and run.written.done():
                return job.ended(run.end, self.owner, run.cancel_requested)
        return await self._ledger.get(job.id)

    async def cancel(self, id: str) -> tuple[Job, bool]:
        """Write the wish down and, where the job is this process's, carry it out.

        Returns the job, and whether there was still something to cancel.
        """
        job, has_changed = await self._ledger.request_cancel(id)
        if run := self.runs.get(id):
            run.cancel_requested = True
            run.cancel()
        elif job.owner == self.owner and not job.has_ended:
            self._unwanted.add(id)
        if has_changed and job.has_ended:
            self.waiters.tell(id, "ended")
            self._tell_changes()
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
        room = 0 if self.is_draining else min(len(specs), self._slots)
        with self._claiming(room) as claims:
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
            self._work_waits()  # older jobs came first, or there was no room for all
        return Accepted(submission.jobs, submission.is_repeated, runs)

    @contextmanager
    def _claiming(self, room: int) -> Iterator[list[Claim]]:
        """Keep `room` slots for the claims that are asked for meanwhile; those that came run."""
        self._slots -= room
        claims: list[Claim] = []
        try:
            yield claims
        finally:
            self._slots += room - len(claims)
            for claim in claims:
                self.runs[claim.id] = run = self._run(claim)
                self._claimed.append(run)

    def _start_soon(self, _: object = None) -> None:
        """Start what was claimed, a few in a turn of the loop: others have theirs in between."""
        if self._claimed and not self._is_starting:
            self._is_starting = True
            asyncio.get_running_loop().call_soon(self._start_some)

    def _start_some(self) -> None:
        self._is_starting = False
        until = time.monotonic() + STARTS_S
        try:
            while self._claimed:
                if start := self._claimed.popleft().start():
                    self._write_start_soon(start)
                if time.monotonic() > until:
                    break
        finally:
            self._start_soon()

    def _run(self, claim: Claim) -> Run:
        output_bytes = claim.spec.limits.output_bytes
        if output_bytes is None:
            output_bytes = self._settings.output_bytes
        journal = Journal(self._journals, claim.id, output_bytes=output_bytes)
        run = Run(claim, journal, self._ended)
        if claim.id in self._unwanted:
            self._unwanted.remove(claim.id)
            run.cancel()
        self.waiters.tell(claim.id, "claimed")
        return run

    def _ended(self, run: Run) -> None:
        self._slots += 1
        if run.end is not None:
            self._on_end(run.end, run.created_at)
        self._spawn(self._write_end(run))
        self._claim_more()

    async def _write_end(self, run: Run) -> None:
        if run.was_stopped:
            await self._sweep.clear(run.id)
        while run.end is not None:
            try:
                await self._ledger.end(run.id, run.end, run.content)
                break
            except NotFound:
                break  # somebody took it out of the ledger: nobody asks for its end
            except LedgerError as exc:
                log.error("the end of job %s cannot be written yet: %s", run.id, exc)
                await asyncio.sleep(RETRY_INTERVAL_S)
        run.journal.close()
        del self.runs[run.id]
        run.written.set_result(None)
        self.waiters.tell(run.id, "ended")
        self._tell_changes()

    def _write_start_soon(self, start: Start) -> None:
        if not self._starts:
            loop = asyncio.get_running_loop()
            loop.call_later(START_DELAY_S, lambda: self._spawn(self._write_starts()))
        self._starts.append(start)

    async def _write_starts(self) -> None:
        starts, self._starts = self._starts, []
        runs = self.runs
        still = [start for start in starts if (run := runs.get(start.id)) and not run.end]
        if not still:
            return
        try:
            await self._ledger.start(still)
        except LedgerError as exc:
            log.error("the start of %d jobs cannot be written yet: %s", len(still), exc)
            await asyncio.sleep(RETRY_INTERVAL_S)
            for start in still:
                self._write_start_soon(start)
            return
        self._tell_changes()

    def _tell_changes(self) -> None:
        """Tell those who follow, here and elsewhere, to look into the ledger."""
        self.waiters.changes.tell()
        self._peers.tell_news()

    def _claim_more(self) -> None:
        if self._knows_of_work and self._slots > 0 and not self.is_draining:
            # taken back before looking: what is queued from now on is told again
            self._set_knows_of_work(False)
            self._spawn(self._claim_waiting(self._slots))

    async def _claim_waiting(self, room: int) -> None:
        with self._claiming(room) as claims:
            claims += await self._ledger.claim(self.owner, room)
        self._start_soon()
        if len(claims) == room:
            self._set_knows_of_work(True)  # there may be more
        if claims:
            self._tell_changes()

    def _work_waits(self) -> None:
        self._set_knows_of_work(True)
        self._peers.tell_of_work()

    def _set_knows_of_work(self, is_true: bool) -> None:
        self._knows_of_work = is_true
        self._peers.say(KNOWS_OF_WORK, is_true)

    def _on_work(self) -> None:
        self._set_knows_of_work(True)
        self._claim_more()

    def _on_news(self) -> None:
        self._spawn(self.waiters.look())

    async def _look_regularly(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            try:
                await self._look()
            except (LedgerError, OSError) as exc:
                log.error("%s", exc)  # no ledger, or no descriptor: it is tried again in a second

    async def _look(self) -> None:
        """Find what no notice told of: work that waits, ends elsewhere, peers that died."""
        for owner in await self._ledger.owners():
            if owner != self.owner:
                with self._peers.if_dead(int(owner)) as is_dead:
                    if is_dead and await recover(self._ledger, self._journals, owner):
                        self._peers.tell_news()
        await self.waiters.look()
        if (await self._ledger.tally())["queued"]:
            self._on_work()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._keep(work).add_done_callback(_log_failure)

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        self._idle.clear()
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._check_idle()

    def _check_idle(self) -> None:
        if not self._tasks and not self.runs:
            self._idle.set()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exc := task.exception()) is not None:
        # a refusal says it all by itself; anything else is a bug and needs its trace
        log.error("%s", exc, exc_info=None if isinstance(exc, ServiceError) else exc)
