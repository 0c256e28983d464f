"""Real processes of the service, asked over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PATIENCE_S = 30.0


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Service:
    """Some processes that share a state directory."""

    def __init__(
        self, directory: Path, count: int, *, prefix: tuple[str, ...] = (), **settings: object
    ) -> None:
        """Start them, behind the command `prefix`, and wait until they are ready."""
        self.directory = directory
        self.prefix = prefix
        self.ports = free_ports(count)
        self.environ = {
            **{name: value for name, value in os.environ.items() if "SQUALL" not in name},
            "SQUALL_STATE_DIR": str(directory),
            "SQUALL_JOBS_DRAIN": "2",
            "SQUALL_PROCESSES_COUNT": str(count),
            "SQUALL_PROCESSES_FIRST_PORT": str(self.ports[0]),
            **{name: str(value) for name, value in settings.items()},
        }
        self.processes = {port: self.start(port) for port in self.ports}
        try:
            for port in self.ports:
                self.wait_ready(port)
        except BaseException:
            self.stop()
            raise
        self.token = (directory / "token").read_text().strip()

    def start(self, port: int) -> subprocess.Popen[bytes]:
        """Start one process."""
        command = [*self.prefix, sys.executable, "-m", "service", "--port", str(port)]
        return subprocess.Popen(command, env=self.environ, stderr=subprocess.PIPE)

    def restart(self, port: int) -> None:
        """Start a process again that has ended."""
        self.processes[port].wait(PATIENCE_S)
        close(self.processes[port])
        self.processes[port] = self.start(port)
        self.wait_ready(port)

    def kill(self, port: int, number: int = signal.SIGKILL) -> None:
        """Signal one process."""
        self.processes[port].send_signal(number)

    def wait_ready(self, port: int) -> None:
        """Wait until a process takes work."""

        def is_ready() -> bool:
            assert self.processes[port].poll() is None, self.processes[port].communicate()
            try:
                return self.ask("GET", "/readyz", port=port, token=None).status == 200
            except OSError:
                return False

        eventually(is_ready)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        port: int | None = None,
        token: str | None = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request to a process, the first one by default; a body is sent as JSON."""
        given = dict(headers or {})
        if token is not None:
            given.setdefault("Authorization", f"Bearer {token or self.token}")
        if body is not None:
            given.setdefault("Content-Type", "application/json")
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", port or self.ports[0], timeout=60)
        try:
            connection.request(method, path, body=body, headers=given)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def submit(self, *args: str, port: int | None = None, **spec: object) -> Any:
        """Submit a job that must be accepted."""
        answer = self.ask("POST", "/v1/jobs", {"args": args, **spec}, port=port)
        assert answer.status == 202, answer
        return answer.json

    def run(self, *args: str, port: int | None = None, wait: float = 30, **spec: object) -> Any:
        """Run a job to its end."""
        headers = {"Prefer": f"wait={wait}"}
        body = {"args": args, **spec}
        answer = self.ask("POST", "/v1/jobs", body, port=port, headers=headers)
        assert answer.status == 200, answer
        return answer.json

    def get(self, id: str, port: int | None = None, query: str = "") -> Any:
        """Get a job that must exist."""
        answer = self.ask("GET", f"/v1/jobs/{id}{query}", port=port)
        assert answer.status == 200, answer
        return answer.json

    def wait_state(self, id: str, *states: str, port: int | None = None) -> Any:
        """Wait until a job is in one of the states."""
        eventually(lambda: self.get(id, port)["state"] in states)
        return self.get(id, port)

    def stop(self) -> None:
        """End everything."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
            close(process)


def close(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    if process.stderr:
        process.stderr.close()


def eventually(is_true: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)


def free_ports(count: int) -> list[int]:
    """Return neighbouring ports on which nobody listens."""
    for first in range(20_000 + os.getpid() % 10_000, 60_000, count):
        if all(_is_free(port) for port in range(first, first + count)):
            return list(range(first, first + count))
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def start_service() -> Iterator[Callable[..., Service]]:
    """Start services of one's own, with settings of one's own."""
    with tempfile.TemporaryDirectory(prefix="squall-") as directory:
        started: list[Service] = []

        def start(count: int = 1, **settings: Any) -> Service:
            path = Path(directory, str(len(started)))
            started.append(Service(path, count, **settings))
            return started[-1]

        yield start
        for service in started:
            service.stop()


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """Two processes that all tests share."""
    with tempfile.TemporaryDirectory(prefix="squall-") as directory:
        service = Service(Path(directory, "state"), 2)
        yield service
        service.stop()
