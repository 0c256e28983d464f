"""Submitting: one job, a batch, waiting for it, repeating it."""

from __future__ import annotations

import re
import time
from datetime import datetime

import pytest

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_a_job_is_accepted_with_its_location(service):
    answer = service.ask("POST", "/v1/jobs", {"args": ["true"], "labels": {"app": "web"}})
    job = answer.json
    assert answer.status == 202
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert UUID7.fullmatch(job["id"]) and TIME.fullmatch(job["created_at"])
    assert (job["state"], job["args"], job["labels"]) == ("queued", ["true"], {"app": "web"})


def test_every_field_of_the_contract_is_in_a_job(service):
    job = service.run("true")
    assert set(job) >= {
        "id", "state", "reason", "args", "env", "cwd", "timeout", "stop", "limits", "labels",
        "created_at", "started_at", "finished_at", "duration", "owner", "pid", "exit_code",
        "signal", "has_timed_out", "cancel_requested", "usage", "stdout", "stderr",
        "rerun_of",
        "handovers",
    }  # fmt: skip
    assert "stdin" not in job


def test_waiting_gives_the_ended_job_with_its_output(service):
    job = service.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert (job["state"], job["reason"], job["exit_code"]) == ("failed", "exit", 3)
    assert job["stdout"] == {"bytes": 4, "dropped": 0, "text": "out\n"}
    assert job["stderr"] == {"bytes": 4, "dropped": 0, "text": "err\n"}
    assert job["pid"] > 0 and job["owner"] in map(str, service.ports)
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert job["usage"]["max_rss_bytes"] > 0


def test_output_that_is_not_utf8_comes_as_base64(service):
    job = service.run("printf", r"\377\001")
    assert job["stdout"] == {"bytes": 2, "dropped": 0, "base64": "/wE="}


def test_a_wait_that_is_over_gives_the_job_as_it_is(service):
    started = time.monotonic()
    headers = {"Prefer": "respond-async, wait=0.2"}
    answer = service.ask("POST", "/v1/jobs", {"args": ["sleep", "30"]}, headers=headers)
    assert answer.status == 202 and time.monotonic() - started < 10
    assert answer.json["state"] in ("queued", "running") and "text" not in answer.json["stdout"]
    service.ask("POST", f"/v1/jobs/{answer.json['id']}/cancel")


@pytest.mark.parametrize("index", [0, 1])
def test_any_process_waits_for_any_job(service, index):
    job = service.submit("sh", "-c", "sleep 0.3; echo done", port=service.ports[0])
    headers = {"Prefer": "wait=30"}
    path = f"/v1/jobs/{job['id']}"
    answer = service.ask("GET", path, headers=headers, port=service.ports[index])
    assert answer.status == 200
    assert answer.json["stdout"]["text"] == "done\n"


def test_output_is_included_only_when_asked_for_or_waited_for(service):
    id = service.run("echo", "x")["id"]
    assert "text" not in service.get(id)["stdout"]
    assert service.get(id, query="?output=true")["stdout"]["text"] == "x\n"
    answer = service.ask(
        "POST", "/v1/jobs?output=false", {"args": ["echo"]}, headers={"Prefer": "wait=9"}
    )
    assert answer.status == 200 and "text" not in answer.json["stdout"]


def test_included_output_stops_at_64_kib_between_two_characters(service):
    job = service.run("sh", "-c", "printf a; head -c 200000 /dev/zero | sed 's/\\x00/ä/g'")
    text = job["stdout"]["text"]
    assert job["stdout"]["bytes"] == 400_001
    assert text == "a" + "ä" * 32_767
    raw = service.ask("GET", f"/v1/jobs/{job['id']}/stdout").body
    assert raw == ("a" + "ä" * 200_000).encode()


def test_stdin_as_text_and_as_base64(service):
    assert service.run("cat", stdin={"text": "grüße"})["stdout"]["text"] == "grüße"
    assert service.run("cat", stdin={"base64": "/wE="})["stdout"]["base64"] == "/wE="
    assert service.run("cat")["stdout"]["bytes"] == 0


def test_the_environment_is_a_small_base_and_what_was_asked(service):
    job = service.run("env", env={"A": "b"})
    names = {line.split("=")[0] for line in job["stdout"]["text"].splitlines()}
    assert names == {"PATH", "HOME", "USER", "LOGNAME", "LANG", "SQUALL_JOB_ID", "A"}


