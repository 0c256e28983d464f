"""Output: cases 19 to 31 of the conformance list."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import resource
import signal
import warnings
from itertools import groupby

import pytest
from children import (
    ENDLESS_OUTPUT,
    EXIT_1,
    SLEEP_30,
    TRUE,
    children_of_ours,
    py,
    python_that_counts,
    sh,
    until,
)

from executor import DEVNULL, PIPE, STDOUT, ExecutorError, OutputLost, Subprocess, run

BLOCK = 65536


def counted(size: int) -> bytes:
    """What ``python_that_counts(size)`` writes."""
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


# 19
@pytest.mark.gen_test(timeout=60)
async def test_both_streams_are_captured_apart(io_loop):
    result = await run(sh("printf out; printf err >&2; printf more"))
    assert (result.stdout, result.stderr) == (b"outmore", b"err")
    assert (result.stdout_total, result.stderr_total) == (7, 3)
    assert (result.stdout_dropped, result.stderr_dropped, result.incomplete) == (0, 0, False)


@pytest.mark.gen_test(timeout=60)
async def test_text_is_decoded_and_its_newlines_stay(io_loop):
    result = await run(["printf", "\\303\\274\\r\\n\\377"], encoding="utf-8")
    assert result.stdout == "ü\r\n�"
    assert (await run(["printf", "a"], text=True)).stdout == "a"
    assert (await run(["printf", "\\374"], encoding="latin-1")).stdout == "ü"


@pytest.mark.gen_test(timeout=60)
async def test_strict_decoding_fails_after_the_end_and_leaves_a_result(io_loop):
    sp = Subprocess(args=["printf", "\\377"], encoding="utf-8", errors="strict")
    sp.start()
    with pytest.raises(UnicodeDecodeError):
        await sp.wait()
    assert (sp.status, sp.stdout) == (0, "�")


# 20
@pytest.mark.gen_test(timeout=60)
async def test_stderr_into_stdout_keeps_the_order_of_writes(io_loop):
    result = await run(sh("for i in 1 2 3; do echo out$i; echo err$i >&2; done"), stderr=STDOUT)
    assert result.stdout == b"out1\nerr1\nout2\nerr2\nout3\nerr3\n"
    assert (result.stderr, result.stderr_total) == (b"", 0)


# 21
@pytest.mark.gen_test(timeout=60)
async def test_every_byte_value_comes_through(io_loop):
    every = bytes(range(256)) * 300
    assert (await run(["cat"], input=every)).stdout == every


# 22
@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 1_000_000, 5_000_000])
@pytest.mark.gen_test(timeout=60)
async def test_output_of_any_size_is_complete(io_loop, size):
    result = await run(python_that_counts(size))
    assert result.stdout == counted(size)
    assert result.stdout_total == size


# 23
@pytest.mark.gen_test(timeout=60)
async def test_both_streams_filled_in_turns_do_not_deadlock(io_loop):
    code = "import os\nfor i in range(64): os.write(1, b'o' * 50000); os.write(2, b'e' * 50000)"
    result = await run(py(code))
    assert (result.stdout, result.stderr) == (b"o" * 3_200_000, b"e" * 3_200_000)


# 24
@pytest.mark.gen_test(timeout=120)
async def test_gigabyte_of_output_does_not_grow_our_memory(io_loop):
    await run(["head", "-c", "50000000", "/dev/zero"], max_output=1 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = await run(["head", "-c", str(1 << 30), "/dev/zero"], max_output=1 << 20)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (result.status, result.stdout_total) == (0, 1 << 30)
    assert after - before < 16 * 1024  # KiB


# 25
@pytest.mark.parametrize("cap", [0, 1, 2, 7, 1000, BLOCK, 100_001])
@pytest.mark.gen_test(timeout=60)
async def test_over_the_cap_head_and_tail_are_kept_and_the_rest_counted(io_loop, cap):
    size = 300_000
    result = await run(python_that_counts(size), max_output=cap)
    whole = counted(size)
    tail = cap // 2
    assert result.stdout == whole[: cap - tail] + whole[size - tail :]
    assert (result.status, result.stdout_total, result.stdout_dropped) == (0, size, size - cap)


@pytest.mark.parametrize("size", [999, 1000, 1001])
@pytest.mark.gen_test(timeout=60)
async def test_cap_is_exact(io_loop, size):
    result = await run(python_that_counts(size), max_output=1000)
    assert len(result.stdout) == min(size, 1000)
    assert result.stdout_dropped == max(0, size - 1000)


@pytest.mark.gen_test(timeout=60)
async def test_each_stream_has_a_cap_of_its_own(io_loop):
    result = await run(sh("printf 0123456789; printf abc >&2"), max_output=4)
    assert (result.stdout, result.stdout_dropped) == (b"0189", 6)
    assert (result.stderr, result.stderr_dropped) == (b"abc", 0)


@pytest.mark.gen_test(timeout=60)
async def test_no_cap_keeps_all(io_loop):
    result = await run(["head", "-c", str(20 << 20), "/dev/zero"], max_output=None)
    assert (len(result.stdout), result.stdout_dropped) == (20 << 20, 0)


@pytest.mark.gen_test(timeout=60)
async def test_nothing_kept_is_counted_all_the_same(io_loop):
    seen: list[bytes] = []
    result = await run(
        python_that_counts(200_000), max_output=0, on_output=lambda _, chunk: seen.append(chunk)
    )
    assert (result.stdout, result.stdout_total, result.stdout_dropped) == (b"", 200_000, 200_000)
    assert b"".join(seen) == counted(200_000)


# 26
@pytest.mark.gen_test(timeout=60)
async def test_child_that_ignores_the_stop_stays_bounded_and_dies_by_kill(io_loop):
    result = await run(
        sh("trap '' TERM; yes"),
        timeout=0.2,
        max_output=1000,
        stop=((signal.SIGTERM, 0.3), (signal.SIGKILL, None)),
    )
    assert result.status == -signal.SIGKILL
    assert result.has_timed_out
    assert len(result.stdout) == 1000
    assert result.stdout_dropped == result.stdout_total - 1000


# 27
@pytest.mark.gen_test(timeout=60)
async def test_what_is_in_the_pipe_at_the_exit_is_delivered(io_loop):
    """The child is gone long before we look at its pipe."""
    sp = Subprocess(args=python_that_counts(60_000))
    sp.start()
    os.waitid(os.P_PID, sp.pid, os.WEXITED | os.WNOWAIT)  # the loop does not turn meanwhile
    result = await sp.wait()
    assert (result.status, result.stdout) == (0, counted(60_000))


# 28
@pytest.mark.gen_test(timeout=60)
async def test_closed_streams_are_not_the_end_of_the_child(io_loop):
    sp = Subprocess(args=sh("echo x; exec >&- 2>&-; sleep 0.5; exit 7"))
    sp.start()
    await until(lambda: not any(source.is_open for source in sp._child.ends.sources))
    cpu = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    assert sp.result is None
    result = await sp.wait()
    assert (result.status, result.stdout) == (7, b"x\n")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - cpu < 0.25  # no busy loop


# 29
@pytest.mark.gen_test(timeout=60)
async def test_last_line_needs_no_newline(io_loop):
    async with Subprocess(args=["printf", "a\\nb\\r\\n\\nc"]) as sp:
        assert [line async for line in sp.lines()] == [b"a\n", b"b\r\n", b"\n", b"c"]


@pytest.mark.gen_test(timeout=60)
async def test_line_longer_than_any_buffer_comes_in_pieces(io_loop):
    async with Subprocess(args=sh("head -c 3000000 /dev/zero; echo; echo end")) as sp:
        lines = [line async for line in sp.lines(limit=1_000_000)]
    assert b"".join(lines) == b"\0" * 3_000_000 + b"\nend\n"
    assert max(map(len, lines)) < 1_000_000 + BLOCK
    assert [ends for ends, _ in groupby(line.endswith(b"\n") for line in lines)] == [False, True]


@pytest.mark.gen_test(timeout=60)
async def test_line_of_a_megabyte_stays_whole_by_default(io_loop):
    async with Subprocess(args=sh("head -c 1000000 /dev/zero; echo")) as sp:
        assert [len(line) async for line in sp.lines()] == [1_000_001]


# 30
@pytest.mark.gen_test(timeout=60)
async def test_on_output_sees_data_while_the_child_runs(io_loop):
    seen: list[tuple[str, bytes]] = []
    sp = Subprocess(
        args=sh("echo one; echo two >&2; read answer; echo $answer"),
        stdin=PIPE,
        on_output=lambda stream, chunk: seen.append((stream, chunk)),
    )
    sp.start()
    await until(lambda: len(seen) == 2)
    assert sp.result is None
    assert sorted(seen) == [("stderr", b"two\n"), ("stdout", b"one\n")]
    await sp.write(b"three\n")
    await sp.wait()
    assert seen[2] == ("stdout", b"three\n")


@pytest.mark.gen_test(timeout=60)
async def test_awaitable_of_on_output_pauses_its_stream(io_loop):
    gate = asyncio.Event()
    seen: list[int] = []

    async def slow(stream: str, chunk: bytes) -> None:
        seen.append(len(chunk))
        await gate.wait()

    sp = Subprocess(args=["head", "-c", "5000000", "/dev/zero"], on_output=slow, max_output=0)
    sp.start()
    await until(lambda: seen)
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert len(seen) == 1  # the child waits at a full pipe
    assert sp.result is None
    gate.set()
    assert (await sp.wait()).stdout_total == 5_000_000 == sum(seen)


@pytest.mark.gen_test(timeout=60)
async def test_all_output_is_handed_out_before_the_end_however_slow_its_taker(io_loop):
    """Longer than the drain: the time is for others who hold the pipe, not for us."""
    taken = bytearray()

    async def slow(_: str, chunk: bytes) -> None:
        await asyncio.sleep(0.15)
        taken.extend(chunk)

    result = await run(python_that_counts(400_000), on_output=slow, drain=0.1)
    assert bytes(taken) == counted(400_000)
    assert result.incomplete is False


@pytest.mark.parametrize("later", [False, True], ids=["at once", "awaited"])
@pytest.mark.gen_test(timeout=60)
async def test_error_of_on_output_stops_the_child_and_is_raised(io_loop, later):
    def fails(*_: object) -> object:
        if not later:
            raise ZeroDivisionError
        return fails_later()

    async def fails_later() -> None:
        raise ZeroDivisionError

    sp = Subprocess(args=sh("echo x; exec sleep 60"), on_output=fails)
    sp.start()
    with pytest.raises(ZeroDivisionError):
        await sp.wait()
    assert (sp.status, sp.stdout) == (-signal.SIGTERM, b"x\n")
    assert sp.result.was_cancelled


# 31
@pytest.mark.parametrize("kind", ["file", "fd", "path", "str"])
@pytest.mark.gen_test(timeout=60)
async def test_output_to_a_file_is_there_and_not_captured(io_loop, tmp_path, kind):
    path = tmp_path / "out"
    with path.open("wb") as file:
        to = {"file": file, "fd": file.fileno(), "path": path, "str": str(path)}[kind]
        result = await run(sh("printf hello; printf err >&2"), stdout=to)
        file.flush()  # it is still ours, and open
    assert path.read_bytes() == b"hello"
    assert (result.stdout, result.stdout_total, result.stderr) == (b"", 0, b"err")


@pytest.mark.parametrize("kind", ["file", "path", "merged"])
@pytest.mark.gen_test(timeout=60)
async def test_both_streams_into_one_file_keep_their_order(io_loop, tmp_path, kind):
    path = tmp_path / "out"
    with path.open("wb") as file:
        to = path if kind == "path" else file
        await run(
            sh("for i in 1 2 3; do echo o$i; echo e$i >&2; done"),
            stdout=to,
            stderr=STDOUT if kind == "merged" else to,
        )
    assert path.read_bytes() == b"o1\ne1\no2\ne2\no3\ne3\n"


@pytest.mark.gen_test(timeout=60)
async def test_path_that_cannot_be_opened_is_an_error_of_the_start(io_loop, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        await run(TRUE, stdout=tmp_path / "none" / "out")
    assert caught.value.filename == str(tmp_path / "none" / "out")


@pytest.mark.gen_test(timeout=60)
async def test_discarded_output_is_not_captured(io_loop):
    result = await run(sh("echo x; echo y >&2"), stdout=DEVNULL, stderr=DEVNULL)
    assert (result.stdout, result.stderr, result.status) == (b"", b"", 0)


@pytest.mark.gen_test(timeout=60)
async def test_inherited_output_goes_where_ours_goes(io_loop, capfd):
    result = await run(sh("echo out; echo err >&2"), stdout=None, stderr=None)
    assert (result.stdout, result.stderr) == (b"", b"")
    assert tuple(capfd.readouterr()) == ("out\n", "err\n")


# beyond the list: chunks() and lines()
@pytest.mark.gen_test(timeout=60)
async def test_chunks_come_while_the_child_runs_and_are_kept_too(io_loop):
    async with Subprocess(args=["cat"], stdin=PIPE) as sp:
        chunks = sp.chunks()
        await sp.write(b"one")
        assert await anext(chunks) == b"one"
        assert sp.result is None
        await sp.write(b"two")
        sp.close_stdin()
        assert [chunk async for chunk in chunks] == [b"two"]
        assert (await sp.wait()).stdout == b"onetwo"


@pytest.mark.gen_test(timeout=60)
async def test_chunks_asked_for_late_begin_at_the_beginning(io_loop):
    sp = Subprocess(args=sh("echo early"))
    sp.start()
    await sp.wait()
    assert [chunk async for chunk in sp.chunks()] == [b"early\n"]
    assert [line async for line in sp.lines("stderr")] == []


@pytest.mark.gen_test(timeout=60)
async def test_chunks_asked_for_after_some_were_dropped_are_refused(io_loop):
    sp = Subprocess(args=python_that_counts(100), max_output=10)
    sp.start()
    await sp.wait()
    with pytest.raises(OutputLost, match="90 bytes of stdout"):
        sp.chunks()


@pytest.mark.gen_test(timeout=60)
async def test_slow_reader_slows_the_child_and_gets_all(io_loop):
    size = 20 << 20
    async with Subprocess(args=["head", "-c", str(size), "/dev/zero"], max_output=0) as sp:
        chunks = sp.chunks()
        total = len(await anext(chunks))
        for _ in range(30):
            await asyncio.sleep(0.005)
        waiting = chunks._size
        assert waiting < 1 << 20
        assert sp.result is None  # the child waits for us
        async for chunk in chunks:
            total += len(chunk)
        assert total == size
        assert (await sp.wait()).status == 0


@pytest.mark.gen_test(timeout=60)
async def test_unread_chunks_do_not_stop_a_stop(io_loop):
    sp = Subprocess(args=["yes"], max_output=0)
    sp.start()
    chunks = sp.chunks()
    await anext(chunks)
    sp.cancel()
    assert (await sp.wait()).status == -signal.SIGTERM
    rest = [chunk async for chunk in chunks]
    assert sum(map(len, rest)) < 8 << 20


@pytest.mark.gen_test(timeout=60)
async def test_dropped_reader_lets_the_stream_flow(io_loop):
    async with Subprocess(args=["head", "-c", "5000000", "/dev/zero"], max_output=0) as sp:
        async for _ in sp.chunks():
            break
        assert (await sp.wait()).stdout_total == 5_000_000


@pytest.mark.gen_test(timeout=60)
async def test_closed_reader_lets_the_stream_flow(io_loop):
    async with Subprocess(args=["head", "-c", "5000000", "/dev/zero"], max_output=0) as sp:
        lines = sp.lines()
        await anext(lines)
        await lines.aclose()
        assert [line async for line in lines] == []
        assert (await sp.wait()).stdout_total == 5_000_000


@pytest.mark.gen_test(timeout=60)
async def test_cancelled_read_loses_nothing(io_loop):
    async with Subprocess(args=["cat"], stdin=PIPE) as sp:
        lines = sp.lines()
        await sp.write(b"half")
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(lines), 0.02)
        await sp.write(b" line\n")
        assert await anext(lines) == b"half line\n"


@pytest.mark.gen_test(timeout=60)
async def test_stream_has_one_reader(io_loop):
    async with Subprocess(args=SLEEP_30) as sp:
        chunks = sp.chunks()
        with pytest.raises(RuntimeError, match="reader"):
            sp.lines()
        first = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader"):
            await anext(chunks)
        first.cancel()


@pytest.mark.gen_test(timeout=60)
async def test_stream_that_is_not_captured_has_no_chunks(io_loop):
    async with Subprocess(args=TRUE, stderr=STDOUT) as sp:
        with pytest.raises(ValueError, match="stderr"):
            sp.chunks("stderr")


@pytest.mark.gen_test(timeout=60)
async def test_text_cut_within_a_character_is_joined(io_loop):
    code = (
        "import os, time\n"
        "for b in 'äöü'.encode(): os.write(1, bytes([b])); time.sleep(0.02)\n"
        "os.write(1, b'\\xc3')"
    )
    async with Subprocess(args=py(code), encoding="utf-8") as sp:
        chunks = [chunk async for chunk in sp.chunks()]
    assert "".join(chunks) == "äöü�"
    assert "" not in chunks


@pytest.mark.gen_test(timeout=60)
async def test_byte_by_byte_output_costs_no_more_memory_than_its_bytes(io_loop):
    code = "import os\nfor _ in range(20000): os.write(1, b'x')"
    sp = Subprocess(args=py(code))
    sp.start()
    assert (await sp.wait()).stdout == b"x" * 20_000
    assert len(sp._child.ends.sources[0].capture._head) < 20


@pytest.mark.gen_test(timeout=60)
async def test_loud_child_does_not_starve_a_quiet_one(io_loop):
    async with Subprocess(args=["yes"], max_output=0), Subprocess(args=["yes"], max_output=0):
        for _ in range(10):
            assert (await run(EXIT_1)).status == 1


@pytest.mark.gen_test(timeout=60)
async def test_pipe_size_is_set_when_asked(io_loop):
    code = "import fcntl; print(fcntl.fcntl(1, fcntl.F_GETPIPE_SZ))"
    assert (await run(py(code), pipesize=4096)).stdout == b"4096\n"


@pytest.mark.gen_test(timeout=60)
async def test_child_never_sees_a_non_blocking_stream(io_loop):
    """O_NONBLOCK belongs to the open file: the child would get EAGAIN (trio issue 1707)."""
    code = "import os; print([os.get_blocking(fd) for fd in (0, 1, 2)])"
    assert (await run(py(code), input=b"x")).stdout == b"[True, True, True]\n"


@pytest.mark.gen_test(timeout=60)
async def test_child_may_open_its_streams_again_by_name(io_loop):
    """Which it may not when they are sockets (uvloop issue 505)."""
    result = await run(sh("cat /dev/stdin > /dev/stdout; echo e > /dev/stderr"), input=b"in")
    assert (result.stdout, result.stderr) == (b"in", b"e\n")


# beyond the list


async def never_ready(*_: object) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("text", ["echo x; exec sleep 60", "echo x"], ids=["running", "ended"])
@pytest.mark.gen_test(timeout=60)
async def test_on_output_that_never_comes_back_does_not_hold_up_a_cancel(io_loop, text):
    quick = {"drain": 0.1, "stop": ((signal.SIGKILL, None),)}
    ran = asyncio.ensure_future(run(sh(text), on_output=never_ready, **quick))
    await asyncio.sleep(0.3)
    assert not ran.done()
    ran.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ran


@pytest.mark.gen_test(timeout=60)
async def test_on_output_that_never_comes_back_does_not_hold_up_a_timeout(io_loop):
    cancelled = asyncio.Event()

    async def stuck(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    text = "echo one; sleep 0.1; echo two; exec sleep 60"
    result = await run(sh(text), on_output=stuck, timeout=0.3, drain=0.1)
    assert (result.has_timed_out, result.stdout) == (True, b"one\ntwo\n")
    await cancelled.wait()


@pytest.mark.gen_test(timeout=60)
async def test_cancelled_future_within_on_output_is_an_error_as_any_other(io_loop):
    def fails(*_: object) -> None:
        raise asyncio.CancelledError

    sp = Subprocess(args=sh("echo x; exec sleep 60"), on_output=fails)
    sp.start()
    with pytest.raises(ExecutorError) as caught:
        await sp.wait()
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert sp.status == -signal.SIGTERM


@pytest.mark.parametrize(
    ("encoding", "errors", "error"),
    [("utf-8", "xmlcharrefreplace", TypeError), ("idna", "replace", UnicodeError)],
)
@pytest.mark.gen_test(timeout=60)
async def test_way_to_decode_that_fails_still_leaves_a_result(io_loop, encoding, errors, error):
    """A handler made for encoding only, a codec that replaces nothing."""
    sp = Subprocess(args=["printf", "\\377"], encoding=encoding, errors=errors)
    sp.start()
    with pytest.raises(error):
        await sp.wait()
    assert (sp.status, len(sp.stdout)) == (0, 1)


@pytest.mark.gen_test(timeout=60)
async def test_stderr_goes_with_a_stdout_that_is_inherited(io_loop, capfd):
    """Trio test_stderr_stdout, CPython test_stderr_redirect_with_no_stdout_redirect."""
    result = await run(sh("echo out; echo err >&2"), stdout=None, stderr=STDOUT)
    assert (result.stdout, result.stderr) == (b"", b"")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("out\nerr\n", "")


@pytest.mark.gen_test(timeout=60)
async def test_child_may_change_its_end_of_a_pipe_as_it_likes(io_loop):
    """Its O_NONBLOCK and its pipe size are no matter of ours."""
    child = py(
        "import fcntl, os, time\n"
        "os.set_blocking(1, False); fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 4096); left = 300_000\n"
        "while left:\n"
        "    try: left -= os.write(1, b'x' * min(left, 4096))\n"
        "    except BlockingIOError: time.sleep(0.001)\n"
    )
    assert (await run(child)).stdout == b"x" * 300_000


# 76
@pytest.mark.parametrize("closed", [False, True], ids=["dropped", "closed"])
@pytest.mark.gen_test(timeout=60)
async def test_reader_that_went_while_full_does_not_let_the_next_ones_stream_flow(io_loop, closed):
    sp = Subprocess(args=ENDLESS_OUTPUT, max_output=None)
    sp.start()
    capture = sp._child.ends.sources[0].capture
    first = sp.chunks()
    await until(lambda: first._full, "the first reader's fill")
    if closed:
        await first.aclose()
    else:
        del first
    second = sp.chunks()  # of what came so far, so full from its beginning
    assert second._full
    before = capture.total
    for _ in range(200):
        await asyncio.sleep(0)
    assert capture.total == before
    read = [await anext(second) for _ in range(20)]
    sp.cancel()
    read += [chunk async for chunk in second]
    assert b"".join(read) == (await sp.wait()).stdout


@pytest.mark.gen_test(timeout=60)
async def test_pipe_of_a_loud_child_is_256_kib_as_documented(io_loop):
    """Of 1 MiB an ordinary user may have 64 at a time (pipe(7))."""
    async with Subprocess(args=ENDLESS_OUTPUT, max_output=0) as sp:
        fd = sp._child.ends.sources[0].fd
        await until(lambda: fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) != 65536)
        assert fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) == 256 * 1024


# 79
@pytest.mark.gen_test(timeout=60)
async def test_cancelled_on_output_has_ended_before_the_run(io_loop):
    ended = []

    async def stuck(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)
            ended.append(True)

    result = await run(sh("echo x; exec sleep 60"), on_output=stuck, timeout=0.1, drain=0.05)
    assert (result.has_timed_out, ended) == (True, [True])


# 81
def lines_of(text: str):
    sp = Subprocess(args=sh(text), text=True)
    sp.start()
    return sp.lines()


@pytest.mark.gen_test(timeout=60)
async def test_iterator_keeps_its_run_alive(io_loop):
    lines = lines_of("echo one; sleep 0.1; echo two")
    gc.collect()
    assert [line async for line in lines] == ["one\n", "two\n"]


@pytest.mark.gen_test(timeout=60)
async def test_run_that_its_iterator_outlived_may_end_by_itself(io_loop, tmp_path):
    """The stream ends a little before the program does: that is no reason to kill it."""
    done = tmp_path / "done"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async for line in lines_of(f"echo one; exec >&- 2>&-; sleep 0.1; >{done}"):
            assert line == "one\n"
        await until(done.exists)
        await until(lambda: not children_of_ours())


@pytest.mark.gen_test(timeout=60)
async def test_run_that_goes_on_for_nobody_is_killed_with_a_warning(io_loop):
    with pytest.warns(ResourceWarning, match="was dropped and killed"):
        async for line in lines_of("echo $$; exec >&- 2>&-; exec sleep 60"):
            pid = int(line)
        await until(lambda: pid not in children_of_ours())
