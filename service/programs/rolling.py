"""`squall reload`."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from service.programs import conf, environment, health, nginx, processes
from service.programs.errors import NotUp, ProgramError
from service.programs.files import ProgramFiles
from service.programs.health import Progress, silent
from service.programs.processes import wait_until
from service.programs.starting import READY_S, why_failed
from service.programs.supervisord import Program, Supervisor
from service.settings import Loaded, Settings
from service.state import StateDir

# So long a process serves before the next one is stopped: it shows whether it stays up.
SETTLE_S = 2.1
# As many others must serve when a process is stopped: two, in case one of them dies just then.
OTHERS = 2
STARTUP_S = 2.0
# What a guard says when the process that it has started for a reload refuses to run.
NOTHING_REPLACED = "nothing is replaced"
START_S = 10.0


def reload(loaded: Loaded, *, progress: Progress = silent) -> None:
    """Restart one process after another, then nginx's workers if its configuration changed.

    The configuration file is read anew; the environment is that of `squall up`. No request is lost
    where there are two processes or more. `progress` hears `draining` and `ready` of each process.
    Stops at the first process that does not come back (ProgramError); the others go on as before.
    """
    files = ProgramFiles(StateDir(loaded.settings.state.dir))
    supervisor = Supervisor(files.supervisor_socket)
    if not files.state.run.is_dir():
        raise NotUp
    with files.locked():
        programs = [program for program in supervisor.programs() if program.group == "service"]
        variables, settings = environment.read_anew(files, loaded)
        _check_fixed(programs, settings)
        front = _checked_nginx_conf(files, settings)
        began = time.monotonic()  # a clock that is stepped meanwhile makes nobody wait
        ready_at = {p.name: began - p.uptime + STARTUP_S for p in programs if p.uptime is not None}
        for process in programs:
            if not settings.jobs.survive:
                _wait_until_others_serve(process.name, ready_at)
            # as it is now: it may have died, and been started anew, while the others were replaced
            now = supervisor.program(f"{process.group}:{process.name}")
            _restart(supervisor, files, now, settings, progress)
            ready_at[process.name] = time.monotonic()
        if front:
            _reload_nginx(supervisor, files, front)
        _wait_until_nginx_serves(supervisor, files, settings, progress)
        kept_s = conf.stop_seconds(environment.in_force(files, loaded))
        if kept_s != conf.stop_seconds(settings):
            event = f"kills what takes over {kept_s} seconds to stop, until it is started anew"
            progress("supervisord", event)
        environment.remember(files, variables, settings)
    progress("squall", "ready")


def _check_fixed(programs: list[Program], settings: Settings) -> None:
    if [program.name for program in programs] != [str(port) for port in settings.ports]:
        raise ProgramError(
            "processes.count or processes.first_port has changed; that needs"
            " `squall down` and `squall up`"
        )


def _checked_nginx_conf(files: ProgramFiles, settings: Settings) -> Path | None:
    """Return nginx's new configuration, tested; None when it is the one in force."""
    text = conf.nginx(settings)
    if text == files.nginx_conf.read_text():
        return None
    fresh = files.nginx_conf.with_suffix(".conf.new")
    fresh.write_text(text)
    nginx.test(nginx.find(), files, fresh)
    return fresh


def _wait_until_others_serve(name: str, ready_at: dict[str, float]) -> None:
    """Wait until nginx sends requests to enough others; `ready_at` is when each one came up
    (`time.monotonic`).
    """
    others = sorted(at for other, at in ready_at.items() if other != name)[:OTHERS]
    if others:
        time.sleep(max(0.0, others[-1] + SETTLE_S - time.monotonic()))


def _restart(
    supervisor: Supervisor,
    files: ProgramFiles,
    process: Program,
    settings: Settings,
    progress: Progress,
) -> None:
    full_name = f"{process.group}:{process.name}"
    since, said = time.time(), _Said(files.state.log / f"{process.name}.out")
    if process.guard_pid is None:
        supervisor.start(full_name)
    elif process.state != "stopping":
        # supervisord takes an end within startsecs for a failure
        wait_until(lambda: supervisor.program(full_name).state != "starting", START_S)
        progress(process.name, "replacing" if settings.jobs.survive else "draining")
        supervisor.signal(full_name, "HUP")

    def is_back() -> bool:
        now = supervisor.program(full_name)
        refuses = process.state != "stopping" and now.guard_pid != process.guard_pid is not None
        if refuses or now.state in ("backoff", "fatal"):
            raise ProgramError(why_failed(files, now.name, since))
        if said.has(NOTHING_REPLACED):
            raise ProgramError(
                f"{said.since()}\n{now.name} runs on as before, and so do the others after it"
            )
        return now.pid not in (None, process.pid) and health.is_ready(now, settings)

    if not wait_until(is_back, conf.stop_seconds(settings)):
        is_there = supervisor.program(full_name).pid == process.pid
        processes.signal_all([process.pid] if process.pid and is_there else [], signal.SIGKILL)
        progress(process.name, "killed")
        if not wait_until(is_back, READY_S):
            raise ProgramError(f"{process.name} does not come back; see {files.state.log}")
    progress(process.name, "ready")


class _Said:
    """What a guard, and what it starts, writes from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size if path.exists() else 0

    def since(self) -> str:
        text = self._path.read_bytes() if self._path.exists() else b""
        # it may have been rotated meanwhile
        return text[self._size if len(text) >= self._size else 0 :].decode(errors="replace").strip()

    def has(self, words: str) -> bool:
        return words in self.since()


def _reload_nginx(supervisor: Supervisor, files: ProgramFiles, front: Path) -> None:
    front.replace(files.nginx_conf)
    if supervisor.program("nginx").pid is not None:
        supervisor.signal("nginx", "HUP")


def _wait_until_nginx_serves(
    supervisor: Supervisor, files: ProgramFiles, settings: Settings, progress: Progress
) -> None:
    def serves() -> bool:
        return health.is_ready(supervisor.program("nginx"), settings)

    if not wait_until(serves, START_S):
        raise ProgramError(f"nginx does not answer as configured now; see {files.nginx_log}")
    progress("nginx", "ready")
