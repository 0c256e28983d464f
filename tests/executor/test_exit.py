"""How a run ends: cases 38 to 45 of the conformance list."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import ctypes
import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest
from children import (
    CAT,
    EXIT_1,
    SLEEP_30,
    TRUE,
    children_of_ours,
    in_a_fork,
    is_alive,
    py,
    sh,
    until,
)

from executor import PIPE, CommandFailed, Limits, Subprocess, exits, run
from executor.phase import MOVES, OVER, RUNNING, STARTING


# 38
@pytest.mark.parametrize("code", [0, 1, 42, 127, 255])
@pytest.mark.gen_test(timeout=60)
async def test_exit_code_is_exact(io_loop, code):
    assert (await run(sh(f"exit {code}"))).status == code


# 39
@pytest.mark.parametrize("name", ["KILL", "TERM", "HUP", "USR1", "ABRT", "RTMIN"])
@pytest.mark.gen_test(timeout=60)
async def test_death_by_a_signal_is_its_number_negative(io_loop, name):
    number = getattr(signal, f"SIG{name}")
    result = await run(py(f"import os; os.kill(os.getpid(), {int(number)})"))
    assert (result.status, result.was_cancelled, result.has_timed_out) == (-number, False, False)


@pytest.mark.gen_test(timeout=60)
async def test_core_dump_does_not_change_the_status(io_loop, tmp_path):
    result = await run(sh("ulimit -c unlimited; kill -ABRT $$"), cwd=tmp_path)
    assert result.status == -signal.SIGABRT
    assert isinstance(result.core_dumped, bool)


@pytest.mark.gen_test(timeout=60)
async def test_check_raises_with_the_result_unless_all_is_well(io_loop):
    assert (await run(TRUE, check=True)).status == 0
    with pytest.raises(CommandFailed, match="ended with exit code 1") as caught:
        await run(EXIT_1, check=True)
    assert caught.value.result.status == 1
    with pytest.raises(CommandFailed, match="SIGTERM after its timeout"):
        await run(SLEEP_30, check=True, timeout=0.05)
    with pytest.raises(CommandFailed):
        await run(sh("trap 'exit 0' TERM; sleep 30 & wait"), check=True, timeout=0.3)


# 40
@pytest.mark.gen_test(timeout=60)
async def test_child_that_is_gone_before_we_look_settles(io_loop):
    for _ in range(20):
        sp = Subprocess(args=sh("exit 9"), stdout=None, stderr=None)
        sp.start()
        os.waitid(os.P_PID, sp.pid, os.WEXITED | os.WNOWAIT)
        assert (await sp.wait()).status == 9


# 41
def seize(pid: int) -> subprocess.Popen[bytes]:
    """A tracer of ``pid``: what it traces is its own zombie first, and ours when it lets go."""
    code = """
