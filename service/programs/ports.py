"""Who listens on a port of this machine."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

from service import proc
from service.programs import processes

LISTEN = "0A"  # the state's number in /proc/net/tcp; include/net/tcp_states.h


def why_taken(host: str, port: int) -> str | None:
    """Say in words why nobody can listen there; None when it is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return f"port {port} is taken{_by_whom(port)}"
            if exc.errno == errno.EACCES:
                return f"port {port} is for root only"
            return f"nothing can listen on {host} port {port}: {exc.strerror}"
    return None


def listeners(port: int) -> list[int]:
    """Return the processes that listen on a TCP port, as far as this user may see them."""
    if not (sockets := {f"socket:[{inode}]" for inode in _inodes(port)}):
        return []
    return [pid for pid in proc.pids() if not sockets.isdisjoint(processes.open_files(pid))]


def _by_whom(port: int) -> str:
    holders = [f"{_short(proc.command_line(pid))} (pid {pid})" for pid in listeners(port)]
    return f" by {', '.join(holders)}" if holders else ""


def _inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue  # no IPv6 on this machine
        for line in lines:
            # sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode; proc(5)
            fields = line.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _short(line: str) -> str:
    return line if len(line) <= 60 else f"{line[:57]}..."
