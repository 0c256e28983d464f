"""h: following a job: how late a line comes, how much a stream carries, what a follower costs."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from bench import fleet, usage
from bench.client import percentile
from bench.figure import Figure, single
from bench.fleet import Fleet
from bench.measures import Measure, Run
from bench.wrk import Request

# Each line is the time when it was written; the monotonic clock is the same in all processes.
TICKER = """
import sys, time
for _ in range(int(sys.argv[1])):
    print(time.monotonic_ns(), flush=True)
    time.sleep(0.004)
"""
BLOCK = 1 << 18


def take(run: Run) -> list[Figure]:
    """Measure delay, throughput and memory, all through nginx."""
    lines, size = run.amount(1000, 300), run.amount(1 << 28, 1 << 26)
    followers = run.amount(1000, 200)
    delays: dict[str, list[list[float]]] = {"idle": [], "under load": []}
    rates: dict[int, list[float]] = {1: [], 100: []}
    memory = []
    with fleet.up(run.place) as squall:
        for _ in range(run.turns):
            delays["idle"].append(asyncio.run(_delays(squall, lines)))
            _load(squall, run.amount(2000, 600))
            delays["under load"].append(asyncio.run(_delays(squall, lines)))
            for count, values in rates.items():
                values.append(asyncio.run(_rate(squall, size // count, count)))
            memory.append(asyncio.run(_memory(squall, followers)))
            run.tell("a turn of following: done")
    return [
        *(
            single(f"h.delay.{how}.{name}", f"delay of a line, {how}, {name}", "ms", values)
            for how, turns in delays.items()
            for name, values in (
                ("median", [percentile(turn, 0.5) for turn in turns]),
                ("99 %", [percentile(turn, 0.99) for turn in turns]),
            )
        ),
        *(
            Figure(f"h.rate.{count}", f"{count} streams together", "MB/s", {"squall": values})
            for count, values in rates.items()
        ),
        single("h.memory", f"memory of all processes for each of {followers}", "kB", memory),
    ]


async def _delays(squall: Fleet, lines: int) -> list[float]:
    """Milliseconds from a child's write to its follower's read, for each line."""
    job = squall.ask(squall.post(sys.executable, "-c", TICKER, str(lines)))
    reader, writer = await _follow(squall, job["id"])
    delays = []
    while line := await reader.readline():
        delays.append((time.monotonic_ns() - int(line)) / 1e6)
    await _close(writer)
    return delays[1:]  # the first one has waited for us


def _load(squall: Fleet, jobs: int) -> None:
    """Have other jobs run meanwhile."""
    request = squall.post("/bin/true")
    batch = json.dumps([{"args": ["/bin/true"]}] * min(jobs, 1000))
    for _ in range(0, jobs, 1000):
        squall.ask(Request(request.url, request.method, request.headers, batch))


async def _rate(squall: Fleet, size: int, count: int) -> float:
    """MB a second of so many streams of one job that has ended, together."""
    request = squall.post("head", "-c", str(size), "/dev/urandom", wait=600)
    spec = {"args": ["head", "-c", str(size), "/dev/urandom"], "limits": {"output_bytes": size}}
    job = squall.ask(Request(request.url, request.method, request.headers, json.dumps(spec)))

    async def read() -> int:
        reader, writer = await _follow(squall, job["id"])
        came = 0
        while block := await reader.read(BLOCK):
            came += len(block)
        await _close(writer)
        return came

    with usage.stopwatch() as spent:
        came = await asyncio.gather(*(read() for _ in range(count)))
    if set(came) != {size}:
        raise RuntimeError(f"not all came: {min(came)} bytes of {size}")
    return sum(came) / spent[0] / 1e6


async def _memory(squall: Fleet, followers: int) -> float:
    """Kilobytes that each follower of a job costs the four processes together."""
    job = squall.ask(squall.post("sh", "-c", "echo begin; sleep 600"))
    before = usage.memory(squall.pids())
    streams = await asyncio.gather(*(_follow(squall, job["id"]) for _ in range(followers)))
    for reader, _ in streams:
        await reader.readline()
    cost = usage.memory(squall.pids()) - before
    for _, writer in streams:
        await _close(writer)
    squall.command("cancel", job["id"])
    return cost / followers / 1000


async def _follow(squall: Fleet, id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", squall.port, limit=1 << 20)
    head = f"GET /v1/jobs/{id}/stdout?follow=true HTTP/1.0\r\nHost: localhost\r\n"
    writer.write(f"{head}Authorization: Bearer {squall.token}\r\n\r\n".encode())
    status = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in status.partition(b"\r\n")[0]:
        raise RuntimeError(f"not followed: {status.decode()}")
    return reader, writer


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


MEASURE = Measure("h", "Following a job", (), take)
