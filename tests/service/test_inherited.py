"""What a command gets from the service that its spec says nothing of."""

from __future__ import annotations

import pytest


def test_files_that_jobs_make_are_readable_by_others(start_service, tmp_path):
    service = start_service(prefix=("sh", "-c", 'umask 077; exec "$@"', "sh"))  # as supervisord's
    job = service.run("sh", "-c", 'umask; : >"$0"', str(tmp_path / "made"))
    assert job["stdout"]["text"] == "0022\n"
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o644


def test_the_umask_of_jobs_is_a_setting(start_service):
    service = start_service(SQUALL_JOBS_UMASK="027")
    assert service.run("sh", "-c", "umask")["stdout"]["text"] == "0027\n"


@pytest.mark.parametrize("name", ["SQUALL_JOB_ID", "SQUALL_JOB_OTHER"])
def test_what_marks_a_job_cannot_be_given(service, name):
    answer = service.ask("POST", "/v1/jobs", {"args": ["true"], "env": {name: "x", "A": "b"}})
    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == [f"env.{name}"]
    assert service.run("true", env={"SQUALL_OTHER": "x"})["state"] == "succeeded"


def test_jobs_have_the_descriptor_limit_that_the_service_was_started_with(start_service):
    service = start_service(prefix=("sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh"))
    held = [service.submit("cat", stdin="open") for _ in range(20)]  # beyond 64 descriptors
    for job in held:
        service.wait_state(job["id"], "running")
    assert service.run("sh", "-c", "ulimit -Sn")["stdout"]["text"] == "64\n"
    limited = service.run("sh", "-c", "ulimit -Sn", limits={"core_size": 0})
    assert limited["stdout"]["text"] == "64\n"
    asked = service.run("sh", "-c", "ulimit -Sn", limits={"open_files": 99})
    assert asked["stdout"]["text"] == "99\n"
