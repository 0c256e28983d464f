"""Huey on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.needs import module, python
from bench.peers import APPS, Peer
from bench.peers.queue import WORKERS, Drive, driver
from bench.place import Place


@contextmanager
def ready(place: Place) -> Iterator[Drive]:
    """Have a consumer wait for jobs."""
    env = {"BENCH_HUEY": str(place.directory("huey") / "huey.db"), "PYTHONPATH": str(APPS)}
    consumer = Path(python()).parent / "huey_consumer"
    options = ["huey_app.huey", "-w", str(WORKERS), "-k", "process", "-q"]
    with place.running(consumer, *options, env=env, cwd=APPS):
        drive = driver("huey_app", env)
        drive(WORKERS, 1)
        yield drive


HUEY = Peer("Huey", (module("huey"),), ready)
