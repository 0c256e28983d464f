"""The callback: cases 63 and 64 of the conformance list, and what is promised beyond."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import resource
import signal
from pathlib import Path

import pytest
from children import (
    CAT,
    EXIT_1,
    SLEEP_30,
    TRUE,
    descriptors,
    holdings,
    in_a_fork,
    sh,
    until,
)
from tornado.ioloop import IOLoop

from executor import Subprocess, run


# 63
@pytest.mark.gen_test(timeout=60)
async def test_error_of_the_callback_goes_to_the_loop_and_harms_nothing(io_loop):
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    await run(TRUE)
    before = descriptors()

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    sp = Subprocess(fails, args=EXIT_1)
    sp.start()
    assert (await sp.wait()).status == 1
    assert isinstance(reported[0]["exception"], ZeroDivisionError)
    assert len(reported) == 1
    assert descriptors() == before


# 64
@pytest.mark.gen_test(timeout=60)
async def test_all_is_over_when_the_callback_is_called(io_loop):
    await run(TRUE)
    before = descriptors()
    seen: list[object] = []

    def callback(status, stdout, stderr, has_timed_out):
        with pytest.raises(ChildProcessError):
            os.waitpid(sp.pid, os.WNOHANG)
        assert descriptors() == before
        facts = (sp.status, sp.stdout, sp.stderr, sp.has_timed_out)
        assert facts == (status, stdout, stderr, has_timed_out)
        assert (sp.result.status, sp.cancel()) == (status, False)
        seen.append(facts)

    sp = Subprocess(callback, args=sh("cat; echo e >&2; exit 3"), input=b"in")
    sp.start()
    await sp.wait()
    assert seen == [(3, b"in", b"e\n", False)]


@pytest.mark.gen_test(timeout=60)
async def test_callback_is_called_once_on_the_loop_and_never_inside_a_call(io_loop):
    calls: list[object] = []
    sp = Subprocess(lambda *facts: calls.append(facts), args=TRUE)
    sp.start()
    os.waitid(os.P_PID, sp.pid, os.WEXITED | os.WNOWAIT)
    sp.cancel()
    assert calls == []
    await sp.wait()
    await asyncio.sleep(0.05)
    assert len(calls) == 1


@pytest.mark.gen_test(timeout=60)
async def test_callback_may_start_the_next_run(io_loop):
    done: list[int | None] = []

    def next_one(status, *_):
        done.append(status)
        if len(done) < 5:
            Subprocess(next_one, args=sh(f"exit {len(done)}")).start()

    Subprocess(next_one, args=TRUE).start()
    await until(lambda: len(done) == 5)
    assert done == [0, 1, 2, 3, 4]


@pytest.mark.gen_test(timeout=60)
async def test_run_with_a_callback_needs_no_reference(io_loop):
    done: list[bytes] = []
    for _ in range(3):
        Subprocess(lambda _, out, *__: done.append(out), args=CAT, input=b"x").start()
    await until(lambda: len(done) == 3)
    assert done == [b"x"] * 3


@pytest.mark.gen_test(timeout=60)
async def test_callbacks_run_in_the_context_of_their_start(io_loop):
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")
    seen: list[tuple[str, str]] = []

    async def start(value: str) -> Subprocess[bytes]:
        name.set(value)
        sp = Subprocess(
            lambda *_: seen.append(("end", name.get())),
            args=["echo", "x"],
            on_output=lambda *_: seen.append(("output", name.get())),
        )
        sp.start()
        return sp

    for value in ("a", "b"):
        await (await asyncio.create_task(start(value))).wait()
    assert seen == [("output", "a"), ("end", "a"), ("output", "b"), ("end", "b")]


@pytest.mark.gen_test(timeout=60)
async def test_awaited_on_output_runs_in_the_context_of_its_start_too(io_loop):
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")
    seen: list[str] = []

    async def note(*_: object) -> None:
        await asyncio.sleep(0)
        seen.append(name.get())

    name.set("mine")
    sp = Subprocess(args=["echo", "x"], on_output=note)
    sp.start()
    name.set("other")
    await sp.wait()
    assert seen == ["mine"]


@pytest.mark.gen_test(timeout=60)
async def test_on_output_may_return_anything(io_loop, tmp_path):
    with (tmp_path / "copy").open("wb", buffering=0) as file:
        result = await run(["echo", "x"], on_output=lambda _, chunk: file.write(chunk))
    assert (result.status, (tmp_path / "copy").read_bytes()) == (0, b"x\n")


@pytest.mark.gen_test(timeout=60)
async def test_failure_of_on_output_is_reported_and_the_callback_called(io_loop):
    reported: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: reported.append(context["exception"])
    )
    done: list[int | None] = []
    sp = Subprocess(
        lambda status, *_: done.append(status),
        args=sh("echo x; exec sleep 60"),
        on_output=lambda *_: 1 / 0,
    )
    sp.start()
    await until(lambda: done)
    assert done == [-signal.SIGTERM]
    assert [type(error) for error in reported] == [ZeroDivisionError]


def test_start_before_the_loop_runs_works():
    """As an IOLoop program does in its main()."""

    async def nothing() -> None:
        pass

    loop = IOLoop(make_current=True)
    try:
        done: list[int | None] = []
        sp = Subprocess(lambda status, *_: (done.append(status), loop.stop()), args=EXIT_1)
        sp.start()
        loop.start()
        assert done == [1]
    finally:
        loop.close()


def test_four_commands_through_callbacks_take_as_long_as_the_longest():
    ended: dict[str, tuple[int | None, bool]] = {}

    async def main() -> None:
        def note(name: str):
            return lambda status, out, err, timed_out: ended.update({name: (status, timed_out)})

        Subprocess(note("long"), timeout=1, args=["sleep", "5"]).start()
        Subprocess(note("short"), timeout=1, args=["sleep", "0.2"]).start()
        Subprocess(note("cat"), timeout=1, args=["cat", "/nonexistent"]).start()
        with pytest.raises(FileNotFoundError):
            Subprocess(note("none"), timeout=1, args=["/nonexistent"]).start()
        await until(lambda: len(ended) == 3)

    asyncio.run(main())
    assert ended == {"long": (-signal.SIGTERM, True), "short": (0, False), "cat": (1, False)}


@pytest.mark.gen_test(timeout=60)
async def test_wait_on_another_loop_is_refused(io_loop):
    async with Subprocess(args=SLEEP_30) as sp:

        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="another event loop"):
                asyncio.run(sp.wait())

        await asyncio.to_thread(elsewhere)


# beyond the list


@pytest.mark.gen_test(timeout=60)
async def test_callback_may_be_a_coroutine_function(io_loop):
    ended = asyncio.Event()
    kept: list[object] = []

    async def callback(*facts: object) -> None:
        gc.collect()
        await asyncio.sleep(0)
        kept.append(facts)
        ended.set()

    Subprocess(callback, args=["echo", "x"]).start()
    await ended.wait()
    assert kept == [(0, b"x\n", b"", False)]


@pytest.mark.gen_test(timeout=60)
async def test_error_of_a_coroutine_callback_goes_to_the_loop(io_loop):
    reported = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: reported.set_result(context["exception"])
    )

    async def fails(*_: object) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    Subprocess(fails, args=TRUE).start()
    assert isinstance(await reported, ZeroDivisionError)


@pytest.mark.parametrize("where", ["callback", "on_output", "stop", "input"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupt_within_code_of_the_caller_ends_the_loop_and_all_children(where, error):
    def interrupt(*_: object) -> None:
        raise error

    async def source():
        yield b"x"
        raise error

    given = {
        "callback": {"callback": interrupt, "args": TRUE},
        "on_output": {"on_output": interrupt, "args": sh("echo x; exec sleep 60")},
        "stop": {"stop": ((interrupt, None),), "timeout": 0.1, "args": SLEEP_30},
        "input": {"input": source(), "args": SLEEP_30},
    }

    async def main() -> None:
        Subprocess(print, args=SLEEP_30).start()
        Subprocess(**{"callback": print, **given[where]}).start()
        await asyncio.sleep(60)

    before = holdings()
    with pytest.raises(error):
        asyncio.run(main())
    assert holdings() == before


@pytest.mark.parametrize("text", [False, True])
def test_callback_is_called_though_there_is_no_memory_for_the_output(text):
    """The chunks are there; a whole of them would be as much again."""
    size = 200_000_000

    async def main() -> None:
        told = []
        sp = Subprocess(
            lambda *facts: told.append(facts),
            args=["head", "-c", str(size), "/dev/zero"],
            max_output=None,
            text=text,
        )
        sp.start()
        with pytest.raises(MemoryError):
            await sp.wait()
        assert told == [(0, "" if text else b"", "" if text else b"", False)]
        assert (sp.result.stdout_total, sp.result.stdout_dropped) == (size, size)

    def act() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + size * 3 // 2
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        asyncio.run(main())

    in_a_fork(act)
