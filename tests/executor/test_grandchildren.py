"""Children of the child: cases 46 to 51 of the conformance list."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from children import (
    EXIT_1,
    HELD_PIPE,
    children_of_ours,
    in_a_fork,
    is_alive,
    py,
    sh,
    until,
)

from executor import PIPE, Limits, Subprocess, run, watch

DAEMON = py(
    "import os, sys, time\n"
    "if os.fork(): os._exit(0)\n"
    "os.setsid()\n"
    "if os.fork(): os._exit(0)\n"
    "print(os.getpid(), flush=True)\n"
    "time.sleep(60)"
)
KILL = ((signal.SIGKILL, None),)


def end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


# 46
@pytest.mark.gen_test(timeout=60)
async def test_held_stdout_is_given_up_after_the_drain(io_loop):
    before = time.monotonic()
    result = await run(HELD_PIPE, drain=0.2)
    assert 0.2 <= time.monotonic() - before < 20
    assert (result.status, result.incomplete, result.has_timed_out) == (0, True, False)
    end(int(result.stdout))


@pytest.mark.gen_test(timeout=60)
async def test_drain_of_nothing_takes_what_is_there(io_loop):
    result = await run(sh("echo out; echo err >&2; sleep 60 & echo $!"), drain=0)
    assert (result.stderr, result.incomplete) == (b"err\n", True)
    end(int(result.stdout.split()[1]))


@pytest.mark.gen_test(timeout=60)
async def test_what_a_grandchild_writes_in_the_drain_is_taken(io_loop):
    result = await run(sh("(sleep 0.1; echo late) & echo early"), drain=20)
    assert (result.stdout, result.incomplete) == (b"early\nlate\n", False)
    assert result.duration < result.usage.system_seconds + 10


@pytest.mark.gen_test(timeout=60)
async def test_drain_without_end_waits_for_the_end_of_the_pipe(io_loop):
    result = await run(sh("(sleep 0.3; echo late) & echo early"), drain=None)
    assert (result.stdout, result.incomplete) == (b"early\nlate\n", False)


@pytest.mark.gen_test(timeout=60)
async def test_timeout_bounds_a_drain_without_end_and_is_no_timeout_of_the_command(io_loop):
    result = await run(HELD_PIPE, drain=None, timeout=0.3)
    assert (result.status, result.incomplete, result.has_timed_out) == (0, True, False)
    end(int(result.stdout))


@pytest.mark.gen_test(timeout=60)
async def test_grandchild_that_writes_without_end_does_not_hold_up_the_end(io_loop):
    result = await run(sh("yes & echo $!"), drain=0.1, max_output=100)
    assert (result.status, result.incomplete) == (0, True)
    end(int(result.stdout.split()[0]))


# 47
@pytest.mark.gen_test(timeout=60)
async def test_held_stderr_is_given_up_after_the_drain(io_loop):
    result = await run(sh("sleep 60 >&- & echo $!"), drain=0.2)
    assert (result.status, result.incomplete) == (0, True)
    end(int(result.stdout))


@pytest.mark.gen_test(timeout=60)
async def test_held_stdin_with_input_left_is_given_up_after_the_drain(io_loop):
    result = await run(
        sh("exec 3<&0; sleep 60 <&3 >&- 2>&- & echo $!"), input=b"x" * 1_000_000, drain=0.2
    )
    assert (result.status, result.incomplete) == (0, True)
    end(int(result.stdout))


@pytest.mark.gen_test(timeout=60)
async def test_grandchild_gets_the_rest_of_the_input_in_the_drain(io_loop, tmp_path):
    size = 1_000_000
    script = f"exec 3<&0; (sleep 0.1; cat <&3 >{tmp_path}/got; echo done) &"
    result = await run(sh(script), input=b"x" * size, drain=20)
    assert (result.stdout, result.incomplete) == (b"done\n", False)
    assert (tmp_path / "got").stat().st_size == size


# 48
@pytest.mark.gen_test(timeout=60)
async def test_timeout_kills_the_real_command_and_not_only_the_shell(io_loop):
    result = await run("sleep 60 & echo $!; wait", shell=True, timeout=0.3)
    assert (result.has_timed_out, result.incomplete) == (True, False)
    await until(lambda: not is_alive(int(result.stdout)))


# 49
MEMBER = "sh -c 'trap \"\" TERM HUP; echo $$; while :; do sleep 0.1; done' &"
TREE = sh(f"for i in 1 2 3; do {MEMBER} done; wait")


@pytest.mark.parametrize("how", ["timeout", "cancel"])
@pytest.mark.gen_test(timeout=60)
async def test_whole_group_is_dead_after_a_stop_whoever_ignores_it(io_loop, how):
    seen = bytearray()
    sp = Subprocess(
        args=TREE,
        on_output=lambda _, chunk: seen.extend(chunk),
        timeout=1 if how == "timeout" else -1,
        drain=0.2,
    )
    sp.start()
    await until(lambda: seen.count(b"\n") == 3)
    if how == "cancel":
        sp.cancel()
    result = await sp.wait()
    assert result.status == -signal.SIGTERM  # the shell went, its children did not
    for pid in map(int, seen.split()):
        await until(lambda pid=pid: not is_alive(pid))


@pytest.mark.gen_test(timeout=60)
async def test_group_without_our_pipes_is_dead_after_a_stop_too(io_loop):
    sp = Subprocess(
        args=sh("sh -c 'trap \"\" TERM; sleep 60' </dev/null >/dev/null 2>&1 & echo $!; wait")
    )
    sp.start()
    async for line in sp.lines():
        pid = int(line)
        break
    sp.cancel()
    await sp.wait()
    await until(lambda: not is_alive(pid))


@pytest.mark.gen_test(timeout=60)
async def test_cancel_in_the_drain_kills_who_holds_the_pipe(io_loop):
    sp = Subprocess(args=HELD_PIPE, drain=None)
    sp.start()
    await until(lambda: not is_alive(sp.pid))
    async for line in sp.lines():
        pid = int(line)
        break
    assert sp.cancel() is True
    result = await sp.wait()
    assert (result.status, result.was_cancelled, result.incomplete) == (0, True, False)
    await until(lambda: not is_alive(pid))


@pytest.mark.gen_test(timeout=60)
async def test_leader_is_a_zombie_of_ours_until_its_group_is_done_with(io_loop):
    """So that neither its id nor its group's can come to belong to a stranger."""
    sp = Subprocess(args=HELD_PIPE, drain=0.5)
    sp.start()
    await until(lambda: not is_alive(sp.pid))
    assert os.getpgid(sp.pid) == sp.pid
    assert sp.result is None
    result = await sp.wait()
    with pytest.raises(ChildProcessError):
        os.waitpid(sp.pid, os.WNOHANG)
    end(int(result.stdout))


