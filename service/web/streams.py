"""The answers of this process that go on: how many there may be, and whose turn it is."""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from service.web.problems import TooManyStreams

# A write takes some 100 us. So many in a turn of the loop: then what else waits has its turn, the
# output of a loud job above all, which takes three times as long.
WRITES_PER_TURN = 2

# A stream has its client's descriptor, one to the owner of its job, and one there.
DESCRIPTORS = 3
RESERVED = 256
MOST = 10_000  # of some 20 KB each


class Stream(Protocol):
    """An answer that goes on until it is stopped."""

    def stop(self) -> None: ...


class Streams:
    """All that go on now; iterates over those that no other process relays."""

    def __init__(self, limit: int, running: int) -> None:
        """Allow `limit` of them, or when that is 0 as many as descriptors allow beside `running`
        jobs.
        """
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
        return self._limit or min(MOST, self._room() // DESCRIPTORS)

    def __iter__(self) -> Iterator[Stream]:
        """Iterate over those of this process's own clients."""
        return iter(self._own)

    @contextmanager
    def entered(self, stream: Stream, *, is_relayed: bool) -> Iterator[None]:
        """Count a stream while it lasts; TooManyStreams when there is no room for it."""
        if is_relayed:
            if self._relayed + (DESCRIPTORS - 1) * len(self._own) >= self._room():
                raise TooManyStreams("no descriptor is left for one more stream")
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

    def _room(self) -> int:
        """How many descriptors streams may have, of those that the process may have now."""
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return max(descriptors - RESERVED - 4 * self._running, descriptors // 2)
