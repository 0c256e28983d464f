"""Bytes that a function of the caller's takes out of the pipe itself."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import signal

import pytest
from children import CAT, SLEEP_30, py, python_that_counts, sh, until
from handed import Killed, place

from executor import PIPE, OutputState, Subprocess, run

KILL = ((signal.SIGKILL, None),)
WHOLE = (b"0123456789abcdef" * 4096 * 100)[:5_000_000]


@pytest.fixture
def read(tmp_path):
    """Splices each stream into a file of its name."""
    with open(tmp_path / "stdout", "wb") as out, open(tmp_path / "stderr", "wb") as err:
        files = {"stdout": out.fileno(), "stderr": err.fileno()}

        def splice(stream: str, fd: int, size: int) -> range:
            return range(os.splice(fd, files[stream], size, flags=os.SPLICE_F_NONBLOCK))

        yield splice


@pytest.mark.gen_test(timeout=60)
async def test_output_is_spliced_into_a_file_and_counted(io_loop, tmp_path, read):
    told = []

    def note(stream: str, taken: range) -> None:
        told.append(taken)
        assert (tmp_path / "stdout").stat().st_size == sum(map(len, told))

    args = python_that_counts(len(WHOLE))
    result = await run(args, read=read, on_output=note, max_output=0)
    assert (tmp_path / "stdout").read_bytes() == WHOLE
    assert (result.status, result.stdout, result.stdout_total) == (0, b"", len(WHOLE))
    assert result.stdout_dropped == len(WHOLE)
    assert all(type(taken) is range for taken in told)


@pytest.mark.gen_test(timeout=60)
async def test_both_streams_are_read_to_their_ends_without_on_output(io_loop, tmp_path, read):
    result = await run(sh("echo out; echo err >&2"), read=read, max_output=0)
    assert (result.stdout_total, result.stderr_total, result.incomplete) == (4, 4, False)
    assert [(tmp_path / name).read_bytes() for name in ("stdout", "stderr")] == [b"out\n", b"err\n"]


@pytest.mark.gen_test(timeout=60)
async def test_stream_is_not_read_while_on_output_is_busy(io_loop, tmp_path, read):
    go_on = asyncio.Event()
    told = []

    async def note(stream: str, taken: range) -> None:
        told.append(len(taken))
        await go_on.wait()

    args = python_that_counts(300_000)
    async with Subprocess(args=args, read=read, on_output=note, max_output=0) as sp:
        await until(lambda: told)
        assert len(told) == 1
        assert sp._child.ends.sources[0].fd not in sp._child._watch._handlers
        go_on.set()
        result = await sp.wait()
    assert sum(told) == result.stdout_total == 300_000


@pytest.mark.gen_test(timeout=60)
async def test_what_is_left_at_the_exit_is_read_though_the_pipe_is_held(io_loop, tmp_path, read):
    # drain is over while the pipe is held: end_soon() reads what is there
    args = sh("sleep 60 & printf 12345; exit 3")
    result = await run(args, read=read, max_output=0, drain=0.05, kill_group=True)
    assert (result.status, (tmp_path / "stdout").read_bytes()) == (3, b"12345")


@pytest.mark.parametrize("args", [sh("echo ready; exec sleep 30"), sh("echo ready")])
@pytest.mark.gen_test(timeout=60)
async def test_failure_of_read_stops_the_run_and_leaves_the_bytes_in_the_pipe(io_loop, args):
    calls = []
    left = []

    def read(stream: str, fd: int, size: int) -> bytes:
        calls.append(stream)
        if stream == "stderr":
            return os.read(fd, size)
        left.append(os.dup(fd))
        raise OSError(errno.ENOSPC, "no space left")

    sp = Subprocess(args=args, read=read, max_output=0, drain=600)
    sp.start()
    with pytest.raises(OSError, match="no space left"):
        await sp.wait()
    assert calls.count("stdout") == 1
    assert os.read(left[0], 100) == b"ready\n"
    os.close(left[0])
    assert sp.result.incomplete
    assert sp.result.stdout_total == 0


@pytest.mark.gen_test(timeout=60)
async def test_failure_of_read_can_be_a_wrong_answer(io_loop):
    with pytest.raises(TypeError):
        await run(sh("echo x; exec sleep 30"), read=lambda *_: None, max_output=0)


@pytest.mark.gen_test(timeout=60)
async def test_blocking_io_error_is_an_empty_pipe(io_loop):
    turns = []

    def read(stream: str, fd: int, size: int) -> bytes:
        turns.append(stream)
        if turns.count(stream) < 3:
            raise BlockingIOError
        return os.read(fd, 2)

    result = await run(sh("echo one; exec sleep 0.2"), read=read, max_output=0)
    assert (result.status, result.stdout_total) == (0, 4)


@pytest.mark.parametrize("kept", [None, 5])
def test_read_leaves_nothing_to_keep(kept):
    with pytest.raises(ValueError, match="max_output=0"):
        Subprocess(args=CAT, read=os.read, max_output=kept)
    with pytest.raises(TypeError, match="callable"):
        Subprocess(args=CAT, read=5, max_output=0)


@pytest.mark.gen_test(timeout=60)
async def test_read_leaves_nothing_to_readers(io_loop, tmp_path, read):
    async with Subprocess(args=SLEEP_30, read=read, max_output=0, stop=KILL) as sp:
        for reader in (sp.chunks, sp.lines):
            with pytest.raises(ValueError, match="read"):
                reader()


@pytest.mark.gen_test(timeout=60)
async def test_run_read_by_its_caller_is_taken_over_at_the_same_byte(io_loop, tmp_path, read):
    args = py(
        "import sys\nfor i in range(30): print('%099999d' % i, flush=True); sys.stdin.read(1)"
    )
    sp = Subprocess(args=args, read=read, max_output=0, stdin=PIPE)
    sp.start()
    for number in range(1, 31):
        while sp.handover().stdout.total < number * 100_000:
            await asyncio.sleep(0)
            handover = sp.release()
            assert handover.stdout.total == (tmp_path / "stdout").stat().st_size
            sp = Subprocess.take_over(handover, read=read, max_output=0)
        await sp.write(b"x")
    result = await sp.wait()
    assert (result.status, result.stdout_total) == (0, 3_000_000)
    assert (tmp_path / "stdout").read_bytes() == b"".join(b"%099999d\n" % i for i in range(30))


SPLICE = "lambda _, fd, size, out={}: range(os.splice(fd, out, size, flags=os.SPLICE_F_NONBLOCK))"


@pytest.mark.parametrize("enough", [1, 1_000_000, 4_000_000])
@pytest.mark.gen_test(timeout=60)
async def test_no_byte_is_lost_or_doubled_when_the_giver_is_killed(io_loop, tmp_path, enough):
    numbers = "for i in range(500000): print('%015d' % i)"
    args = py(f"import sys\n{numbers}\nsys.stdout.flush()\nsys.stdin.read()")
    path = tmp_path / "stdout"
    path.touch()
    with place(Killed) as giver:
        out = f"os.open({str(path)!r}, os.O_WRONLY)"
        await giver.start(f"args={args}, read={SPLICE.format(out)}, max_output=0, stdin=PIPE")
        giver.giver.send(b"send(sp.handover())")
        handover = giver.received()
        await until(lambda: path.stat().st_size >= enough)
        os.kill(giver.pid, signal.SIGKILL)
        await giver.is_dead()
        with open(path, "r+b", buffering=0) as file:
            total = file.seek(0, os.SEEK_END)
            known = dataclasses.replace(handover, stdout=OutputState(total))
            sp = Subprocess.take_over(
                known,
                read=eval(SPLICE.format(file.fileno())),
                max_output=0,
                reap=lambda: giver.reap_by(giver.reaper, handover.pid),
            )
            await until(lambda: path.stat().st_size >= 8_000_000)
            sp.close_stdin()
            result = await sp.wait()
    assert (result.status, result.stdout_total) == (0, 8_000_000)
    assert path.read_bytes() == b"".join(b"%015d\n" % i for i in range(500_000))
