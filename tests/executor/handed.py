"""A run that is begun in one place and taken over in another, for the tests of both.

``Here``: given up and taken over in this process, as its child.
``Killed``: begun in a process that is killed with SIGKILL; a subreaper is the child's parent then,
and reaps it when asked.
``Released``: begun in a process that gives it up, lives on and reaps it when asked.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from children import until

from executor import PIPE, Handover, Subprocess, Usage

ROOT = Path(__file__).resolve().parents[2]
NAMES = {
    "Subprocess": Subprocess,
    "PIPE": PIPE,
    "asyncio": asyncio,
    "os": os,
    "signal": signal,
    "until": until,
}


async def evaluate(code: str, names: dict[str, Any]) -> Any:
    value = eval(code, names)
    return await value if inspect.isawaitable(value) else value


class Here:
    """The giver and who takes over are one process."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = dict(NAMES)

    async def start(self, options: str) -> None:
        self.names["sp"] = Subprocess(**eval(f"dict({options})", dict(NAMES)))
        self.names["sp"].start()

    async def do(self, code: str) -> Any:
        return await evaluate(code, self.names)

    async def hand_over(self) -> tuple[Handover, dict[str, Any]]:
        return self.names["sp"].release(), {}

    def close(self) -> None:
        self.names.clear()


class Elsewhere:
    """The giver is a process of its own, below a subreaper; it does what it is told by a socket."""

    def __init__(self) -> None:
        self.reaper, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.giver, givers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = (theirs.fileno(), givers.fileno())
        self.process = subprocess.Popen(
            [sys.executable, __file__, *map(str, fds)],
            pass_fds=fds,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'executor'}"},
        )
        theirs.close()
        givers.close()
        self.reaper.settimeout(30)
        self.giver.settimeout(30)
        self.pid = int(self.giver.recv(100))

    async def start(self, options: str) -> None:
        await self.do(f"begin(dict({options}))")

    async def do(self, code: str) -> Any:
        return await asyncio.to_thread(ask, self.giver, code)

    def received(self) -> Handover:
        message, fds, _, _ = socket.recv_fds(self.giver, 1 << 20, 8)
        data, names = json.loads(message)
        return Handover.from_dict(data, dict(zip(names, fds, strict=True)))

    async def is_dead(self) -> None:
        """The giver has been killed: its children are the subreaper's now."""
        raw, *_ = await asyncio.to_thread(ask, self.reaper, f"reap({self.pid})")
        assert raw == signal.SIGKILL

    def close(self) -> None:
        self.giver.close()
        self.reaper.close()
        self.process.wait(30)

    async def reap_by(self, who: socket.socket, pid: int) -> tuple[int, Usage]:
        raw, user, system, rss = await asyncio.to_thread(ask, who, f"reap({pid})")
        return raw, Usage(user, system, rss)


class Killed(Elsewhere):
    async def hand_over(self) -> tuple[Handover, dict[str, Any]]:
        self.giver.send(b"send(sp.handover())")
        handover = self.received()
        os.kill(self.pid, signal.SIGKILL)
        await self.is_dead()
        return handover, {"reap": lambda: self.reap_by(self.reaper, handover.pid)}


class Released(Elsewhere):
    async def hand_over(self) -> tuple[Handover, dict[str, Any]]:
        self.giver.send(b"send(sp.release(), close=True)")
        handover = self.received()
        return handover, {"reap": lambda: self.reap_by(self.giver, handover.pid)}


def ask(who: socket.socket, code: str) -> Any:
    who.send(code.encode())
    answer = json.loads(who.recv(1 << 20))
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["value"]


@contextlib.contextmanager
def place(kind: type[Any]) -> Iterator[Any]:
    made = kind()
    try:
        yield made
    finally:
        made.close()


# from here on: what runs in the subreaper, and in the giver


def reap(pid: int) -> tuple[int, float, float, int]:
    _, raw, used = os.wait4(pid, 0)
    return raw, used.ru_utime, used.ru_stime, used.ru_maxrss * 1024


def be_subreaper(ours: socket.socket, givers: socket.socket) -> None:
    import ctypes

    assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
    if os.fork() == 0:
        ours.close()
        asyncio.run(be_giver(givers))
        os._exit(0)
    givers.close()
    while code := ours.recv(1 << 16):
        answer(ours, lambda code=code: eval(code, {"reap": reap}))


async def be_giver(orders: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    names: dict[str, Any] = {**NAMES, "reap": reap}

    def begin(options: dict[str, Any]) -> None:
        names["sp"] = Subprocess(**options)
        names["sp"].start()

    def send(handover: Handover, close: bool = False) -> None:
        fds = dict(handover.descriptors)
        words = json.dumps([handover.to_dict(), list(fds)]).encode()
        rights = array.array("i", fds.values())
        orders.sendmsg([words], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        if close:
            handover.close()

    names.update(begin=begin, send=send)
    orders.setblocking(False)
    orders.send(str(os.getpid()).encode())
    while code := await loop.sock_recv(orders, 1 << 16):
        if code.startswith(b"send("):
            eval(code, names)
            continue
        try:
            value = await evaluate(code.decode(), names)
            answer(orders, lambda value=value: value)
        except Exception as error:
            orders.send(json.dumps({"error": repr(error)}).encode())


def answer(to: socket.socket, act: Any) -> None:
    try:
        told = {"value": act()}
    except Exception as error:
        told = {"error": repr(error)}
    to.send(json.dumps(told, default=repr).encode())


if __name__ == "__main__":
    be_subreaper(*(socket.socket(fileno=int(fd)) for fd in sys.argv[1:3]))
