"""Starting what was claimed: a few commands in each turn of the loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from service.errors import NoRoom
from service.ledger import Start
from service.running.run import Run

# A start takes 0.1 to 1 ms, in which nothing else happens here: so much of them in one go.
STARTS_S = 0.001


class Starting:
    """The line of claimed jobs whose commands have not been started yet."""

    def __init__(
        self,
        on_start: Callable[[Start], None],
        on_no_room: Callable[[list[Run], NoRoom], None],
    ) -> None:
        """`on_no_room` gets the job that found none, and all behind it; none of them runs."""
        self._claimed: deque[Run] = deque()
        self._on_start = on_start
        self._on_no_room = on_no_room
        self._is_due = False

    def add(self, run: Run) -> None:
        """Put a claimed job at the end of the line; `soon` makes it move."""
        self._claimed.append(run)

    def soon(self, _: object = None) -> None:
        """Start what was claimed, a few in a turn of the loop: others have theirs in between."""
        if self._claimed and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._start_some)

    def _start_some(self) -> None:
        self._is_due = False
        until = time.monotonic() + STARTS_S
        try:
            while self._claimed:
                self._start(self._claimed.popleft())
                if time.monotonic() > until:
                    break
        finally:
            self.soon()

    def _start(self, run: Run) -> None:
        try:
            start = run.start()
        except NoRoom as exc:
            runs = [run, *self._claimed]
            self._claimed.clear()
            self._on_no_room(runs, exc)
        else:
            if start:
                self._on_start(start)
