"""A run whose ``Subprocess`` nobody holds any more: it is killed, as nobody could hear of its end.

Called from a finalizer, so on any thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from executor.phase import DRAINING, RUNNING

if TYPE_CHECKING:
    from executor.child import Child

LEAVE_S = 0.5  # for a child that has closed its streams, to exit


def is_awaited(run: Child) -> bool:
    return bool(run.waiters.futures) or run.options.callback is not None


def is_leaving(run: Child) -> bool:
    """It has closed a stream of its own accord, as a program that exits does, or exited."""
    if run.stopping.reason is not None:
        return False
    return (run.phase is RUNNING or run.phase is DRAINING) and run.ends.has_an_end


def drop(run: Child) -> None:
    run.is_unwanted = True
    run.kill()
    # a closed loop has abandoned it already
    with contextlib.suppress(RuntimeError):
        run.loop.call_soon_threadsafe(_cut_drain, run)


def _cut_drain(run: Child) -> None:
    if run.phase is DRAINING:
        run.deadline.set(0.0)


def drop_after_leaving(run: Child, warn: Callable[[], None]) -> None:
    """The same, with time to exit by itself first; ``warn`` is called when that was too short.

    ``RuntimeError`` when the loop is closed.
    """
    run.loop.call_soon_threadsafe(_let_leave, run, warn)


def _let_leave(run: Child, warn: Callable[[], None]) -> None:
    if run.phase is RUNNING:
        run.on_late = warn
        run.deadline.set(LEAVE_S)
    elif run.phase is DRAINING:
        drop(run)
        warn()
