"""After a stop nothing of a job may live on, not even what left its process group."""

from __future__ import annotations

import asyncio
import logging

from service import orphans

log = logging.getLogger(__name__)

# One look through all processes serves every job that was stopped within this time.
GATHER_S = 0.02


class Sweep:
    """Kills what is left of stopped jobs, found by their mark."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._ids: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def clear(self, id: str) -> None:
        """Return when no process of the job lives, or can't be killed."""
        self._ids.add(id)
        if self._task is None:
            self._task = asyncio.create_task(self._look())
        await asyncio.shield(self._task)

    async def _look(self) -> None:
        await asyncio.sleep(GATHER_S)
        ids, self._ids, self._task = self._ids, set(), None
        if not await asyncio.to_thread(orphans.kill, ids, {}):
            log.error("some processes of stopped jobs could not be killed: %s", ", ".join(ids))
