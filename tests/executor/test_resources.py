"""Nothing is left behind: cases 65 to 74 of the conformance list."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Coroutine
from typing import Any

import pytest
from children import (
    CAT,
    ENDLESS_OUTPUT,
    EXIT_1,
    HELD_PIPE,
    IGNORES_TERM,
    SLEEP_30,
    TRUE,
    children_of_ours,
    descriptors,
    holdings,
    in_a_fork,
    is_alive,
    sh,
    until,
)
from tornado.ioloop import IOLoop

from executor import DEVNULL, PIPE, Limits, NoRoom, Subprocess, run
from executor.child import Child
from executor.watch import Watch

ROUNDS = 200
KILL = ((signal.SIGKILL, None),)


# 65
async def fails_to_start(**options: object) -> None:
    with contextlib.suppress(OSError):
        await run(**{"args": ["/nonexistent"], **options})


async def times_out() -> None:
    await run(SLEEP_30, timeout=0.001, stop=KILL)


async def is_cancelled(act: Coroutine[Any, Any, object], turns: int = 2) -> None:
    task = asyncio.ensure_future(act)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def reads_for_ever() -> None:
    async with Subprocess(args=ENDLESS_OUTPUT, stop=KILL, max_output=0) as sp:
        async for _ in sp.lines():
            continue


async def writes_for_ever() -> None:
    async with Subprocess(args=SLEEP_30, stdin=PIPE, stop=KILL) as sp:
        await sp.write(b"x" * 200_000)


async def never_fed() -> None:
    async def never():
        yield b"x"
        await asyncio.Event().wait()

    await run(CAT, input=never(), stop=KILL)


async def never_taken() -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    await run(sh("echo x; exec sleep 30"), on_output=never, stop=KILL, drain=0)


async def callback_fails() -> None:
    reported = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda *_: reported.set())
    Subprocess(lambda *_: 1 / 0, args=TRUE).start()
    await reported.wait()
    asyncio.get_running_loop().set_exception_handler(None)


async def step_fails() -> None:
    stop = ((lambda _: 1 / 0, None), *KILL)
    with contextlib.suppress(ZeroDivisionError):
        await run(SLEEP_30, timeout=0.001, stop=stop)


async def held_pipe() -> None:
    await run(HELD_PIPE, drain=0, kill_group=True)


async def on_output_fails() -> None:
    with contextlib.suppress(ZeroDivisionError):
        await run(sh("echo x; exec sleep 30"), on_output=lambda *_: 1 / 0, stop=KILL)


async def input_fails() -> None:
    async def fails():
        yield b"x"
        raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError):
        await run(CAT, input=fails(), stop=KILL)


async def left_block() -> None:
    async with Subprocess(args=CAT, stdin=PIPE, stop=KILL) as sp:
        sp.lines()


async def dropped() -> None:
    sp = Subprocess(args=SLEEP_30)
    sp.start()
    pid = sp.pid
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del sp
    await until(lambda: pid not in children_of_ours())


async def dropped_in_a_cycle() -> None:
    class Owner:
        def __init__(self) -> None:
            self.itself = self
            self.sp = Subprocess(args=SLEEP_30)
            self.sp.start()

    pid = Owner().sp.pid
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    await until(lambda: pid not in children_of_ours())


async def reaped_by_another() -> None:
    sp = Subprocess(args=TRUE)
    sp.start()
    os.waitpid(sp.pid, 0)
    await sp.wait()


async def strict_decoding() -> None:
    with contextlib.suppress(UnicodeError):
        await run(["printf", "\\377"], encoding="utf-8", errors="strict")


FAILURES = {
    "success": lambda: run(TRUE),
    "non-zero": lambda: run(EXIT_1),
    "killed": lambda: run(sh("kill -9 $$")),
    "missing program": lambda: fails_to_start(),
    "missing program with input": lambda: fails_to_start(input=b"x"),
    "missing cwd": lambda: fails_to_start(args=TRUE, cwd="/nonexistent"),
    "missing directory of output": lambda: fails_to_start(args=TRUE, stdout="/nonexistent/x"),
    "closed descriptor": lambda: fails_to_start(args=TRUE, stderr=999),
    "bad pipe size": lambda: fails_to_start(args=TRUE, pipesize=1 << 40),
    "missing program as Popen starts it": lambda: fails_to_start(umask=0),
    "missing cgroup": lambda: fails_to_start(args=TRUE, cgroup="/nonexistent"),
    "timeout": times_out,
    "cancel": lambda: is_cancelled(run(SLEEP_30, stop=KILL)),
    "cancelled reading": lambda: is_cancelled(reads_for_ever(), 5),
    "cancelled writing": lambda: is_cancelled(writes_for_ever(), 5),
    "cancelled feeding": lambda: is_cancelled(never_fed(), 5),
    "cancelled in on_output": lambda: is_cancelled(never_taken(), 20),
    "callback fails": callback_fails,
    "step fails": step_fails,
    "held pipe": held_pipe,
    "on_output fails": on_output_fails,
    "input fails": input_fails,
    "input not read": lambda: run(TRUE, input=b"x" * 200_000),
    "left block": left_block,
    "dropped": dropped,
    "dropped in a cycle": dropped_in_a_cycle,
    "reaped by another": reaped_by_another,
    "strict decoding": strict_decoding,
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.gen_test(timeout=120)
async def test_two_hundred_rounds_leave_everything_as_it_was(io_loop, name):
    await run(TRUE)  # opens what a loop needs once
    before = holdings()
    for _ in range(ROUNDS):
        await FAILURES[name]()
    assert holdings() == before


@pytest.mark.gen_test(timeout=120)
async def test_failed_starts_with_limits_leave_everything_as_it_was(io_loop):
    await run(TRUE)
    before = holdings()
    for _ in range(ROUNDS):
        await fails_to_start(limits=Limits(core_size=0))
    for _ in range(20):
        await fails_to_start(args=TRUE, cwd="/nonexistent", limits=Limits(core_size=0))
        await fails_to_start(args=TRUE, limits=Limits(open_files=2**40))  # as root
        await run(TRUE, limits=Limits(address_space=4096))
        await run(EXIT_1, limits=Limits(core_size=0))
    assert holdings() == before


def test_two_hundred_loops_closed_with_children_leave_everything_as_it_was():
    async def left() -> None:
        Subprocess(print, args=SLEEP_30).start()
        Subprocess(print, args=CAT, input=b"x" * 200_000).start()

    asyncio.run(left())
    before = holdings()
    for _ in range(ROUNDS):
        asyncio.run(left())
    assert holdings() == before


@pytest.mark.gen_test(timeout=120)
async def test_two_hundred_starts_without_descriptors_leave_everything_as_it_was(io_loop):
    await run(TRUE)
    before = holdings()
    for number in range(ROUNDS):
        sp = Subprocess(args=CAT, input=b"x", stop=KILL)
        with free_descriptors(number % 8), contextlib.suppress(OSError):
            sp.start()
        if sp.pid is not None:
            await sp.wait()
    assert holdings() == before


@pytest.mark.gen_test(timeout=120)
async def test_two_hundred_starts_that_fail_at_their_last_step_leave_everything_as_it_was(
    io_loop, monkeypatch
):
    """The child runs already."""
    await run(TRUE)
    before = holdings()
    for refused, error in ((os, "pidfd_open"), (Watch, "add")):
        with monkeypatch.context() as patch:
            patch.setattr(refused, error, refuse)
            for _ in range(ROUNDS):
                with pytest.raises(OSError):
                    Subprocess(args=IGNORES_TERM, input=b"x").start()
        assert holdings() == before


def refuse(*_: object) -> None:
    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


# 66
@contextlib.contextmanager
def free_descriptors(count: int):
    """No more than ``count`` descriptors can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = max(descriptors()) + 1
    null = os.open(os.devnull, os.O_RDONLY)
    filler = [null]
    while filler[-1] < top:
        filler.append(os.dup(null))
    resource.setrlimit(resource.RLIMIT_NOFILE, (filler[-1] + 1 + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in filler:
            os.close(fd)


@pytest.mark.parametrize("limits", [None, Limits(core_size=0)], ids=["plain", "limits"])
@pytest.mark.parametrize(
    "options", [{"input": b"x"}, {}, {"stdout": DEVNULL, "stderr": DEVNULL}], ids=str
)
@pytest.mark.gen_test(timeout=120)
async def test_out_of_descriptors_at_any_step_is_a_clean_error(io_loop, options, limits):
    await run(TRUE)
    before = holdings()
    outcomes = []
    for count in range(12):
        sp = Subprocess(args=CAT, limits=limits, **options)
        with free_descriptors(count):
            try:
                sp.start()
            except NoRoom as error:
                assert error.errno == errno.EMFILE
                with pytest.raises(ChildProcessError):
                    os.waitpid(-1, os.WNOHANG)
                outcomes.append(False)
            else:
                await sp.wait()
                outcomes.append(True)
    assert outcomes == sorted(outcomes)
    assert outcomes[0] is False
    assert outcomes[-1] is True
    assert holdings() == before


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.gen_test(timeout=60)
async def test_failed_pidfd_open_is_a_clean_error(io_loop, monkeypatch, error):
    """Other threads may take the last descriptor between our steps; it can't be had otherwise."""
    await run(TRUE)
    before = holdings()

    def refuse(pid: int) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(NoRoom) as caught:
        Subprocess(args=IGNORES_TERM, input=b"x").start()
    assert caught.value.errno == error
    assert holdings() == before


def test_first_start_on_a_loop_without_descriptors_is_a_clean_error():
    async def main() -> None:
        with free_descriptors(0):
            for _ in range(3):
                with pytest.raises(NoRoom):
                    Subprocess(args=TRUE).start()
        assert (await run(TRUE)).status == 0

    asyncio.run(main())


# 67
@pytest.mark.parametrize("limits", [None, Limits(core_size=0)], ids=["plain", "limits"])
def test_refused_fork_is_an_oserror_and_leaves_nothing(limits):
    def act() -> None:
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)  # the limit does not hold root
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        asyncio.run(main())

    async def main() -> None:
        with contextlib.suppress(OSError):
            await run(TRUE, limits=limits)
        before = holdings()
        for _ in range(ROUNDS):
            with pytest.raises(NoRoom) as caught:
                await run(TRUE, limits=limits, input=b"x")
            assert caught.value.errno == errno.EAGAIN
        assert holdings() == before

    in_a_fork(act)


# 85
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"args": ["/nonexistent/program"]}, errno.ENOENT),
        ({"args": ["true", "x" * 300_000]}, errno.E2BIG),
        (
            {"args": [*TRUE, *["x"] * 50_000], "limits": Limits(address_space=1)},
            errno.ENOMEM,
        ),
    ],
    ids=["no such program", "too long a word", "too small an address space of its own"],
)
@pytest.mark.gen_test(timeout=60)
async def test_a_start_that_can_never_work_is_not_for_want_of_room(io_loop, options, error):
    with pytest.raises(OSError) as caught:
        await run(**options)
    assert caught.value.errno == error
    assert not isinstance(caught.value, NoRoom)


