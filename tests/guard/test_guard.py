"""The guard of a process: what it holds while there is none, and how it ends."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.programs.processes import is_alive

from ..service.conftest import PATIENCE_S, Answer, eventually, free_ports
from .guarded import Guarded, kill


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with tempfile.TemporaryDirectory(prefix="squall-") as directory:
        service = Guarded(Path(directory), 1)
        yield service
        service.stop()


def test_who_connects_while_there_is_no_process_is_answered_by_the_next_one(guarded):
    answers: list[Answer] = []
    os.kill(guarded.pid, signal.SIGSTOP)  # it accepts nobody any more
    asking = threading.Thread(
        target=lambda: answers.append(guarded.ask("GET", "/livez", token=None))
    )
    asking.start()
    eventually(lambda: queued(guarded.port))
    dead = kill(guarded)
    asking.join(PATIENCE_S)
    assert [answer.status for answer in answers] == [200]
    assert guarded.pid not in (None, dead)
    guarded.wait_ready(guarded.port)


def queued(port: int) -> bool:
    """Whether somebody waits to be accepted."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    listening = [f for f in fields if f[3] == "0A" and int(f[1].rpartition(":")[2], 16) == port]
    return any(int(f[4].rpartition(":")[2], 16) > 0 for f in listening)


def test_no_request_is_refused_over_a_few_deaths(guarded):
    for _ in range(3):
        dead = kill(guarded)
        eventually(lambda dead=dead: not is_alive(dead))  # it may have accepted until then
        assert guarded.ask("GET", "/livez", token=None).status == 200


def test_a_process_dies_with_its_guard(guarded):
    pid = guarded.pid
    guarded.guard.kill()
    guarded.guard.wait(PATIENCE_S)
    eventually(lambda: not is_alive(pid))
    guarded.restart(guarded.port)  # the port is free


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_drains_the_process_and_ends_both_well(guarded, number):
    pid = guarded.pid
    job = guarded.submit("sh", "-c", "sleep 0.5; echo done")
    guarded.wait_state(job["id"], "running")
    guarded.guard.send_signal(number)
    assert guarded.guard.wait(PATIENCE_S) == 0
    assert not is_alive(pid)
    guarded.restart(guarded.port)
    assert guarded.get(job["id"])["state"] == "succeeded"


def test_hup_replaces_the_process_and_not_the_guard(guarded):
    before = guarded.pid
    guarded.guard.send_signal(signal.SIGHUP)
    eventually(lambda: guarded.pid not in (None, before))
    eventually(lambda: not is_alive(before))
    assert guarded.guard.poll() is None
    guarded.wait_ready(guarded.port)


def test_a_stop_while_the_process_is_replaced_ends_both(guarded):
    guarded.submit("sleep", "60")
    guarded.guard.send_signal(signal.SIGHUP)
    guarded.guard.send_signal(signal.SIGTERM)
    assert guarded.guard.wait(PATIENCE_S) == 0


def test_what_refuses_to_run_ends_its_guard_with_its_code(tmp_path):
    config = tmp_path / "squall.toml"
    config.write_text("[jobs]\nrunning = 'many'\n")
    (port,) = free_ports(1)
    command = [sys.executable, "-S", "-m", "service.guard", "--port", str(port)]
    done = subprocess.run(
        [*command, "--config", str(config)], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == os.EX_CONFIG
    assert "jobs.running" in done.stderr


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-S", "-m", "service.guard", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in done.stderr


def test_a_process_that_is_killed_again_and_again_has_to_wait(guarded):
    started = time.monotonic()
    deaths = 0
    while time.monotonic() < started + 3:
        if (pid := guarded.pid) is not None:
            os.kill(pid, signal.SIGKILL)
            eventually(lambda pid=pid: guarded.pid != pid)
            deaths += 1
        time.sleep(0.001)
    assert 3 <= deaths <= 10  # 0, 0.1, 0.2, 0.4, 0.8, 1.6 s between them
    guarded.wait_ready(guarded.port)


def test_a_guard_without_room_for_a_process_tries_again(guarded):
    old, limit = guarded.pid, resource.RLIMIT_NOFILE
    before = resource.prlimit(guarded.guard.pid, limit)
    resource.prlimit(guarded.guard.pid, limit, (3, before[1]))
    guarded.guard.send_signal(signal.SIGHUP)
    assert guarded.guard.stderr is not None
    while b"no process can be started now" not in (line := guarded.guard.stderr.readline()):
        assert line, guarded.guard.wait()  # it has ended
    resource.prlimit(guarded.guard.pid, limit, before)
    eventually(lambda: guarded.pid not in (None, old))
    guarded.wait_ready(guarded.port)


def test_the_guard_imports_nothing_of_the_service_and_little_else():
    script = "import service.guard.guard, sys; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    ours = {name for name in modules if name.split(".")[0] in ("service", "executor")}
    assert {name for name in ours if not name.startswith("service.guard")} == {"service"}
    assert not {"asyncio", "collections", "ctypes", "logging", "signal", "socket"} & set(modules)
