"""`squall up`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from service import settings as settings_
from service.programs import conf, environment, health, nginx, ports, stopping, supervisord
from service.programs.errors import ProgramError
from service.programs.files import ProgramFiles
from service.programs.health import Progress, silent
from service.programs.processes import wait_until
from service.programs.supervisord import Supervisor
from service.settings import Loaded, Settings
from service.state import StateDir

READY_S = 90.0
LOG_BYTES = 10 * 1024 * 1024


def up(loaded: Loaded, *, foreground: bool = False, progress: Progress = silent) -> bool:
    """Start everything and wait until it is ready; False when it was up already.

    `progress` hears `ready` of each process and of nginx, then of `squall`. What cannot become
    ready is stopped again, all of it, and ProgramError says why. In the foreground this returns
    when everything has been stopped: by Ctrl-C, TERM or `squall down`; ProgramError when
    supervisord died.
    """
    conf.check_limits()
    variables = environment.environment_of(loaded)
    settings = settings_.load(environ=variables).settings
    files = ProgramFiles(StateDir(settings.state.dir))
    files.create()
    with files.locked():
        if Supervisor(files.supervisor_socket).is_up():
            return False
        _check_ports(files, settings)
        _write_conf(files, settings)
        environment.remember(files, variables, settings)
        variables = {**os.environ, **variables}
        if foreground:
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
            child = supervisord.start_here(files, variables)
        else:
            supervisord.start(files, variables)
        try:
            _become_ready(files, settings, progress)
        except BaseException:  # Ctrl-C as well: half of it is of no use
            stopping.stop(files, settings, silent)
            raise
    if foreground:
        _stay(child, files, settings, progress)
    return True


def _check_ports(files: ProgramFiles, settings: Settings) -> None:
    """Name every port that is taken, and by whom; raises ProgramError."""
    addresses = [("127.0.0.1", port) for port in settings.ports]
    addresses.append((settings.front.host, settings.front.port))
    reasons = [reason for host, port in addresses if (reason := ports.why_taken(host, port))]
    if not reasons:
        return
    if health.leftovers(files, settings):
        advice = "squall runs there without supervisord: end it with `squall down`"
    else:
        advice = "choose other ports with SQUALL_FRONT_PORT, SQUALL_PROCESSES_FIRST_PORT"
        if any("is taken" in reason for reason in reasons):
            advice = f"stop it, or {advice}"
    raise ProgramError(f"{', '.join(reasons)}; {advice}")


def _write_conf(files: ProgramFiles, settings: Settings) -> None:
    binary = nginx.find()
    _shorten_log(files.nginx_log)
    files.supervisord_conf.write_text(conf.supervisord(settings, files.state, binary))
    files.nginx_conf.write_text(conf.nginx(settings))
    nginx.test(binary, files, files.nginx_conf)


def _shorten_log(log: Path) -> None:
    """Nothing else rotates nginx's log; it is short unless something is wrong."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))


def _become_ready(files: ProgramFiles, settings: Settings, progress: Progress) -> None:
    supervisord.link(files)
    _wait_until_ready(files, settings, progress)
    progress("squall", "ready")


def _wait_until_ready(files: ProgramFiles, settings: Settings, progress: Progress) -> None:
    supervisor = Supervisor(files.supervisor_socket)
    since = files.supervisord_conf.stat().st_mtime
    left = {str(port) for port in settings.ports} | {"nginx"}

    def all_are_ready() -> bool:
        for program in supervisor.programs():
            if program.has_ended:
                raise ProgramError(why_failed(files, program.name, since))
            # nginx last: were it asked too early, it would take the processes for dead
            is_its_turn = program.name != "nginx" or left == {"nginx"}
            if program.name in left and is_its_turn and health.is_ready(program, settings):
                left.remove(program.name)
                progress(program.name, "ready")
        return not left

    if not wait_until(all_are_ready, READY_S):
        names = ", ".join(sorted(left))
        raise ProgramError(f"not ready after {READY_S:.0f} seconds: {names}; see {files.state.log}")


def why_failed(files: ProgramFiles, name: str, since: float) -> str:
    """Say that a program does not start, with the end of what it wrote after `since`."""
    for log in (files.state.log / f"{name}.out", files.state.log / f"{name}.log"):
        if log.exists() and log.stat().st_size and log.stat().st_mtime >= since:
            lines = log.read_text(errors="replace").splitlines()[-15:]
            return "\n".join([f"{name} does not start; the end of {log}:", *lines])
    return f"{name} does not start and does not say why; see {files.state.log}"


def _stay(
    child: subprocess.Popen[bytes], files: ProgramFiles, settings: Settings, progress: Progress
) -> None:
    try:
        child.wait()
    except (KeyboardInterrupt, SystemExit):
        with files.locked():
            stopping.stop(files, settings, progress)
        child.wait()
        return
    if child.returncode != 0:
        with files.locked():
            stopping.stop(files, settings, silent)
        raise ProgramError(
            f"supervisord ended (exit code {child.returncode}): all has been stopped"
        )
