"""How the programs are: what supervisord knows of each one, and what each one answers."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable

import msgspec

from service.programs import environment, nginx, ports, processes
from service.programs.errors import NotUp
from service.programs.files import ProgramFiles
from service.programs.supervisord import Program, Supervisor
from service.settings import Loaded, Settings
from service.state import StateDir

ANSWER_S = 5.0

Progress = Callable[[str, str], None]
"""What a caller is told while programs change: called with a name (`8885`, `nginx`, `squall`)
and what became of it: `ready`, `stopped`, ..."""


class Process(msgspec.Struct, frozen=True):
    """One line of `squall status`."""

    name: str
    """The port, or `nginx`."""
    state: str
    """running, starting, backoff (failed, tried again soon), stopping, stopped, exited, fatal;
    or unsupervised: it serves on though supervisord was killed, and nobody would start it anew."""
    pid: int | None
    guard_pid: int | None
    uptime: float | None
    """Seconds."""
    ready: bool
    """It takes work: a process by its own word, nginx when a client gets through it to one."""


def silent(name: str, event: str) -> None:
    """Tell nobody."""


def status(loaded: Loaded) -> list[Process]:
    """Return the processes by port, then nginx; nothing at all when none is up."""
    files = ProgramFiles(StateDir(loaded.settings.state.dir))
    settings = environment.in_force(files, loaded)
    try:
        programs = Supervisor(files.supervisor_socket).programs()
    except NotUp:
        return _unsupervised(leftovers(files, settings))
    return [
        Process(
            name=program.name,
            # supervisord says `starting` for a second more, whatever the program says itself
            state="running" if ready and program.state == "starting" else program.state,
            pid=program.pid,
            guard_pid=program.guard_pid,
            uptime=program.uptime,
            ready=ready,
        )
        for program, ready in ((program, is_ready(program, settings)) for program in programs)
    ]


def leftovers(files: ProgramFiles, settings: Settings) -> dict[int, str]:
    """Return what serves on though supervisord, or nginx's master, was killed: names by pid."""
    ports_of = {**{str(port): port for port in settings.ports}, "nginx": settings.front.port}
    holders = {pid: name for name, port in ports_of.items() for pid in ports.listeners(port)}
    ours = {pid for pid in holders if _is_ours(files, pid)}
    # a guard has no file of ours open, but its process has, and ends for good only with it
    ours |= {processes.parent(pid) for pid in ours}
    found = {pid: name for pid, name in holders.items() if pid in ours}
    return found | dict.fromkeys(nginx.orphans(files), "nginx")


def _is_ours(files: ProgramFiles, pid: int) -> bool:
    return any(name.startswith(f"{files.state.path}/") for name in processes.open_files(pid))


def _unsupervised(left: dict[int, str]) -> list[Process]:
    pids: dict[str, list[int]] = {}
    for pid, name in left.items():
        pids.setdefault(name, []).append(pid)
    return [_unsupervised_one(name, pids[name]) for name in sorted(pids)]


def _unsupervised_one(name: str, pids: list[int]) -> Process:
    """Tell parent and child apart: guard and process, or nginx's master and its workers."""
    parent = next((pid for pid in pids if processes.parent(pid) not in pids), pids[0])
    is_guard = name != "nginx" and len(pids) > 1
    return Process(
        name=name,
        state="unsupervised",
        pid=next(pid for pid in pids if pid != parent) if is_guard else parent,
        guard_pid=parent if is_guard else None,
        uptime=None,
        ready=False,
    )


def is_ready(program: Program, settings: Settings) -> bool:
    """Ask a process whether it takes work, and nginx whether a client gets through it."""
    if program.pid is None:
        return False
    if program.group == "service":
        return process_is_ready(int(program.name))
    return front_is_ready(settings) and _has_port_alone(program.pid, settings.front.port)


def process_is_ready(port: int) -> bool:
    """Tell whether the process on `port` takes work."""
    return _get("http", "127.0.0.1", port, "/readyz") == http.client.OK


def front_is_ready(settings: Settings) -> bool:
    """Tell whether a client gets through nginx to a process that takes work."""
    scheme, _, address = settings.front_url.partition("://")
    host = address.rpartition(":")[0].strip("[]")
    return _get(scheme, host, settings.front.port, "/readyz") == http.client.OK


def _has_port_alone(pid: int, port: int) -> bool:
    """Tell whether it was this nginx that answered, not workers that a killed master left."""
    family = {pid, *processes.children(pid)}
    return family.issuperset(ports.listeners(port))


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