import ctypes, sys, os
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
if libc.ptrace(0x4206, pid, 0, 0): os._exit(3)
print("traced", flush=True)
sys.stdin.read()
os.waitpid(pid, 0)
"""
    args = [sys.executable, "-c", code, str(pid)]
    return subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.gen_test(timeout=60)
async def test_readable_pidfd_of_a_traced_child_is_asked_again_without_a_spin(io_loop):
    sp = Subprocess(args=SLEEP_30)
    sp.start()
    with seize(sp.pid) as tracer:
        if not tracer.stdout.readline():
            sp.cancel()
            await sp.wait()
            pytest.skip("the system allows no tracing here")
        sp.send_signal(signal.SIGKILL)
        await until(lambda: not is_alive(sp.pid))
        cpu = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        await asyncio.sleep(0.4)
        assert sp.result is None
        assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - cpu < 0.2
        tracer.stdin.close()
        assert (await sp.wait()).status == -signal.SIGKILL


# 42
@pytest.mark.gen_test(timeout=60)
async def test_hundred_children_that_end_at_once_all_settle(io_loop):
    gate, opened = os.pipe()
    runs = [asyncio.ensure_future(run(sh("read x; exit 5"), stdin=gate)) for _ in range(100)]
    await until(lambda: len(children_of_ours()) >= 100)
    os.close(opened)
    assert [(await each).status for each in runs] == [5] * 100
    os.close(gate)


# 43
def test_loops_of_other_threads_work():
    results: list[bytes] = []

    async def several() -> None:
        for _ in range(10):
            results.append((await run(sh("cat; kill -9 $$"), input=b"x")).stdout)

    threads = [threading.Thread(target=asyncio.run, args=(several(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [b"x"] * 20


# 44
@pytest.mark.gen_test(timeout=60)
async def test_other_users_of_subprocess_are_not_disturbed(io_loop):
    handler = signal.getsignal(signal.SIGCHLD)
    others = [subprocess.Popen(["sh", "-c", "exit 6"]) for _ in range(5)]
    theirs = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    assert [r.status for r in await asyncio.gather(*(run(sh("exit 8")) for _ in range(20)))] == [
        8
    ] * 20
    assert [other.wait() for other in others] == [6] * 5
    assert await theirs.wait() == 7
    assert signal.getsignal(signal.SIGCHLD) is handler
    assert signal.set_wakeup_fd(-1) in (-1, *range(1024))


@pytest.mark.parametrize("kept", [False, True], ids=["closed", "open"])
@pytest.mark.gen_test(timeout=60)
async def test_child_reaped_by_another_settles(io_loop, kept):
    """Its code is known only where the kernel tells it by the pidfd (Linux 6.15)."""
    sp = Subprocess(args=sh("sleep 60 & exit 5") if kept else sh("exit 5"), drain=0.1)
    sp.start()
    os.waitpid(sp.pid, 0)
    result = await sp.wait()
    assert result.status in (5, None)
    assert (result.usage, result.incomplete) == (None, kept)
    if kept:
        await end_group(sp.pid)


async def end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_with_sigchld_ignored_every_run_settles():
    def act() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        asyncio.run(several())

    async def several() -> None:
        results = await asyncio.gather(*(run(sh("echo out; exit 5")) for _ in range(20)))
        assert {r.stdout for r in results} == {b"out\n"}
        assert {r.status for r in results} <= {5, None}
        timed_out = await run(SLEEP_30, timeout=0.05)
        assert timed_out.has_timed_out
        assert timed_out.status in (-signal.SIGTERM, None)
        try:
            await run(["/nonexistent"])
        except FileNotFoundError:
            return
        raise AssertionError

    in_a_fork(act)


# 45
@pytest.mark.gen_test(timeout=60)
async def test_usage_belongs_to_this_child_alone(io_loop):
    busy = py("import time\nwhile time.process_time() < 0.3: pass")
    worked, slept = await asyncio.gather(run(busy), run(["sleep", "0.2"]))
    assert worked.usage.user_seconds + worked.usage.system_seconds >= 0.29
    assert slept.usage.user_seconds + slept.usage.system_seconds < 0.2


@pytest.mark.gen_test(timeout=60)
async def test_peak_memory_is_never_below_the_true_one(io_loop):
    big = await run(py("x = bytearray(200 << 20); x[::4096] = b'x' * len(x[::4096])"))
    assert big.usage.max_rss_bytes > 200 << 20


@pytest.mark.gen_test(timeout=60)
async def test_times_are_those_of_the_command(io_loop):
    import time

    before = time.time()
    result = await run(["sleep", "0.3"])
    assert before - 1 < result.started_at < time.time() + 1
    assert 0.3 <= result.duration < 20


# without pidfds
@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM])
@pytest.mark.gen_test(timeout=60)
async def test_without_pidfds_the_exit_is_polled_for(io_loop, monkeypatch, error):
    """An old kernel, or a sandbox that forbids the call; neither can be had here."""

    def refuse(pid: int) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert (await run(sh("echo x; sleep 0.1; exit 5"))).stdout == b"x\n"
    stopped = await run(SLEEP_30, timeout=0.1)
    assert (stopped.status, stopped.has_timed_out) == (-signal.SIGTERM, True)
    sp = Subprocess(args=SLEEP_30)
    sp.start()
    assert sp.send_signal(signal.SIGUSR1, group=False)
    assert (await sp.wait()).status == -signal.SIGUSR1


def test_status_survives_a_thief_where_the_kernel_tells():
    """PIDFD_GET_INFO with PIDFD_INFO_EXIT."""
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release < (6, 15):
        pytest.skip("needs Linux 6.15")

    async def main() -> None:
        for text, status in (("exit 5", 5), ("kill -9 $$", -9)):
            sp = Subprocess(args=sh(text))
            sp.start()
            os.waitpid(sp.pid, 0)
            assert (await sp.wait()).status == status

    asyncio.run(main())
    assert ctypes.sizeof(ctypes.c_uint64) == 8


# beyond the list


def test_signals_that_interrupt_every_call_change_nothing():
    """CPython test_communicate_eintr, trio test_waitid_eintr."""

    async def main() -> None:
        for _ in range(30):
            result = await run(sh("cat; exit 3"), input=b"x" * 100_000)
            assert (result.status, result.stdout_total) == (3, 100_000)

    def act() -> None:
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        asyncio.run(main())

    in_a_fork(act)


@pytest.mark.gen_test(timeout=60)
async def test_facts_and_errors_can_be_copied_and_sent_elsewhere(io_loop):
    sp = Subprocess(args=["false"], text=True, limits=Limits(core_size=0))
    sp.start()
    result = await sp.wait()
    for same in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert same == result
    again = pickle.loads(pickle.dumps(CommandFailed(result)))
    assert (again.result, str(again)) == (result, "['false'] ended with exit code 1")
    assert pickle.loads(pickle.dumps(Limits(core_size=0))) == Limits(core_size=0)


@pytest.mark.gen_test(timeout=60)
async def test_errors_tell_the_signal_and_words_that_are_no_text(io_loop):
    """CPython test_CalledProcessError_str_signal, test_surrogates_error_message."""
    for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGRTMIN + 2, "signal 36")):
        with pytest.raises(CommandFailed, match=name):
            await run(sh(f"kill -{number} $$"), check=True)
    odd = os.fsdecode(b"/nonexistent/\xff")
    with pytest.raises(FileNotFoundError) as caught:
        await run([odd])
    assert caught.value.filename == odd
    assert ascii(str(caught.value))


@pytest.mark.parametrize("flags", [("-O",), ("-OO",), ("-bb", "-X", "dev", "-W", "error")], ids=str)
def test_runs_are_the_same_whatever_the_interpreter_was_told(flags):
    code = (
        "import asyncio, executor\n"
        "async def main():\n"
        "    kill = ((9, None),)\n"
        "    done = await executor.run(['cat'], input=b'x' * 100_000)\n"
        "    assert_ = (done.status, done.stdout_total) == (0, 100_000) or exit(3)\n"
        "    done = await executor.run(['sleep', '9'], timeout=0.1, stop=kill)\n"
        "    assert_ = done.has_timed_out or exit(4)\n"
        "    done = await executor.run(['true'], limits=executor.Limits(core_size=0))\n"
        "    assert_ = done.status == 0 or exit(5)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.gen_test(timeout=60)
async def test_end_of_the_first_thread_is_not_the_end_of_the_program(io_loop):
    number = {"x86_64": 60, "aarch64": 93}.get(os.uname().machine)
    if number is None:
        pytest.skip("the number of exit(2) is not known here")
    code = (
        "import ctypes, os, threading, time\n"
        "def late(): time.sleep(0.2); os.write(1, b'late'); os._exit(5)\n"
        "threading.Thread(target=late).start()\n"
        f"ctypes.CDLL(None).syscall({number}, 0)\n"
    )
    sp = Subprocess(args=[sys.executable, "-c", code])
    sp.start()
    cpu = time.process_time()
    result = await sp.wait()
    assert (result.status, result.stdout) == (5, b"late")
    assert time.process_time() - cpu < 0.15  # nor a reason to spin


@pytest.mark.gen_test(timeout=60)
async def test_program_that_another_thread_becomes_is_still_the_command(io_loop):
    code = (
        "import os, threading, time\n"
        "become = lambda: os.execvp('sh', ['sh', '-c', 'sleep 0.1; echo $$; exit 7'])\n"
        "threading.Thread(target=become).start()\n"
        "time.sleep(60)\n"
    )
    result = await run([sys.executable, "-c", code], text=True)
    assert (result.status, result.stdout) == (7, f"{result.pid}\n")


# beyond the list
@pytest.mark.gen_test(timeout=60)
async def test_event_of_nothing_does_not_end_the_watch(io_loop):
    """One of a descriptor closed and opened again within a turn: its handler is called for it."""
    sp = Subprocess(args=CAT, stdin=PIPE)
    sp.start()
    sp._child._on_exit()
    assert sp._child.exit.pidfd in sp._child._watch._handlers
    assert sp._child.exit._timer is None
    sp.close_stdin()
    assert (await sp.wait()).status == 0


# 83
@pytest.mark.gen_test(timeout=60)
async def test_blocking_wait_returns_in_its_time(io_loop):
    sp = Subprocess(args=SLEEP_30)
    sp.start()
    before = time.monotonic()
    sp._child.exit.wait_blocking(1.0)
    assert 1.0 <= time.monotonic() - before < 1.9
    exits._orphans.discard(sp.pid)
    sp.cancel()
    assert (await sp.wait()).status == -signal.SIGTERM


def test_abandoned_children_are_waited_for_together():
    """Traced ones, that are not ours to reap before their tracers let go."""

    async def main() -> list[Subprocess[bytes]]:
        children = [Subprocess(args=SLEEP_30) for _ in range(3)]
        for sp in children:
            sp.start()
        return children

    loop = asyncio.new_event_loop()
    children = loop.run_until_complete(main())
    tracers = [seize(sp.pid) for sp in children]
    traced = [tracer.stdout.readline() for tracer in tracers]
    before = time.monotonic()
    loop.close()
    took = time.monotonic() - before
    for tracer in tracers:
        tracer.communicate()
    for sp in children:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(sp.pid, 0)
        exits._orphans.discard(sp.pid)
    if not all(traced):
        pytest.skip("the system allows no tracing here")
    assert took < 3.9  # for each of them two seconds, one after the other, it was six


# the phases
def test_moves_of_a_run_are_closed_and_lead_to_an_end():
    reached = {STARTING}
    while more := {to for phase in reached for to in MOVES[phase]} - reached:
        reached |= more
    assert reached == set(MOVES)
    assert {phase for phase in MOVES if not MOVES[phase]} == OVER


@pytest.mark.gen_test(timeout=60)
async def test_move_that_is_not_legal_raises(io_loop):
    sp = Subprocess(args=TRUE)
    sp.start()
    await sp.wait()
    with pytest.raises(RuntimeError, match="ended can't be running"):
        sp._child._move(RUNNING)
