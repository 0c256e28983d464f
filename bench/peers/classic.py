"""The classic stack: Flask with gunicorn's nine workers, the first page cached in Redis, nginx."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import front
from bench.needs import module, program, python
from bench.peers import APPS, Peer, redis
from bench.place import Place, wait_until
from bench.wrk import Request

WORKERS = 9
TOKEN = "a-token-as-long-as-the-one-of-squall-is-here"


@contextmanager
def ready(place: Place) -> Iterator[Request]:
    """Have it answer with the first page of the jobs in `filled-10000`; the request for that."""
    socket = place.directory("classic") / "gunicorn.sock"
    with redis.running(place) as url:
        env = {
            "BENCH_REDIS": url,
            "BENCH_LEDGER": str(place.path / "filled-10000" / "ledger.db"),
            "BENCH_TOKEN": TOKEN,
        }
        gunicorn = Path(python()).parent / "gunicorn"
        options = ["-w", str(WORKERS), "--backlog", "2048", "-b", f"unix:{socket}"]
        with place.running(gunicorn, *options, "flask_app:app", env=env, cwd=APPS):
            wait_until(socket.exists, "gunicorn")
            with front.before(place, f"unix:{socket}") as front_url:
                headers = {"Authorization": f"Bearer {TOKEN}"}
                yield Request(f"{front_url}/v1/jobs?limit=10", headers=headers)


CLASSIC = Peer(
    "classic stack",
    (
        module("flask"),
        module("gunicorn"),
        module("redis"),
        program("redis-server"),
        program("nginx", "nginx-light"),
    ),
    ready,
)
