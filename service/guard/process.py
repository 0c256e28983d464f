"""What a process owes its guard, and gets from it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

from service.errors import NoRoom, SettingsError
from service.guard.messages import VERSION, Message, pack, receive, send

_PR_SET_PDEATHSIG = 1  # prctl(2)


class Held(NamedTuple):
    """What the process before has stored. Whoever gets it owns the descriptors, by their index."""

    key: str
    pid: int
    state: bytes
    descriptors: dict[int, int]


class Ending(NamedTuple):
    """How a process has ended, as of wait4(2): status, seconds, and KiB resident at most."""

    status: int
    user_s: float
    system_s: float
    max_rss_kib: int


class Link:
    """The process's end of the line to its guard; made with `join`."""

    def __init__(self, end: socket.socket, held: list[Held]) -> None:
        """Nothing is heard before `listen`."""
        self._held = {one.key: one for one in held}
        self._end = end
        self._unsent: list[bytes] = []
        self._asked: dict[str, asyncio.Future[Ending | None]] = {}
        self._on_refused: Callable[[str], None] = lambda key: None

    def take(self, key: str | None = None) -> dict[str, Held]:
        """Return what is held by that name, or all of it, by name; once."""
        keys = list(self._held) if key is None else [key]
        return {key: self._held.pop(key) for key in keys if key in self._held}

    def listen(self, on_refused: Callable[[str], None]) -> None:
        """Hear the guard on the running loop; `on_refused(key)` is for what it could not take."""
        self._on_refused = on_refused
        asyncio.get_running_loop().add_reader(self._end, self._hear)

    def store(self, key: str, pid: int, state: bytes, descriptors: Sequence[int]) -> bool:
        """Have a state and duplicates of descriptors held; False when there is no room for now."""
        return not self._unsent and self._try(pack("STORE", key, pid, state=state), descriptors)

    def state(self, key: str, state: bytes) -> None:
        """Have the state replaced."""
        self._say(pack("STATE", key, state=state))

    def close_descriptor(self, key: str, index: int) -> None:
        """Have one of the duplicates closed: it keeps a pipe open that ours no longer does."""
        self._say(pack("CLOSE", key, index))

    def remove(self, key: str) -> None:
        """Have all of it let go of."""
        self._say(pack("REMOVE", key))

    async def reap(self, key: str) -> Ending | None:
        """Return how a process that the guard has inherited has ended; None when it has not yet.

        ChildProcessError when it is no child of the guard's. May be called again.
        """
        if key not in self._asked:
            self._asked[key] = asyncio.get_running_loop().create_future()
            self._say(pack("REAP", key))
        return await asyncio.shield(self._asked[key])

    def leave(self) -> None:
        """Say that all is let go of: the next process begins."""
        self._say(pack("LEFT"))

    def reaped(self, key: str, ending: Ending) -> None:
        """After `leave`: say how a child of ours has ended, which the next process follows."""
        self._say(pack("REAPED", key, *ending))

    def _say(self, data: bytes) -> None:
        if self._unsent or not self._try(data):
            self._unsent.append(data)

    def _try(self, data: bytes, descriptors: Sequence[int] = ()) -> bool:
        try:
            send(self._end, data, descriptors)
        except BlockingIOError:
            asyncio.get_running_loop().add_writer(self._end, self._flush)
            return False
        return True

    def _flush(self) -> None:
        while self._unsent:
            try:
                send(self._end, self._unsent[0])
            except BlockingIOError:
                return
            del self._unsent[0]
        asyncio.get_running_loop().remove_writer(self._end)

    def _hear(self) -> None:
        try:
            while (message := receive(self._end)) is not None:
                self._attend(message)
        except BlockingIOError:
            return
        asyncio.get_running_loop().remove_reader(self._end)  # the guard is dead, and so are we

    def _attend(self, message: Message) -> None:
        key = message.words[0]
        if message.verb == "REFUSED":
            self._on_refused(key)
        elif asked := self._asked.pop(key, None):
            if message.verb == "UNKNOWN":
                asked.set_exception(ChildProcessError(f"{key} is no child of the guard's"))
            elif message.verb == "ALIVE":
                asked.set_result(None)
            else:
                status, user_s, system_s, rss = message.words[1:]
                asked.set_result(Ending(int(status), float(user_s), float(system_s), int(rss)))


def join(fd: int, *, can_leave: bool, version: int) -> Link:
    """Wait until nobody else has what the guard holds, and take it over; blocks.

    `can_leave` says whether HUP makes this process leave; its states are of this `version`.
    SettingsError where the guard is gone, NoRoom without descriptors for all of it.
    """
    os.set_inheritable(fd, False)
    end = socket.socket(fileno=fd)
    send(end, pack("HELLO", int(can_leave), version))
    held = []
    while (message := receive(end)) is not None and message.verb == "HELD":
        if not message.is_whole:  # the guard has them still, for the next try
            raise NoRoom("no descriptors for what the guard holds")
        key, pid, *opened = message.words
        indexes = [int(index) for index in opened[0].split(",")] if opened[0] else []
        descriptors = dict(zip(indexes, message.descriptors, strict=True))
        held.append(Held(key, int(pid), message.state, descriptors))
    if message is None:
        raise SettingsError("the guard is gone")
    end.setblocking(False)
    return Link(end, held)


def check_versions(guard: int, state: str, known: int) -> None:
    """SettingsError when we don't speak the guard's language, or can't read the states that it
    holds, of which we know those up to version `known`; before anything is replaced.
    """
    if guard != VERSION or (state and int(state) > known):
        raise SettingsError(
            f"this guard is of version {guard}.{state}, and here is version {VERSION}.{known}:"
            " run `squall down` and `squall up` (running jobs will be stopped)"
        )


def die_with(guard: int) -> None:
    """Have the kernel kill this process when its guard, its parent of that pid, has died.

    Two processes on one port would be two owners of the same jobs. Call it on the main thread of
    a process that the guard's main thread has started: the kernel minds threads here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != guard:  # it died before it could be said
        os.kill(os.getpid(), signal.SIGKILL)


def listener(fd: int) -> socket.socket:
    """Return the listening socket that the guard has left at `fd`; jobs do not inherit it."""
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)
