"""A run given up in one place goes on in another: case 86 of the conformance list."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import itertools
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import pytest
from children import CAT, EXITS_0_ON_TERM, SLEEP_30, holdings, is_alive, py, sh, until
from handed import Here, Killed, Released, place

from executor import (
    PIPE,
    Ending,
    ExecutorError,
    Handover,
    InputState,
    OutputState,
    Subprocess,
    Usage,
    run,
)
from executor import Released as GivenUp
from executor.cgroup import Cgroup
from executor.handover import boot_time

ANYWHERE = pytest.mark.parametrize("kind", [Here, Killed, Released])
READY = "until(lambda: sp.handover().stdout.total >= 6)"
KILL = ((signal.SIGKILL, None),)
BUSY = py("import sys, time\nfor i in range(300000): i * i\nprint('ready', flush=True)\n"
          "sys.stdin.read(); print('over'); sys.exit(7)")  # fmt: skip


def through_json(handover: Handover) -> Handover:
    return Handover.from_dict(json.loads(json.dumps(handover.to_dict())), handover.descriptors)


# what goes over


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_status_usage_output_and_duration_are_those_of_the_whole_run(io_loop, kind):
    with place(kind) as giver:
        await giver.start(f"args={BUSY!r}, stdin=PIPE")
        await giver.do(READY)
        handover, who = await giver.hand_over()
        sp = Subprocess.take_over(through_json(handover), **who)
        began = handover.started_boot
        sp.close_stdin()
        result = await sp.wait()
    assert (result.status, result.stdout, result.stderr) == (7, b"ready\nover\n", b"")
    assert (result.stdout_total, result.stdout_dropped, result.incomplete) == (11, 0, False)
    assert (result.has_timed_out, result.was_cancelled) == (False, False)
    assert result.args == BUSY
    assert result.usage is not None
    assert result.usage.user_seconds > 0
    assert result.usage.max_rss_bytes > 1 << 20
    assert (result.pid, result.started_at) == (handover.pid, handover.started_at)
    assert 0 < result.duration <= boot_time() - began
    assert not is_alive(result.pid)


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_death_by_a_signal_is_told(io_loop, kind):
    with place(kind) as giver:
        await giver.start(f"args={SLEEP_30!r}")
        handover, who = await giver.hand_over()
        sp = Subprocess.take_over(handover, **who)
        assert sp.send_signal(signal.SIGUSR1)
        assert (await sp.wait()).status == -signal.SIGUSR1


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_callback_of_the_successor_is_called_once_and_that_of_the_giver_never(io_loop, kind):
    called = []
    with place(kind) as giver:
        await giver.do("os.environ.pop('CALLED', None)")
        await giver.start(
            "callback=lambda *_: os.environ.update(CALLED='1'), args=['cat'], stdin=PIPE"
        )
        handover, who = await giver.hand_over()
        sp = Subprocess.take_over(handover, lambda *facts: called.append(facts), **who)
        sp.close_stdin()
        await until(lambda: called)
        if kind is not Killed:
            assert await giver.do("os.environ.get('CALLED')") is None
    assert called == [(0, b"", b"", False)]


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_timeout_goes_on_from_where_it_was(io_loop, kind):
    with place(kind) as giver:
        began = boot_time()
        await giver.start(f"args={SLEEP_30!r}, timeout=600")
        handover, who = await giver.hand_over()
        assert began + 600 <= handover.timeout_boot <= boot_time() + 600
        soon = dataclasses.replace(handover, timeout_boot=boot_time() + 0.3)
        result = await Subprocess.take_over(soon, **who).wait()
        assert boot_time() >= soon.timeout_boot
    assert (result.status, result.has_timed_out) == (-signal.SIGTERM, True)
    assert result.duration >= 0.3


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_timeout_that_is_overdue_stops_at_once(io_loop, kind):
    with place(kind) as giver:
        await giver.start(f"args={SLEEP_30!r}, timeout=1000")
        handover, who = await giver.hand_over()
        late = dataclasses.replace(handover, timeout_boot=boot_time() - 5)
        result = await Subprocess.take_over(late, **who).wait()
    assert (result.status, result.has_timed_out) == (-signal.SIGTERM, True)


HALF_WAY = (
    "args=['sh', '-c', \"trap 'echo termed' TERM; echo ready; while :; do sleep 0.02; done\"],"
    "stop=((signal.SIGTERM, 600.0), (signal.SIGKILL, None))"
)


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_stop_half_way_goes_on_with_the_steps_left_when_they_are_due(io_loop, kind):
    with place(kind) as giver:
        await giver.start(HALF_WAY)
        await giver.do(READY)
        began = boot_time()
        assert await giver.do("sp.cancel()")
        await giver.do("until(lambda: b'termed' in sp.handover().stdout.head)")
        handover, who = await giver.hand_over()
        assert (handover.reason, handover.steps) == ("cancelled", ((int(signal.SIGKILL), None),))
        assert began + 600 <= handover.step_boot <= boot_time() + 600
        soon = dataclasses.replace(handover, step_boot=boot_time() + 0.3)
        sp = Subprocess.take_over(through_json(soon), **who)
        assert not sp.cancel()  # it is begun already
        result = await sp.wait()
        assert boot_time() >= soon.step_boot
    assert result.was_cancelled
    assert result.status == -signal.SIGKILL
    assert result.stdout.count(b"termed") == 1


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_timeout_half_way_stays_a_timeout(io_loop, kind):
    with place(kind) as giver:
        await giver.start(HALF_WAY + ", timeout=0.3")
        await giver.do("until(lambda: sp.has_timed_out)")
        handover, who = await giver.hand_over()
        assert (handover.reason, handover.timeout_boot) == ("timeout", None)
        overdue = dataclasses.replace(handover, step_boot=boot_time() - 5)
        result = await Subprocess.take_over(overdue, **who).wait()
    assert (result.status, result.has_timed_out) == (-signal.SIGKILL, True)


@pytest.mark.gen_test(timeout=60)
async def test_stop_that_has_not_begun_takes_the_steps_of_the_handover_or_those_given(io_loop):
    for given, status in ((None, -signal.SIGUSR2), (KILL, -signal.SIGKILL)):
        with place(Here) as giver:
            await giver.start(f"args={SLEEP_30!r}, stop=((signal.SIGUSR2, 9.0),)")
            handover, _ = await giver.hand_over()
            sp = Subprocess.take_over(handover, stop=given)
            assert sp.cancel()
            assert (await sp.wait()).status == status


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_stopped_child_is_taken_over_and_can_be_killed(io_loop, kind):
    with place(kind) as giver:
        await giver.start(
            f"args={SLEEP_30!r}, stop=((signal.SIGTERM, 0.5), (signal.SIGKILL, None))"
        )
        await giver.do("sp.send_signal(signal.SIGSTOP)")
        pid = await giver.do("sp.pid")
        await until(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "T")
        handover, who = await giver.hand_over()
        sp = Subprocess.take_over(handover, **who)
        sp.cancel()
        assert (await sp.wait()).status == -signal.SIGKILL


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_child_that_ended_between_is_taken_over(io_loop, kind):
    with place(kind) as giver:
        await giver.start("args=['sh', '-c', 'read x; echo $x; exit 5'], stdin=PIPE")
        handover, who = await giver.hand_over()
        os.write(handover.descriptors["stdin"], b"bye\n")
        await until(lambda: not is_alive(handover.pid))
        sp = Subprocess.take_over(handover, **who)
        assert ((await sp.wait()).status, sp.stdout) == (5, b"bye\n")


@pytest.mark.gen_test(timeout=60)
async def test_child_that_had_ended_before_is_taken_over(io_loop):
    sp = Subprocess(args=sh("echo out; exit 5"))
    sp.start()
    while is_alive(sp.pid):  # without a turn of the loop
        time.sleep(0.005)
    handover = sp.release()
    result = await Subprocess.take_over(handover).wait()
    assert (result.status, result.stdout) == (5, b"out\n")


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_child_whose_pipe_is_held_is_taken_over_with_what_is_left_of_drain(io_loop, kind):
    with place(kind) as giver:
        await giver.start("args=['sh', '-c', 'sleep 60 & echo ready; exit 3'], drain=600")
        await giver.do("until(lambda: sp.handover().exited_boot)")
        handover, who = await giver.hand_over()
        ago = dataclasses.replace(
            handover,
            started_boot=handover.started_boot - 600,
            exited_boot=handover.exited_boot - 600,
        )
        sp = Subprocess.take_over(ago, drain=600, kill_group=True, **who)
        result = await sp.wait()
    assert (result.status, result.stdout, result.incomplete) == (3, b"ready\n", False)
    assert result.duration == pytest.approx(handover.exited_boot - handover.started_boot, abs=0.05)


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_group_dies_with_the_run_also_after_it_was_taken_over(io_loop, kind):
    with place(kind) as giver:
        await giver.start(
            "args=['sh', '-c', 'sleep 60 >/dev/null 2>&1 & echo $!; read x'], stdin=PIPE"
        )
        await giver.do("until(lambda: b'\\n' in sp.handover().stdout.head)")
        handover, who = await giver.hand_over()
        sp = Subprocess.take_over(handover, kill_group=True, **who)
        sp.close_stdin()
        result = await sp.wait()
        await until(lambda: not is_alive(int(result.stdout)))
    assert result.status == 1


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_input_that_the_pipe_had_not_taken_goes_over_once(io_loop, kind):
    wanted = b"".join(b"%07d\n" % number for number in range(20_000))
    slow = py("import signal, sys\nusr1 = {signal.SIGUSR1}\n"
              "signal.pthread_sigmask(signal.SIG_BLOCK, usr1)\nprint('ready', flush=True)\n"
              "signal.sigwait(usr1)\n"
              "sys.stdout.buffer.write(sys.stdin.buffer.read())")  # fmt: skip
    with place(kind) as giver:
        code = "b''.join(b'%07d\\n' % number for number in range(20000))"
        await giver.start(f"args={slow!r}, input={code}")
        await giver.do(READY)
        handover, who = await giver.hand_over()
        assert handover.stdin.ends
        assert len(handover.stdin.data) > 50_000
        sp = Subprocess.take_over(handover, **who)
        sp.send_signal(signal.SIGUSR1)
        result = await sp.wait()
    assert (result.status, result.stdout) == (0, b"ready\n" + wanted)


@ANYWHERE
@pytest.mark.gen_test(timeout=60)
async def test_open_stdin_goes_on_and_lines_begin_with_what_was_kept(io_loop, kind):
    with place(kind) as giver:
        await giver.start("args=['cat'], stdin=PIPE")
        await giver.do("sp.write(b'before\\n')")
        await giver.do(READY)
        handover, who = await giver.hand_over()
        sp = Subprocess.take_over(handover, text=True, **who)
        lines = sp.lines()
        await sp.write("after\n")
        assert [await anext(lines), await anext(lines)] == ["before\n", "after\n"]
        sp.close_stdin()
        assert (await sp.wait()).status == 0


@pytest.mark.gen_test(timeout=60)
async def test_what_was_kept_and_dropped_goes_over(io_loop):
    sp = Subprocess(args=sh("printf 0123456789; read x; printf abcdef"), stdin=PIPE, max_output=4)
    sp.start()
    await until(lambda: sp.handover().stdout.total == 10)
    handover = through_json(sp.release())
    assert handover.stdout == OutputState(10, b"01", b"89")
    sp = Subprocess.take_over(handover, max_output=4)
    sp.close_stdin()
    result = await sp.wait()
    assert (result.stdout, result.stdout_total, result.stdout_dropped) == (b"01ef", 16, 12)


@pytest.mark.gen_test(timeout=60)
async def test_total_that_is_known_better_is_taken(io_loop):
    sp = Subprocess(args=CAT, stdin=PIPE, max_output=0)
    sp.start()
    handover = dataclasses.replace(sp.release(), stdout=OutputState(1000))
    sp = Subprocess.take_over(handover, max_output=0)
    await sp.write(b"12345")
    sp.close_stdin()
    assert ((await sp.wait()).stdout_total, sp.result.stdout_dropped) == (1005, 1005)


@pytest.mark.gen_test(timeout=60)
async def test_run_can_be_passed_on_again_and_again(io_loop):
    sp = Subprocess(args=CAT, stdin=PIPE)
    sp.start()
    for number in range(20):
        await sp.write(b"%02d" % number)
        sp = Subprocess.take_over(through_json(sp.release()))
    sp.close_stdin()
    assert (await sp.wait()).stdout == b"".join(b"%02d" % number for number in range(20))


@pytest.mark.gen_test(timeout=60)
async def test_cgroup_goes_over_and_is_removed_by_the_successor(io_loop, tmp_path):
    (tmp_path / "one").mkdir()
    sp = Subprocess(args=CAT, stdin=PIPE)
    sp.start()
    handover = dataclasses.replace(sp.release(), cgroup=str(tmp_path / "one"))
    sp = Subprocess.take_over(through_json(handover))
    assert sp.handover().cgroup == str(tmp_path / "one")
    sp.close_stdin()
    left = asyncio.ensure_future(sp.wait())
    await until(lambda: (tmp_path / "one" / "cgroup.kill").exists())  # no kernel takes it here
    handover = sp.release()  # the child is reaped, and the cgroup is still there
    timers = asyncio.get_running_loop()._scheduled
    assert not [timer for timer in timers if "Cgroup" in repr(timer) and not timer.cancelled()]
    with pytest.raises(GivenUp):
        await left
    assert (handover.ending.status, dict(handover.descriptors)) == (0, {})
    gone = asyncio.ensure_future(Subprocess.take_over(through_json(handover)).wait())
    while not gone.done():
        (tmp_path / "one" / "cgroup.kill").unlink(missing_ok=True)  # it sweeps once more
        await asyncio.sleep(0.005)
    assert (await gone).status == 0
    assert not (tmp_path / "one").exists()


# what the giver is left with


@pytest.mark.gen_test(timeout=60)
async def test_giver_has_nothing_left_and_is_inert(io_loop):
    async def note(stream, chunk):
        await asyncio.Event().wait()

    timers = asyncio.get_running_loop()._scheduled
    others = list(timers)
    sp = Subprocess(
        args=sh("echo ready; echo err >&2; cat"), stdin=PIPE, timeout=600, on_output=note
    )
    sp.start()
    other = asyncio.ensure_future(sp.wait())
    lines = sp.lines("stderr")
    await anext(lines)
    reading = asyncio.ensure_future(anext(lines))
    writing = asyncio.ensure_future(sp.write(b"x" * 1_000_000))
    await until(lambda: sp.handover().stdin.data)
    tasks = asyncio.all_tasks()
    handover = sp.release()
    for waiting in (other, reading, writing):
        with pytest.raises(GivenUp):
            await waiting
    await until(lambda: asyncio.all_tasks() <= tasks - {other, reading, writing})
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert [timer for timer in timers if not timer.cancelled() and timer not in others] == []
    assert sp._child._watch.tenants == set()
    assert sp._child._watch._handlers == {}
    assert (sp.cancel(), sp.send_signal(signal.SIGKILL)) == (False, False)
    assert "released" in repr(sp)
    for late in (sp.handover, sp.release):
        with pytest.raises(RuntimeError, match="released"):
            late()
    for late in (sp.lines, sp.close_stdin):
        with pytest.raises(GivenUp):
            late()
    with pytest.raises(GivenUp):
        await sp.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del sp, late
        gc.collect()
    assert is_alive(handover.pid)
    assert sorted(handover.descriptors) == ["pidfd", "stderr", "stdin", "stdout"]
    sp = Subprocess.take_over(handover, stop=KILL)
    sp.cancel()
    assert (await sp.wait()).status == -signal.SIGKILL


@pytest.mark.gen_test(timeout=60)
async def test_stop_step_of_code_that_runs_is_cancelled_by_the_release(io_loop):
    began, ended = asyncio.Event(), asyncio.Event()

    async def ask(pid: int) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    sp = Subprocess(args=SLEEP_30, stop=((ask, 600.0), (signal.SIGKILL, None)))
    sp.start()
    sp.cancel()
    await began.wait()
    handover = sp.release()
    await ended.wait()
    assert handover.steps == ((int(signal.SIGKILL), None),)
    late = dataclasses.replace(handover, step_boot=boot_time())
    assert (await Subprocess.take_over(late).wait()).status == -signal.SIGKILL


@pytest.mark.gen_test(timeout=60)
async def test_block_that_gives_its_run_up_leaves_it_running(io_loop):
    async with Subprocess(args=SLEEP_30) as sp:
        handover = sp.release()
    assert is_alive(handover.pid)
    os.kill(handover.pid, signal.SIGKILL)
    assert (await Subprocess.take_over(handover).wait()).status == -signal.SIGKILL


@pytest.mark.gen_test(timeout=60)
async def test_output_may_be_what_has_the_run_given_up(io_loop):
    found = []

    def note(stream, chunk):
        found.append((chunk, sp.release()))

    sp = Subprocess(args=sh("echo ready; cat"), stdin=PIPE, on_output=note)
    sp.start()
    await until(lambda: found)
    ((chunk, handover),) = found
    sp = Subprocess.take_over(handover)
    await sp.write(b"more")
    sp.close_stdin()
    assert (chunk + (await sp.wait()).stdout[6:], handover.stdout.total) == (b"ready\nmore", 6)


@pytest.mark.gen_test(timeout=120)
async def test_rounds_of_handing_over_leave_nothing(io_loop):
    async def once() -> None:
        sp = Subprocess(args=CAT, stdin=PIPE, timeout=60)
        sp.start()
        await sp.write(b"x")
        sp = Subprocess.take_over(sp.release(), reap=None)
        if os.urandom(1) < b"\x80":
            sp.cancel()
        sp.close_stdin()
        await sp.wait()

    await once()
    before = holdings()
    for _ in range(100):
        await once()
    assert holdings() == before


@pytest.mark.gen_test(timeout=60)
async def test_handover_that_nobody_takes_is_closed(io_loop):
    await run(["true"])  # the loop has its epoll from now on
    before = holdings()
    sp = Subprocess(args=CAT, stdin=PIPE)
    sp.start()
    handover = sp.release()
    handover.close()
    await until(lambda: not is_alive(handover.pid))  # the end of its input
    os.waitpid(handover.pid, 0)
    del sp
    assert holdings() == before


# what can't go over


async def endless():
    while True:
        yield b"x"
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stop": ((lambda pid: None, 1.0), (signal.SIGKILL, None))}, "function"),
        ({"input": endless()}, "iterator"),
    ],
)
@pytest.mark.gen_test(timeout=60)
async def test_code_can_not_be_handed_over(io_loop, options, words):
    async with Subprocess(args=SLEEP_30, **{"stop": KILL, **options}) as sp:
        for act in (sp.handover, sp.release):
            with pytest.raises(ValueError, match=words):
                act()
        assert is_alive(sp.pid)


@pytest.mark.gen_test(timeout=60)
async def test_only_what_runs_can_be_handed_over(io_loop):
    sp = Subprocess(args=["true"])
    with pytest.raises(RuntimeError, match="not started"):
        sp.handover()
    sp.start()
    await sp.wait()
    for act in (sp.handover, sp.release):
        with pytest.raises(RuntimeError, match="ended"):
            act()


@pytest.mark.gen_test(timeout=60)
async def test_failed_take_over_leaves_all_as_it_was(io_loop, monkeypatch):
    sp = Subprocess(args=CAT, stdin=PIPE, timeout=60)
    sp.start()
    watch = sp._child._watch
    handover = dataclasses.replace(sp.release(), stdin=InputState(b"given", ends=True))
    before = holdings()
    add, room = type(watch).add, []

    def fails(self, fd, *rest):
        if not room:
            raise OSError(28, "no room")
        room.pop()
        add(self, fd, *rest)

    monkeypatch.setattr(type(watch), "add", fails)
    for number in range(4):
        room[:] = range(number)
        with pytest.raises(OSError, match="no room"):
            Subprocess.take_over(handover)
        assert (watch.tenants, watch._handlers) == (set(), {})
        assert holdings() == before
    monkeypatch.undo()
    with pytest.raises(TypeError):
        Subprocess.take_over(handover, no_such_option=1)
    assert (await Subprocess.take_over(handover).wait()).stdout == b"given"


# who knows the end


@pytest.mark.gen_test(timeout=60)
async def test_handover_with_the_ending_needs_nobody(io_loop):
    usage = Usage(1.5, 0.5, 4096)
    handover = Handover(
        args=["cmd"],
        pid=2**22,
        started_at=time.time(),
        started_boot=boot_time() - 9,
        reason="timeout",
        exited_boot=boot_time() - 2,
        ending=Ending(3, False, usage),
        stdout=OutputState(2, b"ab"),
        stderr=OutputState(0, incomplete=True),
    )
    result = await Subprocess.take_over(through_json(handover)).wait()
    assert (result.status, result.usage, result.stdout) == (3, usage, b"ab")
    assert (result.has_timed_out, result.incomplete) == (True, True)
    assert result.duration == pytest.approx(7, abs=0.1)


@pytest.mark.gen_test(timeout=60)
async def test_zombie_that_was_only_looked_at_is_reaped(io_loop):
    pid = os.posix_spawn("/bin/true", ["true"], {})
    fds = {"pidfd": os.pidfd_open(pid)}
    await until(lambda: not is_alive(pid))
    handover = Handover(["true"], pid, 0.0, 0.0, ending=Ending(5, False, None), descriptors=fds)
    assert (await Subprocess.take_over(handover).wait()).status == 5
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_name_of_a_cgroup_that_is_taken_is_passed_over(monkeypatch, tmp_path):
    made = set()
    for _ in range(2):  # as before and after an exec
        monkeypatch.setattr("executor.cgroup._numbers", itertools.count(1))
        made |= {str(Cgroup.make(str(tmp_path))) for _ in range(2)}
    assert len(made) == 4


@pytest.mark.gen_test(timeout=60)
async def test_stranger_without_a_pidfd_is_refused(io_loop):
    with pytest.raises(ValueError, match="pidfd"):
        Subprocess.take_over(Handover(["init"], os.getppid(), 0.0, 0.0))


@pytest.mark.gen_test(timeout=60)
async def test_own_child_is_taken_over_without_a_pidfd(io_loop):
    sp = Subprocess(args=CAT, stdin=PIPE)
    sp.start()
    handover = sp.release()
    fds = dict(handover.descriptors)
    os.close(fds.pop("pidfd"))
    before = holdings()
    sp = Subprocess.take_over(dataclasses.replace(handover, descriptors=fds))
    sp.close_stdin()
    assert (await sp.wait()).status == 0
    assert holdings()[0] < before[0]


@pytest.mark.gen_test(timeout=60)
async def test_kernel_tells_the_status_of_a_child_that_its_parent_has_reaped(io_loop):
    with place(Released) as giver:
        await giver.start("args=['sh', '-c', 'read x; exit 9'], stdin=PIPE")
        handover, _ = await giver.hand_over()
        sp = Subprocess.take_over(handover)
        waiting = asyncio.ensure_future(sp.wait())
        sp.close_stdin()
        await until(lambda: not is_alive(handover.pid))
        await giver.do(f"reap({handover.pid})")
        result = await waiting
    assert result.status in (9, None)  # None: before Linux 6.15
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 15):
        assert result.status == 9
    assert result.usage is None


@pytest.mark.gen_test(timeout=60)
async def test_zombie_that_its_parent_keeps_holds_nobody_up(io_loop, monkeypatch):
    monkeypatch.setattr("executor.adopted.LAST_WAIT_S", 0.1)
    with place(Released) as giver:
        await giver.start("args=['cat'], stdin=PIPE")
        handover, _ = await giver.hand_over()
        sp = Subprocess.take_over(handover)
        sp.close_stdin()
        assert (await sp.wait()).status is None


async def raises() -> None:
    raise LookupError("nobody there")


async def answers_nothing() -> None:
    return None


def raises_at_once() -> None:
    raise LookupError("nobody there")


async def answers_wrongly() -> str:
    return "?"


@pytest.mark.parametrize("reap", [raises, raises_at_once, answers_wrongly])
@pytest.mark.gen_test(timeout=60)
async def test_failure_of_reap_is_shown_and_the_run_ends(io_loop, reap):
    with place(Released) as giver:
        await giver.start("args=['cat'], stdin=PIPE")
        handover, _ = await giver.hand_over()
        sp = Subprocess.take_over(handover, reap=reap)
        sp.close_stdin()
        with pytest.raises((LookupError, ValueError, TypeError)):
            await sp.wait()
        assert sp.result.status is None


@pytest.mark.gen_test(timeout=60)
async def test_reap_that_knows_nothing_gives_no_status(io_loop):
    with place(Released) as giver:
        await giver.start("args=['cat'], stdin=PIPE")
        handover, _ = await giver.hand_over()
        sp = Subprocess.take_over(handover, reap=answers_nothing)
        sp.close_stdin()
        assert (await sp.wait()).status is None


@pytest.mark.parametrize("kill_group", [False, True])
@pytest.mark.gen_test(timeout=60)
async def test_reap_is_asked_once_after_all_else_and_the_run_can_be_released_meanwhile(
    io_loop, kill_group
):
    asked, told = [], []
    answer = asyncio.get_running_loop().create_future()

    def reap():
        asked.append(sp.handover())
        return answer

    sp = Subprocess(args=sh("echo out; cat"), stdin=PIPE)
    sp.start()
    options = {"reap": reap, "on_change": told.append, "kill_group": kill_group}
    sp = Subprocess.take_over(sp.release(), **options)
    sp.close_stdin()
    await until(lambda: asked)
    await asyncio.sleep(0)
    assert (sp.cancel(), sp.send_signal(signal.SIGKILL), len(asked)) == (False, False, 1)
    assert asked[0].stdout == OutputState(4, b"out\n")
    assert list(asked[0].descriptors) == ["pidfd"]
    handover = sp.release()
    assert answer.cancelled()
    result = await Subprocess.take_over(handover).wait()  # it is our child all the same
    assert (result.status, result.stdout, len(asked), told) == (0, b"out\n", 1, [])


@pytest.mark.gen_test(timeout=60)
async def test_dropped_successor_kills_as_any(io_loop):
    told = []
    with place(Killed) as giver:
        await giver.start(f"args={SLEEP_30!r}")
        handover, _ = await giver.hand_over()

        async def reap():
            told.append(await giver.reap_by(giver.reaper, handover.pid))
            return told[0]

        sp = Subprocess.take_over(handover, reap=reap)
        with pytest.warns(ResourceWarning, match="dropped and killed"):
            del sp
            gc.collect()
        await until(lambda: told)
    assert told[0][0] == signal.SIGKILL


def test_loop_that_is_closed_takes_the_successor_with_it():
    with place(Killed) as giver:

        async def main() -> int:
            await giver.start(f"args={SLEEP_30!r}")
            handover, who = await giver.hand_over()
            main.sp = Subprocess.take_over(handover, **who)
            return handover.pid

        pid = asyncio.run(main())
        assert not is_alive(pid)


# a process that executes itself anew keeps its children

EXECS = """
import asyncio, json, os, sys
from executor import PIPE, Handover, Subprocess

