"""An answer that goes on while something happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from tornado.iostream import StreamClosedError

from service.peers.relay import is_relayed
from service.web.handler import Handler
from service.web.problems import wrong_field

Parts = AsyncGenerator[bytes, None]

HEARTBEAT_S = 15.0
RECONNECT_MS = 500


class StreamingHandler(Handler):
    """Sends parts as they come, no faster than the client takes them.

    The answer ends early when the client goes away, or when this process drains: the client then
    asks another one to go on where this one stopped.
    """

    _task: asyncio.Task[object] | None = None
    _is_stopped = False

    async def stream(self, media_type: str, parts: Parts) -> None:
        """Send the parts; nothing on their way may hold them back."""
        self.set_header("Content-Type", media_type)
        self.set_header("X-Accel-Buffering", "no")
        self._task = task = asyncio.current_task()
        streams = self.application.streams
        if not is_relayed(self.request):
            streams.add(self)
        self.application.metrics.streams.inc()
        if media_type == "text/event-stream":
            parts = _with_heartbeats(parts)
        try:
            async with aclosing(parts):
                await self.flush()
                async for part in parts:
                    self.write(part)
                    # returns when the client has taken it, so memory doesn't follow the job
                    await self.flush()
        except StreamClosedError:
            pass  # the client went away between two parts
        except asyncio.CancelledError:
            if task is None or not self._is_stopped:
                raise
            task.uncancel()
        finally:
            streams.discard(self)
            self.application.metrics.streams.dec()

    def stop(self) -> None:
        """End the answer where it is."""
        if self._task is not None:
            self._is_stopped = True
            self._task.cancel()

    def on_connection_close(self) -> None:
        """Stop for a client that is gone."""
        self.stop()

    def last_event_id(self) -> int | None:
        """Return the id of the last event that the client saw, None when it says nothing."""
        last = self.request.headers.get("Last-Event-ID")
        if not last:
            return None
        if not (last.isascii() and last.isdecimal() and len(last) < 16):
            raise wrong_field("Last-Event-ID", "must be the id of an event of this stream")
        return int(last)


async def _with_heartbeats(parts: Parts) -> Parts:
    """Put a comment into every long silence, so that nobody on the way takes it for dead."""
    following = asyncio.ensure_future(anext(parts, None))
    try:
        while True:
            done, _ = await asyncio.wait([following], timeout=HEARTBEAT_S)
            if not done:
                yield b":\n\n"
                continue
            part = following.result()
            if part is None:
                return
            yield part
            following = asyncio.ensure_future(anext(parts, None))
    finally:
        following.cancel()
        await asyncio.wait([following])
        await parts.aclose()
