"""Processes of jobs are told from strangers by their mark, or by their start since the boot."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from service import proc
from service.jobs import Job, Spec
from service.ledger import Leader
from service.ledger.sqlite import SqliteLedger
from service.running import orphans
from service.running.cgroups import Cgroups
from service.running.recovery import Recovery
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


HIDDEN = """
mount -t proc -o hidepid=1 proc /proc
sleep 4742 &
"$@" || exit
kill $!
"""


def test_processes_of_others_that_hide_are_no_reason_to_spare_ours(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    try_it = """
import os, subprocess
from service import proc
from service.ledger import Leader
from service.running import orphans
marked = subprocess.Popen(["sleep", "4743"], env={orphans.MARK: "job"})
bare = subprocess.Popen(["sleep", "4743"], env={}, start_new_session=True)
leader = Leader("job", bare.pid, proc.boot_id(), proc.stat(bare.pid).start_ticks)
assert any(os.stat(f"/proc/{pid}").st_uid == 0 for pid in proc.pids())
assert orphans.kill(["job"], [leader])
assert (marked.wait(10), bare.wait(10)) == (-9, -9)
"""
    # the interpreter and the code may lie where nobody else may look
    somebody = ["setpriv", "--reuid=54323", "--regid=54323", "--clear-groups"]
    somebody += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    apart = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", HIDDEN, "sh"]
    tried = subprocess.run(
        [*apart, *somebody, sys.executable, "-c", try_it], capture_output=True, text=True
    )
    assert tried.returncode == 0, tried.stderr


def test_what_cgroups_cannot_clear_up_keeps_no_mark_from_being_looked_for(tmp_path):
    (tmp_path / "squall-1").mkdir()  # but no cgroup
    marked = subprocess.Popen(["sleep", "4744"], env={orphans.MARK: "job"})
    try:
        recovery = Recovery(None, None, tmp_path, "2", Cgroups(str(tmp_path)))
        assert not recovery._kill("1", ["job"], [])
        assert marked.wait(10) == -9
    finally:
        marked.kill()
        marked.wait()


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "of the disk"), ValueError("a bug")])
def test_no_failure_of_the_look_keeps_jobs_from_being_lost(tmp_path, monkeypatch, caplog, failure):
    def fail(*_: object) -> bool:
        raise failure

    monkeypatch.setattr(orphans, "kill", fail)
    recovery = Recovery(None, None, tmp_path, "2", None)
    assert not recovery._kill("1", ["job"], [])
    assert "cannot be looked for" in caplog.text


def test_owners_of_a_kind_that_is_not_known_are_left_alone(tmp_path):
    async def main() -> tuple[int, Job]:
        ledger = SqliteLedger(tmp_path / "l.db")
        try:
            accepted = await ledger.submit(
                [Spec(args=["true"])], queue_limit=9, owner="machine:8885", room=1
            )
            lost = await Recovery(ledger, None, tmp_path, "8885", None).look()
            return lost, await ledger.get(accepted.jobs[0].id)
        finally:
            ledger.close()

    lost, job = asyncio.run(main())
    assert (lost, job.state, job.owner) == (0, "queued", "machine:8885")


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