# 50
@pytest.mark.gen_test(timeout=60)
async def test_daemon_with_a_session_of_its_own_survives_a_stop(io_loop):
    """As documented: it has left the group, and where there is no cgroup nothing holds it."""
    async with Subprocess(args=DAEMON, drain=None, stop=KILL) as sp:
        async for line in sp.lines():
            pid = int(line)
            break
    assert sp.result.was_cancelled
    assert is_alive(pid)
    end(pid)


@pytest.fixture
def cgroup():
    """A cgroup v2 directory that we may write."""
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        own = Path("/proc/self/cgroup").read_text().split("0::/")[-1].split("\n")[0]
        place = Path(root, own)
        if not (Path(root) / "cgroup.procs").exists():
            continue
        try:
            made = Path(tempfile.mkdtemp(prefix="executor-test-", dir=place))
        except OSError:
            continue
        if not (made / "cgroup.kill").exists():
            made.rmdir()
            continue
        yield made
        made.rmdir()  # fails when a run has left its own behind
        return
    pytest.skip("no cgroup v2 directory that we may write, with cgroup.kill (Linux 5.14)")


@pytest.mark.parametrize("limits", [None, Limits(core_size=0)], ids=["plain", "limits"])
@pytest.mark.gen_test(timeout=60)
async def test_daemon_dies_with_its_cgroup(io_loop, cgroup, limits):
    async with Subprocess(args=DAEMON, drain=None, stop=KILL, cgroup=cgroup, limits=limits) as sp:
        async for line in sp.lines():
            pid = int(line)
            break
        assert is_alive(pid)
        assert len(list(cgroup.glob("executor-*"))) == 1
    assert not is_alive(pid)
    assert list(cgroup.glob("executor-*")) == []


@pytest.mark.gen_test(timeout=60)
async def test_daemon_of_a_command_that_ended_well_dies_with_its_cgroup(io_loop, cgroup):
    result = await run(DAEMON, drain=0.3, cgroup=cgroup)
    assert result.status == 0
    for line in result.stdout.split():
        assert not is_alive(int(line))
    assert (await run(EXIT_1, cgroup=cgroup)).status == 1
    with pytest.raises(FileNotFoundError):
        await run(["/nonexistent"], cgroup=cgroup)
    with pytest.raises(FileNotFoundError) as caught:
        await run(EXIT_1, cgroup=cgroup / "none")
    assert str(cgroup / "none") in str(caught.value.filename)


# 51
@pytest.mark.gen_test(timeout=60)
async def test_normal_end_leaves_background_children_alone(io_loop):
    result = await run(sh("sleep 60 >/dev/null 2>&1 & echo $!"))
    assert (result.status, result.incomplete) == (0, False)
    assert is_alive(int(result.stdout))
    end(int(result.stdout))


@pytest.mark.parametrize("holds", ["", ">/dev/null 2>&1"], ids=["holds the pipe", "does not"])
@pytest.mark.gen_test(timeout=60)
async def test_normal_end_kills_background_children_when_asked(io_loop, holds):
    result = await run(sh(f"sleep 60 {holds} & echo $!"), kill_group=True, drain=0.2)
    assert (result.status, result.incomplete, result.was_cancelled) == (0, False, False)
    await until(lambda: not is_alive(int(result.stdout)))


