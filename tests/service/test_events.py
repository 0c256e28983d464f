"""Every change of state, on every process, resumable."""

from __future__ import annotations

import http.client
import json

import pytest


class Events:
    """An open stream of events."""

    def __init__(self, service, port, **headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers["Authorization"] = f"Bearer {service.token}"
        self.connection.request("GET", "/v1/events", headers=headers)
        self.response = self.connection.getresponse()
        assert self.response.status == 200
        assert self.response.headers["Content-Type"] == "text/event-stream"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.response.close()
        self.connection.close()

    def next(self):
        """Return the id and the data of the next event."""
        fields = {}
        while True:
            line = self.response.readline().decode().rstrip("\n")
            if not line and "data" in fields:
                assert fields["event"] == "state"
                return int(fields["id"]), json.loads(fields["data"])
            name, _, value = line.partition(": ")
            fields[name] = value

    def of(self, id, count):
        """Return the next changes of one job, with their ids."""
        found = []
        while len(found) < count:
            number, job = self.next()
            if job["id"] == id:
                found.append((number, job))
        return found


@pytest.fixture(params=[0, 1], ids=["at the owner", "elsewhere"])
def port(service, request):
    return service.ports[request.param]


def test_all_changes_of_a_job_are_told_in_order(service, port):
    with Events(service, port) as events:
        job = service.run("sh", "-c", "exit 3", port=service.ports[0])
        queued, running, failed = (told for _, told in events.of(job["id"], 3))
    assert [told["state"] for told in (queued, running, failed)] == ["queued", "running", "failed"]
    assert queued["started_at"] is None and queued["owner"] is None
    assert running["pid"] == job["pid"] and running["exit_code"] is None
    assert failed == service.get(job["id"])


def test_events_resume_after_the_last_one_on_any_process(service, port):
    with Events(service, service.ports[0]) as events:
        job = service.run("true")
        told = events.of(job["id"], 3)
    with Events(service, port, **{"Last-Event-ID": str(told[0][0])}) as resumed:
        assert resumed.of(job["id"], 2) == told[1:]


def test_a_cancelled_queued_job_and_a_spawn_error_never_ran(service, port):
    with Events(service, port) as events:
        job = service.run("no-such-program")
        states = [told["state"] for _, told in events.of(job["id"], 2)]
    assert states == ["queued", "failed"]
