"""How the fleet is: what supervisord knows of each process, and what each one answers."""

from __future__ import annotations

import http.client
import ssl

import msgspec

from service.programs import environment
from service.programs.errors import NotUp
from service.programs.files import FleetFiles
from service.programs.supervisord import Program, Supervisor
from service.settings import Loaded, Settings
from service.state import StateDir

ANSWER_S = 5.0


class Process(msgspec.Struct, frozen=True):
    """One line of the fleet's status."""

    name: str
    """The port, or `nginx`."""
    state: str
    """running, starting, backoff (failed, tried again soon), stopping, stopped, exited, fatal."""
    pid: int | None
    guard_pid: int | None
    uptime: float | None
    """Seconds."""
    ready: bool
    """It takes work: a process by its own word, nginx when a client gets through to one."""


def status(loaded: Loaded) -> list[Process]:
    """Return the processes by port, then nginx; nothing at all when the fleet is not up."""
    files = FleetFiles(StateDir(loaded.settings.state.dir))
    try:
        programs = Supervisor(files.supervisor_socket).programs()
    except NotUp:
        return []
    settings = environment.in_force(files, loaded)
    return [
        Process(
            name=program.name,
            state=program.state,
            pid=program.pid,
            guard_pid=program.guard_pid,
            uptime=program.uptime,
            ready=program.pid is not None and is_ready(program, settings),
        )
        for program in programs
    ]


def is_ready(program: Program, settings: Settings) -> bool:
    """Ask a process whether it takes work, and nginx whether a client gets through."""
    if program.group == "service":
        return process_is_ready(int(program.name))
    return front_is_ready(settings)


def process_is_ready(port: int) -> bool:
    """Tell whether the process on `port` takes work."""
    return _get("http", "127.0.0.1", port, "/readyz") == http.client.OK


def front_is_ready(settings: Settings) -> bool:
    """Tell whether a client gets through nginx to a process that takes work."""
    scheme, _, address = settings.front_url.partition("://")
    host = address.rpartition(":")[0].strip("[]")
    return _get(scheme, host, settings.front.port, "/readyz") == http.client.OK


def _get(scheme: str, host: str, port: int, path: str) -> int | None:
    """Return the status of the answer; None when there is none."""
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_S)
    if scheme == "https":
        # on this machine, to ask whether it is there: the certificate's name does not matter
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(host, port, timeout=ANSWER_S, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
