"""`lossless=true`: the job waits for a reader that wants every byte."""

from __future__ import annotations

import base64
import hashlib
import json
import time

import pytest

from tests.service.conftest import eventually
from tests.service.test_metrics import numbers
from tests.service.test_output import stream

MIB = 1 << 20
LOUD = ("head", "-c", str(40 * MIB), "/dev/zero")


@pytest.fixture(params=[0, 1], ids=["at the owner", "elsewhere"])
def port(service, request):
    return service.ports[request.param]


def submit(service, *args, **spec):
    """Submit a job that waits for its reader from the first byte on."""
    body, headers = {"args": args, **spec}, {"Prefer": "lossless"}
    answer = service.ask("POST", "/v1/jobs", body, headers=headers, port=service.ports[0])
    assert (answer.status, answer.headers["Preference-Applied"]) == (202, "lossless")
    return answer.json


def printed(service, id):
    return service.get(id, query="?output=true")["stdout"]["bytes"]


def is_held(service, id):
    """Whether the job has printed something, and no more for a while."""
    before = printed(service, id)
    time.sleep(0.3)
    return 0 < before == printed(service, id)


@pytest.mark.parametrize("kept", [0, 1000, 16 * MIB])
def test_raw_output_is_whole_from_the_first_byte(service, port, kept):
    job = submit(service, *LOUD, limits={"output_bytes": kept})
    eventually(lambda: is_held(service, job["id"]))
    assert printed(service, job["id"]) < MIB
    path = f"/v1/jobs/{job['id']}/stdout?follow=true&lossless=true"
    assert service.ask("GET", path, port=port).body == bytes(40 * MIB)
    ended = service.wait_state(job["id"], "succeeded")
    assert ended["stdout"] == {"bytes": 40 * MIB, "dropped": 40 * MIB - kept}


def test_the_journal_is_whole_however_slow_the_reader(service, port):
    job = submit(service, *LOUD)
    path = f"/v1/jobs/{job['id']}/output?follow=true&lossless=true"
    connection, response = stream(service, path, port)
    response.readline()
    eventually(lambda: is_held(service, job["id"]))
    assert service.get(job["id"])["state"] == "running"
    assert printed(service, job["id"]) < 16 * MIB
    *_, last = lines = [json.loads(line) for line in response]
    assert not any("dropped" in line for line in lines)
    assert last["job"]["state"] == "succeeded"
    connection.close()


def test_a_reader_that_comes_back_elsewhere_goes_on_without_loss(service):
    script = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); head -c 50000 /dev/urandom; done | tee copy"
    job = submit(service, "sh", "-c", script, cwd=str(service.directory))
    digest, after, turn = hashlib.sha256(), 0, 0
    while True:
        path = f"/v1/jobs/{job['id']}/output?follow=true&lossless=true&after={after}"
        connection, response = stream(service, path, service.ports[turn % 2])
        for _ in range(30):
            item = json.loads(response.readline())
            if "job" in item:
                break
            digest.update(_content(item))
            after = item["seq"]
        connection.close()
        turn += 1
        if "job" in item:
            break
    copy = (service.directory / "copy").read_bytes()
    assert len(copy) == 20_000_000 and digest.digest() == hashlib.sha256(copy).digest()


def test_the_job_goes_on_ten_seconds_after_its_reader_has_gone(service):
    job = submit(service, *LOUD)
    path = f"/v1/jobs/{job['id']}/output?follow=true&lossless=true"
    connection, response = stream(service, path)
    response.readline()
    eventually(lambda: is_held(service, job["id"]))
    left_at = time.monotonic()
    connection.close()
    ended = service.wait_state(job["id"], "succeeded")
    assert time.monotonic() - left_at > 9
    assert ended["stdout"]["bytes"] == 40 * MIB


def test_a_cancel_and_a_timeout_end_a_job_that_waits_for_its_reader(service):
    timed = submit(service, *LOUD, timeout=0.5)
    job = submit(service, *LOUD)
    eventually(lambda: is_held(service, job["id"]))
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")
    assert service.wait_state(job["id"], "cancelled")["signal"] == "SIGTERM"
    assert service.wait_state(timed["id"], "failed")["reason"] == "timeout"


def test_a_cancel_waits_for_no_reader_that_has_gone(service, port):
    job = submit(service, "yes")
    path = f"/v1/jobs/{job['id']}/stdout?follow=true&lossless=true"
    connection, response = stream(service, path, port)
    response.read(10)
    eventually(lambda: is_held(service, job["id"]))
    connection.close()
    eventually(lambda: numbers(service)["squall_open_streams",] == 0)
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")
    ended = service.wait_state(job["id"], "cancelled")
    assert ended["stdout"]["dropped"] == 0


def test_a_job_in_the_queue_waits_for_its_reader_when_it_runs_elsewhere(start_service):
    service = start_service(2, SQUALL_JOBS_RUNNING=1)
    blockers = [service.submit("sleep", "60", port=port) for port in service.ports]
    for blocker in blockers:
        service.wait_state(blocker["id"], "running")
    job = submit(service, *LOUD)
    owner = service.get(blockers[1]["id"])["owner"]
    service.ask("POST", f"/v1/jobs/{blockers[1]['id']}/cancel")
    eventually(lambda: service.get(job["id"])["state"] == "running")
    assert service.get(job["id"])["owner"] == owner
    path = f"/v1/jobs/{job['id']}/stdout?follow=true&lossless=true"
    assert service.ask("GET", path, port=service.ports[0]).body == bytes(40 * MIB)


def test_a_rerun_does_not_wait_for_a_reader(service):
    job = submit(service, "head", "-c", str(2 * MIB), "/dev/zero")
    path = f"/v1/jobs/{job['id']}/stdout?follow=true&lossless=true"
    assert len(service.ask("GET", path).body) == 2 * MIB
    service.wait_state(job["id"], "succeeded")
    headers = {"Prefer": "wait=8"}
    assert service.ask("POST", f"/v1/jobs/{job['id']}/rerun", headers=headers).status == 200


@pytest.mark.parametrize("route", ["stdout", "stderr", "output"])
def test_lossless_is_for_those_who_follow(service, route):
    job = service.run("true")
    answer = service.ask("GET", f"/v1/jobs/{job['id']}/{route}?lossless=true")
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "lossless")


def _content(item):
    assert "dropped" not in item
    return item["text"].encode() if "text" in item else base64.b64decode(item["base64"])
