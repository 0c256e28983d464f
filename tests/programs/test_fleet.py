"""One fleet that is up: its commands, the deaths it survives, and a reload under load."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from service.programs import health, nginx, processes, rolling
from service.settings import load

from .conftest import Fleet, wait_for

TRUE = json.dumps({"args": ["true"]}).encode()


def test_up_says_that_it_is_up_already(running: Fleet) -> None:
    before = running.status()
    assert "up already" in running.squall("up")
    assert {name: p["pid"] for name, p in running.status().items()} == {
        name: p["pid"] for name, p in before.items()
    }


def test_every_process_is_named_by_its_port_and_ready(running: Fleet) -> None:
    status = running.status()
    assert list(status) == [*map(str, running.ports), "nginx"]
    assert all(process["ready"] for process in status.values())
    assert {process["state"] for process in status.values()} <= {"starting", "running"}


def test_a_job_runs_through_nginx(running: Fleet) -> None:
    assert running.squall("run", "--", "echo", "hello from squall") == "hello from squall\n"


def test_only_the_owner_reaches_what_the_fleet_keeps(running: Fleet) -> None:
    assert running.state.stat().st_mode & 0o777 == 0o700
    assert (running.state / "run" / "supervisor.sock").stat().st_mode & 0o777 == 0o700
    assert (running.state / "token").stat().st_mode & 0o777 == 0o600


def test_no_argument_list_holds_the_token(running: Fleet) -> None:
    token = (running.state / "token").read_bytes().strip()
    for pid in running.alive():
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            assert token not in file.read()


def test_supervisorctl_with_the_committed_file_speaks_with_the_fleet(running: Fleet) -> None:
    wait_for(lambda: running.supervisorctl("status", "service:*").count("RUNNING") == 4)
    first = f"service:{running.ports[0]}"
    assert "stopped" in running.supervisorctl("stop", first)
    assert not running.status()[str(running.ports[0])]["ready"]
    assert "started" in running.supervisorctl("start", first)
    wait_for(lambda: running.status()[str(running.ports[0])]["ready"])
    assert running.supervisorctl("restart", "service:*").count("started") == 4
    wait_for(lambda: all(process["ready"] for process in running.status().values()))


def test_nginx_speaks_for_itself_in_problems(running: Fleet) -> None:
    status, headers, body = running.request("POST", "/v1/jobs", b" " * (8 * 1024 * 1024 + 1))
    assert (status, headers["Content-Type"]) == (413, "application/problem+json")
    assert json.loads(body)["status"] == 413
    status, headers, body = running.request("GET", "/" + "a" * 70_000)
    assert (status, headers["Content-Type"]) == (414, "application/problem+json")
    running.supervisorctl("stop", "service:*")
    try:
        status, headers, body = running.request("POST", "/v1/jobs", TRUE)
    finally:
        running.supervisorctl("start", "service:*")
    assert (status, headers["Content-Type"]) == (502, "application/problem+json")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "nginx"
    assert "Idempotency-Key" in json.loads(body)["detail"]
    wait_for(lambda: all(process["ready"] for process in running.status().values()))


@pytest.mark.parametrize("name", ["process", "nginx worker"])
def test_what_is_killed_is_back_soon(running: Fleet, name: str) -> None:
    process = running.status()[str(running.ports[0]) if name == "process" else "nginx"]
    if name == "process":
        os.kill(process["pid"], signal.SIGKILL)
        wait_for(lambda: running.status()[process["name"]]["pid"] not in (None, process["pid"]))
    else:
        for worker in children(process["pid"]):
            os.kill(worker, signal.SIGKILL)
    wait_for(lambda: all(p["ready"] for p in running.status().values()))
    assert running.request("POST", "/v1/jobs", TRUE)[0] == 202


def test_a_killed_nginx_master_is_replaced_and_its_workers_go(running: Fleet) -> None:
    master = running.status()["nginx"]["pid"]
    workers = processes.children(master)
    assert workers
    os.kill(master, signal.SIGKILL)
    wait_for(lambda: running.status()["nginx"]["ready"])
    assert running.status()["nginx"]["pid"] != master
    wait_for(lambda: not any(map(processes.is_alive, workers)))
    assert "nginx   ready" in running.squall("reload")
    assert running.squall("run", "--", "echo", "hello") == "hello\n"


def test_a_worker_without_master_that_does_not_hear_is_killed(running: Fleet) -> None:
    master = running.status()["nginx"]["pid"]
    worker, *_ = processes.children(master)
    os.kill(worker, signal.SIGSTOP)
    os.kill(master, signal.SIGKILL)
    wait_for(lambda: running.status()["nginx"]["ready"])
    wait_for(lambda: not processes.is_alive(worker))


def test_while_workers_without_master_have_the_port_nginx_is_not_ready(running: Fleet) -> None:
    os.kill(running.status()["nginx"]["pid"], signal.SIGSTOP)
    # a second nginx of this fleet: what is asked through the port may be answered by either
    argv = [*nginx.argv(nginx.find(), running.state, "nginx.conf"), "-g", "daemon off; user root;"]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as other:
        wait_for(lambda: not running.status()["nginx"]["ready"])
        other.terminate()
    wait_for(lambda: running.status()["nginx"]["ready"])
    os.kill(running.status()["nginx"]["pid"], signal.SIGCONT)


def test_nginx_comes_up_when_its_port_is_free_again(running: Fleet) -> None:
    running.supervisorctl("stop", "nginx")
    with socket.create_server(("127.0.0.1", running.front_port)):
        running.supervisorctl("start", "nginx")
        wait_for(lambda: "Address already in use" in (running.state / "log/nginx.out").read_text())
        assert not running.status()["nginx"]["ready"]
    wait_for(lambda: running.status()["nginx"]["ready"])


def test_no_program_ever_waits_for_supervisord_to_read(running: Fleet) -> None:
    for name, program in running.status().items():
        flags = Path(f"/proc/{program['pid']}/fdinfo/1").read_text().split("flags:")[1].split()[0]
        assert int(flags, 8) & os.O_NONBLOCK, name


def test_who_is_refused_in_the_midst_of_a_body_takes_no_process_from_others(running: Fleet) -> None:
    body = b"x" * 3_000_000
    for _ in range(4 * len(running.ports)):
        with contextlib.suppress(HTTPException, OSError):
            running.request("POST", "/v1/jobs/x/stdin", body)
        assert running.request("GET", "/readyz")[0] == 200


def test_a_reload_loses_no_request(running: Fleet) -> None:
    before = running.status()
    with Load(running) as load:
        wait_for(lambda: load.answers["POST", 202] > 20)
        said = running.squall("reload")
        seen = sum(load.answers.values())
        wait_for(lambda: sum(load.answers.values()) > seen + 20)
    assert load.failures == []
    # 202 for a GET: held for a job that runs elsewhere, and told how it is when the process drains
    expected = {("POST", 200), ("POST", 202), ("GET", 200), ("GET", 202)}
    assert set(load.answers) <= expected, load.answers
    after = running.status()
    for port in map(str, running.ports):
        assert after[port]["pid"] != before[port]["pid"]
        assert f"{port:<6}  replacing" in said
        assert f"{port:<6}  ready" in said
    assert after["nginx"]["pid"] == before["nginx"]["pid"]


def test_a_held_answer_outlives_a_reload(running: Fleet) -> None:
    body = json.dumps({"args": ["sh", "-c", "sleep 3; echo done"]}).encode()
    connection = HTTPConnection("127.0.0.1", running.front_port, timeout=60)
    connection.request("POST", "/v1/jobs", body, {**running.headers(), "Prefer": "wait=30"})
    wait_for(lambda: json.loads(running.request("GET", "/v1/jobs?state=running")[2])["jobs"])
    running.squall("reload")
    job = json.loads(connection.getresponse().read())
    connection.close()
    assert job["state"] in ("queued", "running", "succeeded")
    _, _, body = running.request("GET", f"/v1/jobs/{job['id']}")
    assert json.loads(body)["state"] == "succeeded"


def test_a_reload_takes_over_what_changed_in_the_file(fleet: Fleet) -> None:
    config = fleet.state.parent / "squall.toml"
    config.write_text("[http]\nbody_bytes = 2048\n")
    fleet.environ["SQUALL_CONFIG"] = str(config)
    fleet.environ["SQUALL_PROCESSES_COUNT"] = "1"
    fleet.squall("up")
    del fleet.environ["SQUALL_CONFIG"], fleet.environ["SQUALL_PROCESSES_COUNT"]
    workers = children(fleet.status()["nginx"]["pid"])
    big = json.dumps({"args": ["true"], "labels": {"big": "x" * 2048}}).encode()
    assert fleet.request("POST", "/v1/jobs", big)[0] == 413
    config.write_text("[http]\nbody_bytes = 4096\n")
    assert "nginx   ready" in fleet.squall("reload")
    wait_for(lambda: not set(workers) & set(children(fleet.status()["nginx"]["pid"])))
    assert fleet.request("POST", "/v1/jobs", big)[0] == 202

    # what is wrong in the file is said, and changes nothing
    before = fleet.status()
    config.write_text("[http]\nbody_bytes = 'big'\n")
    assert "http.body_bytes" in fleet.squall("reload", code=1)
    config.write_text("[processes]\ncount = 3\nfirst_port = 9000\n")
    assert "supervisord" not in fleet.squall("reload")  # the environment comes before the file
    config.unlink()
    assert "squall.toml" in fleet.squall("reload", code=1)
    config.write_text("")
    assert fleet.status().keys() == before.keys()


def test_a_guard_that_died_while_another_process_was_replaced_stops_no_reload(
    fleet: Fleet,
) -> None:
    fleet.environ["SQUALL_PROCESSES_COUNT"] = "2"
    fleet.squall("up")
    first, second = fleet.ports[:2]
    guard = fleet.status()[str(second)]["guard_pid"]
    anew = []

    def progress(name: str, event: str) -> None:
        if (name, event) == (str(first), "ready"):
            os.kill(guard, signal.SIGKILL)
            wait_for(lambda: not processes.is_alive(guard))
            wait_for(lambda: health.process_is_ready(second))
            anew.append(fleet.status()[str(second)]["pid"])

    rolling.reload(load(environ=fleet.environ), progress=progress)
    assert fleet.status()[str(second)]["pid"] not in [None, *anew]


def test_other_ports_are_not_taken_over_by_a_reload(fleet: Fleet) -> None:
    config = fleet.state.parent / "squall.toml"
    config.write_text("[processes]\ncount = 1\n")
    fleet.environ["SQUALL_CONFIG"] = str(config)
    del fleet.environ["SQUALL_JOBS_DRAIN"]
    fleet.squall("up")
    before = fleet.status()
    config.write_text("[processes]\ncount = 1\n[jobs]\ndrain = 100\n")
    assert "kills what takes over 60 seconds" in fleet.squall("reload")
    config.write_text("[processes]\ncount = 2\n")
    assert "that needs `squall down` and `squall up`" in fleet.squall("reload", code=1)
    assert fleet.status().keys() == before.keys()


def test_the_next_process_waits_until_two_others_serve() -> None:
    now = time.monotonic()
    started = time.monotonic()
    rolling._wait_until_others_serve("1", {"1": now, "2": now - 60, "3": now - 60, "4": now})
    assert time.monotonic() - started < 1.0
    rolling._wait_until_others_serve("1", {"1": now - 60, "2": now - 60, "3": now - 1.5})
    assert time.monotonic() - (now - 1.5) >= rolling.SETTLE_S
    rolling._wait_until_others_serve("1", {"1": now})


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


class Load:
    """A few clients that submit jobs and ask for them, some on a connection each request."""

    CLIENTS = 6

    def __init__(self, fleet: Fleet) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.failures: list[str] = []
        self._fleet = fleet
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._client, args=(n % 2 == 0, n % 3 == 0))
            for n in range(self.CLIENTS)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _client(self, keeps_alive: bool, waits: bool) -> None:
        headers = self._fleet.headers() | ({"Prefer": "wait=20"} if waits else {})
        connection = HTTPConnection("127.0.0.1", self._fleet.front_port, timeout=60)
        while not self._stop.is_set():
            try:
                connection.request("POST", "/v1/jobs", TRUE, headers)
                job = self._answer(connection, "POST")
                connection.request("GET", f"/v1/jobs/{job['id']}", headers=headers)
                self._answer(connection, "GET")
            except (OSError, HTTPException, ValueError, KeyError) as exc:
                self.failures.append(repr(exc))
            if not keeps_alive:
                connection.close()
            time.sleep(0.01)  # the machine is for others too
        connection.close()

    def _answer(self, connection: HTTPConnection, method: str) -> dict[str, str]:
        response = connection.getresponse()
        body = response.read()
        self.answers[method, response.status] += 1
        if response.status >= 300:
            self.failures.append(f"{method}: {response.status} {body[:200]!r}")
        document: dict[str, str] = json.loads(body)
        return document
