"""Whether the process is alive, and whether it takes work."""

from __future__ import annotations

from service.errors import Draining
from service.web.handler import Handler


class LiveHandler(Handler):
    """`/livez`: the loop turns."""

    is_public = True

    def get(self) -> None:
        """Say so."""
        self.answer({"status": "alive"})


class ReadyHandler(Handler):
    """`/readyz`: it takes work, and the ledger can be written."""

    is_public = True

    async def get(self) -> None:
        """Try, and say so."""
        if self.application.runner.is_draining:
            raise Draining("this process is stopping")
        await self.application.ledger.probe()
        self.answer({"status": "ready"})
