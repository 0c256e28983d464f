"""Owners of asyncio tasks: every task has one, and what a task raises has a place to go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from service.errors import ServiceError

T = TypeVar("T")
log = logging.getLogger(__name__)

# A background task that failed runs again after this long; twice as long after each failure.
RESTART_S = 0.1
RESTART_MAX_S = 30.0
# One that has run so long since its last failure is well again.
STEADY_S = 5.0


class Tasks:
    """Tasks that end by themselves; `on_empty` is called on the loop when none is left."""

    def __init__(self, on_empty: Callable[[], None] = lambda: None) -> None:
        """Begin with none."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_empty = on_empty

    def __len__(self) -> int:
        """How many run."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that nobody awaits; what it raises is logged."""
        task = self.keep(work)
        task.add_done_callback(_log_failure)
        return task

    def keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something whose outcome the caller awaits, though the caller may be cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._on_empty()


class Background:
    """Tasks that run for as long as the process does, by name.

    One that fails, or returns, is logged and started anew. Until it has run for some seconds
    again, `problem` tells of it, and the process is not ready.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._tasks: list[asyncio.Task[None]] = []
        self._problems: dict[str, str] = {}

    @property
    def problem(self) -> str | None:
        """What does not run as it should; None when all is well."""
        return "; ".join(self._problems.values()) or None

    def start(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work()`, again whenever it ends."""
        self._tasks.append(asyncio.create_task(self._run(name, work), name=name))

    async def stop(self) -> None:
        """Cancel all, and return when they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        pause = RESTART_S
        while True:
            steady = asyncio.get_running_loop().call_later(STEADY_S, self._problems.pop, name, None)
            try:
                await work()
                failure = "ended"
            except (Exception, asyncio.CancelledError) as exc:
                if _is_cancelled():
                    raise
                log.exception("%s failed, and is started again", name)
                failure = f"failed: {exc}"
            finally:
                steady.cancel()
            if name not in self._problems:
                pause = RESTART_S
            self._problems[name] = f"{name} {failure}"
            await asyncio.sleep(pause)
            pause = min(2 * pause, RESTART_MAX_S)


def _is_cancelled() -> bool:
    """Whether somebody cancels this task; else a CancelledError is that of what it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exc := task.exception()) is not None:
        # a refusal says it all by itself; anything else is a bug and needs its trace
        log.error("%s", exc, exc_info=None if isinstance(exc, ServiceError) else exc)
