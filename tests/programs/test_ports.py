"""Who has a port."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from service.programs import nginx, ports, processes

from .conftest import free_ports


def test_a_free_port_is_free_also_after_connections_ended() -> None:
    port = free_ports(1)
    address = ("127.0.0.1", port)
    with socket.create_server(address) as server, socket.create_connection(address):
        server.accept()[0].close()
    assert ports.why_taken("127.0.0.1", port) is None
    assert ports.listeners(port) == []


def test_the_holder_of_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ports.listeners(port) == [os.getpid()]
        reason = ports.why_taken("127.0.0.1", port)
    assert reason is not None
    assert reason.startswith(f"port {port} is taken by ")
    assert reason.endswith(f"(pid {os.getpid()})")


def test_an_address_of_another_machine_is_named() -> None:
    reason = ports.why_taken("192.0.2.1", 8080)
    assert reason is not None
    assert reason.startswith("nothing can listen on 192.0.2.1 port 8080: ")


def test_a_process_that_nobody_waited_for_is_not_alive() -> None:
    pid = os.spawnv(os.P_NOWAIT, "/bin/true", ["true"])
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert Path("/proc", str(pid)).exists()
    assert not processes.is_alive(pid)
    os.waitpid(pid, 0)
    assert processes.is_alive(os.getpid())


def test_the_machine_s_own_nginx_comes_before_the_wheel_s(tmp_path: Path) -> None:
    own = tmp_path / "nginx"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert nginx.candidates(str(tmp_path))[0] == own
    assert own not in nginx.candidates("/nowhere")
