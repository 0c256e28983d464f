"""Those who wait until something is over, all woken at once."""

from __future__ import annotations

import asyncio
from collections import deque


class Waiters:
    """A cancelled wait is forgotten."""

    __slots__ = ("futures",)

    def __init__(self) -> None:
        self.futures: deque[asyncio.Future[None]] = deque()

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        waiter = loop.create_future()
        self.futures.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self.futures:
                self.futures.remove(waiter)

    def wake(self) -> None:
        while self.futures:
            waiter = self.futures.popleft()
            if not waiter.done():
                waiter.set_result(None)
