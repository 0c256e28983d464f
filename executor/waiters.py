"""Those who wait until something is over, all woken at once."""

from __future__ import annotations

import asyncio


class Waiters:
    """A cancelled wait is forgotten."""

    __slots__ = ("futures",)

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[None]] = []

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        waiter = loop.create_future()
        self.futures.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self.futures:
                self.futures.remove(waiter)

    def wake(self) -> None:
        if not self.futures:
            return
        woken, self.futures = self.futures, []
        for waiter in woken:
            if not waiter.done():
                waiter.set_result(None)
