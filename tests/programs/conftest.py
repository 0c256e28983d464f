"""A fleet of one's own: a copy of the clone, free ports, a state directory, a home."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service import proc
from service.programs import nginx, processes

ROOT = Path(__file__).parents[2]
SQUALL = ["-c", "from service.cli import main; main()"]
SUPERVISORCTL = ["-m", "supervisor.supervisorctl"]

EACH_NGINX = [pytest.param(path, id=path.parts[-2]) for path in nginx.candidates()]

PATIENCE_S = 60.0


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE_S) -> Any:
    """Ask until it is true, and return what it said; fails when the time is up."""
    deadline = time.monotonic() + seconds
    while not (said := condition()):
        assert time.monotonic() < deadline, f"still not: {condition}"
        time.sleep(0.02)
    return said


def free_ports(count: int) -> int:
    """Return the first of so many free ports in a row, below those that the system hands out."""
    while True:
        first = random.randrange(20_000, 32_000)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


class Fleet:
    """A user's view of one fleet: the commands, HTTP, and what /proc shows."""

    def __init__(self, clone: Path, home: Path, prefix: tuple[str, ...] = ()) -> None:
        """Take the clone to run from and an empty home; nothing is started."""
        self.clone = clone
        self.python = sys.executable
        self.supervisord_conf = "supervisor/supervisord.conf"
        self.state = home / "state"
        self.front_port = free_ports(5)
        self.ports = list(range(self.front_port + 1, self.front_port + 5))
        self.prefix = prefix
        self.environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "PYTHONPATH": str(clone),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SQUALL_STATE_DIR": str(self.state),
            "SQUALL_FRONT_PORT": str(self.front_port),
            "SQUALL_PROCESSES_FIRST_PORT": str(self.ports[0]),
            "SQUALL_JOBS_DRAIN": "5",
        }

    def squall(self, *args: str, code: int | None = 0) -> str:
        """Run a squall command; returns all that it printed."""
        command = self.popen(*args)
        output, _ = command.communicate(timeout=PATIENCE_S * 2)
        if code is not None:
            assert command.returncode == code, f"squall {args}: {output}\n{self.logs()}"
        return output

    def popen(self, *args: str) -> subprocess.Popen[str]:
        """Start a squall command."""
        return subprocess.Popen(
            [*self.prefix, self.python, *SQUALL, *args],
            env=self.environ,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def use_nginx(self, binary: Path) -> None:
        """Have this nginx found first."""
        directory = Path(self.environ["HOME"], "bin")
        directory.mkdir()
        (directory / "nginx").symlink_to(binary)
        self.environ["PATH"] = f"{directory}:{self.environ['PATH']}"

    def status(self) -> dict[str, dict[str, Any]]:
        """Return the processes by name."""
        said = json.loads(self.squall("status", "--json", code=None))
        return {process["name"]: process for process in said["processes"]}

    def request(
        self, method: str, path: str, body: bytes | None = None, port: int | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Make one request through nginx, with the token; returns status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.front_port, timeout=60)
        try:
            connection.request(method, path, body, self.headers())
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def headers(self) -> dict[str, str]:
        """Return what every request carries."""
        token = (self.state / "token").read_text().strip()
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def supervisorctl(self, *args: str) -> str:
        """Run supervisorctl with the committed file, as the README says."""
        argv = [*self.prefix, self.python, *SUPERVISORCTL, "-c", self.supervisord_conf, *args]
        done = subprocess.run(
            argv, cwd=self.clone, env=self.environ, capture_output=True, text=True, timeout=120
        )
        return done.stdout + done.stderr

    def alive(self) -> list[int]:
        """Return every process that has a file of the state directory open."""
        ours = f"{self.state}/"
        return [
            pid
            for pid in proc.pids()
            if processes.is_alive(pid)
            and any(name.startswith(ours) for name in processes.open_files(pid))
        ]

    def leavings(self) -> list[str]:
        """Return the sockets and pid files there are."""
        run = self.state / "run"
        return [p.name for p in run.iterdir() if p.is_socket() or p.suffix == ".pid"]

    def logs(self) -> str:
        """Return the end of every log, for a failure's report."""
        ends = []
        for log in sorted((self.state / "log").glob("*")) if self.state.exists() else []:
            ends.append(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}")
        return "\n".join(ends)


@pytest.fixture(scope="session")
def clone() -> Iterator[Path]:
    """A copy of the files that a clone has, so that no test touches the real one's link."""
    with tempfile.TemporaryDirectory(prefix="squall-clone-") as directory:
        ignore = shutil.ignore_patterns("__pycache__", "run")
        for name in ("executor", "service", "nginx", "supervisor"):
            shutil.copytree(ROOT / name, Path(directory, name), ignore=ignore, symlinks=True)
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def fleet(clone: Path) -> Iterator[Fleet]:
    """A fleet that is not up yet; it is taken down at the end, whatever happened."""
    # not tmp_path: its name is too long for a socket
    with tempfile.TemporaryDirectory(prefix="squall-") as home:
        fleet = Fleet(clone, Path(home))
        yield fleet
        fleet.squall("down", code=None)


@pytest.fixture(scope="module")
def running(clone: Path) -> Iterator[Fleet]:
    """A fleet that is up, for all tests of a file."""
    with tempfile.TemporaryDirectory(prefix="squall-") as home:
        fleet = Fleet(clone, Path(home))
        fleet.squall("up")
        yield fleet
        fleet.squall("down", code=None)
