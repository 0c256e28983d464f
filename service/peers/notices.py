"""The other processes of this machine: who lives, and who wants to be told what.

The ledger is what is true; a notice only says "look there again". It is a datagram that may be
lost: everything that acts on one also looks by itself about once a second.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import mmap
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.errors import SettingsError
from service.peers.deaths import Deaths, sign
from service.state import StateDir

log = logging.getLogger(__name__)

WORK = b"work"  # jobs wait in the ledger
NEWS = b"news"  # jobs were claimed, or have ended

# What a process says of itself on the board, one byte a process.
KNOWS_OF_WORK = 1
WANTS_NEWS = 2

NEWS_DELAY_S = 0.002


class Peers:
    """This process among the others, each named by its port."""

    def __init__(
        self,
        state: StateDir,
        port: int,
        ports: list[int],
        *,
        lock: int | None = None,
        is_guarded: bool = False,
    ) -> None:
        """Join: take this port's lock for as long as the process lives; SettingsError if taken.

        `lock` is that of the process before, where a guard has held it; who `is_guarded` is dead
        when the guard is.
        """
        self._state = state
        self._port = port
        self._others = {other: os.fspath(state.notices(other)) for other in ports if other != port}
        self._has_left = False
        self._news_timer: asyncio.TimerHandle | None = None
        self.lock = _locked(state.lock(port), wait_s=10.0) if lock is None else lock
        if self.lock is None:
            raise SettingsError(f"another process of {state.path} runs as {port}")
        sign(self.lock, os.getppid() if is_guarded else os.getpid())
        self._deaths = Deaths(state, self._others)
        self._board = _board(state)
        self._board[port] = 0
        self._socket = _bind(state.notices(port))

    def listen(self, on_work: Callable[[], None], on_news: Callable[[], None]) -> None:
        """Call these on the running loop when a notice comes."""
        self._on_work, self._on_news = on_work, on_news
        asyncio.get_running_loop().add_reader(self._socket, self._receive)

    def watch(self, on_death: Callable[[int], None]) -> None:
        """Call `on_death(port)` as soon as another process has died that lives now.

        Whoever starts later is watched from the next call on.
        """
        self._deaths.watch(on_death)

    def leave(self) -> None:
        """Hear and say no more, as the next process of this port does; others may still be told."""
        if not self._has_left:
            self._has_left = True
            self._deaths.close()
            asyncio.get_running_loop().remove_reader(self._socket)
            self._board[self._port] = 0
            self._state.notices(self._port).unlink(missing_ok=True)

    def close(self) -> None:
        """Leave; the lock goes last."""
        self.leave()
        if self._news_timer:
            self._news_timer.cancel()
        self._board.close()
        self._socket.close()
        if self.lock is not None:
            os.close(self.lock)

    def say(self, flag: int, is_true: bool) -> None:
        """Say of this process that it KNOWS_OF_WORK or WANTS_NEWS, or no longer does."""
        if self._has_left:
            return
        said = self._board[self._port]
        self._board[self._port] = said | flag if is_true else said & ~flag

    def tell_of_work(self) -> None:
        """Tell those who don't know that jobs wait."""
        for port in self._others:
            if not self._board[port] & KNOWS_OF_WORK:
                self._send(port, WORK)

    def tell_news(self) -> None:
        """Tell those who want to know that jobs have moved on: a moment later, once for many."""
        if self._news_timer is None and any(self._board[p] & WANTS_NEWS for p in self._others):
            loop = asyncio.get_running_loop()
            self._news_timer = loop.call_later(NEWS_DELAY_S, self._send_news)

    @contextmanager
    def if_dead(self, port: int) -> Iterator[bool]:
        """Tell whether no process runs as `port`, and keep one from starting meanwhile."""
        fd = _locked(self._state.lock(port))
        try:
            yield fd is not None
        finally:
            if fd is not None:
                os.close(fd)

    def _send_news(self) -> None:
        self._news_timer = None
        for port in self._others:
            if self._board[port] & WANTS_NEWS:
                self._send(port, NEWS)

    def _send(self, port: int, notice: bytes) -> None:
        try:
            self._socket.sendto(notice, self._others[port])
        except OSError as exc:
            # it is down, or its buffer is full of notices: it looks by itself within a second
            log.debug("notice to %d: %s", port, exc)

    def _receive(self) -> None:
        notices = set()
        try:
            while True:
                notices.add(self._socket.recv(16))
        except BlockingIOError:
            pass  # that was all
        if WORK in notices:
            self._on_work()
        if NEWS in notices:
            self._on_news()


def _locked(path: os.PathLike[str], wait_s: float = 0.0) -> int | None:
    """Open and lock a file; None when somebody else holds the lock for longer than `wait_s`."""
    deadline = time.monotonic() + wait_s
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                return None
            time.sleep(0.05)  # at the start only, while a peer clears up after our predecessor
        else:
            return fd


def _board(state: StateDir) -> mmap.mmap:
    """Map the file with one byte a port."""
    fd = os.open(state.run / "board", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, 65_536)
        return mmap.mmap(fd, 65_536)
    finally:
        os.close(fd)


def _bind(path: os.PathLike[str]) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        os.unlink(path)  # noqa: PTH108  # its owner is dead, for we hold the lock
    except FileNotFoundError:
        pass  # there was none
    listener.bind(os.fspath(path))
    return listener
