"""The HTTP server of one process, which never accepts more connections than it can serve."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from typing import Any

from tornado.httpserver import HTTPServer

from service.errors import is_no_room

log = logging.getLogger(__name__)

# So many are accepted in a turn of the loop; what else there is to do comes in between.
TURN = 128
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
