"""A cap on what runs, a bounded queue beyond it, and work that moves to where there is room."""

from __future__ import annotations

import time

from tests.service.conftest import eventually


def states(service, query="limit=1000"):
    return [job["state"] for job in service.ask("GET", f"/v1/jobs?{query}").json["jobs"]]


def test_no_more_run_than_there_are_slots(start_service):
    service = start_service(SQUALL_JOBS_RUNNING=2)
    jobs = [service.submit("sleep", "60") for _ in range(5)]
    eventually(lambda: states(service).count("running") == 2)
    assert states(service) == ["queued"] * 3 + ["running"] * 2
    service.ask("POST", f"/v1/jobs/{jobs[0]['id']}/cancel")
    service.wait_state(jobs[2]["id"], "running")
    assert service.get(jobs[3]["id"])["state"] == "queued"


def test_a_full_queue_is_503_with_retry_after_and_takes_nothing(start_service):
    service = start_service(SQUALL_JOBS_RUNNING=1, SQUALL_JOBS_QUEUED=3)
    service.wait_state(service.submit("sleep", "60")["id"], "running")
    for _ in range(3):
        service.submit("true")
    for body in ({"args": ["true"]}, [{"args": ["true"]}] * 2):
        answer = service.ask("POST", "/v1/jobs", body)
        assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1
        assert answer.json["status"] == 503
    assert len(states(service)) == 4


def test_without_a_queue_a_job_is_accepted_where_it_can_start_at_once(start_service):
    service = start_service(SQUALL_JOBS_RUNNING=2, SQUALL_JOBS_QUEUED=0)
    assert service.run("echo", "fine")["stdout"]["text"] == "fine\n"
    assert service.ask("POST", "/v1/jobs", [{"args": ["true"]}] * 3).status == 503
    jobs = service.ask("POST", "/v1/jobs", [{"args": ["sleep", "60"]}] * 2).json
    assert service.ask("POST", "/v1/jobs", {"args": ["true"]}).status == 503
    assert len(states(service)) == 3
    service.ask("POST", f"/v1/jobs/{jobs[0]['id']}/cancel")
    service.wait_state(jobs[0]["id"], "cancelled")
    assert service.run("echo", "again")["state"] == "succeeded"


def test_cancel_of_a_queued_job_never_spawns(start_service, tmp_path):
    service = start_service(SQUALL_JOBS_RUNNING=1)
    blocker = service.submit("sleep", "60")
    job = service.submit("touch", str(tmp_path / "ran"))
    answer = service.ask("POST", f"/v1/jobs/{job['id']}/cancel")
    assert (answer.status, answer.json["state"]) == (202, "cancelled")
    service.ask("POST", f"/v1/jobs/{blocker['id']}/cancel")
    assert service.run("echo", "after")["state"] == "succeeded"
    cancelled = service.get(job["id"])
    assert (cancelled["started_at"], cancelled["owner"]) == (None, None)
    assert not (tmp_path / "ran").exists()


def test_work_moves_to_a_process_with_room_at_once(start_service):
    service = start_service(2, SQUALL_JOBS_RUNNING=1)
    first, second = service.ports
    service.wait_state(service.submit("sleep", "60", port=first)["id"], "running")
    started = time.monotonic()
    job = service.run("echo", "moved", port=first)
    assert job["owner"] == str(second) and job["stdout"]["text"] == "moved\n"
    assert time.monotonic() - started < 10


def test_many_jobs_through_few_slots_all_end_once(start_service, tmp_path):
    service = start_service(2, SQUALL_JOBS_RUNNING=3)
    batch = [{"args": ["sh", "-c", f"echo x >> {tmp_path}/{n}"]} for n in range(200)]
    jobs = service.ask("POST", "/v1/jobs", batch).json
    for job in jobs:
        assert service.wait_state(job["id"], "succeeded", "failed")["state"] == "succeeded"
    assert {path.read_text() for path in tmp_path.iterdir()} == {"x\n"}
    assert len(list(tmp_path.iterdir())) == 200
    owners = {service.get(job["id"])["owner"] for job in jobs}
    assert owners == set(map(str, service.ports))


def test_older_jobs_run_before_younger_ones(start_service, tmp_path):
    service = start_service(SQUALL_JOBS_RUNNING=1)
    service.wait_state(service.submit("sleep", "0.2")["id"], "running")
    log = tmp_path / "log"
    for n in range(5):
        service.submit("sh", "-c", f"echo {n} >> {log}")
    service.run("true")
    assert log.read_text().split() == ["0", "1", "2", "3", "4"]


def test_a_long_queue_is_worked_off_without_waiting_for_the_regular_look(start_service):
    service = start_service(SQUALL_JOBS_RUNNING=4)
    service.ask("POST", "/v1/jobs", [{"args": ["true"]}] * 1000)
    # a few a second would take much longer than anything here is waited for

    def succeeded() -> bool:
        lines = service.ask("GET", "/metrics").body.decode().splitlines()
        return 'squall_jobs{state="succeeded"} 1000.0' in lines

    eventually(succeeded)
