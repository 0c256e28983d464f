"""Who waits for what to become of which job, wherever it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from service.ledger import Ledger
from service.peers.changes import Changes
from service.peers.notices import WANTS_NEWS, Peers

# What one waits for: that somebody owns the job (or it has ended unowned), or that it has ended.
Progress = Literal["claimed", "ended"]

CLAIM_ON_ITS_WAY_S = 0.1


class Waiters:
    """The futures of those who wait, by job; the ledger says how far each job is."""

    def __init__(self, ledger: Ledger, peers: Peers, here: Mapping[str, object]) -> None:
        """`here` are the jobs that run here, of which `tell` is called; of others, news comes."""
        self._ledger = ledger
        self._peers = peers
        self._here = here
        self.changes = Changes(lambda _: self._say())
        self._futures: dict[str, dict[asyncio.Future[None], Progress]] = {}
        self._is_released = False

    async def wait(self, id: str, progress: Progress, timeout_s: float) -> bool:
        """Return whether the job is so far before the time is up; unknown jobs have ended."""
        if progress == "claimed" and id in self._here:
            return True
        with self._future(id, progress) as future:
            if id not in self._here:
                # said before looking: what happens after the look is told
                self._say()
                await self._look_at([id])
                timeout_s = 0 if self._is_released else timeout_s
            return bool((await asyncio.wait([future], timeout=timeout_s))[0])

    async def wait_here(self, id: str) -> None:
        """Return when a job comes whose claim is on its way from the ledger to this process."""
        with self._future(id, "claimed") as future:
            await asyncio.wait([future], timeout=CLAIM_ON_ITS_WAY_S)

    def release(self) -> None:
        """Wake those who wait for jobs that run elsewhere, or nowhere yet: they learn no more.

        Who comes to wait for such a job later learns only how it is now.
        """
        self._is_released = True
        for id in self._futures.keys() - self._here.keys():
            self.tell(id, "ended")

    def tell(self, id: str, progress: Progress) -> None:
        """Wake those who wait for this, or for less."""
        for future, wanted in self._futures.get(id, {}).items():
            if not future.done() and (progress == "ended" or wanted == "claimed"):
                future.set_result(None)

    async def look(self) -> None:
        """Find in the ledger how far the jobs are that run elsewhere."""
        self.changes.tell()
        if elsewhere := [id for id in self._futures if id not in self._here]:
            await self._look_at(elsewhere)

    async def _look_at(self, ids: list[str]) -> None:
        for id, progress in (await self._ledger.progress(ids)).items():
            self.tell(id, progress)

    @contextmanager
    def _future(self, id: str, progress: Progress) -> Iterator[asyncio.Future[None]]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(id, {})[future] = progress
        try:
            yield future
        finally:
            waiting = self._futures[id]
            del waiting[future]
            if not waiting:
                del self._futures[id]
            self._say()

    def _say(self) -> None:
        """Say to the peers whether anybody here wants their news."""
        self._peers.say(WANTS_NEWS, bool(self._futures) or self.changes.is_watched)
