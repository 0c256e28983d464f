"""Forgets ended jobs and their output after an age, beyond a count, or beyond a total size."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

from service import jobs, journal
from service.errors import Conflict, LedgerError, NotFound
from service.ledger import Bounds, Ledger
from service.settings import RetentionSettings

log = logging.getLogger(__name__)

# Small steps, with room for others between them: the service never pauses for this.
STEP_JOBS = 200
STEP_PAUSE_S = 0.02


class Retention:
    """One process at a time does this for all."""

    def __init__(
        self, ledger: Ledger, journals: Path, lock: Path, settings: RetentionSettings
    ) -> None:
        """`lock` is the file whose lock says which process does it."""
        self._ledger = ledger
        self._journals = journals
        self._lock = lock
        self._settings = settings

    async def run(self) -> None:
        """Look regularly, for ever."""
        fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                await asyncio.sleep(self._settings.interval)
                if _is_ours(fd):
                    await self._look()
        finally:
            os.close(fd)

    async def _look(self) -> None:
        for step in (self._expire, self._shrink, self._tidy):
            try:
                await step()
            except (LedgerError, OSError) as exc:
                log.error("retention: %s", exc)  # it is tried again at the next look

    async def _expire(self) -> None:
        bounds = self._bounds()
        forgotten = 0
        while ids := await self._ledger.expire(bounds, STEP_JOBS):
            await asyncio.to_thread(self._remove, ids)
            forgotten += len(ids)
            await asyncio.sleep(STEP_PAUSE_S)
        _tell(forgotten)

    async def _tidy(self) -> None:
        bounds = self._bounds()
        removed = STEP_JOBS
        while removed:
            removed = await self._ledger.tidy(bounds, STEP_JOBS)
            await asyncio.sleep(STEP_PAUSE_S)

    def _bounds(self) -> Bounds:
        oldest_s = max(time.time() - self._settings.age, 0)
        oldest = jobs.rfc3339(int(oldest_s * 1_000_000))
        return Bounds(finished_after=oldest, count=self._settings.count)

    async def _shrink(self) -> None:
        """Forget the oldest ended jobs with files until the rest is small enough."""
        files = await asyncio.to_thread(lambda: sorted(journal.sizes(self._journals)))
        too_much = sum(size for _, size in files) - self._settings.output_bytes
        forgotten = 0
        for id, size in files:
            if too_much <= 0:
                break
            if await self._forget(id):
                too_much -= size
                forgotten += 1
        _tell(forgotten)

    async def _forget(self, id: str) -> bool:
        try:
            await self._ledger.forget(id)
        except Conflict:
            return False  # it still runs
        except NotFound:
            pass  # a file that a crash left behind
        await asyncio.to_thread(self._remove, [id])
        return True

    def _remove(self, ids: Iterable[str]) -> None:
        failures = []
        for id in ids:
            try:
                journal.remove(self._journals, id)
            except OSError as exc:
                failures.append(exc)  # the jobs are forgotten: the others' files must go too
        if failures:
            raise failures[0]


def _tell(forgotten: int) -> None:
    if forgotten:
        log.info("forgot %d ended jobs", forgotten)


def _is_ours(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False  # another process does it
    return True
