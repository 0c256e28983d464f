"""Every change of state of every job, as server-sent events that can be resumed."""

from __future__ import annotations

from service.web.handler import encode
from service.web.query import SEQ_MAX, Parameters
from service.web.streaming import EVENTS, RECONNECT_MS, Parts, StreamingHandler

BATCH = 200


class EventsHandler(StreamingHandler):
    """`/v1/events`."""

    async def get(self) -> None:
        """Send what changes from now on, or since the event that the client saw last."""
        parameters = Parameters(self.request, ("after",))
        after = self.last_event_id()
        if after is None and parameters.one("after") is not None:
            after = parameters.number("after", 0, least=0, most=SEQ_MAX)
        if after is None:
            after = await self.application.ledger.last_event()
        await self.stream(EVENTS, self._events(after))

    async def _events(self, after: int) -> Parts:
        # with the first event: some clients take a block without data for an empty event
        retry = b"retry: %d\n" % RECONNECT_MS
        changes = self.application.runner.waiters.changes
        with changes.watched():
            while True:
                seen = changes.count
                events = await self.application.ledger.events(after, BATCH)
                for event in events:
                    after = event.seq
                    yield b"%sevent: state\nid: %d\ndata: %s\n\n" % (
                        retry,
                        after,
                        encode(event.job),
                    )
                    retry = b""
                if not events:
                    await changes.wait(seen)
