"""Writing down what becomes of jobs: that they run, how they ended, that they wait again.

What a job did is not undone by a ledger that can't be written: each record is tried again until
it is there, whatever else goes wrong on the way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec

from service import proc
from service.errors import LedgerError, NotFound
from service.jobs import End
from service.ledger import Ledger, Start
from service.running.run import Run
from service.running.sweep import Sweep
from service.tasks import Tasks

log = logging.getLogger(__name__)

# A job that ends sooner is written down once, with its start and its end together.
START_DELAY_S = 0.02
RETRY_INTERVAL_S = 1.0


class Recording:
    """The records of one process's jobs that are on their way into the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        owner: str,
        runs: Mapping[str, Run],
        tasks: Tasks,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called when others can read something new in the ledger."""
        self._ledger = ledger
        self._owner = owner
        self._runs = runs
        self._tasks = tasks
        self._on_change = on_change
        self._starts: list[Start] = []
        self._sweep = Sweep()

    def start_soon(self, start: Start) -> None:
        """Write down that a job runs, unless it has ended by then."""
        if not self._starts:
            loop = asyncio.get_running_loop()
            loop.call_later(START_DELAY_S, lambda: self._tasks.start(self._write_starts()))
        self._starts.append(start)

    async def end(self, run: Run) -> None:
        """Return when the end of a job is in the ledger, and nothing of the job lives on."""
        if run.was_stopped:
            await self._sweep.clear(run.id)
        content = run.content
        while run.end is not None:
            try:
                await self._ledger.end(run.id, run.end, content, got_input=_got_input(run))
                return
            except NotFound:
                return  # somebody took it out of the ledger: nobody asks for its end
            except LedgerError as exc:
                log.error("the end of job %s cannot be written yet: %s", run.id, exc)
            except Exception as exc:
                if await self._has_ended(run.id):
                    log.error("job %s had ended before its command did: %s", run.id, exc)
                    return
                log.exception("the end of job %s cannot be written as it is", run.id)
                run.end, content = _plain(run.end, exc), None
            await asyncio.sleep(RETRY_INTERVAL_S)

    async def unclaim(self, ids: Sequence[str]) -> list[str]:
        """Return when claimed jobs that were not started wait in the queue again.

        Returns those that have ended instead, as they were cancelled meanwhile.
        """
        while True:
            try:
                return await self._ledger.unclaim(self._owner, ids)
            except Exception as exc:
                trace = None if isinstance(exc, LedgerError) else exc
                log.error("%d jobs cannot be put back yet: %s", len(ids), exc, exc_info=trace)
            await asyncio.sleep(RETRY_INTERVAL_S)

    async def _has_ended(self, id: str) -> bool:
        try:
            return (await self._ledger.get(id)).has_ended
        except NotFound:
            return True
        except Exception:
            return False  # nobody knows: then it is written

    async def _write_starts(self) -> None:
        starts, self._starts = self._starts, []
        if not (still := [_identified(start) for start in starts if self._is_running(start)]):
            return
        try:
            await self._ledger.start(still)
        except LedgerError as exc:
            log.error("the start of %d jobs cannot be written yet: %s", len(still), exc)
            await asyncio.sleep(RETRY_INTERVAL_S)
            for start in still:
                self.start_soon(start)
            return
        except Exception:
            if len(still) == 1:
                raise  # its end will say that it ran
            for start in still:  # one bad job is one bad job
                self._tasks.start(self._ledger.start([start]))
        self._on_change()

    def _is_running(self, start: Start) -> bool:
        run = self._runs.get(start.id)
        return run is not None and run.end is None


def _identified(start: Start) -> Start:
    """Add what tells the process from a later one with its number, whatever the clock does."""
    try:
        stat = proc.stat(start.pid)
    except OSError:
        return start  # whoever must find it looks for its mark
    if stat is None:
        return start
    return msgspec.structs.replace(start, boot_id=proc.boot_id(), start_ticks=stat.start_ticks)


def _got_input(run: Run) -> bool:
    """Whether something was written to the command, or might have been, had it lived."""
    return run.stdin_bytes > 0 or (run.end is not None and run.end.reason != "exit")


def _plain(end: End, exc: Exception) -> End:
    """Return as much of an end as can always be written."""
    return End(
        state=end.state,
        reason=end.reason,
        error=f"its end could not be written as it was: {type(exc).__name__}",
        started_at=end.started_at,
        finished_at=end.finished_at,
        exit_code=end.exit_code,
        has_timed_out=end.has_timed_out,
    )
