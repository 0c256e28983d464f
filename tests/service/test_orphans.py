"""Processes of jobs are told from strangers by their mark, or by their start since the boot."""

from __future__ import annotations

import os
import resource
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from service import proc
from service.ledger import Leader
from service.running import orphans
from tests.service.conftest import eventually


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process without a mark, in a session of its own."""
    process = subprocess.Popen(["sleep", "4740"], env={}, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def leader(pid, boot_id=None, later=0):
    found = proc.stat(pid)
    return Leader("job", pid, boot_id or proc.boot_id(), found.start_ticks + later)


def test_a_process_without_a_mark_is_found_by_its_start(sleeper):
    assert orphans.kill(["job"], [leader(sleeper.pid)])
    assert sleeper.wait(10) == -9


@pytest.mark.parametrize("changes", [{"later": 1}, {"later": -1}, {"boot_id": str(uuid.uuid4())}])
def test_a_stranger_with_the_number_of_a_job_lives(sleeper, changes):
    assert orphans.kill(["job"], [leader(sleeper.pid, **changes)])
    assert sleeper.poll() is None


def test_without_descriptors_nobody_is_called_gone():
    marked = subprocess.Popen(["sleep", "4741"], env={orphans.MARK: "job"})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        assert not orphans.kill(["job"], timeout_s=0.3)
        assert marked.poll() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        marked.kill()
        marked.wait()


def test_a_process_that_is_becoming_another_program_does_not_pass_for_gone(tmp_path):
    script = tmp_path / "script"
    script.write_text('exec sh "$0"')  # in a tenth of its time nothing can be known of it
    for _ in range(100):
        restless = subprocess.Popen(["sh", script], env={orphans.MARK: "job"})
        try:
            assert orphans.kill(["job"])
            assert restless.wait(10) == -9
        finally:
            restless.kill()
            restless.wait()


def test_proc_tells_of_a_process_and_none_of_one_that_is_gone(sleeper):
    eventually(lambda: proc.command_line(sleeper.pid) == "sleep 4740")  # after its exec
    found = proc.stat(sleeper.pid)
    assert (found.parent, found.group, found.session) == (os.getpid(), *[sleeper.pid] * 2)
    assert found.is_alive
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not proc.stat(sleeper.pid).is_alive
    sleeper.wait()
    assert proc.stat(sleeper.pid) is None
    assert (proc.environ(sleeper.pid), proc.command_line(sleeper.pid)) == ([b""], "")
