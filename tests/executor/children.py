"""Short children, and what the tests ask of the system about them."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

TRUE = ["true"]
EXIT_1 = ["false"]
CAT = ["cat"]
SLEEP_30 = ["sleep", "30"]
ENDLESS_OUTPUT = ["yes"]
IGNORES_TERM = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]
EXITS_0_ON_TERM = ["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"]
# a background child that holds the pipes for longer than any test, and tells its id
HELD_PIPE = ["sh", "-c", "sleep 60 & echo $!"]

PATIENCE_S = 30.0


def sh(text: str) -> list[str]:
    return ["sh", "-c", text]


def py(code: str, *args: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code, *args]


def python_that_counts(size: int) -> list[str]:
    """Writes ``size`` bytes that tell their own place."""
    return py("import sys; n=int(sys.argv[1]); d=b'0123456789abcdef'*4096\n"
              "while n: n -= sys.stdout.buffer.write(d[:n])", str(size))  # fmt: skip


async def until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait for a condition, looking every few milliseconds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come in {PATIENCE_S} s")
        await asyncio.sleep(0.005)


def is_alive(pid: int) -> bool:
    """A zombie is dead: nothing of it runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def children_of_ours() -> set[int]:
    """Our children, zombies among them."""
    found = set()
    for task in os.listdir("/proc/self/task"):
        try:
            found |= {
                int(pid) for pid in Path(f"/proc/self/task/{task}/children").read_text().split()
            }
        except FileNotFoundError:  # the thread has ended meanwhile
            continue
    return found


def descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # that of listdir itself
            continue
    return found


def holdings() -> tuple[int, int, int]:
    """Counts of descriptors, threads and children."""
    gc.collect()
    return len(descriptors()), threading.active_count(), len(children_of_ours())


def in_a_fork(act: Callable[[], None]) -> None:
    """Run ``act`` in a forked copy of this process, for what must not be done to the tests' own."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
