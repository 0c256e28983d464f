"""After a stop nothing of a job may live on, not even what left its process group."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection

from service.running import orphans

log = logging.getLogger(__name__)

# One look through all processes costs some 20 µs each: it serves every job that was stopped since
# the last one, and there is one at a time.
GATHER_S = 0.05
# Without room for a thread it is tried again for so long, after a pause each time.
NO_THREAD_S, PAUSE_S = 5.0, 0.1


class Sweep:
    """Kills what is left of stopped jobs, found by their mark."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._ids: set[str] = set()
        self._next: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def clear(self, id: str) -> None:
        """Return when no process of the job lives, or can't be killed; that is only logged."""
        self._ids.add(id)
        if self._next is None:
            self._next = asyncio.create_task(self._look())
        await asyncio.shield(self._next)

    async def _look(self) -> None:
        async with self._turn:
            await asyncio.sleep(GATHER_S)
            ids, self._ids, self._next = self._ids, set(), None
            try:
                if await _killed(ids):
                    return
            except Exception:  # the jobs have ended all the same
                log.exception("what stopped jobs left behind cannot be looked for")
            log.error("some processes of stopped jobs could not be killed: %s", ", ".join(ids))


async def _killed(ids: Collection[str]) -> bool:
    until = time.monotonic() + NO_THREAD_S
    while True:
        try:
            return await asyncio.to_thread(orphans.kill, ids)
        except RuntimeError as exc:  # by this name Python tells that there is no room for a thread
            if time.monotonic() > until:
                raise
            log.warning("what stopped jobs left behind is looked for in a moment: %s", exc)
        await asyncio.sleep(PAUSE_S)
