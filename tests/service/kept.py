"""What a test of misfortunes has in hand: a connection to a process without room, its ledger."""

from __future__ import annotations

import http.client
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import apsw
import pytest

from tests.service.conftest import Answer, Service


class Kept:
    """One connection to one process, kept alive; a context that closes it."""

    def __init__(self, service: Service, port: int | None = None) -> None:
        self._service = service
        self.port = port or service.ports[0]
        self.pid = service.processes[self.port].pid
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.ask("GET", "/livez")

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        self.send(method, path, body=body)
        return self.answer()

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: object = None
    ) -> None:
        given = {"Authorization": f"Bearer {self._service.token}", **(headers or {})}
        if body is not None:
            given["Content-Type"] = "application/json"
        data = json.dumps(body).encode() if body is not None else None
        self._connection.request(method, path, body=data, headers=given)

    def answer(self) -> Answer:
        response = self._connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def get(self, id: str) -> Any:
        return self.ask("GET", f"/v1/jobs/{id}").json

    @contextmanager
    def no_descriptors(self) -> Iterator[None]:
        """Leave the process those that it has open."""
        with self.limited(resource.RLIMIT_NOFILE, 0):
            yield

    @contextmanager
    def limited(self, limit: int, soft: int) -> Iterator[None]:
        """Lower a limit of the process for a while."""
        before = resource.prlimit(self.pid, limit)
        resource.prlimit(self.pid, limit, (soft, before[1]))
        try:
            yield
        finally:
            resource.prlimit(self.pid, limit, before)


@contextmanager
def ledger_of(service: Service) -> Iterator[apsw.Connection]:
    """Write to a ledger that is in use."""
    db = apsw.Connection(str(service.directory / "ledger.db"))
    db.set_busy_timeout(10_000)
    try:
        yield db
    finally:
        db.close()


def as_somebody(uid: int, *command: str) -> tuple[str, ...]:
    """Return what makes a user without a name of a service, behind a command; skips where not."""
    become = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    if subprocess.run([*become, sys.executable, "-c", ""], capture_output=True).returncode:
        pytest.skip("other users cannot run this interpreter")
    script = f"""
        install -d -o {uid} "$SQUALL_STATE_DIR"
        chmod 711 "$SQUALL_STATE_DIR/.."
        exec "$@"
    """
    return ("sh", "-c", script, "sh", *command, *become)
