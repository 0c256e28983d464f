"""squall as people run it: `squall up`, with nginx in front and four processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.place import Place, free_ports
from bench.wrk import Request

SQUALL = (sys.executable, "-c", "from service.cli import main; main()")
PROCESSES = 4


class Fleet:
    """One squall that runs."""

    def __init__(self, state: Path, **settings: object) -> None:
        """Take its state directory and settings (`JOBS_RUNNING=500`); nothing starts."""
        self.state = state
        first, *_, front = free_ports(PROCESSES + 1)
        self.port = front
        self.first_port = first
        self.environ = {
            **{name: value for name, value in os.environ.items() if "SQUALL" not in name},
            "SQUALL_STATE_DIR": str(state),
            "SQUALL_FRONT_PORT": str(front),
            "SQUALL_PROCESSES_COUNT": str(PROCESSES),
            "SQUALL_PROCESSES_FIRST_PORT": str(first),
            **{f"SQUALL_{name}": str(value) for name, value in settings.items()},
        }

    def command(self, *args: str) -> str:
        """Run a `squall` command to its end and return what it prints."""
        done = subprocess.run(
            [*SQUALL, *args], env=self.environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"squall {' '.join(args)}: {done.stderr or done.stdout}")
        return done.stdout

    @property
    def token(self) -> str:
        """The token that every request needs."""
        return (self.state / "token").read_text().strip()

    @property
    def url(self) -> str:
        """Where nginx listens."""
        return f"http://127.0.0.1:{self.port}"

    def pids(self) -> list[int]:
        """The ids of the processes."""
        return [each["pid"] for each in self._processes()]

    def guards(self) -> list[int]:
        """The ids of their guards."""
        return [each["guard_pid"] for each in self._processes()]

    def _processes(self) -> list[dict[str, Any]]:
        status = json.loads(self.command("status", "--json"))
        return [each for each in status["processes"] if each["name"].isdecimal()]

    def post(self, *args: str, wait: float | None = None) -> Request:
        """Return the request that runs a command: held until it has ended where `wait` is given."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if wait is not None:
            headers["Prefer"] = f"wait={wait:g}"
        return Request(f"{self.url}/v1/jobs", "POST", headers, json.dumps({"args": args}))

    def get(self, path: str) -> Request:
        """Return a request that reads something."""
        return Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})

    def ask(self, request: Request) -> Any:
        """Send one request and return the JSON of its answer."""
        sent = urllib.request.Request(
            request.url,
            data=request.body.encode() if request.body else None,
            headers=dict(request.headers or {}),
            method=request.method,
        )
        with urllib.request.urlopen(sent, timeout=120) as answer:
            return json.loads(answer.read())

    def is_idle(self) -> bool:
        """Whether every job has ended."""
        page = self.ask(self.get("/v1/jobs?state=queued&state=running&limit=1"))
        return not page["jobs"]


@contextmanager
def up(place: Place, state: Path | None = None, **settings: object) -> Iterator[Fleet]:
    """Have a squall up, in a state directory of its own unless one is given."""
    if state is None:
        state = place.directory(f"squall-{len(list(place.path.glob('squall-*')))}")
    fleet = Fleet(state, **settings)
    fleet.command("up")
    try:
        yield fleet
    finally:
        fleet.command("down")