async def main():
    if len(sys.argv) == 1:
        sp = Subprocess(args=["sh", "-c", "echo before; read x; echo after; exit 7"], stdin=PIPE,
                        timeout=60)
        sp.start()
        while sp.handover().stdout.total < 7:
            await asyncio.sleep(0.01)
        handover = sp.handover()
        for fd in handover.descriptors.values():
            os.set_inheritable(fd, True)
        state = json.dumps([handover.to_dict(), handover.descriptors])
        os.execv(sys.executable, [sys.executable, "-c", os.environ["CODE"], state])
    data, fds = json.loads(sys.argv[1])
    sp = Subprocess.take_over(Handover.from_dict(data, fds))
    assert not any(os.get_inheritable(fd) for fd in fds.values())
    sp.close_stdin()
    result = await sp.wait()
    print(result.status, result.stdout, result.usage is not None)

asyncio.run(main())
"""


@pytest.mark.gen_test(timeout=60)
async def test_process_that_executes_itself_keeps_its_children(io_loop):
    env = {**os.environ, "CODE": EXECS, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = await run([sys.executable, "-c", EXECS], env=env, text=True)
    assert (result.stdout, result.stderr) == ("7 b'before\\nafter\\n' True\n", "")


BECOMES_PARENT = """
import asyncio, ctypes, json, os, signal, socket
from executor import PIPE, Handover, Subprocess

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
ours, givers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

