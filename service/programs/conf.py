"""The two configuration files: the committed ones, with what is in force filled in."""

from __future__ import annotations

import os
import re
import resource
import shlex
import sys
from pathlib import Path

import msgspec

from service import descriptors
from service.programs.errors import ProgramError
from service.programs.files import PACKAGE_DIR, template
from service.settings import Settings
from service.state import StateDir

NGINX = "nginx/upstream.conf"
SUPERVISORD = "supervisor/supervisord.conf"

# beyond jobs.drain: what a job's own stop sequence may take, and the process's own end
DRAIN_MARGIN_S = 30

# the same in both files
LISTEN = "backlog=4096 reuseport deferred sndbuf=128k"

# Descriptors that one process must be able to hold: below that nginx finds no idle connection to
# close before it can take no new one, and a process has hardly any for jobs.
LEAST_OPEN_FILES = 256
# Connections that nginx holds at most, over all workers: 28 MB of memory.
MOST_CONNECTIONS = 65_536


class Capacity(msgspec.Struct, frozen=True):
    """How many workers nginx has, and what each one of them may hold."""

    workers: int
    connections: int
    streams: int

    @classmethod
    def of(cls, cores: int, open_files: int, clients: int) -> Capacity:
        """Return what suits so many cores and descriptors, and the connections of all processes."""
        connections = min(max(MOST_CONNECTIONS // cores, 4096), open_files)
        # beside connections a worker holds log, epoll and the channels and listeners of all workers
        usable = max(connections - 32 - 2 * cores, connections // 2)
        streams = min(usable // 2, clients // cores) * 3 // 4
        return cls(workers=cores, connections=connections, streams=max(streams, 1))


def check_limits() -> None:
    """Raise ProgramError where this machine grants a process too few descriptors."""
    if (granted := _open_files(LEAST_OPEN_FILES)) < LEAST_OPEN_FILES:
        raise ProgramError(
            f"a process may open only {granted} files here, and squall needs {LEAST_OPEN_FILES}:"
            " raise the hard limit (`ulimit -Hn`, LimitNOFILE=, nofile in limits.conf)"
        )


def nginx(settings: Settings) -> str:
    """Return nginx's configuration for these settings, on this machine."""
    front, http = settings.front, settings.http
    capacity = Capacity.of(_cores(), _open_files(MOST_CONNECTIONS), _clients(settings))
    text = template(NGINX).read_text()
    for pattern, filling in (
        (r"worker_processes \d+;", f"worker_processes {capacity.workers};"),
        (r"worker_rlimit_nofile \d+;", f"worker_rlimit_nofile {capacity.connections};"),
        (r"worker_connections \d+;", f"worker_connections {capacity.connections};"),
        (r"limit_conn streams \d+;", f"limit_conn streams {capacity.streams};"),
        (r"server 127\.0\.0\.1:\d+ [^;]*;(\n *server [^;]*;)*", _servers(text, settings.ports)),
        (r"client_body_timeout \d+s;", f"client_body_timeout {max(1, round(http.body_seconds))}s;"),
        (r"client_max_body_size \d+;", f"client_max_body_size {http.body_bytes};"),
        (r"proxy_read_timeout \d+s;", f"proxy_read_timeout {round(http.wait_seconds) + 60}s;"),
        (r"listen [^;]*;", _listen(settings)),
        (r"root [^;]*;", f"root {_quoted(str(PACKAGE_DIR / 'service' / 'web'))};"),
    ):
        text = _fill(text, rf"^ *\K{pattern}", filling, NGINX)
    if front.behind_proxy:
        scheme = "proxy_set_header X-Scheme $http_x_forwarded_proto;"
        text = _fill(text, r"^ *\Kproxy_set_header X-Scheme [^;]*;", scheme, NGINX)
    return text


def supervisord(settings: Settings, state: StateDir, nginx_binary: Path) -> str:
    """Return supervisord's configuration for these settings."""
    is_root = os.geteuid() == 0
    daemon_off = "daemon off; user root;" if is_root else "daemon off;"
    # without the site module: the guard imports nothing that is installed
    service = [sys.executable, "-S", "-m", "service.guard", "--port"]
    front = [sys.executable, "-m", "service.programs.front", str(nginx_binary), str(state.path)]
    text = template(SUPERVISORD).read_text()
    for section, key, value in (
        ("supervisord", "minfds", _supervisord_open_files(settings)),
        ("program:service", "command", f"{_command(*service)} %(process_num)d"),
        ("program:service", "directory", _escape(PACKAGE_DIR)),
        ("program:service", "numprocs", settings.processes.count),
        ("program:service", "numprocs_start", settings.processes.first_port),
        ("program:service", "stopwaitsecs", stop_seconds(settings)),
        ("program:nginx", "command", _command(*front, daemon_off)),
        ("program:nginx", "directory", _escape(PACKAGE_DIR)),
    ):
        start = rf"^\[{section}\]\n(?:[^\[\n].*\n|\n)*?{key} = \K.*$"
        text = _fill(text, start, str(value), SUPERVISORD)
    if is_root:
        text = _fill(text, r"^\[supervisord\]\n\K", "user = root\n", SUPERVISORD)
    return text


def stop_seconds(settings: Settings) -> int:
    """How long a process may take from TERM to its end before it is killed."""
    return round(settings.jobs.drain) + DRAIN_MARGIN_S


def _fill(text: str, pattern: str, filling: str, name: str) -> str:
    r"""Put `filling` where the one match of `pattern` is; what stands before its `\K` stays."""
    before, what = pattern.split(r"\K")
    filled, count = re.subn(
        f"({before}){what}", lambda match: match[1] + filling, text, flags=re.MULTILINE
    )
    if count != 1:
        raise ProgramError(
            f"{name}: needs exactly one line that squall can fill in with `{filling}`"
        )
    return filled


def _servers(text: str, ports: list[int]) -> str:
    """Return one line a process, highest port first, with the options of the template's first."""
    options = re.search(r"server 127\.0\.0\.1:\d+ ([^;]*;)", text)
    return "\n        ".join(
        f"server 127.0.0.1:{port} {options[1] if options else ''}" for port in reversed(ports)
    )


def _listen(settings: Settings) -> str:
    front = settings.front
    host = f"[{front.host}]" if ":" in front.host else front.host
    if not front.tls_certificate:
        return f"listen {host}:{front.port} {LISTEN};"
    for key in ("tls_certificate", "tls_key"):
        if not Path(getattr(front, key)).is_absolute():
            raise ProgramError(f"front.{key}: give the absolute path, not {getattr(front, key)}")
    return (
        f"listen {host}:{front.port} ssl {LISTEN};\n"
        f"        ssl_certificate {_quoted(front.tls_certificate)};\n"
        f"        ssl_certificate_key {_quoted(front.tls_key)};"
    )


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _open_files(wanted: int) -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _supervisord_open_files(settings: Settings) -> int:
    """Return what supervisord itself needs: a log and two pipes for each program, and a few."""
    return 32 + 4 * (settings.processes.count + 1)


def _clients(settings: Settings) -> int:
    """Return how many connections all processes together take."""
    each = descriptors.share_out(settings.jobs.running, _open_files(sys.maxsize)).clients
    return settings.processes.count * each


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _command(*words: str) -> str:
    return _escape(" ".join(shlex.quote(word) for word in words))


def _escape(value: str | Path) -> str:
    return str(value).replace("%", "%%")
