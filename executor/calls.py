"""Calls of code that the caller gave us, and a place for what it raises."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sized
from inspect import isawaitable
from typing import Any

from executor.errors import ExecutorError

# What code given by the caller may raise to us. SystemExit and KeyboardInterrupt stop the loop
# instead, as from any callback; a CancelledError means a future of the caller's, not this run.
CALLERS = (Exception, asyncio.CancelledError)


class Calls:
    """Calls made for one run, each in the context of its start; what an awaitable that they return
    is made of is a task from then on.
    """

    __slots__ = ("_args", "_context", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, args: Any) -> None:
        self._args = args
        self._context = contextvars.copy_context()
        self._loop = loop

    def read(self, act: Callable[[str, int, int], Sized], name: str, fd: int, size: int) -> Sized:
        return self._context.run(act, name, fd, size)

    def on_output(
        self, act: Callable[[str, Any], object], name: str, chunk: Sized
    ) -> asyncio.Future[object] | None:
        return self._context.run(_call, act, name, chunk)

    def step(self, act: Callable[[int], object], pid: int) -> asyncio.Future[object] | None:
        # a copy: on_output may be what calls cancel(), and a context can't be entered twice
        return self._context.copy().run(_call, act, pid)

    def change(self, act: Callable[[Any], object], told: object) -> None:
        self._context.copy().run(act, told)

    def reap(self, act: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
        return self._context.copy().run(_begin, act)

    def callback(self, act: Callable[..., object], *facts: object) -> None:
        """Its error goes to the loop, as that of any callback."""
        try:
            rest = self._context.run(_call, act, *facts)
        except CALLERS as error:
            self.report("the callback of a Subprocess failed", error)
        else:
            if rest is not None:
                _callbacks.add(rest)
                rest.add_done_callback(self._called)

    def _called(self, rest: asyncio.Future[object]) -> None:
        _callbacks.discard(rest)
        if not rest.cancelled() and (error := rest.exception()) is not None:
            self.report("the callback of a Subprocess failed", error)

    def report(self, message: str, error: BaseException) -> None:
        told = {"message": f"{message}: {self._args!r}", "exception": error}
        self._loop.call_exception_handler(told)


# asyncio itself holds its tasks by weak references only
_callbacks: set[asyncio.Future[object]] = set()


def _call(act: Callable[..., object], *facts: object) -> asyncio.Future[object] | None:
    waiting = act(*facts)
    return asyncio.ensure_future(waiting) if isawaitable(waiting) else None


def _begin(act: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
    return asyncio.ensure_future(act())


def error_of(task: asyncio.Future[Any], cancelled_by_us: bool) -> BaseException | None:
    """What a task of the caller's code, now done, came to grief by."""
    if not task.cancelled():
        return task.exception()
    return None if cancelled_by_us else asyncio.CancelledError()


def failure_of(error: BaseException) -> BaseException:
    """What ``wait()`` raises for it: never a CancelledError, which would be one of who waits."""
    if not isinstance(error, asyncio.CancelledError):
        return error
    failure = ExecutorError("code given to a Subprocess was cancelled, and not by the end of it")
    failure.__cause__ = error
    return failure
