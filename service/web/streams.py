"""The answers of this process that go on: how many there may be, and whose turn it is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from service.descriptors import Shares, share_out
from service.web.problems import TooManyStreams

# A write takes some 100 us. So many in a turn of the loop: then what else waits has its turn, the
# output of a loud job above all, which takes three times as long.
WRITES_PER_TURN = 2

# Of the connections that there may be, one in so many is left for what is answered at once.
SPARED = 8
MOST = 10_000  # of some 24 KB each


class Stream(Protocol):
    """An answer that goes on until it is stopped."""

    def stop(self) -> None: ...


class Streams:
    """All that go on now; iterates over those that no other process relays."""

    def __init__(self, limit: int, running: int) -> None:
        """Allow `limit` of them, or when that is 0 as many as connections beside `running` jobs."""
        self._limit = limit
        self._running = running
        self._own: set[Stream] = set()
        self._relayed = 0
        self._left = WRITES_PER_TURN
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next: asyncio.Handle | None = None

    @property
    def limit(self) -> int:
        """How many clients may have one."""
        return self._limit or min(MOST, _most_of(self._shares().clients))

    def share(self, total: int, least: int, most: int) -> int:
        """Return what one of those that go on now may have of what there is for all of them."""
        return max(least, min(most, total // max(1, len(self._own) + self._relayed)))

    def __iter__(self) -> Iterator[Stream]:
        """Iterate over those of this process's own clients."""
        return iter(self._own)

    @contextmanager
    def entered(self, stream: Stream, *, is_relayed: bool) -> Iterator[None]:
        """Count a stream while it lasts; TooManyStreams when there is no room for it."""
        if is_relayed:
            if self._relayed >= _most_of(self._shares().peers):
                raise TooManyStreams("no connection is left for one more stream")
            self._relayed += 1
        elif len(self._own) >= self.limit:
            raise TooManyStreams(f"{self.limit} streams are open, the most that may be")
        else:
            self._own.add(stream)
        try:
            yield
        finally:
            if is_relayed:
                self._relayed -= 1
            else:
                self._own.discard(stream)

    async def turn(self) -> None:
        """Return when a stream may write: soon, and in the order of those who asked."""
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._begin_turn)
        if self._left > 0 and not self._waiting:
            self._left -= 1
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def _begin_turn(self) -> None:
        self._next = None
        self._left = WRITES_PER_TURN
        while self._waiting and self._left > 0:
            waiting = self._waiting.popleft()
            if not waiting.done():  # cancelled
                waiting.set_result(None)
                self._left -= 1
        if self._waiting:
            self._next = asyncio.get_running_loop().call_soon(self._begin_turn)

    def _shares(self) -> Shares:
        return share_out(self._running)


def _most_of(connections: int) -> int:
    return connections - -(-connections // SPARED)
