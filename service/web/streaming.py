"""An answer that goes on while something happens."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing

from tornado.http1connection import HTTP1Connection
from tornado.iostream import IOStream, StreamClosedError

from service.peers.relay import is_relayed
from service.web.handler import Handler
from service.web.problems import wrong_field

Parts = AsyncGenerator[bytes, None]

EVENTS = "text/event-stream"
HEARTBEAT_S = 15.0
RECONNECT_MS = 500

# What the kernel holds of an answer on its way (it takes twice as much), of all of them, and of one
# at least and at most: else it is megabytes for each of a thousand slow readers, and filling them
# all is what a loud job has to wait for.
SEND_BUFFERS_BYTES = 32 * 1024 * 1024
SEND_BUFFER_BYTES, SEND_BUFFER_BYTES_MAX = 64 * 1024, 256 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER, socket(7)


class StreamingHandler(Handler):
    """Sends parts as they come, no faster than the client takes them.

    An answer that ends before its parts do is broken off, so that nobody takes it for whole: the
    client went away, this process drains, or something failed. Server-sent events end as they are
    then, for their clients ask again by themselves. Another process goes on where this one stopped.
    """

    _task: asyncio.Task[object] | None = None
    _is_stopped = False
    _heart: asyncio.TimerHandle | None = None
    _beat: asyncio.Future[None] | None = None
    _is_writing = False
    _written_at = float("-inf")

    async def stream(self, media_type: str, parts: Parts) -> None:
        """Send the parts; nothing on their way may hold them back. TooManyStreams."""
        streams, metrics = self.application.streams, self.application.metrics
        with streams.entered(self, is_relayed=is_relayed(self.request)):
            self.set_header("Content-Type", media_type)
            self.set_header("X-Accel-Buffering", "no")
            self._task = task = asyncio.current_task()
            self._prepare_socket()
            metrics.streams.inc()
            may_end = False
            try:
                async with aclosing(parts):
                    await self._send(parts, has_heartbeat=media_type == EVENTS)
                may_end = True
            except StreamClosedError:
                pass  # the client went away between two parts
            except asyncio.CancelledError:
                if task is None or not self._is_stopped:
                    raise
                task.uncancel()
                may_end = media_type == EVENTS
            except Exception:
                if not self._headers_written:
                    may_end = True
                    raise  # the client can still be told
                self.log_exception(*sys.exc_info())
            finally:
                metrics.streams.dec()
                if not may_end:
                    self._break_off()

    def stop(self) -> None:
        """End the answer where it is."""
        if self._task is not None and not self._is_stopped:
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

    async def _send(self, parts: Parts, *, has_heartbeat: bool) -> None:
        streams = self.application.streams
        await self.flush()
        if has_heartbeat:
            self._heartbeat()
        try:
            async for part in parts:
                await streams.turn()
                if self._beat is not None:
                    await self._beat
                self._is_writing = True
                self.write(part)
                # returns when the client has taken it, so memory doesn't follow the job
                await self.flush()
                self._is_writing = False
                self._written_at = asyncio.get_running_loop().time()
        finally:
            if self._heart is not None:
                self._heart.cancel()

    def _heartbeat(self) -> None:
        """Put a comment at the start and into a long silence: it is connected, and not dead."""
        loop = asyncio.get_running_loop()
        left = self._written_at + HEARTBEAT_S - loop.time()
        if left <= 0 and not self._is_writing and (self._beat is None or self._beat.done()):
            self.write(b":\n\n")
            self._beat = asyncio.ensure_future(self.flush())
        self._heart = loop.call_later(left if left > 0 else HEARTBEAT_S, self._heartbeat)

    def _prepare_socket(self) -> None:
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection) and (sock := _socket(connection)):
            connection.stream.set_nodelay(True)  # else a part waits for the last one's arrival
            share = self.application.streams.share(
                SEND_BUFFERS_BYTES, SEND_BUFFER_BYTES, SEND_BUFFER_BYTES_MAX
            )
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, share)

    def _break_off(self) -> None:
        """Close the connection without the end of the answer."""
        connection = self.request.connection
        if not isinstance(connection, HTTP1Connection) or not (sock := _socket(connection)):
            return  # the client was first
        if self.request.version == "HTTP/1.0":
            # there the end of the connection is the end of the answer, unless it is a reset
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.detach().close()


def _socket(connection: HTTP1Connection) -> socket.socket | None:
    stream: IOStream | None = connection.stream
    return None if stream is None or stream.closed() else stream.socket
