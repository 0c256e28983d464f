"""Server-sent events as httpx-sse reads them."""

from __future__ import annotations

import json

import httpx
import pytest
from httpx_sse import connect_sse

from tests.service.conftest import eventually


@pytest.fixture
def client(service):
    url = f"http://127.0.0.1:{service.ports[0]}"
    headers = {"Authorization": f"Bearer {service.token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
        yield client


def read(client, path, until, **headers):
    """Read events up to the first of a kind, which must come."""
    seen = []
    with connect_sse(client, "GET", path, headers=headers) as source:
        for event in source.iter_sse():
            seen.append(event)
            if until(event):
                return seen
    raise AssertionError(f"ended without it: {seen}")


def test_the_output_of_a_job_from_its_first_item_to_its_end(service, client):
    job = service.submit("sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done; echo e >&2")
    path = f"/v1/jobs/{job['id']}/output?follow=true"
    *items, end = read(client, path, lambda event: event.event == "end")
    assert {event.event for event in items} == {"output"}, "an event that says nothing"
    told = [json.loads(event.data) for event in items]
    assert "".join(item["text"] for item in told if item["stream"] == "stdout") == "1\n2\n3\n"
    assert [int(event.id) for event in items] == [item["seq"] for item in told]
    assert json.loads(end.data)["state"] == "succeeded"
    *rest, _ = read(
        client, path, lambda event: event.event == "end", **{"Last-Event-ID": items[0].id}
    )
    assert [event.id for event in rest] == [event.id for event in items[1:]]


def test_without_follow_an_ended_job_has_its_end_too(service, client):
    job = service.run("echo", "hello")
    *items, end = read(client, f"/v1/jobs/{job['id']}/output", lambda event: event.event == "end")
    assert [json.loads(event.data)["text"] for event in items] == ["hello\n"]
    assert json.loads(end.data)["id"] == job["id"]


def test_without_follow_a_job_that_runs_has_an_end_of_what_there_is(service, client):
    """A browser asks again, and again, after a stream that closes without one."""
    job = service.submit("sh", "-c", "echo hello; exec sleep 4790")
    path = f"/v1/jobs/{job['id']}/output"
    eventually(lambda: service.ask("GET", path).body)
    service.wait_state(job["id"], "running")
    *items, end = read(client, path, lambda event: event.event == "end")
    assert [json.loads(event.data)["text"] for event in items] == ["hello\n"]
    assert json.loads(end.data)["state"] == "running"
    (end,) = read(
        client, path, lambda event: event.event == "end", **{"Last-Event-ID": items[0].id}
    )
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")


def test_every_change_of_state_and_from_where_one_was(service, client):
    last = read_last_event(service, client)
    job = service.run("true")

    def is_its_end(event):
        told = json.loads(event.data)
        return told["id"] == job["id"] and told["state"] == "succeeded"

    seen = read(client, f"/v1/events?after={last}", is_its_end)
    assert {event.event for event in seen} == {"state"}
    its = [event for event in seen if json.loads(event.data)["id"] == job["id"]]
    states = [json.loads(event.data)["state"] for event in its]
    assert (states[0], states[-1]) == ("queued", "succeeded")
    resumed = read(client, "/v1/events", is_its_end, **{"Last-Event-ID": its[0].id})
    assert [event.id for event in resumed] == [e.id for e in seen if int(e.id) > int(its[0].id)]


def read_last_event(service, client):
    marker = service.run("true")
    (*_, event) = read(
        client, "/v1/events?after=0", lambda e: json.loads(e.data)["id"] == marker["id"]
    )
    return event.id
