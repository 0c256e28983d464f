"""A place for one run: a temporary directory, free ports, and processes that all end with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

READY_S = 60.0
STOP_S = 10.0


class Place:
    """Leave it, and nothing of what was started or written there is left."""

    def __init__(self) -> None:
        """Make the directory."""
        self._stack = ExitStack()
        directory = tempfile.TemporaryDirectory(prefix="squall-bench-", ignore_cleanup_errors=True)
        self.path = Path(self._stack.enter_context(directory))

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every process, newest first, then remove the directory."""
        self._stack.close()

    def directory(self, name: str) -> Path:
        """Return a directory of that name, made where needed."""
        path = self.path / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def running(
        self, *args: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program in the background, in a session of its own; its words go to a log."""
        name = Path(args[0]).name
        environment = {**os.environ, **(env or {})}
        with (self.path / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [os.fspath(arg) for arg in args],
                env=environment,
                cwd=cwd or self.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            _end(process)


def free_ports(count: int = 1) -> list[int]:
    """Return neighbouring ports of 127.0.0.1 on which nobody listens."""
    for first in range(21_000 + os.getpid() % 9_000, 60_000, count):
        if all(not is_open(port) for port in range(first, first + count)):
            return list(range(first, first + count))
    raise RuntimeError("no free ports")


def is_open(port: int) -> bool:
    """Whether somebody listens on this port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(is_true: Callable[[], object], what: str, timeout_s: float = READY_S) -> None:
    """Wait for a condition; RuntimeError when it does not come."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {timeout_s:g} seconds")
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass  # all of it has ended
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            continue
