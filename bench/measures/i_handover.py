"""i: running jobs handed from one process to the next."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from dataclasses import replace

from bench import fleet, usage
from bench.figure import SQUALL, Figure
from bench.fleet import Fleet
from bench.measures import Measure, Run
from bench.place import wait_until

BATCH = 500
SLEEP = {"args": ["/bin/sleep", "300"]}
COUNTS = (1, 100, 1000)  # more need more descriptors than many machines grant


def take(run: Run) -> list[Figure]:
    """Seconds without an answer when a process is killed, or replaced; the memory of its guard."""
    values: dict[str, list[float]] = {}
    for _ in range(min(run.turns, 3)):
        for count in COUNTS:
            with fleet.up(run.place, PROCESSES_COUNT=1, JOBS_RUNNING=count + 50) as squall:
                for key, value in _one(squall, count).items():
                    values.setdefault(key, []).append(value)
            run.tell(f"{count:,} jobs handed over: done")
    return [
        Figure(f"i.{key}", what, unit, {SQUALL: values[key]}, less_is_better=True)
        for key, (what, unit) in SHOWN.items()
    ]


SHOWN = {
    **{f"killed.{n}": (f"no answer after kill -9, {n:,} jobs run", "s") for n in COUNTS},
    **{f"replaced.{n}": (f"no answer at a reload, {n:,} jobs run", "s") for n in COUNTS},
    **{f"guard.{n}": (f"memory of a guard of {n:,} jobs", "MB") for n in COUNTS},
}


def _one(squall: Fleet, count: int) -> dict[str, float]:
    port = squall.first_port
    request = squall.post("/bin/true")
    for begin in range(0, count, BATCH):
        body = json.dumps([SLEEP] * min(BATCH, count - begin))
        squall.ask(replace(request, body=body))
    wait_until(lambda: not squall.ask(squall.get("/v1/jobs?state=queued&limit=1"))["jobs"], "run")
    guard = squall.guards()[0]
    wait_until(lambda: _held(guard) == count, "all are stored")
    found = {
        f"guard.{count}": usage.memory([guard]) / 1e6,
        f"killed.{count}": _silence(port, squall.pids()[0], signal.SIGKILL),
    }
    wait_until(lambda: bool(squall.pids()[0]), "it is back")
    found[f"replaced.{count}"] = _silence(port, guard, signal.SIGHUP)
    lost = squall.ask(squall.get("/v1/jobs?state=lost&limit=1"))["jobs"]
    if lost:
        raise RuntimeError(f"a job was lost: {lost[0]['id']}")
    return found


def _held(guard: int) -> int:
    fds = f"/proc/{guard}/fd"
    return sum(os.readlink(f"{fds}/{fd}") == "anon_inode:[pidfd]" for fd in os.listdir(fds))


def _silence(port: int, pid: int, number: int) -> float:
    """Return the longest time to an answer from the moment of the signal on, for two seconds."""
    begin = time.perf_counter()
    os.kill(pid, number)
    longest = 0.0
    while time.perf_counter() < begin + 2:
        asked = time.perf_counter()
        while not _answers(port):
            pass
        longest = max(longest, time.perf_counter() - asked)
        time.sleep(0.001)
    return longest


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(65_536).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


MEASURE = Measure("i", "Handing over", (), take)
