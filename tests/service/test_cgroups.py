"""With a cgroup for each job nothing of it lives on, wherever it hides."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import proc
from tests.service.conftest import eventually

# no mark, no group, no session of the job's
HIDES = "env -i setsid sleep {n} & echo started; exec sleep 4750"


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A place for cgroups of version 2 that we may write."""
    for root in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        own = Path("/proc/self/cgroup").read_text().split("0::/")[-1].split("\n")[0]
        if not (root / "cgroup.procs").exists():
            continue
        try:
            made = Path(tempfile.mkdtemp(prefix="squall-test-", dir=root / own))
        except OSError:
            continue
        if not (made / "cgroup.kill").exists():
            made.rmdir()
            continue
        yield made
        for directory in made.glob("squall-*"):  # of processes that were killed
            directory.rmdir()
        made.rmdir()
        return
    pytest.skip("no directory of cgroup v2 that we may write, with cgroup.kill (Linux 5.14)")


def is_there(command: str) -> bool:
    return command in {proc.command_line(pid) for pid in proc.pids()}


def hidden(service, number: int, **spec: object) -> str:
    job = service.submit("sh", "-c", HIDES.format(n=number), **spec)
    eventually(lambda: is_there(f"sleep {number}"))
    return job["id"]


def test_a_process_that_hides_dies_with_a_cancel_a_timeout_and_its_owner(start_service, cgroup):
    service = start_service(SQUALL_JOBS_CGROUP=cgroup)
    (port,) = service.ports
    id = hidden(service, 4751)
    assert service.ask("POST", f"/v1/jobs/{id}/cancel").status == 202
    service.wait_state(id, "cancelled")
    assert not is_there("sleep 4751")
    id = hidden(service, 4752, timeout=1)
    assert service.wait_state(id, "failed")["reason"] == "timeout"
    assert not is_there("sleep 4752")
    id = hidden(service, 4753)
    service.kill(port)
    service.restart(port)
    assert service.get(id)["state"] == "lost"
    assert not is_there("sleep 4753")
    service.kill(port, signal.SIGTERM)
    assert service.processes[port].wait(30) == 0
    assert list(cgroup.glob("squall-*")) == []


def test_a_peer_kills_what_hides_from_it(start_service, cgroup):
    service = start_service(2, SQUALL_JOBS_CGROUP=cgroup)
    first, second = service.ports
    id = hidden(service, 4754, port=first)
    service.kill(first)
    service.wait_state(id, "lost", port=second)
    assert not is_there("sleep 4754")


def test_a_place_that_is_no_cgroup_is_refused(start_service, tmp_path):
    with pytest.raises(AssertionError, match=r"jobs\.cgroup: .* is no cgroup v2"):
        start_service(SQUALL_JOBS_CGROUP=tmp_path)
    assert list(tmp_path.iterdir()) == []