# 68, 69: 65 counts the pidfds; a waiter is woken though the pidfd is readable for nobody
@pytest.mark.gen_test(timeout=60)
async def test_many_waiters_all_wake(io_loop):
    sp = Subprocess(args=CAT, stdin=PIPE)
    sp.start()
    waiters = [asyncio.ensure_future(sp.wait()) for _ in range(50)]
    await asyncio.sleep(0)
    sp.close_stdin()
    assert {(await waiter).status for waiter in waiters} == {0}


# 70
@pytest.mark.gen_test(timeout=120)
async def test_no_zombie_after_a_thousand_runs(io_loop):
    for _ in range(20):
        await asyncio.gather(*(run(TRUE) for _ in range(50)))
    assert children_of_ours() == set()


@pytest.mark.gen_test(timeout=60)
async def test_dropped_run_warns_and_is_killed_with_its_group(io_loop):
    sp = Subprocess(args=sh("trap '' TERM; sleep 60 & echo $!; wait"))
    sp.start()
    async for line in sp.lines():
        grandchild = int(line)
        break
    pid = sp.pid
    with pytest.warns(ResourceWarning, match="was dropped and killed"):
        del sp
        gc.collect()
    await until(lambda: pid not in children_of_ours())
    await until(lambda: not is_alive(grandchild))


