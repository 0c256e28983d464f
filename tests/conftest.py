"""The whole of squall, as `squall up` starts it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.conftest import Service, eventually, free_ports

SQUALL = Path(sysconfig.get_path("scripts"), "squall")


class Front(Service):
    """nginx, supervisord and four processes; asked through nginx unless a port is named."""

    def __init__(self, directory: Path) -> None:
        """Start all, and wait until it is ready."""
        front, *ports = free_ports(5)
        self.directory = directory / "state"
        self.ports = [front]
        self.process_ports = ports
        self.url = f"http://127.0.0.1:{front}"
        self.environ = {
            **{name: value for name, value in os.environ.items() if "SQUALL" not in name},
            "PATH": f"{SQUALL.parent}:{os.environ['PATH']}",
            "HOME": str(directory),
            "SQUALL_STATE_DIR": str(self.directory),
            "SQUALL_FRONT_PORT": str(front),
            "SQUALL_PROCESSES_FIRST_PORT": str(ports[0]),
            "SQUALL_JOBS_DRAIN": "2",
        }
        self.squall("up")
        self.token = self.squall("token").strip()

    def squall(self, *args: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run a command that must end with one of the codes; returns what it printed."""
        ran = subprocess.run(
            [SQUALL, *args],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert ran.returncode in codes, ran.stderr
        return ran.stdout

    def wait_ready_at(self, port: int) -> None:
        """Wait until one process takes work."""

        def is_ready() -> bool:
            try:
                return self.ask("GET", "/readyz", port=port).status == 200
            except OSError:
                return False

        eventually(is_ready)

    def pids(self) -> dict[str, int]:
        """Return the pids by name: each process's port, and nginx."""
        told = self.squall("status", codes=(0, 1))  # 1: not all of it runs
        rows = [line.split() for line in told.splitlines()]
        return {row[0]: int(row[3]) for row in rows if len(row) > 3 and row[3].isdecimal()}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the library's tests first: they count this process's children and descriptors.

    Fixtures of the session (processes of the service) would be among them later.
    """
    items.sort(key=lambda item: "executor" not in item.path.parts)


@pytest.fixture(autouse=True, scope="session")
def no_default_loop() -> None:
    """Else the first `io_loop` makes asyncio open a loop of its own, which nobody closes."""
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def front() -> Iterator[Front]:
    """One for all tests that don't break it for good."""
    with tempfile.TemporaryDirectory(prefix="squall-") as directory:
        front = Front(Path(directory))
        yield front
        front.squall("down")
