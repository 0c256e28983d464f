"""g: from nothing to the first answer, and what an idle service takes."""

from __future__ import annotations

import subprocess
import sys
import time

from bench import fleet, usage
from bench.figure import SQUALL, Figure, single
from bench.measures import Measure, Run


def take(run: Run) -> list[Figure]:
    """Seconds until the first job's answer, seconds of an import, memory of idle processes."""
    first, memory = [], []
    for _ in range(run.turns):
        begin = time.perf_counter()
        with fleet.up(run.place) as squall:
            squall.ask(squall.post("/bin/true", wait=30))
            first.append(time.perf_counter() - begin)
            memory.append(usage.memory(squall.pids()) / 1e6)
    return [
        single("g.first", "`squall up` until the first job's answer", "s", first),
        single("g.memory", "memory of the four idle processes", "MB", memory),
        _imports(run),
    ]


def _imports(run: Run) -> Figure:
    """What the interpreter takes alone is shown beside."""
    codes = {SQUALL: "import executor", "interpreter alone": "", "asyncio alone": "import asyncio"}
    turns: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(3 * run.turns):
        for name, code in codes.items():
            with usage.stopwatch() as spent:
                subprocess.run([sys.executable, "-c", code], check=True)
            turns[name].append(spent[0] * 1e3)
    return Figure("g.import", "`import executor`", "ms", turns, less_is_better=True)


MEASURE = Measure("g", "Start", (), take)