@pytest.mark.gen_test(timeout=60)
async def test_run_dropped_on_another_thread_is_killed(io_loop):
    box = [Subprocess(args=SLEEP_30)]
    box[0].start()
    pid = box[0].pid
    with pytest.warns(ResourceWarning, match="was dropped and killed"):
        thread = threading.Thread(target=box.clear)
        thread.start()
        thread.join()
    await until(lambda: pid not in children_of_ours())


@pytest.mark.gen_test(timeout=60)
async def test_ended_or_unstarted_run_is_dropped_in_silence(io_loop):
    sp = Subprocess(args=TRUE)
    sp.start()
    await sp.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del sp
        Subprocess(args=TRUE)
        gc.collect()


# 71
async def start_some() -> list[int]:
    pids = []
    for options in ({}, {"input": b"x" * 1_000_000}, {"timeout": 50}, {"callback": print}):
        sp = Subprocess(args=IGNORES_TERM, **options)
        sp.start()
        pids.append(sp.pid)
        KEPT.append(sp)
    sp.chunks()
    return pids


KEPT: list[object] = []


@pytest.mark.parametrize("kind", ["asyncio.run", "new_event_loop", "IOLoop"])
def test_closed_loop_takes_its_children_with_it(kind, capfd):
    before = holdings()
    if kind == "asyncio.run":
        pids = asyncio.run(start_some())
    elif kind == "new_event_loop":
        loop = asyncio.new_event_loop()
        pids = loop.run_until_complete(start_some())
        loop.close()
    else:
        io_loop = IOLoop(make_current=False)
        pids = io_loop.run_sync(start_some)
        io_loop.close()
    assert not any(is_alive(pid) for pid in pids)
    assert children_of_ours() == set()
    KEPT.clear()
    assert holdings() == before
    assert tuple(capfd.readouterr()) == ("", "")


