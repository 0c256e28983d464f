"""Celery with Redis as broker and as store of results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.needs import module, program, python
from bench.peers import APPS, Peer, redis
from bench.peers.queue import WORKERS, Drive, driver
from bench.place import Place


@contextmanager
def ready(place: Place) -> Iterator[Drive]:
    """Have a worker wait for jobs."""
    with redis.running(place) as url:
        env = {"BENCH_REDIS": url}
        worker = ["-m", "celery", "-A", "celery_app", "worker", "-c", str(WORKERS), "-l", "error"]
        with place.running(python(), *worker, env=env, cwd=APPS):
            drive = driver("celery_app", env)
            drive(WORKERS, 1)  # it is up when it has done some
            yield drive


CELERY = Peer("Celery", (module("celery"), module("redis"), program("redis-server")), ready)
