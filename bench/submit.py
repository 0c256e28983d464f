"""Submits jobs to squall over one connection, and waits until all of them have ended."""

from __future__ import annotations

import asyncio
import json
import time

from bench import client
from bench.fleet import Fleet
from bench.place import wait_until

TRUE = {"args": ["/bin/true"]}


def rate(squall: Fleet, jobs: int, batch: int) -> float:
    """Submit in batches, or one by one when `batch` is 1; jobs a second until all are stored."""
    body = json.dumps(TRUE if batch == 1 else [TRUE] * batch).encode()
    begin = time.perf_counter()
    asyncio.run(post(squall, [body] * (jobs // batch)))
    wait_until(squall.is_idle, "the jobs end", 600)
    return jobs / (time.perf_counter() - begin)


async def post(squall: Fleet, bodies: list[bytes]) -> list[client.Answer]:
    """Submit each body, one after the other; every one must be accepted."""
    requests = [("POST", "/v1/jobs", body) for body in bodies]
    answers = await client.each(squall.port, squall.token, requests, 1)
    for answer in answers:
        if answer.status != 202:
            raise RuntimeError(f"refused: {answer}")
    return answers