def test_interpreter_that_ends_without_closing_its_loop_leaves_no_child():
    code = """
import sys, asyncio
from executor import Subprocess
loop = asyncio.new_event_loop()
sp = Subprocess(print, args=["sleep", "60"])
async def main(): sp.start()
loop.run_until_complete(main())
print(sp.pid)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert not is_alive(int(done.stdout))


@pytest.mark.gen_test(timeout=60)
async def test_cancelled_main_task_leaves_no_child(io_loop):
    """What asyncio.run does at Ctrl-C."""
    code = """
import asyncio
from executor import run
asyncio.run(run(["sh", "-c", "echo $$ >&2; exec sleep 60"], stderr=None))
"""
    async with Subprocess(args=[sys.executable, "-c", code]) as sp:
        async for line in sp.lines("stderr"):
            pid = int(line)
            break
        sp.send_signal(signal.SIGINT)
        await sp.wait()
    assert not is_alive(pid)


# 72
@pytest.mark.gen_test(timeout=60)
async def test_forked_copy_is_inert(io_loop):
    sp = Subprocess(args=CAT, stdin=PIPE)
    sp.start()
    ours = descriptors()

    def act() -> None:
        assert sp.cancel() is False
        assert sp.send_signal(signal.SIGKILL) is False
        pipes = [link for link in ours.values() if link.startswith("pipe:")]
        held = [link for link in descriptors().values() if link in pipes]
        assert len(held) <= len(pipes) - 3  # stdin, stdout, stderr of the child are not ours here
        gc.collect()

    in_a_fork(act)
    assert is_alive(sp.pid)
    await sp.write(b"still here")
    sp.close_stdin()
    assert (await sp.wait()).stdout == b"still here"


@pytest.mark.gen_test(timeout=60)
async def test_forked_copy_may_run_commands_of_its_own(io_loop):
    sp = Subprocess(args=CAT, stdin=PIPE)
    sp.start()

    def act() -> None:
        asyncio.set_event_loop(None)
        asyncio._set_running_loop(None)
        assert asyncio.run(run(sh("exit 4"))).status == 4

    in_a_fork(act)
    sp.close_stdin()
    assert (await sp.wait()).status == 0


@pytest.mark.gen_test(timeout=60)
async def test_fork_that_lives_on_does_not_hold_a_childs_stdin_open(io_loop):
    """A copy of our end would keep the child from its end of file."""
    sp = Subprocess(args=CAT, stdin=PIPE)
    sp.start()
    pid = os.fork()
    if pid == 0:
        try:
            signal.pause()
        finally:
            os._exit(0)
    try:
        sp.close_stdin()
        assert (await asyncio.wait_for(sp.wait(), 30)).status == 0
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# 73
def test_children_survive_a_parent_that_is_killed():
    """As documented: a death signal would be tied to the thread that started the child."""
    code = """
