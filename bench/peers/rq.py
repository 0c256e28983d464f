"""RQ with Redis: its workers fork for each job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.needs import module, program, python
from bench.peers import APPS, Peer, redis
from bench.peers.queue import WORKERS, Drive, driver
from bench.place import Place


@contextmanager
def ready(place: Place) -> Iterator[Drive]:
    """Have a pool of workers wait for jobs."""
    with redis.running(place) as url:
        env = {"BENCH_REDIS": url, "PYTHONPATH": str(APPS)}
        pool = ["worker-pool", "-n", str(WORKERS), "-u", f"{url}/0", "-q", "default"]
        with place.running(Path(python()).parent / "rq", *pool, env=env, cwd=APPS):
            drive = driver("rq_app", env)
            drive(WORKERS, 1)
            yield drive


RQ = Peer("RQ", (module("rq"), module("redis"), program("redis-server")), ready)
