"""Stopping and dying: drains, kill -9, and what becomes of the jobs."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from service import proc
from service.peers.deaths import Deaths
from service.state import StateDir
from tests.service.conftest import eventually
from tests.service.kept import ledger_of
from tests.service.test_control import group_members


def test_term_lets_running_jobs_finish_and_their_waiters_get_the_answer(start_service):
    service = start_service()
    answers = []
    waiter = threading.Thread(
        target=lambda: answers.append(service.run("sh", "-c", "sleep 1; echo done"))
    )
    waiter.start()
    eventually(lambda: service.ask("GET", "/v1/jobs?state=running").json["jobs"])
    (port,) = service.ports
    service.kill(port, signal.SIGTERM)
    waiter.join()
    assert answers[0]["stdout"]["text"] == "done\n"
    assert service.processes[port].wait(30) == 0


def test_term_lets_a_job_finish_whatever_has_ended_before(start_service):
    service = start_service(2)
    first, second = service.ports
    assert service.run("true", port=first)["state"] == "succeeded"
    job = service.submit("sh", "-c", "echo up; sleep 1; echo done", port=first)
    service.wait_state(job["id"], "running")
    service.kill(first, signal.SIGTERM)
    assert service.processes[first].wait(30) == 0
    assert service.get(job["id"], port=second)["state"] == "succeeded"


def test_a_draining_process_is_not_ready_and_peers_still_reach_its_jobs(start_service):
    service = start_service(2)
    first, second = service.ports
    job = service.submit(
        "sh",
        "-c",
        "trap 'echo bye; exit 0' USR1; echo up; while :; do sleep 0.05; done",
        port=first,
    )
    service.wait_state(job["id"], "running")
    eventually(lambda: service.ask("GET", f"/v1/jobs/{job['id']}/stdout", port=second).body)
    service.kill(first, signal.SIGTERM)

    def is_closed():
        try:
            return service.ask("GET", "/readyz", port=first).status == 503
        except OSError:
            return True

    eventually(is_closed)
    path = f"/v1/jobs/{job['id']}"
    assert service.ask("GET", path + "/stdout", port=second).body == b"up\n"
    answer = service.ask("POST", path + "/signal", {"signal": "SIGUSR1"}, port=second)
    assert answer.status == 204
    ended = service.wait_state(job["id"], "succeeded", port=second)
    assert ended["owner"] == str(first)
    assert service.processes[first].wait(30) == 0


def test_the_drain_limit_stops_what_still_runs(start_service):
    service = start_service(2, SQUALL_JOBS_DRAIN="0.3")
    first, second = service.ports
    job = service.submit("sleep", "60", port=first)
    service.wait_state(job["id"], "running")
    service.kill(first, signal.SIGTERM)
    assert service.processes[first].wait(30) == 0
    ended = service.get(job["id"], port=second)
    assert (ended["state"], ended["signal"]) == ("cancelled", "SIGTERM")
    assert "service" in ended["error"]


def test_after_kill_9_jobs_are_lost_their_processes_dead_and_queued_ones_run_elsewhere(
    start_service, tmp_path
):
    service = start_service(2, SQUALL_JOBS_RUNNING=1)
    first, second = service.ports
    script = "echo so far; sleep 301 & (setsid sleep 302 &); sleep 303"
    doomed = service.submit("sh", "-c", script, port=first)
    service.wait_state(doomed["id"], "running")
    path = f"/v1/jobs/{doomed['id']}"
    eventually(lambda: service.ask("GET", path + "/stdout", port=second).body == b"so far\n")
    blocker = service.submit("sleep", "304", port=first)
    service.wait_state(blocker["id"], "running", port=second)
    queued = [service.submit("sh", "-c", f"echo x >> {tmp_path}/{n}", port=first) for n in range(5)]
    marked = processes_of(doomed["id"])
    assert len(marked) == 4
    service.kill(first)
    lost = service.wait_state(doomed["id"], "lost", port=second)
    assert (lost["reason"], lost["stdout"]["bytes"]) == ("crash", 7)
    assert service.ask("GET", path + "/stdout", port=second).body == b"so far\n"
    assert processes_of(doomed["id"]) == []
    service.ask("POST", f"/v1/jobs/{blocker['id']}/cancel", port=second)
    for job in queued:
        assert service.wait_state(job["id"], "succeeded", port=second)["owner"] == str(second)
    assert {file.read_text() for file in tmp_path.iterdir()} == {"x\n"}


def test_a_process_alone_clears_up_after_itself_when_it_comes_back(start_service):
    service = start_service()
    (port,) = service.ports
    job = service.submit("sleep", "305")
    running = service.wait_state(job["id"], "running")
    service.kill(port)
    service.restart(port)
    assert service.get(job["id"])["state"] == "lost"
    assert group_members(running["pid"]) == []
    assert service.run("echo", "again")["stdout"]["text"] == "again\n"


def test_a_command_that_dropped_its_environment_is_killed_too(start_service):
    service = start_service()
    (port,) = service.ports
    job = service.submit("env", "-i", "sleep", "306")
    running = service.wait_state(job["id"], "running")
    eventually(lambda: processes_of(job["id"]) == [])
    service.kill(port)
    service.restart(port)
    assert service.get(job["id"])["state"] == "lost"
    assert group_members(running["pid"]) == []


def test_a_stepped_clock_hides_no_command_that_dropped_its_environment(start_service):
    service = start_service()
    (port,) = service.ports
    job = service.submit("env", "-i", "sleep", "307")
    running = service.wait_state(job["id"], "running")
    eventually(lambda: processes_of(job["id"]) == [])
    service.kill(port)
    service.processes[port].wait()
    with ledger_of(service) as db:  # as if the clock had been set back since, by a day and a bit
        db.execute("UPDATE jobs SET started_at = '2001-01-01T00:00:00.000000Z'")
    service.restart(port)
    assert service.get(job["id"])["state"] == "lost"
    assert group_members(running["pid"]) == []


@pytest.mark.gen_test(timeout=60)
async def test_a_death_is_told_as_it_happens(start_service):
    service = start_service()
    (port,) = service.ports
    died = asyncio.get_running_loop().create_future()
    deaths = Deaths(StateDir(service.directory), [port, port + 1])
    deaths.watch(died.set_result)
    deaths.watch(died.set_result)
    service.kill(port)
    assert await died == port
    deaths.watch(died.set_result)  # nobody lives any more
    deaths.close()


def test_many_jobs_of_a_dead_process_are_lost_in_few_writes(start_service):
    service = start_service(2, SQUALL_JOBS_RUNNING=150)
    first, second = service.ports
    batch = [{"args": ["sleep", "308"]} for _ in range(150)]
    for job in service.ask("POST", "/v1/jobs", batch, port=first).json:
        service.wait_state(job["id"], "running", port=second)

    def writes() -> float:
        lines = service.ask("GET", "/metrics", port=second).body.decode().splitlines()
        name = "squall_ledger_commit_seconds_count"
        return sum(float(line.split()[1]) for line in lines if line.startswith(name))

    before = writes()
    service.kill(first)
    listed = "/v1/jobs?state=lost&limit=1000"
    eventually(lambda: len(service.ask("GET", listed, port=second).json["jobs"]) == 150)
    assert writes() - before < 50


def test_a_second_process_on_the_same_port_is_refused(start_service):
    service = start_service()
    (port,) = service.ports
    again = service.start(port)
    assert again.wait(30) == os.EX_CONFIG
    error = again.communicate()[1].decode()
    assert error.startswith("squall: ") and str(port) in error and error.count("\n") == 1


def processes_of(id: str) -> list[int]:
    """Return the living processes that carry a job's mark."""
    mark = f"SQUALL_JOB_ID={id}".encode()
    return [pid for pid in proc.pids() if mark in proc.environ(pid)]
