"""The C loop of posix_spawn: all that the machine gives, one loop on each of two cores."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.needs import program
from bench.peers import Peer
from bench.place import Place

SOURCE = Path(__file__).parent.parent / "spawn_loop.c"
LOOPS = 2
RUNS = 1500

# Runs a command, so many at once over all loops; returns the runs a second.
Loop = Callable[[list[str], int], float]


@contextmanager
def ready(place: Place) -> Iterator[Loop]:
    """Build it."""
    binary = place.directory("c-loop") / "spawn_loop"
    subprocess.run(["cc", "-O2", "-o", binary, SOURCE], check=True)
    yield lambda args, at_once: _rate(binary, args, at_once)


def _rate(binary: Path, args: list[str], at_once: int) -> float:
    loops = min(LOOPS, at_once)
    command = [str(binary), str(at_once // loops), str(RUNS), *args]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(loops)]
    return sum(RUNS / float(loop.communicate()[0].split()[0]) for loop in running)


C_LOOP = Peer("C loop", (program("cc", "gcc"),), ready)
