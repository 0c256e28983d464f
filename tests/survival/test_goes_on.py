"""All that a running job has goes on in the next process."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import threading
import time

from ..service.conftest import eventually


def stdout(guarded, job) -> bytes:
    return guarded.ask("GET", f"/v1/jobs/{job['id']}/stdout").body


def write(guarded, job, data=b"", query=""):
    headers = {"Content-Type": "application/octet-stream"}
    return guarded.ask("POST", f"/v1/jobs/{job['id']}/stdin{query}", data, headers=headers)


def test_a_job_runs_on_with_its_output_and_its_exit_code(guarded, again):
    job = guarded.run_on(
        "sh",
        "-c",
        "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two; exit 3",
        cwd=str(guarded.directory),
    )
    pid = guarded.get(job["id"])["pid"]
    again()
    again()
    found = guarded.get(job["id"])
    assert (found["state"], found["pid"], found["handovers"]) == ("running", pid, 2)
    assert stdout(guarded, job) == b"one\n"
    (guarded.directory / "go").touch()
    ended = guarded.wait_state(job["id"], "failed", "lost")
    assert (ended["reason"], ended["exit_code"], ended["handovers"]) == ("exit", 3, 2)
    assert ended["usage"]["max_rss_bytes"] > 0 and ended["duration"] > 0
    assert stdout(guarded, job) == b"one\ntwo\n"
    eventually(lambda: guarded.held == 0)


def test_it_may_end_while_there_is_no_process(guarded):
    os.kill(guarded.pid, 19)  # it sees nothing from here on
    job = None
    os.kill(guarded.pid, 18)
    job = guarded.run_on(
        "sh",
        "-c",
        "while [ ! -e go ]; do sleep 0.01; done; echo late; kill -9 $$",
        cwd=str(guarded.directory),
    )
    os.kill(guarded.pid, 19)
    (guarded.directory / "go").touch()
    time.sleep(0.2)
    guarded.kill_process()
    ended = guarded.wait_state(job["id"], "failed", "lost")
    assert (ended["reason"], ended["signal"]) == ("signal", "SIGKILL")
    assert stdout(guarded, job) == b"late\n"


def test_a_timeout_comes_when_it_was_due(guarded, again):
    job = guarded.run_on("sleep", "60", timeout=1.5)
    again()
    ended = guarded.wait_state(job["id"], "failed", "lost")
    assert (ended["reason"], ended["has_timed_out"], ended["signal"]) == (
        "timeout",
        True,
        "SIGTERM",
    )
    assert 1.4 < ended["duration"] < 5


def test_a_stop_goes_on_with_its_next_step(guarded, again):
    job = guarded.run_on(
        "sh",
        "-c",
        "trap 'echo asked' TERM; echo on; while :; do sleep 0.05; done",
        stop={"grace": 1.5},
    )
    eventually(lambda: stdout(guarded, job) == b"on\n")
    assert guarded.ask("POST", f"/v1/jobs/{job['id']}/cancel").status == 202
    eventually(lambda: b"asked" in stdout(guarded, job))
    again()
    ended = guarded.wait_state(job["id"], "cancelled", "lost")
    assert (ended["reason"], ended["signal"]) == ("cancelled", "SIGKILL")


def test_it_can_be_cancelled_and_signalled(guarded, again):
    job = guarded.run_on("sh", "-c", "trap 'echo usr1' USR1; echo on; while :; do sleep 0.05; done")
    eventually(lambda: stdout(guarded, job) == b"on\n")
    again()
    assert guarded.ask("POST", f"/v1/jobs/{job['id']}/signal", {"signal": "SIGUSR1"}).status == 204
    eventually(lambda: b"usr1" in stdout(guarded, job))
    assert guarded.ask("POST", f"/v1/jobs/{job['id']}/cancel").status == 202
    assert guarded.wait_state(job["id"], "cancelled", "lost")["reason"] == "cancelled"


def test_an_open_stdin_goes_on_where_it_was(guarded, again):
    job = guarded.run_on("sha256sum", stdin="open")
    first, second = os.urandom(300_000), os.urandom(300_000)
    assert write(guarded, job, first, "?offset=0").status == 204
    again()
    assert write(guarded, job, first, "?offset=0").status == 204  # has come already
    gap = write(guarded, job, b"x", "?offset=600001")
    assert gap.status == 409 and gap.json["offset"] == 300_000
    assert write(guarded, job, first[-10:] + second, "?offset=299990").status == 204
    again()
    assert write(guarded, job, query="?close=true").status == 204
    guarded.wait_state(job["id"], "succeeded", "lost")
    assert stdout(guarded, job).decode().startswith(hashlib.sha256(first + second).hexdigest())


def test_what_waits_for_a_slow_reader_arrives(guarded):
    job = guarded.run_on(
        "sh",
        "-c",
        "while [ ! -e go ]; do sleep 0.01; done; sha256sum",
        cwd=str(guarded.directory),
        stdin="open",
    )
    data = os.urandom(3_000_000)

    def send() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            write(guarded, job, data, "?offset=0")

    sending = threading.Thread(target=send)
    sending.start()
    time.sleep(0.5)  # the pipe is full, and more has come
    guarded.kill_process()
    sending.join()
    (guarded.directory / "go").touch()
    assert write(guarded, job, data, "?offset=0&close=true").status == 204
    guarded.wait_state(job["id"], "succeeded", "lost")
    assert stdout(guarded, job).decode().startswith(hashlib.sha256(data).hexdigest())


def test_an_end_of_input_that_was_asked_for_comes(guarded, again):
    job = guarded.run_on("sh", "-c", "cat; echo end", stdin="open")
    assert write(guarded, job, b"in\n", "?close=true").status == 204
    guarded.wait_state(job["id"], "succeeded")
    job = guarded.run_on(
        "sh",
        "-c",
        "while [ ! -e go ]; do sleep 0.01; done; wc -c",
        cwd=str(guarded.directory),
        stdin="open",
    )
    assert write(guarded, job, b"x" * 1000, "?close=true").status == 204
    again()
    (guarded.directory / "go").touch()
    guarded.wait_state(job["id"], "succeeded", "lost")
    assert stdout(guarded, job).strip() == b"1000"


def test_given_input_is_read_on(guarded, again):
    text = "x" * 2_000_000
    job = guarded.run_on(
        "sh",
        "-c",
        "while [ ! -e go ]; do sleep 0.01; done; wc -c",
        cwd=str(guarded.directory),
        stdin={"text": text},
    )
    again()
    (guarded.directory / "go").touch()
    guarded.wait_state(job["id"], "succeeded", "lost")
    assert stdout(guarded, job).strip() == b"2000000"


def test_the_same_key_gives_the_job_that_goes_on(guarded, again):
    body = {
        "args": ["sh", "-c", "while [ ! -e go ]; do sleep 0.01; done"],
        "cwd": str(guarded.directory),
    }
    job = guarded.ask("POST", "/v1/jobs", body, headers={"Idempotency-Key": "once"}).json
    eventually(lambda: guarded.held == 1)
    again()
    (guarded.directory / "go").touch()
    headers = {"Idempotency-Key": "once", "Prefer": "wait=30"}
    ended = guarded.ask("POST", "/v1/jobs", body, headers=headers).json
    assert (ended["id"], ended["state"]) == (job["id"], "succeeded")


def test_who_waits_for_a_job_is_answered_by_the_process_that_has_left(guarded):
    answers = []
    job = guarded.run_on(
        "sh", "-c", "while [ ! -e go ]; do sleep 0.01; done; echo done", cwd=str(guarded.directory)
    )
    path = f"/v1/jobs/{job['id']}"
    asking = threading.Thread(
        target=lambda: answers.append(guarded.ask("GET", path, headers={"Prefer": "wait=30"}))
    )
    asking.start()
    time.sleep(0.3)
    guarded.replace()
    assert not answers
    (guarded.directory / "go").touch()
    asking.join()
    assert answers[0].status == 200, answers
    assert (answers[0].json["state"], answers[0].json["stdout"]["text"]) == ("succeeded", "done\n")


def test_no_descriptor_more_stays_with_each_process(guarded):
    job = guarded.run_on("sleep", "60", stdin="open")

    def counts():
        return len(os.listdir(f"/proc/{guarded.guard.pid}/fd"))

    guarded.kill_process()
    before = counts()
    for _ in range(5):
        guarded.kill_process()
        guarded.replace()
    eventually(lambda: counts() == before)
    assert guarded.get(job["id"])["handovers"] == 11
    guarded.ask("POST", f"/v1/jobs/{job['id']}/cancel")
    guarded.wait_state(job["id"], "cancelled")
    eventually(lambda: guarded.held == 0)
