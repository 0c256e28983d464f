"""Whether the ledger can be written, as far as is known: who asks causes no write."""

from __future__ import annotations

import asyncio

from service.errors import LedgerError, QueryTooSlow
from service.ledger import Ledger

# Tried so often as long as nothing is heard of it, and while it can't be written.
LOOK_S = 60.0
TRY_S = 1.0


class Readiness:
    """What was heard of the ledger last: by trying it regularly, or by a request that failed."""

    def __init__(self, ledger: Ledger) -> None:
        """Begin without a problem: whoever has started has written to it."""
        self.problem: str | None = None
        self._ledger = ledger
        self._doubted = asyncio.Event()

    def doubt(self, error: LedgerError) -> None:
        """Believe an error that a request has met until the ledger was tried, which is soon."""
        if not isinstance(error, QueryTooSlow):  # that may be the request's own fault
            self.problem = str(error)
        self._doubted.set()

    async def watch(self) -> None:
        """Try it, for as long as the process runs."""
        while True:
            await self._wait()
            self._doubted.clear()
            try:
                await self._ledger.probe()
                self.problem = None
            except LedgerError as exc:
                self.problem = str(exc)
                await asyncio.sleep(TRY_S)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(0 if self.problem else LOOK_S):
                await self._doubted.wait()
        except TimeoutError:
            pass  # nothing was heard of it for so long
