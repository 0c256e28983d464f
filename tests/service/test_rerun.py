"""`POST /v1/jobs/ID/rerun`: a new job with the spec of an earlier one."""

from __future__ import annotations

import pytest

KEPT = "x" * 1_000
LONG = "x" * 100_000


def rerun(service, id, changes=None, **options):
    return service.ask("POST", f"/v1/jobs/{id}/rerun", changes, **options)


def run_again(service, id, changes=None):
    answer = rerun(service, id, changes, headers={"Prefer": "wait=30"})
    assert answer.status == 200, answer
    return answer.json


def test_a_rerun_is_a_new_job_with_the_same_spec(service):
    spec = {"env": {"A": "b"}, "cwd": "/", "timeout": 20, "labels": {"app": "web"}}
    first = service.run("sh", "-c", "echo $A; pwd", limits={"open_files": 20}, **spec)
    answer = rerun(service, first["id"])
    again = answer.json
    assert answer.status == 202
    assert answer.headers["Location"] == f"/v1/jobs/{again['id']}"
    assert again["id"] != first["id"] and again["state"] == "queued"
    assert (first["rerun_of"], again["rerun_of"]) == (None, first["id"])
    for field in ("args", "env", "cwd", "timeout", "labels", "limits", "stop"):
        assert again[field] == first[field]
    ended = service.ask("GET", f"/v1/jobs/{again['id']}", headers={"Prefer": "wait=30"}).json
    assert ended["stdout"]["text"] == "b\n/\n" and ended["rerun_of"] == first["id"]


def test_a_job_that_has_not_ended_can_be_run_again(service):
    first = service.submit("sleep", "300")
    again = rerun(service, first["id"]).json
    assert again["args"] == first["args"]
    for id in (first["id"], again["id"]):
        service.ask("POST", f"/v1/jobs/{id}/cancel")


def test_the_body_of_a_rerun_holds_the_fields_to_change(service):
    first = service.run("cat", stdin={"text": KEPT}, labels={"app": "web"})
    again = run_again(service, first["id"], {"args": ["sh", "-c", "cat; exit 3"], "labels": {}})
    assert (again["exit_code"], again["labels"]) == (3, {})
    assert again["stdout"]["text"] == KEPT


def test_a_rerun_of_a_rerun_names_the_job_it_was_made_of(service):
    first = service.run("true")
    again = run_again(service, first["id"])
    assert run_again(service, again["id"])["rerun_of"] == again["id"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"args": []}, "args"), ({"timeout": -1}, "timeout"), ({"rerun_of": "me"}, "rerun_of")],
)
def test_a_wrong_field_of_a_rerun_is_named_and_nothing_is_accepted(service, changes, field):
    first = service.run("true")
    answer = rerun(service, first["id"], changes)
    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]


def test_a_body_that_is_no_object_is_refused(service):
    assert rerun(service, service.run("true")["id"], ["true"]).status == 422


def test_stdin_that_was_not_kept_is_never_left_out_in_silence(service):
    id = service.run("cat", stdin={"text": LONG})["id"]
    refused = rerun(service, id)
    assert refused.status == 409
    assert "standard input was not kept" in refused.json["detail"]
    assert run_again(service, id, {"stdin": None})["stdout"]["bytes"] == 0
    assert run_again(service, id, {"stdin": {"text": "new"}})["stdout"]["text"] == "new"


def test_stdin_of_any_length_is_there_while_the_job_is(service):
    first = service.submit("sh", "-c", "sleep 300; cat", stdin={"text": LONG})
    again = run_again(service, first["id"], {"args": ["cat"]})
    assert again["stdout"]["bytes"] == len(LONG)
    service.ask("POST", f"/v1/jobs/{first['id']}/cancel")


def ended_with_input(service, content, *args):
    job = service.submit(*args, stdin="open")
    service.ask("POST", f"/v1/jobs/{job['id']}/stdin?close=true", content)
    service.ask("GET", f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=30"})
    return job["id"]


def test_open_stdin_that_got_something_is_not_kept(service):
    assert rerun(service, ended_with_input(service, b"typed", "cat")).status == 409


def test_open_stdin_that_got_nothing_is_empty_the_next_time(service):
    id = ended_with_input(service, b"", "sh", "-c", "cat; echo done")
    assert run_again(service, id)["stdout"]["text"] == "done\n"


def test_what_a_stopped_job_would_have_read_is_not_known(service):
    job = service.submit("cat", stdin="open", timeout=0.1)
    service.ask("GET", f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=30"})
    assert rerun(service, job["id"]).status == 409


def test_a_repeated_rerun_with_a_key_runs_once(service):
    id = service.run("true")["id"]
    key = {"Idempotency-Key": f"again-{id}"}
    first = rerun(service, id, headers=key)
    again = rerun(service, id, headers=key, port=service.ports[1])
    assert (first.status, again.status) == (202, 200)
    assert again.json["id"] == first.json["id"]
    assert rerun(service, service.run("true")["id"], headers=key).status == 422


def test_an_unknown_job_cannot_be_run_again(service):
    assert rerun(service, "01890000-0000-7000-8000-000000000000").status == 404