def test_cwd_and_limits_are_those_asked_for(service, tmp_path):
    assert service.run("pwd", cwd="/")["stdout"]["text"] == "/\n"
    job = service.run("sh", "-c", "ulimit -n", limits={"open_files": 77})
    assert job["stdout"]["text"] == "77\n"
    assert job["limits"]["open_files"] == 77


def test_a_timeout_fails_the_job_whatever_its_code(service):
    job = service.run("sh", "-c", "trap 'exit 0' TERM; sleep 30 & wait", timeout=0.3)
    assert (job["state"], job["reason"], job["has_timed_out"]) == ("failed", "timeout", True)
    assert job["exit_code"] == 0


def test_a_duration_is_never_longer_than_from_start_to_finish(service):
    for _ in range(20):
        job = service.run("true")
        begun, over = (datetime.fromisoformat(job[k]) for k in ("started_at", "finished_at"))
        assert job["duration"] <= (over - begun).total_seconds()


def test_a_signal_that_ends_a_job_is_named(service):
    job = service.run("sh", "-c", "kill -USR1 $$")
    assert (job["state"], job["reason"]) == ("failed", "signal")
    assert (job["exit_code"], job["signal"]) == (None, "SIGUSR1")


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ({"args": ["no-such-program"]}, "No such file or directory: no-such-program"),
        ({"args": ["true"], "cwd": "/no/such"}, "No such file or directory: /no/such"),
        ({"args": ["/etc/passwd"]}, "Permission denied: /etc/passwd"),
        ({"args": ["no-such"], "limits": {"open_files": 9}}, "No such file or directory: no-such"),
    ],
)
def test_what_cannot_be_started_failed_and_says_why(service, spec, error):
    answer = service.ask("POST", "/v1/jobs", spec, headers={"Prefer": "wait=30"})
    job = answer.json
    assert answer.status == 200
    assert (job["state"], job["reason"], job["error"]) == ("failed", "spawn_error", error)
    assert (job["pid"], job["started_at"], job["exit_code"]) == (None, None, None)


def test_a_batch_is_answered_in_order_with_a_problem_for_each_bad_item(service):
    items = [{"args": ["echo", "0"]}, {"args": []}, {"args": ["echo", "2"]}, "no", {"arg": 1}]
    answer = service.ask("POST", "/v1/jobs", items)
    assert answer.status == 202
    first, bad, third, worse, worst = answer.json
    assert first["args"] == ["echo", "0"] and third["args"] == ["echo", "2"]
    assert first["id"] < third["id"]
    assert bad["status"] == 422 and bad["errors"][0]["field"] == "args"
    assert worse["status"] == 422
    assert {error["field"] for error in worst["errors"]} == {"args", "arg"}


def test_a_batch_of_a_thousand_is_taken_and_one_more_is_not(service):
    batch = [{"args": ["true"]}] * 1000
    answer = service.ask("POST", "/v1/jobs", batch)
    assert answer.status == 202 and len({job["id"] for job in answer.json}) == 1000
    assert service.ask("POST", "/v1/jobs", [*batch, {"args": ["true"]}]).status == 422
    for job in answer.json:
        service.wait_state(job["id"], "succeeded")


def test_the_same_key_and_body_give_the_same_job_on_every_process(service):
    headers = {"Idempotency-Key": "key of test"}
    body = {"args": ["echo", "once"]}
    first = service.ask("POST", "/v1/jobs", body, headers=headers)
    again = service.ask("POST", "/v1/jobs", body, headers=headers, port=service.ports[1])
    assert (first.status, again.status) == (202, 200)
    assert first.json["id"] == again.json["id"]
    other = service.ask("POST", "/v1/jobs", {"args": ["echo"]}, headers=headers)
    assert other.status == 422


def test_the_same_key_gives_the_same_batch(service):
    headers = {"Idempotency-Key": "key of a batch"}
    body = [{"args": ["true"]}, {"args": ["true"]}]
    first = service.ask("POST", "/v1/jobs", body, headers=headers)
    again = service.ask("POST", "/v1/jobs", body, headers=headers)
    assert (first.status, again.status) == (202, 200)
    assert [job["id"] for job in first.json] == [job["id"] for job in again.json]
