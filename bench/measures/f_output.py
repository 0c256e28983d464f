"""f: a gigabyte of output from one job: captured, and followed while it comes."""

from __future__ import annotations

import http.client
import json
import subprocess
from functools import partial
from pathlib import Path

from bench import fleet, usage
from bench.figure import SQUALL, Figure
from bench.fleet import Fleet
from bench.measures import Measure, Run
from bench.wrk import Request

WAIT_S = 600
BLOCK = 1 << 18
LINE = "the quick brown fox jumps over the lazy dog; squall keeps all of it, line by line"


def take(run: Run) -> list[Figure]:
    """MB a second of a job whose whole output is kept, beside `command > file`; and the memory."""
    size = run.amount(1 << 30, 1 << 28)
    rates: dict[str, dict[str, list[float]]] = {"captured": {}, "followed": {}}
    peaks: list[float] = []
    with fleet.up(run.place) as squall:
        for _ in range(run.turns):
            for how, contestant, act in (
                ("captured", SQUALL, partial(_captured, squall)),
                ("captured", "> file", partial(_into_file, run.place.path / "output")),
                ("followed", SQUALL, partial(_followed, squall)),
                ("followed", "> file", partial(_into_file, run.place.path / "output")),
            ):
                with usage.peak_memory(squall.pids()) as peak, usage.stopwatch() as spent:
                    act(size)
                rates[how].setdefault(contestant, []).append(size / spent[0] / 1e6)
                if contestant == SQUALL:
                    peaks.append(peak[0] / 1e6)
            _forget(squall)
            run.tell("a turn of output: done")
    what = f"{size / 1e9:.1f} GB of lines"
    return [
        *(Figure(f"f.{how}", f"{what}, {how}", "MB/s", turns) for how, turns in rates.items()),
        Figure("f.memory", "memory of all processes, at most", "MB", {SQUALL: peaks}, True),
    ]


def _command(size: int) -> list[str]:
    return ["/bin/sh", "-c", f"yes '{LINE}' | head -c {size}"]


def _job(squall: Fleet, size: int, wait: float | None) -> Request:
    request = squall.post(*_command(size), wait=wait)
    body = {"args": _command(size), "limits": {"output_bytes": size}}
    return Request(request.url, request.method, request.headers, json.dumps(body))


def _captured(squall: Fleet, size: int) -> None:
    job = squall.ask(_job(squall, size, WAIT_S))
    if (job["state"], job["stdout"]["bytes"], job["stdout"]["dropped"]) != ("succeeded", size, 0):
        raise RuntimeError(f"not captured: {job['state']}, {job['reason']}")


def _followed(squall: Fleet, size: int) -> None:
    job = squall.ask(_job(squall, size, None))
    connection = http.client.HTTPConnection("127.0.0.1", squall.port, timeout=WAIT_S)
    token = {"Authorization": f"Bearer {squall.token}"}
    connection.request("GET", f"/v1/jobs/{job['id']}/stdout?follow=true", headers=token)
    answer = connection.getresponse()
    came = 0
    while block := answer.read(BLOCK):
        came += len(block)
    connection.close()
    if came != size:
        raise RuntimeError(f"{came} bytes came of {size}")


def _into_file(path: Path, size: int) -> None:
    with path.open("wb") as file:
        subprocess.run(_command(size), stdout=file, check=True)
    path.unlink()


def _forget(squall: Fleet) -> None:
    """Free the disk."""
    for job in squall.ask(squall.get("/v1/jobs"))["jobs"]:
        connection = http.client.HTTPConnection("127.0.0.1", squall.port, timeout=WAIT_S)
        token = {"Authorization": f"Bearer {squall.token}"}
        connection.request("DELETE", f"/v1/jobs/{job['id']}", headers=token)
        connection.getresponse().read()
        connection.close()


MEASURE = Measure("f", "A gigabyte of output", (), take)
