"""What processes use: memory and processor time, as the kernel counts it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.1


def memory(pids: Iterable[int]) -> int:
    """Bytes of memory of these processes together; what they share counts once (PSS)."""
    return sum(_pss(pid) for pid in pids)


def processor(pids: Iterable[int]) -> float:
    """Seconds of processor time that these processes have taken, without their children's."""
    return sum(_seconds(pid) for pid in pids)


@contextmanager
def peak_memory(pids: list[int]) -> Iterator[list[int]]:
    """Sample the memory of processes; the one item of the list is the most that was seen."""
    peak = [memory(pids)]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_S):
            peak[0] = max(peak[0], memory(pids))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        done.set()
        sampler.join()


@contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Take the time; the one item of the list is the seconds of the block."""
    seconds = [0.0]
    begin = time.perf_counter()
    yield seconds
    seconds[0] = time.perf_counter() - begin


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
