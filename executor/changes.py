"""Tells a caller's ``on_change`` what ``handover()`` says now of the stop and the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from executor.calls import CALLERS
from executor.handover import Handover, describe

if TYPE_CHECKING:
    from executor.child import Child

OnChange = Callable[[Handover], object]


class Changes:
    """Of one run. What ``on_change`` raises is the run's failure, and keeps nothing from coming."""

    __slots__ = ("_on_change", "_run", "is_telling")

    def __init__(self, run: Child, on_change: OnChange) -> None:
        self._run = run
        self._on_change = on_change
        self.is_telling = False

    def tell(self, step_is_due: bool = False) -> None:
        """``step_is_due``: before a step is taken, so that a successor repeats it rather than
        forgets it.
        """
        run = self._run
        self.is_telling = True
        try:
            run.calls.change(self._on_change, describe(run, step_is_due))
        except CALLERS as error:
            run.note(error)
        finally:
            self.is_telling = False

    def tell_ending(self) -> None:
        """Before the child is reaped, once, where it is a child of ours."""
        run = self._run
        if run.ending is None:
            run.ending = run.exit.peek()
            if run.ending is not None:
                self.tell()
