"""One process of the service under its guard."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from service.programs.processes import is_alive

from ..service.conftest import Service, eventually


class Guarded(Service):
    """One process under its guard."""

    def start(self, port: int) -> subprocess.Popen[bytes]:
        """Start the guard."""
        command = [sys.executable, "-S", "-m", "service.guard", "--port", str(port)]
        return subprocess.Popen(command, env=self.environ, stderr=subprocess.PIPE)

    @property
    def port(self) -> int:
        """The one port there is."""
        return self.ports[0]

    @property
    def guard(self) -> subprocess.Popen[bytes]:
        """The guard itself."""
        return self.processes[self.port]

    @property
    def pid(self) -> int | None:
        """The pid of the process that has signed last; None when it is dead."""
        words = (self.directory / "run" / f"{self.port}.lock").read_text().split()
        pid = int(words[2]) if len(words) == 3 else 0
        return pid if pid and is_alive(pid) else None

    @property
    def held(self) -> int:
        """How many running jobs the guard holds."""
        return [*open_files(self.guard.pid)].count("anon_inode:[pidfd]")

    def run_on(self, *args: str, **spec: object) -> dict:
        """Submit a job, and return it once it would outlive the process."""
        held = self.held
        job = self.submit(*args, **spec)
        eventually(lambda: self.held > held)
        return job

    def kill_process(self) -> int:
        """Kill the process, wait for the next one, and return the pid that it had."""
        dead = kill(self)
        eventually(lambda: self.pid not in (None, dead))
        self.wait_ready(self.port)
        return dead

    def replace(self) -> None:
        """Have the process replaced, and wait for the next one."""
        before = self.pid
        self.guard.send_signal(signal.SIGHUP)
        eventually(lambda: self.pid not in (None, before))
        self.wait_ready(self.port)


def open_files(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield os.readlink(link)


def kill(service: Guarded) -> int:
    """Kill the process and return the pid that it had."""
    pid = service.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid
