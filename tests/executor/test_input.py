"""Input: cases 32 to 37 of the conformance list."""

from __future__ import annotations

import array
import asyncio
import os
import signal
import tempfile

import pytest
from children import CAT, SLEEP_30, TRUE, py, sh, until

from executor import DEVNULL, PIPE, ExecutorError, Subprocess, run

READS_NOTHING = sh("exec sleep 0.2")


# 32
@pytest.mark.parametrize(
    "data", [b"", b"x", b"\0\n\xff", bytearray(b"mutable"), memoryview(b"view")]
)
@pytest.mark.gen_test(timeout=60)
async def test_bytes_are_delivered_and_then_the_end(io_loop, data):
    result = await run(CAT, input=data)
    assert (result.status, result.stdout) == (0, bytes(data))


@pytest.mark.gen_test(timeout=60)
async def test_text_is_encoded(io_loop):
    assert (await run(["od", "-An", "-tx1"], input="ü", encoding="latin-1")).stdout.strip() == "fc"


@pytest.mark.gen_test(timeout=60)
async def test_without_input_stdin_is_the_null_device(io_loop):
    result = await run(["readlink", "/proc/self/fd/0"])
    assert result.stdout == os.fsencode(os.devnull) + b"\n"
    assert (await run(CAT, stdin=DEVNULL)).stdout == b""


# 33
@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 1 << 20, 16 << 20])
@pytest.mark.gen_test(timeout=60)
async def test_input_beyond_the_pipe_and_as_much_output_do_not_deadlock(io_loop, size):
    data = os.urandom(1 << 16) * (size // (1 << 16) + 1)
    result = await run(CAT, input=data[:size])
    assert result.stdout == data[:size]


# 34
@pytest.mark.parametrize("size", [1, 100_000, 10_000_000])
@pytest.mark.parametrize("child", [TRUE, READS_NOTHING], ids=["gone", "slow"])
@pytest.mark.gen_test(timeout=60)
async def test_child_that_reads_nothing_is_a_success(io_loop, size, child):
    result = await run(child, input=b"x" * size)
    assert (result.status, result.incomplete) == (0, False)


@pytest.mark.gen_test(timeout=60)
async def test_endless_source_ends_with_the_child_and_is_closed(io_loop):
    closed = asyncio.Event()

    async def endless():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            closed.set()

    result = await run(["head", "-c", "100000"], input=endless())
    assert (result.status, len(result.stdout)) == (0, 100_000)
    assert closed.is_set()


@pytest.mark.gen_test(timeout=60)
async def test_source_that_never_comes_does_not_hold_up_the_end(io_loop):
    closed = asyncio.Event()

    async def silent():
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            closed.set()

    assert (await run(TRUE, input=silent())).status == 0
    assert closed.is_set()


@pytest.mark.gen_test(timeout=60)
async def test_error_of_the_source_stops_the_child_and_is_raised(io_loop):
    async def fails():
        yield b"x"
        raise ZeroDivisionError

    sp = Subprocess(args=["sleep", "60"], input=fails())
    sp.start()
    with pytest.raises(ZeroDivisionError):
        await sp.wait()
    assert sp.status == -signal.SIGTERM


@pytest.mark.gen_test(timeout=60)
async def test_source_that_yields_no_bytes_is_an_error_and_stops_the_child(io_loop):
    async def wrong():
        yield "text"

    with pytest.raises(TypeError):
        await run(["sleep", "60"], input=wrong())


# 35
@pytest.mark.gen_test(timeout=60)
async def test_child_that_closes_stdin_lives_on(io_loop):
    result = await run(sh("exec <&-; sleep 0.1; echo still here; exit 4"), input=b"x" * 1_000_000)
    assert (result.status, result.stdout, result.incomplete) == (4, b"still here\n", False)


@pytest.mark.gen_test(timeout=60)
async def test_write_to_a_child_that_closed_stdin_is_a_broken_pipe(io_loop):
    async with Subprocess(args=sh("exec <&-; echo closed; exec sleep 60"), stdin=PIPE) as sp:
        await anext(sp.chunks())
        with pytest.raises(BrokenPipeError):
            await sp.write(b"x")
        with pytest.raises(BrokenPipeError):
            await sp.write(b"x")
        assert sp.result is None


# 36
@pytest.mark.gen_test(timeout=60)
async def test_ping_pong_over_both_pipes(io_loop):
    async with Subprocess(args=CAT, stdin=PIPE, text=True) as sp:
        lines = sp.lines()
        for number in range(50):
            await sp.write(f"ping {number}\n")
            assert await anext(lines) == f"ping {number}\n"
        sp.close_stdin()
        sp.close_stdin()
        assert (await sp.wait()).status == 0
        with pytest.raises(ValueError, match="closed"):
            await sp.write("late")


@pytest.mark.gen_test(timeout=60)
async def test_writer_waits_for_a_child_that_does_not_read(io_loop):
    async with Subprocess(args=sh("read go; exec cat"), stdin=PIPE) as sp:
        await sp.write(b"x" * 1000)  # fits
        writing = asyncio.ensure_future(sp.write(b"y" * 1_000_000))
        for _ in range(10):
            await asyncio.sleep(0.005)
        assert not writing.done()
        await asyncio.sleep(0)
        sp.cancel()
        with pytest.raises(BrokenPipeError):
            await writing


@pytest.mark.gen_test(timeout=60)
async def test_writes_keep_their_order_and_the_end_comes_after_them(io_loop):
    async with Subprocess(args=CAT, stdin=PIPE) as sp:
        writes = [asyncio.ensure_future(sp.write(bytes([n]) * 100_000)) for n in range(20)]
        await asyncio.sleep(0)
        sp.close_stdin()
        await asyncio.gather(*writes)
        result = await sp.wait()
    assert result.stdout == b"".join(bytes([n]) * 100_000 for n in range(20))


@pytest.mark.gen_test(timeout=60)
async def test_open_stdin_does_not_hold_up_the_end(io_loop):
    sp = Subprocess(args=TRUE, stdin=PIPE)
    sp.start()
    assert (await sp.wait()).status == 0
    with pytest.raises(BrokenPipeError):
        await sp.write(b"x")


@pytest.mark.gen_test(timeout=60)
async def test_stdin_that_is_not_open_takes_no_writes(io_loop):
    for options in ({}, {"input": b"x"}):
        async with Subprocess(args=SLEEP_30, **options) as sp:
            with pytest.raises(ValueError, match="stdin=PIPE"):
                await sp.write(b"x")


@pytest.mark.gen_test(timeout=60)
async def test_text_written_without_an_encoding_is_refused(io_loop):
    async with Subprocess(args=CAT, stdin=PIPE) as sp:
        with pytest.raises(TypeError, match="bytes"):
            await sp.write("text")


# 37
@pytest.mark.parametrize("keyword", ["input", "stdin"])
@pytest.mark.parametrize("kind", ["file", "fd"])
@pytest.mark.gen_test(timeout=60)
async def test_file_is_read_by_the_child_itself_and_stays_ours(io_loop, kind, keyword):
    with tempfile.TemporaryFile() as file:
        file.write(b"skipped, content")
        file.flush()
        file.seek(9)
        os.lseek(file.fileno(), 9, os.SEEK_SET)
        result = await run(CAT, **{keyword: file if kind == "file" else file.fileno()})
        assert result.stdout == b"content"
        file.seek(0)
        assert file.read(7) == b"skipped"


@pytest.mark.gen_test(timeout=60)
async def test_path_as_stdin_is_opened_for_reading(io_loop, tmp_path):
    (tmp_path / "in").write_bytes(b"content")
    assert (await run(CAT, stdin=tmp_path / "in")).stdout == b"content"


@pytest.mark.gen_test(timeout=60)
async def test_async_iterator_feeds_the_child_at_its_pace(io_loop):
    asked = 0

    async def source():
        nonlocal asked
        for _ in range(100):
            asked += 1
            yield b"z" * 50_000

    code = "import sys,time; time.sleep(0.3); print(len(sys.stdin.buffer.read()))"
    sp = Subprocess(args=py(code), input=source())
    sp.start()
    await until(lambda: asked >= 2)
    assert asked < 100  # the rest is asked for when the child reads
    assert (await sp.wait()).stdout == b"5000000\n"


# beyond the list


@pytest.mark.gen_test(timeout=60)
async def test_text_without_a_place_in_the_encoding_is_an_error_and_never_changed(io_loop):
    with pytest.raises(UnicodeEncodeError):
        await run(CAT, input="ü", encoding="ascii")
    async with Subprocess(args=CAT, stdin=PIPE, encoding="ascii") as sp:
        with pytest.raises(UnicodeEncodeError):
            await sp.write("ü")
        await sp.write("u")
        sp.close_stdin()
        assert (await sp.wait()).stdout == "u"


@pytest.mark.gen_test(timeout=60)
async def test_bytes_that_are_no_text_go_through_as_surrogates(io_loop):
    both = {"encoding": "utf-8", "errors": "surrogateescape"}
    text = (await run(["printf", "\\377"], **both)).stdout
    assert text == "\udcff"
    assert (await run(["od", "-An", "-tx1"], input=text, **both)).stdout.strip() == "ff"


@pytest.mark.gen_test(timeout=60)
async def test_items_of_a_view_are_written_as_the_bytes_they_are(io_loop):
    """CPython test_communicate_memoryview_input: a length counts items, not bytes."""
    numbers = memoryview(array.array("I", range(100_000)))
    assert (await run(CAT, input=numbers)).stdout == bytes(numbers)
    async with Subprocess(args=CAT, stdin=PIPE) as sp:
        await sp.write(numbers)
        sp.close_stdin()
        assert (await sp.wait()).stdout == bytes(numbers)


@pytest.mark.gen_test(timeout=60)
async def test_what_a_cancelled_write_gave_is_still_the_writers_to_change(io_loop):
    data = bytearray(b"x" * 300_000)
    async with Subprocess(args=sh("sleep 0.2; cat"), stdin=PIPE) as sp:
        writing = asyncio.ensure_future(sp.write(data))
        await asyncio.sleep(0)
        writing.cancel()
        data.clear()
        sp.close_stdin()
        assert (await sp.wait()).stdout == b"x" * 300_000


@pytest.mark.gen_test(timeout=60)
async def test_writer_that_waits_is_woken_by_the_death_of_the_child(io_loop):
    """Tokio issue 2174."""
    async with Subprocess(args=SLEEP_30, stdin=PIPE) as sp:
        writing = asyncio.ensure_future(sp.write(b"x" * 1_000_000))
        await asyncio.sleep(0)
        sp.send_signal(signal.SIGKILL)
        with pytest.raises(BrokenPipeError):
            await writing


@pytest.mark.parametrize("close_first", [False, True])
@pytest.mark.gen_test(timeout=60)
async def test_end_of_input_and_kill_at_once_do_not_disturb_each_other(io_loop, close_first):
    """Go TestStdinCloseRace."""
    for _ in range(20):
        async with Subprocess(args=CAT, stdin=PIPE) as sp:
            await sp.write(b"x")
            if close_first:
                sp.close_stdin()
            sp.send_signal(signal.SIGKILL)
            sp.close_stdin()
            sp.close_stdin()
            assert (await sp.wait()).status in (0, -signal.SIGKILL)


@pytest.mark.gen_test(timeout=60)
async def test_output_of_one_command_may_be_the_input_of_the_next(io_loop):
    """Tokio pipe_from_one_command_to_another; here with what a pipeline needs: back-pressure."""
    async with Subprocess(args=["head", "-c", "9000000", "/dev/zero"], max_output=0) as sp:
        result = await run(["wc", "-c"], input=sp.chunks(), text=True)
        assert result.stdout == "9000000\n"
    read, write = os.pipe()
    first = Subprocess(args=["echo", "through"], stdout=write)
    second = Subprocess(args=CAT, stdin=read)
    first.start()
    second.start()
    os.close(read)
    os.close(write)
    assert (await second.wait()).stdout == b"through\n"
    assert (await first.wait()).status == 0


@pytest.mark.gen_test(timeout=60)
async def test_endless_command_stops_when_the_next_one_has_enough(io_loop):
    async with Subprocess(args=["yes"], max_output=0) as sp:
        result = await run(["head", "-n", "2"], input=sp.chunks())
        assert (result.status, result.stdout) == (0, b"y\ny\n")


@pytest.mark.gen_test(timeout=60)
async def test_source_that_is_cancelled_never_passes_a_part_for_the_whole(io_loop):
    async def cut():
        yield b"part"
        raise asyncio.CancelledError

    sp = Subprocess(args=sh("cat; exec sleep 60"), input=cut())
    sp.start()
    with pytest.raises(ExecutorError) as caught:
        await sp.wait()
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert sp.status == -signal.SIGTERM


@pytest.mark.gen_test(timeout=60)
async def test_run_takes_no_pipe_that_nobody_could_write_to(io_loop):
    """Trio test_run: it would wait for its input for ever."""
    with pytest.raises(ValueError, match="input="):
        await run(CAT, stdin=PIPE)


# 78
@pytest.mark.parametrize("how", ["raised", "of a future"])
@pytest.mark.gen_test(timeout=60)
async def test_source_that_is_cancelled_does_not_cancel_its_task_group(io_loop, how):
    async def cut():
        yield b"part"
        if how == "raised":
            raise asyncio.CancelledError
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(run(sh("cat; exec sleep 60"), input=cut()))
    (error,) = caught.value.exceptions
    assert isinstance(error, ExecutorError)
    assert isinstance(error.__cause__, asyncio.CancelledError)


# 79
@pytest.mark.gen_test(timeout=60)
async def test_wait_says_the_same_for_ever(io_loop):
    """What the source does when it is cancelled is part of the run, however long it takes."""
    cleaned = []

    async def source():
        try:
            yield b"begun\n"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.3)
            cleaned.append(True)
            raise ZeroDivisionError

    sp = Subprocess(args=sh("read x"), input=source(), drain=0.05)
    sp.start()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await sp.wait()
        assert cleaned == [True]