import asyncio, os, signal
from executor import Subprocess
async def main():
    sp = Subprocess(args=["sleep", "60"])
    sp.start()
    print(sp.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    args = [sys.executable, "-c", code]
    done = subprocess.run(args, capture_output=True, timeout=60, check=False)
    pid = int(done.stdout)
    try:
        assert done.returncode == -signal.SIGKILL
        assert is_alive(pid)
        assert os.getpgid(pid) == pid  # so that whoever cleans up can find all of it
    finally:
        os.killpg(pid, signal.SIGKILL)


# 74 is a figure: bench/library.py


# beyond the list
@pytest.mark.gen_test(timeout=60)
async def test_pipe_memory_used_up_is_no_error(io_loop, monkeypatch):
    """An ordinary user has 64 MB of it (pipe(7)); root has no bound, so it can't be had here."""
    real = fcntl.fcntl

    def refuse(fd: int, command: int, *args: int) -> int:
        if command == fcntl.F_SETPIPE_SZ:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return real(fd, command, *args)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    result = await run(["head", "-c", "1000000", "/dev/zero"])
    assert len(result.stdout) == 1_000_000


@pytest.mark.gen_test(timeout=60)
async def test_output_goes_with_its_last_reference_and_not_with_a_garbage_collection(io_loop):
    async def some() -> None:
        await run(["head", "-c", "1000000", "/dev/zero"], input=b"x", timeout=50)
        done = asyncio.Event()
        Subprocess(lambda *_: done.set(), args=TRUE, on_output=lambda *_: None).start()
        await done.wait()

    await some()
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await some()
        await asyncio.sleep(0)
        assert [each for each in gc.get_objects() if isinstance(each, Child)] == []
    finally:
        gc.enable()


# beyond the list


class FullEpoll:
    """Stands for an epoll without room: that is a setting of the whole machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
        self.is_full = False
        self.error = error
        self._add = Watch.add
        monkeypatch.setattr(Watch, "add", lambda watch, *words: self.add(watch, *words))

    def add(self, watch: Watch, *words: object) -> None:
        if self.is_full:
            raise OSError(self.error, os.strerror(self.error))
        self._add(watch, *words)


@pytest.fixture(params=[errno.ENOSPC, errno.ENOMEM])
def full_epoll(monkeypatch, request):
    return FullEpoll(monkeypatch, request.param)


@pytest.mark.gen_test(timeout=60)
async def test_start_without_room_to_watch_is_a_clean_error(io_loop, full_epoll):
    await run(TRUE)
    before = holdings()
    for full_from in range(3):
        left = full_from

        def add(watch: Watch, *words: object) -> None:
            nonlocal left
            left -= 1
            full_epoll.is_full = left < 0
            FullEpoll.add(full_epoll, watch, *words)

        Watch.add = add  # put back by the fixture
        with pytest.raises(OSError) as caught:
            Subprocess(args=IGNORES_TERM, input=b"x" * 200_000).start()
        assert caught.value.errno == full_epoll.error
        assert holdings() == before


@pytest.mark.gen_test(timeout=60)
async def test_paused_stream_without_room_to_watch_it_again_fails_the_run(io_loop, full_epoll):
    await run(TRUE)
    before = holdings()

    async def fills(*_: object) -> None:
        await asyncio.sleep(0)
        full_epoll.is_full = True

    with pytest.raises(OSError) as caught:
        await run(sh("echo x; exec sleep 60"), on_output=fills)
    assert caught.value.errno == full_epoll.error
    assert holdings() == before


@pytest.mark.gen_test(timeout=60)
async def test_reader_that_was_full_without_room_to_watch_again_gets_what_came(io_loop, full_epoll):
    await run(TRUE)
    before = holdings()
    sp = Subprocess(args=["yes"], max_output=0)
    sp.start()
    chunks = sp.chunks()
    await until(lambda: chunks._full, "the reader's fill")
    full_epoll.is_full = True
    read = [chunk async for chunk in chunks]
    with pytest.raises(OSError) as caught:
        await sp.wait()
    assert caught.value.errno == full_epoll.error
    assert sum(map(len, read)) == sp.result.stdout_total
    assert holdings() == before


@pytest.mark.gen_test(timeout=60)
async def test_write_without_room_to_watch_is_an_error_and_stops_the_run(io_loop, full_epoll):
    await run(TRUE)
    before = holdings()
    sp = Subprocess(args=SLEEP_30, stdin=PIPE)
    sp.start()
    full_epoll.is_full = True
    with pytest.raises(OSError) as caught:
        await sp.write(b"x" * 1_000_000)
    assert caught.value.errno == full_epoll.error
    with pytest.raises(OSError):
        await sp.wait()
    assert sp.status == -signal.SIGTERM
    assert holdings() == before
