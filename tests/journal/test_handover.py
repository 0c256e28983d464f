"""A journal survives its writer: another process goes on where the first was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.jobs import rfc3339
from service.journal import Journal
from service.journal.files import path
from service.journal.layout import Layout
from service.journal.record import SIZE

from .model import ID, check_ended, check_items, ended, files, wait_until

pytestmark = pytest.mark.gen_test(timeout=120)

ROOT = Path(__file__).parents[2]
KILLS = os.environ.get("SQUALL_SOAK_KILLS", "25")
SEED = os.environ.get("SQUALL_SOAK_SEED", "1")


def succeed(directory: Path, output_bytes: int, size: int, *how: str) -> None:
    command = [sys.executable, "-m", "tests.journal.successors", str(directory)]
    command += [str(output_bytes), str(size), SEED, *how]
    subprocess.run(command, cwd=ROOT, check=True)


@pytest.mark.parametrize("output_bytes", [1 << 24, 20_000, 3000, 0])
def test_no_byte_is_lost_or_doubled_at_whichever_step_writers_are_killed(
    tmp_path: Path, output_bytes: int
) -> None:
    succeed(tmp_path, output_bytes, 200_000, "steps", "100")


@pytest.mark.parametrize("output_bytes", [1 << 24, 20_000])
def test_no_byte_is_lost_or_doubled_whenever_writers_are_killed(
    tmp_path: Path, output_bytes: int
) -> None:
    succeed(tmp_path, output_bytes, 300_000, "random", KILLS)


class Pipe:
    """A job's pipe, with the journal's end."""

    def __init__(self) -> None:
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)

    def print(self, data: bytes) -> None:
        assert os.write(self._write, data) == len(data)

    def end(self) -> None:
        os.close(self._write)


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


def taken_over(directory: Path, output_bytes: int = 1 << 20) -> Journal:
    return Journal.take_over(directory, ID, output_bytes=output_bytes)


def transfer(journal: Journal, pipe: Pipe, stream: str = "stdout") -> int:
    """Read once, and write that."""
    chunk = journal.read_pipe(stream, pipe.fd, 65_536)
    journal.write(stream, chunk)
    return len(chunk)


def abandon(journal: Journal) -> None:
    """Leave a journal as a kill does: nothing more is done with it."""
    journal._timers.close()
    journal._store._source.close()  # type: ignore[union-attr]


async def test_what_is_read_is_bytes_in_memory_and_then_goes_into_the_file_at_once(
    io_loop: object, tmp_path: Path, pipe: Pipe
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 20)
    with pytest.raises(BlockingIOError):
        journal.read_pipe("stdout", pipe.fd, 65_536)
    pipe.print(b"one\n")
    assert journal.read_pipe("stdout", pipe.fd, 65_536) == b"one\n"
    journal.write("stdout", b"one\n")
    assert journal.keep() and journal.keep()
    assert path(tmp_path, ID, "out").read_bytes() == b"one\n"
    with pytest.raises(BlockingIOError):
        journal.read_pipe("stdout", pipe.fd, 65_536)
    pipe.print(b"two\n")
    chunk = journal.read_pipe("stdout", pipe.fd, 65_536)
    assert len(chunk) == 4 and not isinstance(chunk, bytes)
    assert path(tmp_path, ID, "out").read_bytes() == b"one\ntwo\n"
    assert journal.bytes("stdout") == 4
    journal.write("stdout", chunk)
    journal.write("stdout", b"three\n")  # from elsewhere
    pipe.end()
    assert len(journal.read_pipe("stdout", pipe.fd, 65_536)) == 0
    sent = {"stdout": b"one\ntwo\nthree\n", "stderr": b""}
    check_ended(ended(journal, tmp_path), sent, 1 << 20)
    assert not journal.keep()
    with pytest.raises(RuntimeError):
        journal.read_pipe("stdout", pipe.fd, 65_536)


async def test_a_kept_job_has_files_from_its_first_byte_on_and_none_before(
    io_loop: object, tmp_path: Path, pipe: Pipe
) -> None:
    errors = Pipe()
    journal = Journal(tmp_path, ID, output_bytes=1 << 20)
    assert journal.keep()
    with pytest.raises(BlockingIOError):
        transfer(journal, pipe)
    errors.end()
    assert transfer(journal, errors, "stderr") == 0
    assert files(tmp_path) == []
    pipe.print(b"x")
    transfer(journal, pipe)
    assert {file.suffix for file in files(tmp_path)} == {".journal", ".out"}
    assert transfer(journal, errors, "stderr") == 0
    assert len(files(tmp_path)) == 2
    journal.finish()
    journal.close()
    assert files(tmp_path) == []


async def test_a_journal_goes_on_with_the_next_number_and_offset(
    io_loop: object, tmp_path: Path, pipe: Pipe
) -> None:
    first = taken_over(tmp_path)
    pipe.print(b"one\n")
    transfer(first, pipe)
    abandon(first)
    second = taken_over(tmp_path)
    assert second.seq == 1
    assert [item.data for item in second.items()] == [b"one\n"]
    pipe.print(b"two\n")
    transfer(second, pipe)
    assert [(item.seq, item.offset, item.data) for item in second.items(1)] == [(2, 4, b"two\n")]
    second.close()


async def test_what_was_taken_and_not_recorded_is_recorded_with_the_time_of_the_file(
    io_loop: object, tmp_path: Path, pipe: Pipe
) -> None:
    first = taken_over(tmp_path)
    for stream, data, time_s in (("stderr", b"late", 2000), ("stdout", b"early", 1000)):
        pipe.print(data)
        first.read_pipe(stream, pipe.fd, 65_536)
        os.utime(path(tmp_path, ID, stream[3:]), (time_s, time_s))
    abandon(first)
    assert Journal.open(tmp_path, ID).seq == 0
    second = taken_over(tmp_path)
    assert [(item.seq, item.data, item.time) for item in Journal.open(tmp_path, ID).items()] == [
        (1, b"early", rfc3339(1_000_000_000)),
        (2, b"late", rfc3339(2_000_000_000)),
    ]
    second.close()


@pytest.mark.parametrize("output_bytes", [1 << 20, 10_000])
@pytest.mark.parametrize("damage", ["torn", "missing", "empty", "foreign"])
async def test_records_that_were_spoilt_are_made_from_the_bytes(
    io_loop: object, tmp_path: Path, pipe: Pipe, damage: str, output_bytes: int
) -> None:
    data = "aé漢😀\n".encode() * 5000
    first = taken_over(tmp_path, output_bytes)
    for start in range(0, len(data), 5500):
        pipe.print(data[start : start + 5500])
        transfer(first, pipe)
        first.items()
    last = first._store._source.count(0) - 1
    abandon(first)
    records = path(tmp_path, ID)
    if damage == "torn":
        place, _ = Layout(output_bytes).slot(0, last)
        with records.open("r+b") as file:
            file.seek(place + SIZE // 2)
            file.write(b"\xa5" * 8)
    elif damage == "missing":
        records.unlink()
    else:
        records.write_bytes(b"" if damage == "empty" else b"something else")
    second = taken_over(tmp_path, output_bytes)
    pipe.print(b"more")
    transfer(second, pipe)
    check_ended(ended(second, tmp_path), {"stdout": data + b"more", "stderr": b""}, output_bytes)


async def test_a_character_that_a_splice_cuts_is_whole_in_one_item_also_over_a_handover(
    io_loop: object, tmp_path: Path, pipe: Pipe
) -> None:
    first = taken_over(tmp_path)
    whole = "漢".encode()
    pipe.print(b"a" + whole[:1])
    transfer(first, pipe)
    assert [item.data for item in first.items()] == [b"a"]
    pipe.print(whole[1:2])
    transfer(first, pipe)
    assert first.seq == 1
    abandon(first)
    second = taken_over(tmp_path)
    assert second.seq == 1
    pipe.print(whole[2:])
    transfer(second, pipe)
    assert [item.data for item in second.items(1)] == [whole]
    pipe.print(b"caf\xe9")
    transfer(second, pipe)
    await wait_until(lambda: second.seq == 4)  # what is no character comes after a moment
    assert [item.data for item in second.items(2)] == [b"caf", b"\xe9"]
    second.close()


async def test_a_journal_that_was_closed_unfinished_is_taken_over(
    io_loop: object, tmp_path: Path, pipe: Pipe
) -> None:
    first = Journal(tmp_path, ID, output_bytes=1 << 20)
    pipe.print(b"half a \xe6")
    transfer(first, pipe)
    first.close()
    second = taken_over(tmp_path)
    pipe.print(b"rest")
    transfer(second, pipe)
    check_ended(ended(second, tmp_path), {"stdout": b"half a \xe6rest", "stderr": b""}, 1 << 20)


async def test_a_journal_whose_end_the_ledger_did_not_get_ends_again(
    io_loop: object, tmp_path: Path, pipe: Pipe
) -> None:
    first = taken_over(tmp_path)
    pipe.print(b"x" * 20)
    transfer(first, pipe)
    before = first.finish((100, 0))
    abandon(first) if before is None else first._timers.close()
    second = taken_over(tmp_path)
    after = second.finish((100, 0))
    assert before is not None and after is not None
    one, other = Journal.from_inline(before), Journal.from_inline(after)
    assert [(i.seq, i.data, i.dropped) for i in one.items()] == [
        (i.seq, i.data, i.dropped) for i in other.items()
    ]
    assert one.dropped("stdout") == other.dropped("stdout") == 80
    second.close()
    assert files(tmp_path) == []


async def test_nothing_there_is_an_empty_journal(io_loop: object, tmp_path: Path) -> None:
    journal = taken_over(tmp_path)
    assert (journal.seq, journal.bytes("stdout"), journal.items()) == (0, 0, [])
    assert journal.finish() is None
    journal.close()
    assert files(tmp_path) == []


async def test_no_bytes_pass_through_where_nobody_follows(
    io_loop: object, tmp_path: Path, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = taken_over(tmp_path)
    passed = 0

    def counted(call):  # type: ignore[no-untyped-def]
        def wrapper(*args):  # type: ignore[no-untyped-def]
            nonlocal passed
            result = call(*args)
            passed += len(result)
            return result

        return wrapper

    monkeypatch.setattr(os, "read", counted(os.read))
    monkeypatch.setattr(os, "pread", counted(os.pread))
    for _ in range(100):
        pipe.print(b"x" * 50_000)
        assert transfer(journal, pipe) == 50_000
    assert passed < 10_000
    monkeypatch.undo()
    sent = {"stdout": b"x" * 5_000_000, "stderr": b""}
    check_ended(ended(journal, tmp_path), sent, 1 << 20)


async def test_what_is_no_pipe_is_read_all_the_same(io_loop: object, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"text")
    journal = taken_over(tmp_path / "journals")
    with plain.open("rb", buffering=0) as file:
        while chunk := journal.read_pipe("stdout", file.fileno(), 3):
            journal.write("stdout", chunk)
    check_ended(ended(journal, tmp_path), {"stdout": b"text", "stderr": b""}, 1 << 20)


async def test_items_that_were_told_keep_their_numbers_where_more_came_to_the_file(
    io_loop: object, tmp_path: Path, pipe: Pipe
) -> None:
    first = taken_over(tmp_path)
    pipe.print(b"a")
    transfer(first, pipe)
    told = first.items()
    pipe.print(b"b")
    first.read_pipe("stdout", pipe.fd, 65_536)
    abandon(first)
    second = taken_over(tmp_path)
    assert second.items()[:1] == told
    check_items(second.items(), {"stdout": b"ab", "stderr": b""})
    second.close()
