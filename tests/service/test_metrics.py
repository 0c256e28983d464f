"""The numbers: of all processes together, whichever answers."""

from __future__ import annotations

import http.client
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.service.conftest import eventually


def numbers(service, port=None):
    answer = service.ask("GET", "/metrics", port=port)
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_every_process_tells_the_numbers_of_all(start_service):
    service = start_service(2)
    for port in service.ports:
        service.run("sh", "-c", "printf abc; exit 1", port=port)
    service.run("no-such-program")
    for port in service.ports:
        told = numbers(service, port)
        assert told["squall_jobs_ended_total", "exit", "failed"] == 2
        assert told["squall_jobs_ended_total", "spawn_error", "failed"] == 1
        assert told["squall_spawn_errors_total",] == 1
        assert told["squall_output_bytes_total", "stdout"] == 6
        assert told["squall_jobs", "failed"] == 3 and told["squall_jobs", "running"] == 0
        assert told["squall_job_duration_seconds_count",] == 2
        assert told["squall_job_queue_wait_seconds_count",] == 2
        assert told["squall_ledger_commit_seconds_count",] > 3
    eventually(lambda: numbers(service)["squall_loop_lag_seconds_count",] > 0)


def test_numbers_go_on_after_a_restart(start_service):
    service = start_service()
    service.run("true")
    service.kill(service.ports[0])
    service.restart(service.ports[0])
    service.run("true")
    assert numbers(service)["squall_jobs_ended_total", "exit", "succeeded"] == 2


def test_open_streams_are_counted(service):
    job = service.submit("sleep", "60")
    connection = http.client.HTTPConnection("127.0.0.1", service.ports[0])
    headers = {"Authorization": f"Bearer {service.token}"}
    connection.request("GET", f"/v1/jobs/{job['id']}/output?follow=true", headers=headers)
    eventually(lambda: numbers(service)["squall_open_streams",] == 1)
    connection.close()
    eventually(lambda: numbers(service)["squall_open_streams",] == 0)
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_is_content(service):
    text = service.ask("GET", "/metrics").body
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
