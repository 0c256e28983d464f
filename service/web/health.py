"""Whether the process is alive, whether it takes work, and its numbers."""

from __future__ import annotations

import asyncio

from service.errors import Draining, Failing
from service.metrics import CONTENT_TYPE
from service.web.handler import Handler


class LiveHandler(Handler):
    """`/livez`: the loop turns."""

    is_public = True

    def get(self) -> None:
        """Say so."""
        self.answer({"status": "alive"})


class ReadyHandler(Handler):
    """`/readyz`: it takes work, all that it does by itself runs, and the ledger can be written."""

    is_public = True

    def get(self) -> None:
        """Say so."""
        app = self.application
        if app.runner.is_draining:
            raise Draining("this process is stopping")
        if problem := app.runner.background.problem:
            raise Failing(problem)
        if app.readiness.problem:
            raise Failing(app.readiness.problem)
        self.answer({"status": "ready"})


class MetricsHandler(Handler):
    """`/metrics`: for Prometheus, of all processes together."""

    async def get(self) -> None:
        """Answer the numbers."""
        tally = await self.application.ledger.tally()
        text = await asyncio.to_thread(self.application.metrics.text, tally)
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(text)
