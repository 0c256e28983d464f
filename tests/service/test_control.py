"""Listing, cancelling, signalling and deleting, on whichever process."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from service import proc
from tests.service.conftest import eventually


@pytest.fixture(params=[0, 1], ids=["at the owner", "elsewhere"])
def port(service, request):
    return service.ports[request.param]


def start_sleep(service, *args, **spec):
    job = service.submit(*(args or ("sleep", "60")), port=service.ports[0], **spec)
    return service.wait_state(job["id"], "running")


def test_a_cancelled_job_ends_with_every_process_it_started(service, port):
    job = start_sleep(service, "sh", "-c", "sleep 61 & sleep 62 & (setsid sleep 63 &); wait")
    answer = service.ask("POST", f"/v1/jobs/{job['id']}/cancel", port=port)
    assert answer.status == 202 and answer.json["cancel_requested"]
    ended = service.wait_state(job["id"], "cancelled", port=port)
    assert (ended["reason"], ended["signal"]) == ("cancelled", "SIGTERM")
    eventually(lambda: not group_members(job["pid"]))
    again = service.ask("POST", f"/v1/jobs/{job['id']}/cancel", port=port)
    assert again.status == 200 and again.json["state"] == "cancelled"


def test_a_cancel_that_could_not_reach_the_owner_is_carried_out(start_service):
    service = start_service(2)
    first, second = service.ports
    job = service.submit("sleep", "60", port=first)
    service.wait_state(job["id"], "running")
    (service.directory / "run" / f"{first}.sock").unlink()
    answer = service.ask("POST", f"/v1/jobs/{job['id']}/cancel", port=second)
    assert answer.status == 202 and answer.json["cancel_requested"]
    ended = service.wait_state(job["id"], "cancelled", port=second)
    assert (ended["signal"], ended["owner"]) == ("SIGTERM", str(first))


def test_an_owner_that_was_stopped_holds_up_nobody_who_asks_elsewhere(start_service):
    service = start_service(2)
    first, second = service.ports
    job = service.submit("sleep", "60", port=first)
    service.wait_state(job["id"], "running")
    path = f"/v1/jobs/{job['id']}"
    service.kill(first, signal.SIGSTOP)
    asked = [
        ("POST", f"{path}/cancel", None),
        ("POST", f"{path}/signal", {"signal": "SIGUSR1"}),
        ("GET", f"{path}/stdout", None),
    ]
    try:
        with ThreadPoolExecutor() as threads:
            answers = list(threads.map(lambda ask: service.ask(*ask, port=second), asked))
    finally:
        service.kill(first, signal.SIGCONT)
    assert [answer.status for answer in answers] == [202, 503, 503]
    assert answers[0].json["cancel_requested"]
    assert answers[1].json["detail"] == f"process {first} does not answer"
    service.wait_state(job["id"], "cancelled", "failed", port=second)


def test_an_owner_that_takes_no_connection_is_no_error_of_ours(start_service):
    service = start_service(2)
    first, second = service.ports
    job = service.submit("cat", stdin="open", port=first)
    service.wait_state(job["id"], "running")
    place = service.directory / "run" / f"{first}.sock"
    place.unlink()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(str(place))
        listener.listen(0)
        waiting.connect(str(place))  # as many as may wait: the next one is not told at once
        answer = service.ask("POST", f"/v1/jobs/{job['id']}/stdin", b"x", port=second)
    assert answer.status == 503 and "process" in answer.json["detail"]


def test_the_stop_signal_and_grace_are_those_asked_for(service):
    spec = {"stop": {"signal": "SIGINT", "grace": 0.2}}
    job = start_sleep(service, "sh", "-c", "trap '' INT TERM; echo up; sleep 60", **spec)
    eventually(lambda: service.get(job["id"], query="?output=true")["stdout"]["text"] == "up\n")
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")
    assert service.wait_state(job["id"], "cancelled")["signal"] == "SIGKILL"


def test_a_signal_reaches_the_job(service, port):
    script = "trap 'echo got; exit 7' USR1; echo up; while :; do sleep 0.05; done"
    job = start_sleep(service, "sh", "-c", script)
    path = f"/v1/jobs/{job['id']}"
    eventually(lambda: service.ask("GET", path + "/stdout", port=port).body == b"up\n")
    assert service.ask("POST", path + "/signal", {"signal": "SIGUSR1"}, port=port).status == 204
    ended = service.wait_state(job["id"], "failed")
    assert ended["exit_code"] == 7
    answer = service.ask("POST", path + "/signal", {"signal": "SIGUSR1"}, port=port)
    assert answer.status == 409


def test_delete_forgets_an_ended_job_only(service, port):
    job = start_sleep(service)
    path = f"/v1/jobs/{job['id']}"
    assert service.ask("DELETE", path, port=port).status == 409
    service.ask("POST", path + "/cancel", port=port)
    service.wait_state(job["id"], "cancelled")
    assert service.ask("DELETE", path, port=port).status == 204
    assert service.ask("GET", path, port=port).status == 404
    assert service.ask("GET", path + "/stdout", port=port).status == 404


def test_the_list_pages_through_every_job_once(service, port):
    label = f"page{port}"
    batch = [{"args": ["true"], "labels": {"n": label}} for _ in range(25)]
    ids = [job["id"] for job in service.ask("POST", "/v1/jobs", batch).json]
    seen, cursor = [], ""
    while cursor is not None:
        page = service.ask("GET", f"/v1/jobs?label=n:{label}&limit=10{cursor}", port=port).json
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert seen == ids[::-1]


def test_the_list_filters_by_states(service):
    label = "label=kind:states"
    kinds = {"kind": "states"}
    service.run("true", labels=kinds)
    service.run("false", labels=kinds)

    def states(query):
        jobs = service.ask("GET", f"/v1/jobs?{label}{query}").json["jobs"]
        return [job["state"] for job in jobs]

    assert states("") == ["failed", "succeeded"]
    assert states("&state=failed") == ["failed"]
    assert states("&state=failed&state=succeeded") == ["failed", "succeeded"]
    assert states("&state=running") == []


def group_members(group: int) -> list[int]:
    """Return the living processes of a group."""
    stats = [(pid, proc.stat(pid)) for pid in proc.pids()]
    return [pid for pid, found in stats if found and found.group == group and found.is_alive]


def test_the_list_is_narrowed_by_time_and_text(service, port):
    first = service.run("echo", f"Erste-{port}", labels={"kind": "times"})
    second = service.run("echo", "zweite", f"Größe-{port}", labels={"kind": "times"})

    def found(query):
        page = service.ask("GET", f"/v1/jobs?label=kind:times&{query}", port=port).json
        return [job["id"] for job in page["jobs"] if str(port) in job["args"][-1]]

    at = second["created_at"]
    assert found(f"since={at}") == [second["id"]]
    assert found(f"until={at}") == [first["id"]]
    as_elsewhere = datetime.fromisoformat(at).astimezone(timezone(timedelta(hours=2))).isoformat()
    assert found(f"since={as_elsewhere}") == [second["id"]], "a '+' that was not quoted"
    assert found(f"since={first['created_at']}&q=ECHO%20ERSTE-{port}") == [first["id"]]
    assert found(f"q=GR%C3%96SSE-{port}") == [second["id"]]
    assert found(f"q=zweite&state=failed&until={at}") == []
    assert found("q=&since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59-23:59") == [
        second["id"],
        first["id"],
    ]


def test_a_page_is_bounded_in_bytes(service, port):
    batch = [{"args": ["true", "x" * 120_000], "labels": {"size": f"{port}"}}] * 50
    ids = [job["id"] for job in service.ask("POST", "/v1/jobs", batch).json]
    seen, cursor = [], ""
    while cursor is not None:
        answer = service.ask("GET", f"/v1/jobs?label=size:{port}&limit=1000{cursor}", port=port)
        assert len(answer.body) < 5 << 20
        seen += [job["id"] for job in answer.json["jobs"]]
        cursor = answer.json["next_cursor"] and f"&cursor={answer.json['next_cursor']}"
    assert seen == ids[::-1]
