"""supervisord: start it, speak with it over its unix socket (XML-RPC), and have others find it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import xmlrpc.client
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast

import msgspec
from supervisor.xmlrpc import (  # type: ignore[import-untyped]
    Faults,
    SupervisorTransport,
    UnixStreamHTTPConnection,
)

from service.programs import conf, processes
from service.programs.errors import Deaf, NotUp, ProgramError, Stopping
from service.programs.files import ProgramFiles, template
from service.programs.processes import wait_until

ANSWER_S = 30.0
CALL_S = 5.0  # it answers in milliseconds, unless it is stopped


class Program(msgspec.Struct, frozen=True):
    """What supervisord knows of one child: `8885` or `nginx`."""

    name: str
    group: str
    state: str
    """Supervisor's word, in lower case: running, starting, backoff, stopping, exited, ..."""
    pid: int | None
    """The process's own: the guard's child, or nginx's master."""
    guard_pid: int | None
    """The process's guard, which is what supervisord has started; None for nginx."""
    uptime: float | None
    """Seconds since it was started; None when it does not run."""
    has_ended: bool
    """It has ended at least once since supervisord runs, whether it was started again or not."""


class Supervisor:
    """The supervisord behind one socket.

    Every call raises NotUp when there is none, Stopping when it is on its way down, and Deaf when
    it does not answer.
    """

    def __init__(self, socket: Path) -> None:
        """`socket` is a path; nothing is opened before something is asked."""
        self._socket = socket

    def is_up(self) -> bool:
        """Tell whether there is a supervisord; Deaf when it does not answer."""
        try:
            self.pid()
        except NotUp:
            return False
        return True

    def pid(self) -> int:
        """Return supervisord's own process id."""
        return cast(int, self._call("supervisor.getPID"))

    def programs(self) -> list[Program]:
        """Return every child, the processes of the service first, by port."""
        found = [self._program(info) for info in self._call("supervisor.getAllProcessInfo")]
        return sorted(found, key=lambda program: (program.group != "service", program.name))

    def program(self, name: str) -> Program:
        """Return one child by its full name: `service:8885`, `nginx`."""
        return self._program(self._call("supervisor.getProcessInfo", name))

    def start(self, name: str) -> None:
        """Have a child started at once that does not run; returns before it is up."""
        if self.program(name).state == "backoff":
            self._call("supervisor.stopProcess", name)  # ends the wait for the next try
        self._call("supervisor.startProcess", name, False)

    def signal(self, name: str, signal: str) -> None:
        """Send `TERM`, `HUP`, ... to a child that runs."""
        self._call("supervisor.signalProcess", name, signal)

    def shut_down(self) -> None:
        """Have everything stopped in order; returns at once."""
        self._call("supervisor.shutdown")

    def _program(self, info: dict[str, Any]) -> Program:
        pid = guard = info["pid"] or None
        if info["group"] == "service":
            pid = None if guard is None else self._process(info["name"], guard)
        else:
            guard = None
        age = processes.age(pid) if pid else None
        return Program(
            name=info["name"],
            group=info["group"],
            state=info["statename"].lower(),
            pid=pid,
            guard_pid=guard,
            uptime=age,
            has_ended=bool(info["stop"]),
        )

    def _process(self, port: str, guard: int) -> int | None:
        """Return the child of a guard that has signed as its process, while it lives."""
        try:
            pid = int((self._socket.parent / f"{port}.lock").read_text().split()[2])
        except (OSError, ValueError, IndexError):
            return None  # it is just starting
        return pid if processes.is_alive(pid) and processes.parent(pid) == guard else None

    def _call(self, method: str, *args: Any) -> Any:
        transport = _Transport(None, None, f"unix://{self._socket}")
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
        try:
            for part in method.split("."):
                proxy = getattr(proxy, part)
            return cast(Any, proxy)(*args)
        except xmlrpc.client.Fault as exc:
            if exc.faultCode == Faults.SHUTDOWN_STATE:
                raise Stopping from exc
            raise ProgramError(f"supervisord: {exc.faultString} ({method} {args})") from exc
        except (TimeoutError, BlockingIOError) as exc:
            raise Deaf from exc
        except (OSError, HTTPException, xmlrpc.client.ProtocolError) as exc:
            raise NotUp from exc
        finally:
            transport.close()


class _Connection(UnixStreamHTTPConnection):  # type: ignore[misc]
    """A connection to supervisord which does not wait for ever."""

    def connect(self) -> None:
        """Connect; TimeoutError or BlockingIOError where it has long accepted nobody."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CALL_S)
        self.sock.connect(self.socketfile)


class _Transport(SupervisorTransport):  # type: ignore[misc]
    """supervisor's own transport would wait for ever for a supervisord that is stopped."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Make a call on a connection with a time limit."""
        self._get_connection = self._limited
        return super().request(*args, **kwargs)

    def _limited(self) -> _Connection:
        connection = _Connection("localhost")
        connection.socketfile = self.serverurl.removeprefix("unix://")
        return connection


def start(files: ProgramFiles, environ: Mapping[str, str]) -> None:
    """Start supervisord in the background; ProgramError with its own words if it refuses."""
    done = subprocess.run(
        _argv(files),
        env=environ,
        cwd=files.state.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = (done.stderr + done.stdout).partition("For help")[0].split()
        raise ProgramError(f"supervisord does not start: {' '.join(words)}")


def start_here(files: ProgramFiles, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start supervisord as a child; returns when it answers."""
    supervisor = Supervisor(files.supervisor_socket)
    # silent: where it logs to a terminal or a pipe too, whoever stops reading stops supervisord
    child = subprocess.Popen([*_argv(files), "-n", "-s"], env=environ, cwd=files.state.path)
    try:
        wait_until(lambda: supervisor.is_up() or child.poll() is not None, ANSWER_S)
    except BaseException:  # Ctrl-C, TERM: it goes as well
        child.terminate()
        child.wait()
        raise
    if child.returncode is not None:
        raise ProgramError(f"supervisord does not start: exit code {child.returncode}")
    return child


def running_pid(files: ProgramFiles) -> int | None:
    """Return the id of the supervisord of this state directory, whether it answers or not."""
    try:
        pid = int(files.supervisord_pid.read_text())
    except (FileNotFoundError, ValueError):
        return None
    is_it = str(files.state.log / "supervisord.log") in processes.open_files(pid)
    return pid if is_it and processes.is_alive(pid) else None


def link(files: ProgramFiles) -> None:
    """Point `supervisor/run` at this state directory, unless it is that of another that runs."""
    place = _link()
    if place.is_symlink():
        if place.readlink() != files.state.run and _is_there(place / files.supervisor_socket.name):
            return
    elif place.exists():
        return
    fresh = place.with_name(f".run.{os.getpid()}")
    try:
        fresh.symlink_to(files.state.run)
        fresh.replace(place)
    except OSError:
        pass  # installed where this user cannot write: STATE_DIR/supervisord.conf works as well


def unlink(files: ProgramFiles) -> None:
    """Take the link away if it points at this state directory."""
    place = _link()
    try:
        if place.readlink() == files.state.run:
            place.unlink()
    except OSError:
        pass  # there is none, or it cannot be removed and dangles: the next `up` replaces it


def _is_there(socket: Path) -> bool:
    try:
        return Supervisor(socket).is_up()
    except Deaf:
        return True


def _argv(files: ProgramFiles) -> list[str]:
    # -P: nothing in the working directory takes a module's place
    return [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(files.supervisord_conf)]


def _link() -> Path:
    return template(conf.SUPERVISORD).with_name("run")
