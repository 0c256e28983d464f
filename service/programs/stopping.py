"""`squall down`."""

from __future__ import annotations

import signal

from service.programs import conf, environment, health, processes, supervisord
from service.programs.errors import Deaf, NotUp, ProgramError, Stopping
from service.programs.files import ProgramFiles
from service.programs.health import Progress, silent
from service.programs.processes import wait_until
from service.programs.supervisord import Supervisor
from service.settings import Loaded, Settings
from service.state import StateDir

# for what nginx still sends to slow clients after the last process has ended
NGINX_S = 5.0
MARGIN_S = 30.0
DEAF_S = 1.0


def down(loaded: Loaded, *, progress: Progress = silent) -> bool:
    """Stop everything: drain the processes, then nginx; False when nothing was up.

    Returns when no process, pid file or socket is left. `progress` hears `stopped` of each process.
    """
    files = ProgramFiles(StateDir(loaded.settings.state.dir))
    if not files.state.run.is_dir():
        return False
    with files.locked():
        return stop(files, environment.in_force(files, loaded), progress)


def stop(files: ProgramFiles, settings: Settings, progress: Progress) -> bool:
    """Do what `down` does; the caller holds the lock."""
    pid = supervisord.running_pid(files)
    if pid is not None:
        names = _shut_down(files, pid)
        _wait_until_ended(pid, names, settings, progress)
    left = health.leftovers(files, settings)
    _end([pid for pid, name in left.items() if name != "nginx"], settings)
    _end([pid for pid, name in left.items() if name == "nginx"], settings)  # it sends their answers
    files.remove_stale()
    supervisord.unlink(files)
    return pid is not None or bool(left)


def _shut_down(files: ProgramFiles, pid: int) -> dict[int, str]:
    """Have supervisord stop; returns its children by pid."""
    supervisor = Supervisor(files.supervisor_socket)
    try:
        names = {program.pid: program.name for program in supervisor.programs() if program.pid}
        supervisor.shut_down()
    except Stopping:
        return {}  # asked before: by Ctrl-C, or by a `squall down` that was interrupted
    except (NotUp, Deaf):
        # it lives without its socket, or is stopped: then it hears of TERM when it goes on
        processes.signal_all([pid], signal.SIGTERM)
        processes.signal_all([pid], signal.SIGCONT)
        return {}
    return names


def _wait_until_ended(
    pid: int, names: dict[int, str], settings: Settings, progress: Progress
) -> None:
    left = dict(names)

    def ended(pids: list[int]) -> bool:
        for child in [child for child in left if not processes.is_alive(child)]:
            progress(left.pop(child), "stopped")
        return not any(processes.is_alive(child) for child in pids)

    drained = [child for child, name in names.items() if name != "nginx"]
    if not wait_until(lambda: ended([pid]), DEAF_S):
        # supervisord may have started one in this very moment: a signal that meets its child
        # before the exec is lost, and to a process that drains already a second one is nothing
        services = [c for c, line in processes.children(pid).items() if "service.guard" in line]
        processes.signal_all(services, signal.SIGTERM)
    wait_until(lambda: ended(drained), conf.stop_seconds(settings) + MARGIN_S)
    if not wait_until(lambda: ended([pid]), NGINX_S):
        processes.signal_all([child for child in left if left[child] == "nginx"], signal.SIGTERM)
    if not wait_until(lambda: ended([pid]), conf.stop_seconds(settings) + MARGIN_S):
        raise ProgramError(f"supervisord (pid {pid}) does not end; see its log, then kill it")


def _end(pids: list[int], settings: Settings) -> None:
    """End processes that nobody supervises: by draining, or by force when that takes too long."""
    processes.signal_all(pids, signal.SIGTERM)
    if wait_until(lambda: not any(map(processes.is_alive, pids)), conf.stop_seconds(settings)):
        return
    processes.signal_all(filter(processes.is_alive, pids), signal.SIGKILL)
    if not wait_until(lambda: not any(map(processes.is_alive, pids)), MARGIN_S):
        raise ProgramError(f"cannot be killed: process {', '.join(map(str, pids))}")
