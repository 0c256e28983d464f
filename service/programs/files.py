"""The programs' files in the state directory, and the templates that two of them come from."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import service
from service.programs.errors import ProgramError
from service.state import SOCKET_PATH_MAX, StateDir

PACKAGE_DIR = Path(service.__file__).absolute().parent.parent


class ProgramFiles:
    """Where the programs keep what; making one creates nothing."""

    def __init__(self, state: StateDir) -> None:
        """Nothing is made before `create`."""
        self.state = state
        self.supervisord_conf = state.path / "supervisord.conf"
        self.nginx_conf = state.path / "nginx.conf"
        self.nginx_log = state.log / "nginx.log"
        self.supervisor_socket = state.run / "supervisor.sock"
        self.supervisord_pid = state.run / "supervisord.pid"
        self.nginx_pid = state.run / "nginx.pid"
        self.environment = state.run / "environment.json"
        self.settings = state.settings
        self.lock = state.run / "programs.lock"

    def create(self) -> None:
        """Make the state directory; raises when it cannot hold what the programs put there."""
        # supervisord binds its socket under this name with a dot and its pid, then links it
        over = len(os.fsencode(self.supervisor_socket)) + len(".4194304") - SOCKET_PATH_MAX
        if over > 0:
            raise ProgramError(
                f"state.dir: {over} bytes too long for unix sockets:"
                f" set SQUALL_STATE_DIR to a shorter path than {self.state.path}"
            )
        if "%" in str(self.state.path):
            raise ProgramError(f"state.dir: supervisord takes no % in it: {self.state.path}")
        self.state.create()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One of up, down and reload at a time; ProgramError when another one is at work."""
        with self.lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise ProgramError(
                    "another `squall up`, `down` or `reload` is at work; wait until it is done"
                ) from exc
            yield

    def remove_stale(self) -> None:
        """Remove the sockets and pid files that a killed process left, and nobody else's."""
        for path in self.state.run.iterdir():
            if path.is_socket() and not _is_bound(path):
                path.unlink(missing_ok=True)
        for path in (self.supervisord_pid, self.nginx_pid, self.environment, self.settings):
            path.unlink(missing_ok=True)


def template(name: str) -> Path:
    """Find `nginx/upstream.conf` or `supervisor/supervisord.conf`: in the clone, or installed."""
    data = [sysconfig.get_path("data"), sysconfig.get_path("data", "posix_user"), sys.prefix]
    places = [PACKAGE_DIR, *(Path(directory, "share", "squall") for directory in data)]
    for place in places:
        if (place / name).is_file():
            return place / name
    raise ProgramError(
        f"{name} is missing; install squall again (looked in {places[0]} and others)"
    )


def _is_bound(path: Path) -> bool:
    """Tell whether a process holds the socket, of whichever of the two kinds it is."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as probe:
            try:
                probe.connect(str(path))
                return True
            except OSError as exc:
                if exc.errno not in (errno.ECONNREFUSED, errno.EPROTOTYPE, errno.ENOENT):
                    return True  # a full backlog, say: somebody is there
    return False