async def give():
    sp = Subprocess(args=["sh", "-c", "read x; exit 7"], stdin=PIPE)
    sp.start()
    handover = sp.handover()
    fds = handover.descriptors
    words = json.dumps([handover.to_dict(), list(fds)]).encode()
    socket.send_fds(givers, [words], list(fds.values()))
    await asyncio.sleep(60)

async def take(giver):
    words, fds, _, _ = socket.recv_fds(ours, 65536, 8)
    data, names = json.loads(words)
    sp = Subprocess.take_over(Handover.from_dict(data, dict(zip(names, fds))))
    os.kill(giver, signal.SIGKILL)
    os.waitpid(giver, 0)
    sp.close_stdin()
    result = await sp.wait()
    print(result.status, result.usage is not None)

giver = os.fork()
asyncio.run(take(giver) if giver else give())
"""


@pytest.mark.gen_test(timeout=60)
async def test_child_that_becomes_ours_is_waited_for(io_loop):
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = await run([sys.executable, "-c", BECOMES_PARENT], env=env, text=True, timeout=30)
    assert (result.stdout, result.stderr) == ("7 True\n", "")


# on_change


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("later", [False, True])
async def test_changes_are_told_before_and_after_a_step_and_before_the_end(io_loop, later):
    told = []
    sp = Subprocess(args=EXITS_0_ON_TERM, on_change=None if later else told.append, timeout=60)
    sp.start()
    await until(lambda: sp.handover().stdout.total)
    if later:
        sp.tell_changes(told.append)
    assert told == []
    began = boot_time()
    sp.cancel()
    done = boot_time()
    before, after = told
    assert [int(number) for number, _ in before.steps] == [signal.SIGTERM, signal.SIGKILL]
    assert began <= before.step_boot <= done
    assert [int(number) for number, _ in after.steps] == [signal.SIGKILL]
    assert began + 5 <= after.step_boot <= done + 5
    assert (before.reason, after.reason) == ("cancelled", "cancelled")
    result = await sp.wait()
    end = told[2]
    assert end.ending == Ending(0, False, result.usage)
    assert list(end.descriptors) == ["pidfd"]
    assert len(told) == 3
    assert (await Subprocess.take_over(dataclasses.replace(end, descriptors={})).wait()).status == 0


DIES = "on_change=lambda handover: (send(handover), os.kill(os.getpid(), signal.SIGKILL))"


@pytest.mark.gen_test(timeout=60)
async def test_giver_that_dies_before_a_step_has_it_taken_by_the_successor(io_loop):
    with place(Killed) as giver:
        await giver.start(f"args={EXITS_0_ON_TERM!r}, {DIES}")
        await giver.do(READY)
        giver.giver.send(b"sp.cancel()")
        handover = giver.received()
        await giver.is_dead()
        sp = Subprocess.take_over(handover, reap=lambda: giver.reap_by(giver.reaper, handover.pid))
        result = await sp.wait()
    assert (result.status, result.was_cancelled) == (0, True)


@pytest.mark.gen_test(timeout=60)
async def test_giver_that_dies_before_it_reaps_has_told_how_the_child_ended(io_loop):
    with place(Killed) as giver:
        await giver.start(f"args=['sh', '-c', 'echo ready; cat; exit 6'], stdin=PIPE, {DIES}")
        await giver.do(READY)
        await giver.do("sp.write(b'more')")
        await giver.do("sp.close_stdin()")
        handover = giver.received()
        await giver.is_dead()
        result = await Subprocess.take_over(handover).wait()
        raw, usage = await giver.reap_by(giver.reaper, handover.pid)
    assert (result.status, result.stdout, result.usage) == (6, b"ready\nmore", usage)
    assert os.waitstatus_to_exitcode(raw) == 6


@pytest.mark.parametrize(
    ("args", "status"), [(["true"], 0), (sh("exit 3"), 3), (sh("kill -KILL $$"), -9)]
)
@pytest.mark.gen_test(timeout=60)
async def test_end_is_told_while_the_child_is_a_zombie(io_loop, args, status):
    told = []

    def note(handover: Handover) -> None:
        told.append((handover.ending, os.waitid(os.P_PID, handover.pid, os.WEXITED | os.WNOWAIT)))

    result = await run(args, on_change=note)
    ((ending, still_there),) = told
    assert (ending.status, ending.usage, result.status) == (status, result.usage, status)
    assert ending.usage is not None
    assert still_there is not None


@pytest.mark.gen_test(timeout=60)
async def test_core_and_unknown_machines_are_told_too(io_loop, monkeypatch):
    told = []
    monkeypatch.setattr("executor.peek._waitid", lambda: None)
    result = await run(sh("exit 4"), on_change=told.append)
    assert told[0].ending == Ending(4, False, None)
    assert result.usage is not None


@pytest.mark.gen_test(timeout=60)
async def test_change_is_told_also_of_a_run_taken_over(io_loop):
    told = []
    sp = Subprocess(args=CAT, stdin=PIPE)
    sp.start()
    sp = Subprocess.take_over(sp.release(), on_change=told.append)
    sp.close_stdin()
    assert (await sp.wait()).usage == told[0].ending.usage


@pytest.mark.gen_test(timeout=60)
async def test_failure_of_on_change_is_shown_and_keeps_nothing_from_coming(io_loop):
    def fails(handover: Handover) -> None:
        raise LookupError(handover.reason)

    sp = Subprocess(args=SLEEP_30, on_change=fails)
    sp.start()
    sp.cancel()
    with pytest.raises(LookupError, match="cancelled"):
        await sp.wait()
    assert sp.status == -signal.SIGTERM
    assert not is_alive(sp.pid)


@pytest.mark.gen_test(timeout=60)
async def test_on_change_can_not_release(io_loop):
    sp = Subprocess(args=SLEEP_30, on_change=lambda handover: sp.release())
    sp.start()
    sp.cancel()
    with pytest.raises(RuntimeError, match="on_change"):
        await sp.wait()
    assert sp.status == -signal.SIGTERM


@pytest.mark.parametrize(
    "options",
    [{"stop": ((print, 1.0),)}, {"input": endless()}],
)
def test_on_change_refuses_what_can_not_be_handed_over(options):
    with pytest.raises(ValueError, match="handed over"):
        Subprocess(args=CAT, on_change=print, **options)


def test_handover_reads_what_another_version_wrote():
    older = {"args": "x", "pid": 1, "started_at": 0.0, "started_boot": 0.0, "newer": 5}
    assert Handover.from_dict(older, {}) == Handover("x", 1, 0.0, 0.0)
    whole = Handover([b"\xff", Path("/x")], 1, 0.0, 1.0, 2.0, "failed", ((15, 1.5), (9, None)), 3.0,
                     4.0, Ending(None, True, None), "/c", InputState(b"\xff", True, True),
                     OutputState(9, b"\xff", b"\0"), None, {"pidfd": 5})  # fmt: skip
    plain = dataclasses.replace(whole, args=["\udcff", "/x"])
    assert through_json(whole) == plain
    assert issubclass(GivenUp, ExecutorError)
