"""No descriptor, no process: a job waits until there is one, and nobody is told an untruth."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
from contextlib import ExitStack

from service import descriptors, logs
from service.programs.processes import is_alive
from tests.service.conftest import eventually
from tests.service.kept import Kept, as_somebody


def few_descriptors(count):
    return ("sh", "-c", f'ulimit -n {count}; exec "$@"', "sh")


def log_lines(service, port):
    lines = (service.directory / "log" / f"{port}.log").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_job_that_finds_no_descriptor_waits_and_runs_when_there_is_one(start_service):
    service = start_service()
    (port,) = service.ports
    with Kept(service) as kept, kept.no_descriptors():
        job = kept.ask("POST", "/v1/jobs", {"args": ["echo", "late"]}).json
        eventually(lambda: any("no room" in line["message"] for line in log_lines(service, port)))
        found = kept.get(job["id"])
        assert (found["state"], found["owner"], found["error"]) == ("queued", None, None)
    ended = service.wait_state(job["id"], "succeeded", "failed")
    assert (ended["state"], ended["error"], ended["stdout"]["bytes"]) == ("succeeded", None, 5)


def test_a_client_that_waits_for_a_job_without_room_gets_its_end(start_service):
    service = start_service()
    with Kept(service) as kept, Kept(service) as other:
        with kept.no_descriptors():
            job = kept.ask("POST", "/v1/jobs", {"args": ["echo", "late"]}).json
            other.send("GET", f"/v1/jobs/{job['id']}", {"Prefer": "wait=30"})
            eventually(lambda: kept.get(job["id"])["owner"] is None)
        assert other.answer().json["stdout"]["text"] == "late\n"


def test_who_submits_and_waits_gets_the_output_of_a_job_that_was_put_back(start_service):
    service = start_service()
    (port,) = service.ports
    with Kept(service) as kept, Kept(service) as other:
        with kept.no_descriptors():
            other.send("POST", "/v1/jobs", {"Prefer": "wait=30"}, {"args": ["echo", "late"]})
            eventually(lambda: any("no room" in x["message"] for x in log_lines(service, port)))
        job = other.answer().json
        assert (job["state"], job["stdout"]["text"]) == ("succeeded", "late\n")


def test_a_job_without_room_runs_at_a_process_that_has_some(start_service):
    service = start_service(2)
    first, second = service.ports
    with Kept(service, first) as kept, kept.no_descriptors():
        job = kept.ask("POST", "/v1/jobs", {"args": ["echo", "there"]}).json
        ended = service.wait_state(job["id"], "succeeded", "failed", port=second)
        assert (ended["state"], ended["owner"]) == ("succeeded", str(second))


def test_a_cancel_of_a_job_without_room_is_its_end(start_service):
    service = start_service()
    with Kept(service) as kept, kept.no_descriptors():
        job = kept.ask("POST", "/v1/jobs", {"args": ["echo", "never"]}).json
        assert kept.ask("POST", f"/v1/jobs/{job['id']}/cancel").status == 202
        eventually(lambda: kept.get(job["id"])["state"] == "cancelled")
        assert kept.get(job["id"])["started_at"] is None
    assert service.run("echo", "again")["stdout"]["text"] == "again\n"


def test_a_job_that_finds_no_process_waits_and_runs_when_there_is_one(start_service):
    service = start_service(
        prefix=as_somebody(54_322, "prlimit", "--nproc=25:25"), SQUALL_JOBS_RUNNING=40
    )
    (port,) = service.ports
    jobs = service.ask("POST", "/v1/jobs", [{"args": ["sleep", "0.3"]}] * 80).json
    for job in jobs:
        ended = service.wait_state(job["id"], "succeeded", "failed")
        assert (ended["state"], ended["error"]) == ("succeeded", None)
    told = [line for line in log_lines(service, port) if "no room" in line["message"]]
    assert told and "temporarily unavailable" in told[0]["message"]


def test_with_few_descriptors_fewer_jobs_run_at_once_and_none_fails(start_service):
    service = start_service(prefix=few_descriptors(128))
    (port,) = service.ports
    batch = [{"args": ["sh", "-c", "cat; sleep 0.1"], "stdin": {"text": "x"}} for _ in range(100)]
    jobs = service.ask("POST", "/v1/jobs", batch).json
    for job in jobs:
        ended = service.wait_state(job["id"], "succeeded", "failed")
        assert (ended["state"], ended["error"], ended["stdout"]["bytes"]) == ("succeeded", None, 1)
    told = [line["message"] for line in log_lines(service, port) if "at once" in line["message"]]
    assert "128 descriptors" in told[0] and "at most 4 jobs" in told[0]
    assert not [line for line in log_lines(service, port) if line["level"] == "error"]


def test_idle_connections_take_nothing_from_jobs_and_those_who_come_later_are_served(start_service):
    service = start_service(prefix=few_descriptors(256), SQUALL_JOBS_RUNNING=8)
    (port,) = service.ports
    job = service.submit("sleep", "4730")
    service.wait_state(job["id"], "running")
    with Kept(service) as kept, ExitStack() as idle:
        for _ in range(400):
            connection = idle.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
        eventually(
            lambda: any("most that may be" in x["message"] for x in log_lines(service, port))
        )
        batch = [{"args": ["echo", "here"]} for _ in range(20)]
        for other in kept.ask("POST", "/v1/jobs", batch).json:
            eventually(lambda id=other["id"]: kept.get(id)["state"] == "succeeded")
        assert kept.ask("POST", f"/v1/jobs/{job['id']}/cancel").status == 202
        eventually(lambda: kept.get(job["id"])["state"] == "cancelled")
    assert service.run("echo", "again")["stdout"]["text"] == "again\n"
    assert not [line for line in log_lines(service, port) if line["level"] == "error"]


def test_a_process_without_descriptors_for_connections_waits_and_says_so_once_a_second(
    start_service,
):
    service = start_service()
    (port,) = service.ports
    with Kept(service) as kept, ExitStack() as waiting, kept.no_descriptors():
        for _ in range(20):
            waiting.enter_context(socket.create_connection(("127.0.0.1", port)))
        eventually(lambda: any("times before" in x["message"] for x in log_lines(service, port)))
        assert kept.ask("GET", "/livez").status == 200
        assert len([x for x in log_lines(service, port) if "trace" in x]) == 0
    assert service.ask("GET", "/livez").status == 200
    warned = [x["time"] for x in log_lines(service, port) if "can be accepted" in x["message"]]
    seconds = [time[:19] for time in warned]
    assert len(seconds) <= 2 * len(set(seconds))


def test_shares_leave_something_for_each_and_never_exceed_what_there_is():
    for limit in (256, 1024, 20_000, 1_048_576):
        shares = descriptors.share_out(64, limit)
        used = shares.jobs * descriptors.JOB + shares.clients + shares.peers + descriptors.OWN
        assert used <= limit
        assert shares.clients > shares.peers > 0
    assert descriptors.share_out(64, 1024).jobs == 64
    assert descriptors.share_out(64, 256).jobs == 13
    assert descriptors.share_out(64, 16).jobs == 1


def test_one_cause_is_logged_once_a_second_and_hides_no_other():
    log_filter = logs.OncePerSecond()

    def told(message, at, line=1, level=logging.ERROR):
        record = logging.LogRecord("x", level, "x.py", line, message, None, None)
        record.created = at
        return record.getMessage() if log_filter.filter(record) else None

    assert told("a", 0.0) == "a"
    assert [told("a", 0.1 * n) for n in range(1, 10)] == [None] * 9
    assert told("b", 0.5, line=2) == "b"
    assert told("a", 0.5, level=logging.INFO) == "a"
    assert told("a", 1.0) == "a (and 9 times before)"
    assert told("a", 2.0) == "a"


def test_a_record_with_a_name_that_is_no_utf_8_is_written_all_the_same():
    name = os.fsdecode(b"/srv/\xff")
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "no such file: %s", (name,), None)
    line = json.loads(logs.JsonFormatter().format(record))
    assert line["message"] == r"no such file: /srv/\udcff" and line["level"] == "error"


def test_what_a_stopped_job_leaves_is_killed_although_no_thread_is_to_be_had(start_service):
    uid = 54_323
    service = start_service(1, prefix=as_somebody(uid, "prlimit", "--nproc=500:500"))
    (port,) = service.ports
    job = service.submit("sh", "-c", "setsid sleep 4799 & echo $!; wait")
    path = f"/v1/jobs/{job['id']}"
    eventually(lambda: service.ask("GET", f"{path}/stdout").body.endswith(b"\n"))
    left = int(service.ask("GET", f"{path}/stdout").body)

    def limit_processes(count):
        become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        pid = service.processes[port].pid
        subprocess.run([*become, "prlimit", f"--pid={pid}", f"--nproc={count}:"], check=True)

    limit_processes(0)
    assert service.ask("POST", f"{path}/cancel").status == 202
    log = service.directory / "log" / f"{port}.log"
    eventually(lambda: "can't start new thread" in log.read_text())
    limit_processes(500)
    service.wait_state(job["id"], "cancelled")
    assert not is_alive(left)
