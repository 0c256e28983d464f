"""Tells those who watch that something in the ledger has changed; the ledger says what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# A notice from another process may get lost: so often one looks anyway.
LOOK_INTERVAL_S = 1.0


class Changes:
    """Counts changes, and wakes those who wait for the next one."""

    def __init__(self, on_interest: Callable[[bool], None]) -> None:
        """`on_interest` is called as the first one begins to watch, and as the last one ends."""
        self.count = 0
        self._watchers = 0
        self._on_interest = on_interest
        self._next: asyncio.Future[None] | None = None

    @property
    def is_watched(self) -> bool:
        """Whether anybody wants to know."""
        return self._watchers > 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch for as long as this lasts."""
        self._watchers += 1
        if self._watchers == 1:
            self._on_interest(True)
        try:
            yield
        finally:
            self._watchers -= 1
            if self._watchers == 0:
                self._on_interest(False)

    def tell(self) -> None:
        """Say that something has changed."""
        self.count += 1
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
        self._next = None

    async def wait(self, seen: int) -> None:
        """Return when the count is beyond `seen`, or when it is time to look anyway."""
        if self.count != seen:
            return
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._next], timeout=LOOK_INTERVAL_S)