# 82
@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
@pytest.mark.gen_test(timeout=60)
async def test_mark_of_an_encoding_comes_once_however_often_is_written(io_loop, encoding):
    async with Subprocess(args=CAT, stdin=PIPE, encoding=encoding) as sp:
        await sp.write("one ")
        await sp.write("two")
        sp.close_stdin()
        assert (await sp.wait()).stdout == "one two"
    async with Subprocess(args=CAT, stdin=PIPE, encoding=encoding) as sp:
        sp.close_stdin()
        assert (await sp.wait()).stdout_total == 0


@pytest.mark.gen_test(timeout=60)
async def test_last_word_of_a_stateful_encoding_is_written(io_loop):
    text = "\u65e5\u672c"

    async def source():
        for letter in text:
            yield letter

    assert (await run(CAT, input=source(), encoding="iso2022_jp")).stdout == text
    raw = await run(["od", "-An", "-c"], input=text, encoding="iso2022_jp")
    async with Subprocess(args=["od", "-An", "-c"], stdin=PIPE, encoding="iso2022_jp") as sp:
        await sp.write(text[:1])
        await sp.write(text[1:])
        sp.close_stdin()
        assert (await sp.wait()).stdout == raw.stdout


@pytest.mark.gen_test(timeout=60)
async def test_lines_of_one_command_may_be_the_input_of_the_next_as_text_too(io_loop):
    async with Subprocess(args=["seq", "3"], text=True) as numbers:
        result = await run(["tac"], input=numbers.lines(), text=True)
    assert result.stdout == "3\n2\n1\n"
