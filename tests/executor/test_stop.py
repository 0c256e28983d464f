"""Timeout, kill, cancel: cases 52 to 62 of the conformance list."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from children import (
    CAT,
    EXITS_0_ON_TERM,
    IGNORES_TERM,
    SLEEP_30,
    TRUE,
    children_of_ours,
    holdings,
    in_a_fork,
    is_alive,
    python_that_counts,
    sh,
    until,
)

from executor import DEVNULL, PIPE, ExecutorError, Subprocess, run
from executor.phase import DRAINING

QUICK = ((signal.SIGTERM, 0.3), (signal.SIGKILL, None))


# 52
@pytest.mark.gen_test(timeout=60)
async def test_timeout_terminates_and_keeps_what_came(io_loop):
    result = await run(sh("echo partial; exec sleep 60"), timeout=0.3)
    assert (result.status, result.has_timed_out) == (-signal.SIGTERM, True)
    assert (result.stdout, result.was_cancelled, result.incomplete) == (b"partial\n", False, False)
    assert 0.3 <= result.duration < 20


@pytest.mark.gen_test(timeout=60)
async def test_timeout_of_nothing_strikes_at_once(io_loop):
    assert (await run(SLEEP_30, timeout=0)).has_timed_out


@pytest.mark.parametrize("timeout", [-1, -0.5, None, float("inf")])
@pytest.mark.gen_test(timeout=60)
async def test_negative_timeout_is_none(io_loop, timeout):
    assert not (await run(["sleep", "0.1"], timeout=timeout)).has_timed_out


# 53
@pytest.mark.gen_test(timeout=60)
async def test_child_that_ends_well_when_told_has_timed_out_all_the_same(io_loop):
    sp = Subprocess(args=EXITS_0_ON_TERM, timeout=0.5)
    sp.start()
    result = await sp.wait()
    assert (result.status, result.has_timed_out) == (0, True)
    assert result.stdout == b"ready\n"


# 54
@pytest.mark.parametrize("how", ["timeout", "cancel"])
@pytest.mark.gen_test(timeout=60)
async def test_child_that_ignores_term_is_killed_after_its_grace(io_loop, how):
    sp = Subprocess(args=IGNORES_TERM, timeout=0.5 if how == "timeout" else -1, stop=QUICK)
    sp.start()
    async for _ in sp.lines():
        break
    if how == "cancel":
        assert sp.cancel() is True
    result = await sp.wait()
    assert result.status == -signal.SIGKILL
    assert (result.has_timed_out, result.was_cancelled) == (how == "timeout", how == "cancel")
    assert result.duration >= 0.3


# 55
@pytest.mark.gen_test(timeout=90)
async def test_timeout_that_races_the_end_gives_one_outcome(io_loop):
    ends: list[tuple[int | None, bool]] = []
    for number in range(120):
        sp = Subprocess(
            lambda status, out, err, timed: ends.append((status, timed)),
            timeout=0.0002 * (number % 40),
            args=TRUE,
        )
        sp.start()
        await sp.wait()
        assert sp.cancel() is False
        assert sp.send_signal(signal.SIGKILL) is False
    assert len(ends) == 120
    # a child that ended by itself in the very moment of the timeout may have both
    assert set(ends) <= {(0, False), (-signal.SIGTERM, True), (0, True)}


@pytest.mark.gen_test(timeout=60)
async def test_child_that_ended_before_the_timeout_was_noticed_has_not_timed_out(io_loop):
    sp = Subprocess(args=TRUE, timeout=0.05, stdout=None, stderr=None)
    sp.start()
    os.waitid(os.P_PID, sp.pid, os.WEXITED | os.WNOWAIT)
    import time

    time.sleep(0.1)  # the loop is late: exit and timeout come to it at once
    result = await sp.wait()
    assert (result.status, result.has_timed_out) == (0, False)


@pytest.mark.gen_test(timeout=60)
async def test_first_reason_wins(io_loop):
    sp = Subprocess(args=IGNORES_TERM, timeout=0.2, stop=QUICK)
    sp.start()
    await until(lambda: sp.has_timed_out)
    assert sp.cancel() is False
    result = await sp.wait()
    assert (result.has_timed_out, result.was_cancelled) == (True, False)
    sp = Subprocess(args=IGNORES_TERM, timeout=0.2, stop=QUICK)
    sp.start()
    async for _ in sp.lines():
        break
    sp.cancel()
    result = await sp.wait()
    assert (result.has_timed_out, result.was_cancelled) == (False, True)


# 56
def test_loop_can_end_as_soon_as_the_run_has():
    async def main() -> float:
        loop = asyncio.get_running_loop()
        await run(TRUE, timeout=3600)
        pending = [timer for timer in loop._scheduled if not timer.cancelled()]
        assert pending == []
        return loop.time()

    asyncio.run(main())


# 57
@pytest.mark.gen_test(timeout=60)
async def test_stop_sequence_is_the_callers(io_loop):
    script = "trap 'echo int' INT; trap 'echo hup' HUP; echo ready; while :; do sleep 0.02; done"
    stop = ((signal.SIGINT, 0.3), (signal.SIGHUP, 0.3), (signal.SIGUSR1, None))
    sp = Subprocess(args=sh(script), stop=stop)
    sp.start()
    lines = sp.lines()
    await anext(lines)
    sp.cancel()
    assert [line async for line in lines] == [b"int\n", b"hup\n"]
    assert (await sp.wait()).status == -signal.SIGUSR1


# 58
@pytest.mark.gen_test(timeout=60)
async def test_function_as_a_step_asks_in_its_own_way(io_loop):
    asked: list[int] = []
    sp = Subprocess(args=CAT, stdin=PIPE, stop=((asked.append, 0.1), (signal.SIGKILL, None)))
    sp.start()
    sp.cancel()
    assert (await sp.wait()).status == -signal.SIGKILL
    assert asked == [sp.pid]


@pytest.mark.gen_test(timeout=60)
async def test_step_that_fails_is_shown_and_the_next_one_follows_at_once(io_loop):
    def fails(_: int) -> None:
        raise ZeroDivisionError

    sp = Subprocess(args=SLEEP_30, stop=((fails, 50), (signal.SIGKILL, None)))
    sp.start()
    sp.cancel()
    with pytest.raises(ZeroDivisionError):
        await sp.wait()
    assert sp.status == -signal.SIGKILL


# 59
@pytest.mark.gen_test(timeout=60)
async def test_cancel_twice_and_after_the_end_does_nothing(io_loop):
    sp = Subprocess(args=SLEEP_30)
    sp.start()
    assert [sp.cancel(), sp.cancel(), sp.cancel()] == [True, False, False]
    result = await sp.wait()
    assert (sp.cancel(), sp.send_signal(signal.SIGTERM)) == (False, False)
    assert sp.send_signal(signal.SIGTERM, group=False) is False
    assert sp.result is result
    assert result.was_cancelled


@pytest.mark.gen_test(timeout=60)
async def test_signal_goes_to_the_group_or_to_the_child_alone(io_loop):
    script = (
        "trap 'echo leader' USR1; sh -c \"trap 'echo member' USR1; echo ready; "
        'while :; do sleep 0.02; done" & while :; do sleep 0.02; done'
    )
    async with Subprocess(args=sh(script)) as sp:
        lines = sp.lines()
        assert await anext(lines) == b"ready\n"
        assert sp.send_signal(signal.SIGUSR1, group=False) is True
        assert await anext(lines) == b"leader\n"
        assert sp.send_signal(signal.SIGUSR1) is True
        assert {await anext(lines), await anext(lines)} == {b"leader\n", b"member\n"}


# 60
async def blocked_in_run(stop: object = QUICK) -> None:
    await run(SLEEP_30, stop=stop)


async def blocked_in_block() -> None:
    async with Subprocess(args=IGNORES_TERM, stop=QUICK) as sp:
        async for _ in sp.lines():
            continue


async def blocked_in_write() -> None:
    async with Subprocess(args=SLEEP_30, stdin=PIPE, stop=QUICK) as sp:
        await sp.write(b"x" * 1_000_000)


async def blocked_in_input() -> None:
    async def forever():
        yield b"x"
        await asyncio.Event().wait()

    await run(SLEEP_30, input=forever(), stop=QUICK)


async def blocked_in_on_output() -> None:
    async def slow(*_: object) -> None:
        await asyncio.sleep(0.2)

    await run(["yes"], on_output=slow, stop=QUICK, max_output=0)


BLOCKED = [
    blocked_in_run,
    blocked_in_block,
    blocked_in_write,
    blocked_in_input,
    blocked_in_on_output,
]


@pytest.mark.parametrize("blocked", BLOCKED, ids=lambda f: f.__name__)
@pytest.mark.gen_test(timeout=60)
async def test_cancelled_task_stops_its_child_and_is_cancelled(io_loop, blocked):
    await run(TRUE)
    before = holdings()
    task = asyncio.ensure_future(blocked())
    await until(lambda: children_of_ours())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert holdings() == before


# 61
@pytest.mark.parametrize("blocked", BLOCKED, ids=lambda f: f.__name__)
@pytest.mark.gen_test(timeout=90)
async def test_cancelled_at_every_turn_of_the_loop_nothing_is_left(io_loop, blocked):
    await run(TRUE)
    before = holdings()
    for turns in range(12):
        task = asyncio.ensure_future(blocked())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert holdings() == before


@pytest.mark.gen_test(timeout=60)
async def test_cancelled_again_in_the_grace_kills_at_once(io_loop):
    task = asyncio.ensure_future(blocked_in_run(((signal.SIGSTOP, 3600), (signal.SIGKILL, None))))
    await until(lambda: children_of_ours())
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children_of_ours() == set()


@pytest.mark.gen_test(timeout=60)
async def test_cancelled_wait_leaves_the_child_running(io_loop):
    sp = Subprocess(args=CAT, stdin=PIPE)
    sp.start()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(sp.wait(), 0.05)
    assert is_alive(sp.pid)
    first, second = asyncio.ensure_future(sp.wait()), asyncio.ensure_future(sp.wait())
    await asyncio.sleep(0)
    first.cancel()
    sp.close_stdin()
    assert (await second).status == 0
    assert first.cancelled()


@pytest.mark.gen_test(timeout=60)
async def test_leaving_the_block_stops_what_still_runs(io_loop):
    async with Subprocess(args=SLEEP_30) as sp:
        pass
    assert (sp.status, sp.result.was_cancelled) == (-signal.SIGTERM, True)


@pytest.mark.gen_test(timeout=60)
async def test_error_in_the_block_stops_the_child_and_stays_the_error(io_loop):
    with pytest.raises(ZeroDivisionError):
        async with Subprocess(args=SLEEP_30) as sp:
            raise ZeroDivisionError
    assert sp.result.was_cancelled


@pytest.mark.gen_test(timeout=60)
async def test_stop_reaches_a_child_blocked_at_a_full_pipe(io_loop):
    gate = asyncio.Event()
    sp = Subprocess(
        args=python_that_counts(10_000_000), on_output=lambda *_: gate.wait(), max_output=0
    )
    sp.start()
    await asyncio.sleep(0.1)
    sp.cancel()
    await until(lambda: not is_alive(sp.pid))
    gate.set()
    assert (await sp.wait()).status == -signal.SIGTERM


@pytest.mark.gen_test(timeout=60)
async def test_stopped_child_is_killed_all_the_same(io_loop):
    """SIGTERM waits until a stopped process goes on; SIGKILL does not."""
    sp = Subprocess(args=SLEEP_30, stop=QUICK)
    sp.start()
    sp.send_signal(signal.SIGSTOP)
    await until(lambda: " T " in Path(f"/proc/{sp.pid}/stat").read_text())
    sp.cancel()
    assert (await sp.wait()).status == -signal.SIGKILL


# 62
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a child that it may not kill")
def test_child_that_may_not_be_killed_is_reported_and_ends_by_itself(caplog):
    async def main() -> None:
        sp = Subprocess(args=["sleep", "0.5"], stop=((signal.SIGTERM, 0.1), (signal.SIGKILL, None)))
        sp.start()
        os.setresuid(65534, 65534, 65534)
        for group in (True, False):
            with pytest.raises(PermissionError):
                sp.send_signal(signal.SIGTERM, group=group)
        assert sp.cancel() is True
        result = await sp.wait()
        assert (result.status, result.was_cancelled) == (0, True)
        assert "not allowed to send SIGTERM" in caplog.text

    in_a_fork(lambda: asyncio.run(main()))


# beyond the list


@pytest.mark.gen_test(timeout=60)
async def test_stopped_child_has_not_ended(io_loop):
    """Go issue 19314: SIGSTOP wakes who waits, and means nothing."""
    async with Subprocess(args=sh("echo here; kill -STOP $$; echo again")) as sp:
        lines = sp.lines()
        await anext(lines)
        stat = Path(f"/proc/{sp.pid}/stat")
        await until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(sp.wait(), 0.1)
        assert sp.result is None
        assert sp.send_signal(signal.SIGCONT)
        assert await anext(lines) == b"again\n"
        assert (await sp.wait()).status == 0


@pytest.mark.parametrize("group", [True, False])
@pytest.mark.gen_test(timeout=60)
async def test_number_that_is_no_signal_is_an_error_and_does_no_harm(io_loop, group):
    async with Subprocess(args=CAT, stdin=PIPE) as sp:
        for number in (-1, 100_000):
            with pytest.raises(OSError):
                sp.send_signal(number, group)
        with pytest.raises(TypeError):
            sp.send_signal("SIGTERM", group)
        assert sp.send_signal(0, group)  # as kill(2): whether there is somebody
        sp.close_stdin()
        assert (await sp.wait()).status == 0
        assert not sp.send_signal(0, group)


@pytest.mark.gen_test(timeout=60)
async def test_step_that_meets_a_cancelled_future_does_not_end_the_sequence(io_loop):
    def fails(pid: int) -> None:
        raise asyncio.CancelledError

    sp = Subprocess(args=SLEEP_30, timeout=0.05, stop=((fails, None), (signal.SIGKILL, None)))
    sp.start()
    with pytest.raises(ExecutorError) as caught:
        await sp.wait()
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert (sp.status, sp.has_timed_out) == (-signal.SIGKILL, True)


@pytest.mark.gen_test(timeout=60)
async def test_deadline_of_asyncio_stops_the_child(io_loop):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(run(SLEEP_30), 0.05)
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.05):
            await run(SLEEP_30)
    assert children_of_ours() == set()


@pytest.mark.gen_test(timeout=60)
async def test_failure_of_one_task_stops_the_children_of_its_group(io_loop):
    async def fails() -> None:
        await asyncio.sleep(0.05)
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(run(SLEEP_30))
            group.create_task(run(IGNORES_TERM, stop=QUICK))
            group.create_task(fails())
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
    assert children_of_ours() == set()


@pytest.mark.gen_test(timeout=60)
async def test_generator_over_lines_that_is_left_early_stops_its_command(io_loop):
    pids = []

    async def lines():
        async with Subprocess(args=sh("echo a; exec sleep 60")) as sp:
            pids.append(sp.pid)
            async for line in sp.lines():
                yield line

    async for line in lines():
        assert line == b"a\n"
        break
    await until(lambda: not is_alive(pids[0]) and pids[0] not in children_of_ours())


@pytest.mark.gen_test(timeout=60)
async def test_on_output_may_talk_to_the_command_and_stop_it(io_loop):
    async def answer(_: str, chunk: bytes) -> None:
        if chunk == b"question\n":
            await asking.write(b"answer\n")
            asking.close_stdin()

    asking = Subprocess(args=sh("echo question; cat"), stdin=PIPE, on_output=answer)
    asking.start()
    assert (await asking.wait()).stdout == b"question\nanswer\n"
    loud = Subprocess(args=["yes"], max_output=100, on_output=lambda *_: loud.cancel())
    loud.start()
    assert (await loud.wait()).was_cancelled


# 80
@pytest.mark.gen_test(timeout=60)
async def test_leaving_the_block_after_the_end_of_the_output_is_no_cancel(io_loop):
    """The streams of a program end before it does."""
    async with Subprocess(args=sh("echo x; exec >&- 2>&-; sleep 0.1; exit 3")) as sp:
        assert [line async for line in sp.lines()] == [b"x\n"]
    assert (sp.status, sp.result.was_cancelled) == (3, False)


@pytest.mark.gen_test(timeout=60)
async def test_leaving_the_block_when_the_program_has_exited_is_no_cancel(io_loop):
    async with Subprocess(args=sh("exit 3"), stdout=DEVNULL, stderr=DEVNULL) as sp:
        os.waitid(os.P_PID, sp.pid, os.WEXITED | os.WNOWAIT)
    assert (sp.status, sp.result.was_cancelled) == (3, False)


@pytest.mark.gen_test(timeout=60)
async def test_leaving_the_block_stops_a_program_that_goes_on_without_its_streams(io_loop):
    async with Subprocess(args=sh("exec >&- 2>&-; exec sleep 60")) as sp:
        assert [line async for line in sp.lines()] == []
    assert (sp.status, sp.result.was_cancelled) == (-signal.SIGTERM, True)


@pytest.mark.gen_test(timeout=60)
async def test_cancelled_while_it_waits_for_a_program_that_leaves_it_stops_it(io_loop):
    at_its_end = asyncio.Event()

    async def leave() -> None:
        async with Subprocess(args=sh("exec >&- 2>&-; exec sleep 60")) as sp:
            assert [line async for line in sp.lines()] == []
            pids.append(sp.pid)
            at_its_end.set()

    pids: list[int] = []
    task = asyncio.ensure_future(leave())
    await at_its_end.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pids[0])


# 81
@pytest.mark.gen_test(timeout=60)
async def test_step_may_be_a_coroutine_function(io_loop):
    said = []

    async def ask(pid: int) -> None:
        await sp.write(b"quit\n")
        await until(lambda: not is_alive(pid))
        said.append("gone")

    sp = Subprocess(args=sh("read x; exit 7"), stdin=PIPE, stop=((ask, 50), (signal.SIGKILL, None)))
    sp.start()
    sp.cancel()
    result = await sp.wait()
    assert (result.status, result.was_cancelled, said) == (7, True, ["gone"])


@pytest.mark.gen_test(timeout=60)
async def test_step_that_takes_too_long_is_cancelled_and_the_next_one_follows(io_loop):
    seen = []

    async def stuck(_: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
            seen.append("cancelled")
            raise

    sp = Subprocess(args=SLEEP_30, stop=((stuck, 0.1), (signal.SIGKILL, None)))
    sp.start()
    sp.cancel()
    assert (await sp.wait()).status == -signal.SIGKILL
    assert seen == ["cancelled"]


@pytest.mark.gen_test(timeout=60)
async def test_step_that_fails_later_is_shown_and_the_next_one_follows_at_once(io_loop):
    async def fails(_: int) -> None:
        await asyncio.sleep(0.01)
        raise ZeroDivisionError

    sp = Subprocess(args=SLEEP_30, stop=((fails, 50), (signal.SIGKILL, None)))
    sp.start()
    sp.cancel()
    with pytest.raises(ZeroDivisionError):
        await sp.wait()
    assert sp.status == -signal.SIGKILL


@pytest.mark.gen_test(timeout=60)
async def test_on_output_may_begin_a_stop_whose_step_is_a_function(io_loop):
    asked = []
    sp = Subprocess(
        args=sh("echo x; exec sleep 60"),
        on_output=lambda *_: sp.cancel() and None,
        stop=((asked.append, 0), (signal.SIGKILL, None)),
    )
    sp.start()
    assert (await sp.wait()).status == -signal.SIGKILL
    assert asked == [sp.pid]


@pytest.mark.gen_test(timeout=60)
async def test_leaving_the_block_while_the_source_cleans_up_is_no_cancel(io_loop):
    released = asyncio.Event()

    async def source():
        try:
            yield b"x\n"
            await asyncio.Event().wait()
        finally:
            await released.wait()

    async with Subprocess(args=sh("read x; echo $x; exit 3"), input=source()) as sp:
        assert [line async for line in sp.lines()] == [b"x\n"]
        await until(lambda: sp._child.phase is DRAINING)
        asyncio.get_running_loop().call_later(0.1, released.set)
    assert (sp.status, sp.result.was_cancelled) == (3, False)
