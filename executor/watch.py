"""Readiness of descriptors: one epoll of our own for each loop, seen by the loop as one descriptor.

Registering with the loop itself costs 7 µs a descriptor, with an epoll 1.7 µs, and a command has
three or more. On a platform without epoll the loop is used as it is.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import select
import time
import weakref
from collections.abc import Callable
from typing import Protocol

READ = 1  # EPOLLIN
WRITE = 4  # EPOLLOUT
ABANDON_S = 2.0  # for killed children to die, without a loop: disk sleep can hold them


class Tenant(Protocol):
    """Who has descriptors in a watch, and must be told when the loop is closed under it."""

    def kill(self) -> None:
        """SIGKILL to all of it; never raises."""

    def abandon(self, deadline: float) -> None:
        """Reap and close without the loop, in ``time.monotonic()``'s time."""

    def close_copy(self) -> None:
        """Close our copies of the descriptors, in a forked copy of this process."""


class Watch:
    """Calls a handler, on its loop, as long as its descriptor is ready; at most one a descriptor.

    A handler may be called once more than that (a descriptor closed and opened again within one
    turn), so it has to bear that nothing is there.
    """

    __slots__ = ("__weakref__", "_epoll", "_handlers", "tenants")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self.tenants: set[Tenant] = set()

    def add(self, fd: int, events: int, handler: Callable[[], None]) -> None:
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def add_again(self, fd: int, events: int, handler: Callable[[], None]) -> None:
        """The same where it may have been added already."""
        if fd not in self._handlers:
            self.add(fd, events, handler)

    def remove(self, fd: int) -> None:
        """Before the descriptor is closed: epoll knows open files, and a fork may hold a copy."""
        if self._handlers.pop(fd, None) is not None and not self._epoll.closed:
            self._epoll.unregister(fd)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def on_ready(self) -> None:
        handlers = self._handlers
        for fd, _ in self._epoll.poll(0):
            handler = handlers.get(fd)
            if handler is not None:
                handler()

    def abandon(self) -> None:
        """The loop is closed: nothing of ours may stay behind. All die, then all are waited for."""
        tenants = list(self.tenants)
        self.tenants.clear()
        for tenant in tenants:
            tenant.kill()
        deadline = time.monotonic() + ABANDON_S
        for tenant in tenants:
            tenant.abandon(deadline)
        self.close()

    def close_copy(self) -> None:
        """This is a forked copy of the process: the children belong to the original."""
        self.close()  # first: the epoll is the original's too, nothing may be unregistered
        while self.tenants:
            self.tenants.pop().close_copy()

    def close(self) -> None:
        self._handlers.clear()
        self._epoll.close()


class LoopWatch(Watch):
    """The same by means of the loop, where there is no epoll.

    What the loop sees of the watch itself is a pipe that nobody writes to.
    """

    __slots__ = ("_loop", "_pipe")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pipe = list(os.pipe())
        self._handlers = {}
        self.tenants = set()

    def fileno(self) -> int:
        return self._pipe[0]

    def on_ready(self) -> None:
        """Never called."""

    def add(self, fd: int, events: int, handler: Callable[[], None]) -> None:
        (self._loop.add_reader if events == READ else self._loop.add_writer)(fd, handler)
        self._handlers[fd] = handler

    def remove(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None and not self._loop.is_closed():
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)

    def close(self) -> None:
        self._handlers.clear()
        while self._pipe:
            os.close(self._pipe.pop())


class _Anchor:
    """Lives as long as the loop has it among its readers: its end is the end of the loop.

    asyncio has no hook for ``loop.close()``; but closing drops the loop's readers, and with them
    the only reference to this object.
    """

    __slots__ = ("watch",)

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def __call__(self) -> None:
        self.watch.on_ready()

    def __del__(self) -> None:
        self.watch.abandon()


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Watch]]
_watches = weakref.WeakKeyDictionary()


def watch_of(loop: asyncio.AbstractEventLoop) -> Watch:
    """The watch of this loop, made at its first use."""
    found = _watches.get(loop)
    watch = found() if found is not None else None
    return watch if watch is not None else _make(loop)


def _make(loop: asyncio.AbstractEventLoop) -> Watch:
    if loop.is_closed():
        raise RuntimeError("the event loop is closed")
    watch = Watch() if hasattr(select, "epoll") else LoopWatch(loop)
    loop.add_reader(watch.fileno(), _Anchor(watch))
    _watches[loop] = weakref.ref(watch)
    return watch


def _each(act: Callable[[Watch], None]) -> None:
    for found in list(_watches.values()):
        watch = found()
        if watch is not None:
            act(watch)


def _close_copies() -> None:
    _each(Watch.close_copy)
    _watches.clear()


# a loop that nobody closed: its commands must not outlive the interpreter
atexit.register(_each, Watch.abandon)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_copies)
