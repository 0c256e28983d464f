"""Who waits for the end of which job, wherever it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Container

from service.ledger import Ledger
from service.peers import WANTS_NEWS, Peers


class Waiting:
    """The futures of those who wait, by job; the ledger says which jobs have ended."""

    def __init__(self, ledger: Ledger, peers: Peers, here: Container[str]) -> None:
        """Take the jobs that run `here`, whose ends are told by `resolve`; of others, by news."""
        self._ledger = ledger
        self._peers = peers
        self._here = here
        self._futures: dict[str, set[asyncio.Future[None]]] = {}

    async def wait_ended(self, id: str, timeout_s: float) -> bool:
        """Return whether the job has ended before the time is up."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(id, set()).add(future)
        try:
            if id not in self._here:
                # said before looking: an end after the look is told
                self._peers.say(WANTS_NEWS, True)
                if await self._ledger.ended([id]):
                    return True
            return bool((await asyncio.wait([future], timeout=timeout_s))[0])
        finally:
            self._leave(id, future)

    def resolve(self, id: str) -> None:
        """Wake those who wait for a job that has ended."""
        for future in self._futures.pop(id, ()):
            if not future.done():
                future.set_result(None)

    async def look(self) -> None:
        """Find in the ledger which jobs that run elsewhere have ended."""
        if elsewhere := [id for id in self._futures if id not in self._here]:
            for id in await self._ledger.ended(elsewhere):
                self.resolve(id)

    def _leave(self, id: str, future: asyncio.Future[None]) -> None:
        if waiting := self._futures.get(id):
            waiting.discard(future)
            if not waiting:
                del self._futures[id]
        if not self._futures:
            self._peers.say(WANTS_NEWS, False)
