"""The HTTP server of one process, which never accepts more connections than it can serve."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from service.errors import is_no_room

log = logging.getLogger(__name__)

# So many are accepted in a turn of the loop; what else there is to do comes in between.
TURN = 128
# A request's head has so long to be complete, from the connection's first moment or the last answer
# on. nginx lets go of an idle connection long before (keepalive_timeout in nginx/upstream.conf): a
# POST must not meet a closing one.
HEAD_S = 10.0
LOOK_S = 1.0
# A name has 253 characters at most, a port 5.
HOST_MAX = 260
# Without a descriptor nobody is accepted for so long: to try at once would be to spin.
PAUSE_S = 0.1


class Server(HTTPServer):
    """An HTTP server with at most `connections` open, which tells when the last one has closed.

    Who comes beyond that, or when the machine has no descriptor, waits in the kernel's backlog.
    """

    def initialize(  # type: ignore[override]
        self, *args: Any, connections: int, **kwargs: Any
    ) -> None:
        """Pass everything else on to Tornado's."""
        super().initialize(*args, **kwargs)
        self._most = connections
        self._is_accepting = False
        self._emptied = asyncio.Event()
        # those whose next request's head is not there yet, and since when; the longest first
        self._headless: dict[HTTP1ServerConnection, float] = {}
        self.conn_params.header_timeout = None  # `watch` costs less than a timer a request

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Begin to wait for the head of a connection's next request."""
        connection = cast(HTTP1ServerConnection, server_conn)
        self._headless[connection] = time.monotonic()
        delegate = super().start_request(server_conn, request_conn)
        return _Request(delegate, lambda: self._headless.pop(connection, None))

    async def watch(self) -> None:
        """Close connections whose request's head does not come, for as long as the process runs."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(LOOK_S)
            if time.monotonic() - before < 2 * LOOK_S:  # else heads may be here and not be read yet
                self._close_headless()

    def _close_headless(self) -> None:
        late = time.monotonic() - HEAD_S
        for connection, since in list(self._headless.items()):
            if since > late:
                break
            connection.stream.close()

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Begin to accept."""
        for listener in sockets:
            self._sockets[listener.fileno()] = listener
            self._handlers[listener.fileno()] = self._pause
        self._resume()

    def stop(self) -> None:
        """Accept no more, but first all who knocked: to close would be to turn them away."""
        for listener in () if self._stopped else self._sockets.values():
            try:
                while True:
                    self._handle_connection(*listener.accept())
            except BlockingIOError:
                pass  # nobody else
            except OSError as exc:
                log.warning("those who knocked are turned away: %s", exc)
        super().stop()

    def on_close(self, server_conn: object) -> None:
        """Go on to accept where that was paused, and tell who waits for the last one."""
        super().on_close(server_conn)
        self._headless.pop(cast(HTTP1ServerConnection, server_conn), None)
        self._resume()
        if not self._connections:
            self._emptied.set()

    async def wait_empty(self, timeout_s: float) -> None:
        """Return when no connection is open, or when the time is up."""
        if self._connections:
            self._emptied.clear()
            try:
                await asyncio.wait_for(self._emptied.wait(), timeout_s)
            except TimeoutError:
                log.info("closing %d connections that clients still hold", len(self._connections))

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(TURN):
            if len(self._connections) >= self._most:
                log.warning("%d connections are open, the most that may be", self._most)
                self._pause()
                return
            try:
                connection, address = listener.accept()
            except BlockingIOError:
                return  # nobody else
            except ConnectionAbortedError:
                continue  # gone before its turn
            except OSError as exc:
                if not is_no_room(exc):
                    raise
                log.warning("no connection can be accepted now: %s", exc)
                self._pause()
                asyncio.get_running_loop().call_later(PAUSE_S, self._resume)
                return
            self._handle_connection(connection, address)

    def _pause(self) -> None:
        if self._is_accepting:
            self._is_accepting = False
            for listener in self._sockets.values():
                asyncio.get_running_loop().remove_reader(listener)

    def _resume(self) -> None:
        if not self._is_accepting and not self._stopped and len(self._connections) < self._most:
            self._is_accepting = True
            for listener in self._sockets.values():
                asyncio.get_running_loop().add_reader(listener, self._accept, listener)


class _Request(HTTPMessageDelegate):
    """Passes a request on to Tornado's own delegate, and tells when its head is complete."""

    def __init__(self, delegate: HTTPMessageDelegate, on_head: Callable[[], object]) -> None:
        self._delegate = delegate
        self._on_head = on_head

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._on_head()
        if len(headers.get("Host", "")) > HOST_MAX:
            headers["Host"] = ""  # Tornado would make a number of a port of 5,000 digits; none can
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._delegate.data_received(chunk)

    def finish(self) -> None:
        self._delegate.finish()

    def on_connection_close(self) -> None:
        self._delegate.on_connection_close()
