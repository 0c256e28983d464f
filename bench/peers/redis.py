"""Redis, which Celery, RQ and the classic stack need; as it is out of the box, without its disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.place import Place, free_ports, is_open, wait_until


@contextmanager
def running(place: Place) -> Iterator[str]:
    """Have one on a free port; its URL, without a database."""
    (port,) = free_ports()
    directory = place.directory(f"redis-{port}")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    with place.running("redis-server", *options, "--save", "", "--appendonly", "no"):
        wait_until(lambda: is_open(port), "redis")
        yield f"redis://127.0.0.1:{port}"
