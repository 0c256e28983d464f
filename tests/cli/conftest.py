"""The real command against a real process of the service."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import termios
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

SQUALL = Path(sysconfig.get_path("scripts"), "squall")
PATIENCE_S = 60.0


class Squall:
    """The command `squall` for one service; a context of environment variables and nothing else."""

    def __init__(self, url: str, state_dir: Path) -> None:
        """Take the address of the service, and its state directory."""
        self.url = url
        self.state_dir = state_dir
        self.environ = {
            **{name: value for name, value in os.environ.items() if "SQUALL" not in name},
            "SQUALL_URL": url,
            "SQUALL_STATE_DIR": str(state_dir),
            "TERM": "xterm-256color",
        }
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            self.environ.pop(name, None)

    def __call__(
        self, *args: str, stdin: bytes | None = None, cwd: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end; standard input is the null device, or a pipe with `stdin`."""
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run(
            [SQUALL, *args],
            capture_output=True,
            env=self.environ | environ,
            cwd=cwd,
            timeout=PATIENCE_S,
            **given,
        )

    def start(self, *args: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start it with pipes on its output."""
        return subprocess.Popen(
            [SQUALL, *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ | environ,
        )

    def on_terminal(self, *args: str, columns: int = 100, **environ: str) -> str:
        """Run it with a terminal for all three streams; returns what a person's terminal gets."""
        master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        with subprocess.Popen(
            [SQUALL, *args], stdin=slave, stdout=slave, stderr=slave, env=self.environ | environ
        ):
            os.close(slave)
            shown = b"".join(iter(lambda: _read(master), b""))
        os.close(master)
        return shown.decode()

    def submit(self, *args: str) -> str:
        """Submit a job, and return its id once it has ended."""
        done = self("submit", "--wait", "--", *args)
        return done.stdout.decode().strip()

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as the contract has it."""
        document: dict[str, Any] = json.loads(self("show", "--json", job_id).stdout)
        return document

    def newest(self) -> dict[str, Any]:
        """Return the job that was accepted last."""
        document: dict[str, Any] = json.loads(self("ps", "--json", "-n", "1").stdout)["jobs"][0]
        return document


@pytest.fixture(scope="session")
def squall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Squall]:
    """The command, and one process of the service that it talks to."""
    port = free_port()
    command = Squall(f"http://127.0.0.1:{port}", tmp_path_factory.mktemp("s"))
    command.environ["PYTHONWARNINGS"] = "error"
    log = command.state_dir / "test.log"
    settings = {
        "SQUALL_PROCESSES_COUNT": "1",
        "SQUALL_PROCESSES_FIRST_PORT": str(port),
        "SQUALL_JOBS_DRAIN": "1",
    }
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "service", "--port", str(port)],
            env=command.environ | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            wait_until(lambda: is_ready(command.url) or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield command
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_S)
            finally:
                process.kill()


def wait_until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition; fails when it doesn't come."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_ready(url: str) -> bool:
    """Whether the service at `url` takes work."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=PATIENCE_S) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def free_port(count: int = 1) -> int:
    """Return the first of some ports in a row that nobody listens on.

    They lie below those that the system gives to outgoing connections, which come and go.
    """
    while True:
        first = random.randrange(10_000, 32_000)
        if all(map(_is_free, range(first, first + count))):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def error(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return what a command said on standard error."""
    return done.stderr.decode()


def json_lines(output: bytes) -> Sequence[Any]:
    """Return the documents of an output with one a line."""
    return [json.loads(line) for line in output.splitlines()]


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65_536)
    except OSError:
        return b""  # EIO: nobody holds the other side any more
