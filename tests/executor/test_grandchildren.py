"""Children of the child: cases 46 to 51 of the conformance list."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from children import EXIT_1, HELD_PIPE, is_alive, py, sh, until

from executor import Limits, Subprocess, run

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