@pytest.mark.gen_test(timeout=60)
async def test_killing_the_group_at_the_end_loses_no_output(io_loop):
    result = await run(sh("(sleep 0.1; echo late) & echo early"), kill_group=True, drain=20)
    assert result.stdout == b"early\nlate\n"


# 75
@pytest.mark.gen_test(timeout=60)
async def test_timeout_in_the_turn_of_the_exit_bounds_a_drain_without_end(io_loop):
    loop = asyncio.get_running_loop()
    sp = Subprocess(args=sh("read x; sleep 60 & echo $!"), stdin=PIPE, drain=None, timeout=0.05)
    sp.start()

    def let_it_exit() -> None:
        sp.close_stdin()
        os.waitid(os.P_PID, sp.pid, os.WEXITED | os.WNOWAIT)

    # both are due when the loop next looks: the timeout comes after the exit, and before its event
    loop.call_at(loop.time(), let_it_exit)
    time.sleep(0.1)
    try:
        result = await asyncio.wait_for(sp.wait(), 10)
    finally:
        sp.cancel()
        await sp.wait()
    assert (result.status, result.incomplete, result.has_timed_out) == (0, True, False)
    end(int(result.stdout))


@pytest.mark.gen_test(timeout=60)
async def test_timeout_that_has_stopped_the_command_does_not_cut_its_grace_short(io_loop):
    """drain=None: what is left of the group has until the next step."""
    script = "trap 'exit 0' TERM; (trap '' TERM; sleep 0.5; echo late) & echo early; wait"
    steps = ((signal.SIGTERM, 30), (signal.SIGKILL, None))
    result = await run(sh(script), drain=None, timeout=0.2, stop=steps)
    assert (result.stdout, result.has_timed_out) == (b"early\nlate\n", True)
    assert result.incomplete is False


# 77
MEMBER_THAT_STAYS = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' & wait"


def test_with_sigchld_ignored_the_stop_reaches_the_group_without_its_leader():
    """The kernel reaps the leader; the pidfd still stands for its group (Linux 6.9)."""

    async def main() -> None:
        sp = Subprocess(args=sh(MEMBER_THAT_STAYS), drain=20, stop=((signal.SIGTERM, 0.2), *KILL))
        sp.start()
        async for line in sp.lines():
            member = int(line)
            break
        sp.cancel()
        try:
            result = await asyncio.wait_for(sp.wait(), 10)
            await until(lambda: not is_alive(member))
        finally:
            end(member)
        assert (result.was_cancelled, result.incomplete) == (True, False)

    def act() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        asyncio.run(main())

    if not kernel_signals_groups_by_pidfd():
        pytest.skip("no PIDFD_SIGNAL_PROCESS_GROUP (Linux 6.9)")
    in_a_fork(act)


def kernel_signals_groups_by_pidfd() -> bool:
    pidfd = os.pidfd_open(os.getpid())
    try:
        signal.pidfd_send_signal(pidfd, 0, None, 4)
    except OSError as error:
        return error.errno != errno.EINVAL
    finally:
        os.close(pidfd)
    return True


@pytest.mark.gen_test(timeout=60)
async def test_older_kernel_signals_the_group_by_its_id(io_loop, monkeypatch):
    real = signal.pidfd_send_signal

    def older(pidfd: int, number: int, info: None = None, flags: int = 0) -> None:
        if flags:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(pidfd, number)

    monkeypatch.setattr(signal, "pidfd_send_signal", older)
    sp = Subprocess(args=sh(MEMBER_THAT_STAYS), drain=20, stop=((signal.SIGTERM, 0.2), *KILL))
    sp.start()
    async for line in sp.lines():
        member = int(line)
        break
    sp.cancel()
    assert (await sp.wait()).incomplete is False
    await until(lambda: not is_alive(member))


@pytest.mark.gen_test(timeout=60)
async def test_group_id_that_may_be_anothers_is_not_signalled(io_loop, monkeypatch):
    """Without a pidfd nothing holds on to the id of a child that somebody else has reaped."""

    def refuse(pid: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    sp = Subprocess(args=HELD_PIPE, drain=0.5)
    sp.start()
    async for line in sp.lines():
        member = int(line)
        break
    os.waitpid(sp.pid, 0)
    assert sp.send_signal(signal.SIGKILL) is False
    assert is_alive(member)
    await sp.wait()
    end(member)


def test_loop_closed_while_the_cgroup_is_removed_leaves_the_result(tmp_path, monkeypatch):
    """A plain directory, with a file in it, stands for a cgroup that can't be removed."""
    monkeypatch.setattr(watch, "ABANDON_S", 0.1)
    loop = asyncio.new_event_loop()

    async def main() -> Subprocess[bytes]:
        sp = Subprocess(args=["echo", "out"], cgroup=tmp_path)
        sp.start()
        await until(lambda: sp.pid not in children_of_ours())
        assert sp.result is None
        return sp

    sp = loop.run_until_complete(main())
    loop.close()
    assert (sp.status, sp.stdout) == (0, b"out\n")
