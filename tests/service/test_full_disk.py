"""A disk without room: clients are told, what runs goes on, and nothing of it is forgotten."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.conftest import Service, eventually

SIZE = 16 << 20


class SmallDisk:
    """A file system that can be filled and emptied."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filling = path / "filling"

    def fill(self) -> None:
        with (
            self._filling.open("wb", buffering=0) as file,
            pytest.raises(OSError, match="No space"),
        ):
            while True:
                file.write(bytes(65_536))

    def free(self) -> None:
        self._filling.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small disk can be mounted by root only")
    try:
        yield SmallDisk(tmp_path)
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.fixture
def service(disk: SmallDisk) -> Iterator[Service]:
    service = Service(disk.path / "state", 2)
    yield service
    service.stop()


def test_a_full_disk_is_an_answer_and_what_ran_is_written_when_there_is_room(disk, service):
    running = service.submit("sh", "-c", "cat >/dev/null; exit 3", stdin="open")
    service.wait_state(running["id"], "running")
    stuck = service.submit("sleep", "4712")
    service.wait_state(stuck["id"], "running")
    disk.fill()
    for port in service.ports:
        refused = service.ask("POST", "/v1/jobs", {"args": ["true"]}, port=port)
        assert refused.status == 503 and "disk is full" in refused.json["detail"]
        assert refused.headers["Retry-After"] == "1"
        assert service.ask("GET", "/readyz", port=port).status == 503
        assert service.ask("GET", "/livez", port=port).status == 200
        assert service.get(running["id"], port)["state"] == "running"
    kill = {"signal": "SIGKILL"}  # as a cancel would have to be written first
    path = f"/v1/jobs/{stuck['id']}/signal"
    assert service.ask("POST", path, kill, port=service.ports[1]).status == 204
    path = f"/v1/jobs/{running['id']}/stdin?close=true"
    headers = {"Content-Type": "application/octet-stream"}
    assert service.ask("POST", path, b"the end", headers=headers).status == 204
    disk.free()
    ended = service.wait_state(running["id"], "failed")
    assert (ended["reason"], ended["exit_code"]) == ("exit", 3)
    assert service.wait_state(stuck["id"], "failed")["signal"] == "SIGKILL"
    assert service.run("echo", "again")["stdout"]["text"] == "again\n"
    assert [process.poll() for process in service.processes.values()] == [None, None]
    assert len(service.ask("GET", "/v1/jobs").json["jobs"]) == 3  # what was refused left no trace


def test_a_start_that_could_not_be_written_is_written_when_there_is_room(disk, service):
    filling = disk.path / "of the job"
    script = 'head -c 99999999 /dev/zero >"$0"; sleep 1; rm "$0"; echo gone; sleep 4712'
    job = service.submit("sh", "-c", script, str(filling))
    eventually(lambda: service.get(job["id"], query="?output=true")["stdout"]["bytes"])
    assert service.wait_state(job["id"], "running")["started_at"]
    assert service.ask("POST", f"/v1/jobs/{job['id']}/cancel").status == 202
    service.wait_state(job["id"], "cancelled")
