"""What lies on the disk, and what is found there after kill -9."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.journal import Journal, remove, sizes
from service.journal.files import STEP_BYTES, path
from service.journal.layout import Layout
from service.journal.record import SIZE

from .model import ID, all_items, check_ended, check_items, ended, files, wait_until
from .writer import content

pytestmark = pytest.mark.gen_test(timeout=120)

ROOT = Path(__file__).parents[2]


@contextmanager
def writer(directory: Path, output_bytes: int, size: int, count: int) -> Iterator[list[int]]:
    """Run a writer; take from its list how far it is; killed by kill -9 at the end."""
    command = [sys.executable, "-m", "tests.journal.writer", str(directory)]
    command += [str(number) for number in (output_bytes, size, count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield (int(line) for line in process.stdout or [])
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("output_bytes", "size"), [(1 << 24, 1000), (1 << 24, 65_536), (30_000, 7000), (30_000, 65_536)]
)
async def test_all_that_was_read_is_there_after_kill_9(
    io_loop: object, tmp_path: Path, output_bytes: int, size: int
) -> None:
    for rounds in (20, 133, 600):
        directory = tmp_path / str(rounds)
        with writer(directory, output_bytes, size, 0) as progress:
            for _ in range(rounds):
                told = next(progress)
        reader = Journal.open(directory, ID)
        total, errors = reader.bytes("stdout"), reader.bytes("stderr")
        assert total >= told
        sent = {"stdout": content(0, total), "stderr": content(0, errors)}
        assert errors in (16 * (total // size // 50), 16 * (total // size // 50) - 16)
        check_ended(reader, sent, output_bytes)


async def test_a_little_output_is_there_a_moment_later_after_kill_9(
    io_loop: object, tmp_path: Path
) -> None:
    with writer(tmp_path, 1 << 24, 5, 1):
        await wait_until(lambda: Journal.open(tmp_path, ID).bytes("stdout"))
    check_ended(Journal.open(tmp_path, ID), {"stdout": b"00000", "stderr": b""}, 1 << 24)


async def test_a_record_that_is_half_written_is_as_if_it_were_not(
    io_loop: object, tmp_path: Path
) -> None:
    # rounds over the ring of records begin at 2 * 4096, 3 * 4096
    for count in (1, 2, 4096, 4097, 4098, 8192, 8193, 8194, 12_289, 12_290, 13_000):
        directory = tmp_path / str(count)
        journal = Journal(directory, ID, output_bytes=1 << 17)
        journal.write("stderr", b"e" * 20_000)
        data = b"ab" * count
        for _ in range(count):
            journal.write("stdout", b"ab")
            journal.extent("stdout")
        journal.close()
        before = Journal.open(directory, ID)
        assert before.bytes("stdout") == len(data)
        with path(directory, ID).open("r+b") as file:
            place, _ = Layout(1 << 17).slot(0, count - 1)
            file.seek(place + SIZE // 2)
            file.write(b"\xa5" * (SIZE // 2))
        reader = Journal.open(directory, ID)
        assert reader.bytes("stdout") == len(data) - 2
        items = all_items(reader)
        check_items(items, {"stdout": data[:-2], "stderr": b"e" * 20_000})


async def test_short_and_small_output_costs_no_file_and_no_descriptor(
    io_loop: object, tmp_path: Path
) -> None:
    before = os.listdir("/proc/self/fd")
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    journal.write("stdout", b"hello\n")
    reader = ended(journal, tmp_path)
    check_ended(reader, {"stdout": b"hello\n", "stderr": b""}, 1 << 24)
    assert files(tmp_path) == []
    assert os.listdir("/proc/self/fd") == before


async def test_a_job_without_output_has_no_blob_and_no_file(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    assert journal.finish() is None
    journal.close()
    for reader in (journal, Journal.open(tmp_path, ID)):
        check_ended(reader, {"stdout": b"", "stderr": b""}, 1 << 24)
    assert files(tmp_path) == []


async def test_output_moves_to_files_when_it_grows(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    journal.write("stdout", b"x" * 16_384)
    assert files(tmp_path) == []
    journal.write("stdout", b"x")
    made = {path(tmp_path, ID), path(tmp_path, ID, "out")}
    assert set(files(tmp_path)) == made
    reader = ended(journal, tmp_path)
    check_ended(reader, {"stdout": b"x" * 16_385, "stderr": b""}, 1 << 24)
    assert set(files(tmp_path)) == made


async def test_output_moves_to_a_file_after_a_moment_and_back_at_the_end(
    io_loop: object, tmp_path: Path
) -> None:
    before = os.listdir("/proc/self/fd")
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    journal.write("stdout", b"one\n")
    await wait_until(lambda: files(tmp_path))
    journal.write("stderr", b"two\n")
    sent = {"stdout": b"one\n", "stderr": b"two\n"}
    check_ended(Journal.open(tmp_path, ID), sent, 1 << 24)
    blob = journal.finish()
    assert blob is not None
    assert blob == journal.finish()
    assert os.listdir("/proc/self/fd") == before
    assert files(tmp_path)  # until the ledger has the blob
    journal.close()
    journal.close()
    assert files(tmp_path) == []
    for reader in (journal, Journal.from_inline(blob)):
        check_ended(reader, sent, 1 << 24)


async def test_a_small_end_that_the_ledger_does_not_take_is_safe_in_a_file(
    io_loop: object, tmp_path: Path
) -> None:
    before = os.listdir("/proc/self/fd")
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    journal.write("stdout", b"one\n")
    assert journal.finish() is not None
    await wait_until(lambda: files(tmp_path))
    assert os.listdir("/proc/self/fd") == before
    check_ended(Journal.open(tmp_path, ID), {"stdout": b"one\n", "stderr": b""}, 1 << 24)
    journal.close()
    assert files(tmp_path) == []


async def test_a_journal_that_is_given_up_leaves_all_in_its_file(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    journal.write("stdout", "half a 漢".encode()[:-1])
    journal.close()
    sent = {"stdout": "half a 漢".encode()[:-1], "stderr": b""}
    for reader in (journal, Journal.open(tmp_path, ID)):
        check_ended(reader, sent, 1 << 24)
    with pytest.raises(RuntimeError):
        journal.write("stdout", b"more")


async def test_the_files_of_a_loud_job_stay_within_their_bounds(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 20)
    chunk = random.Random(1).randbytes(65_536)
    for _ in range(500):
        journal.write("stdout", chunk)
        journal.write("stderr", chunk)
        ((_, size),) = list(sizes(tmp_path)) or [("", 0)]
        assert size <= (2 << 20) + 2 * STEP_BYTES + 1_000_000
    journal.finish()
    journal.close()
    ((job_id, size),) = sizes(tmp_path)
    assert job_id == ID
    assert 2 << 20 <= size <= 3 << 20


async def test_forgetting_removes_the_files_and_readers_find_nothing(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    journal.write("stdout", b"x" * 50_000)
    reader = ended(journal, tmp_path)
    of = reader.extent("stdout")
    assert reader.read("stdout", 0, 10, of) == b"x" * 10
    remove(tmp_path, ID)
    remove(tmp_path, ID)
    assert files(tmp_path) == []
    assert list(sizes(tmp_path)) == []
    assert reader.read("stdout", 10, 10, of) == b""
    assert reader.items() == []
    assert reader.bytes("stdout") == 0


async def test_files_are_for_their_owner_only(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    journal.write("stdout", b"x" * 50_000)
    journal.close()
    assert len(files(tmp_path)) == 2
    for file in files(tmp_path):
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["journal", "out"])
@pytest.mark.parametrize("spoil", ["truncate", "unlink", "overwrite"])
async def test_a_job_that_spoils_its_own_files_still_ends(
    io_loop: object, tmp_path: Path, spoil: str, name: str
) -> None:
    for size in (100, 40_000):
        directory = tmp_path / str(size)
        journal = Journal(directory, ID, output_bytes=1 << 24)
        journal.write("stdout", b"x" * size)
        await wait_until(lambda found=directory: files(found))
        if spoil == "truncate":
            os.truncate(path(directory, ID, name), 0)
        elif spoil == "unlink":
            path(directory, ID, name).unlink()
        else:
            path(directory, ID, name).write_bytes(b"\xff" * 10_000)
        await asyncio.sleep(0)
        journal.write("stderr", b"more")
        journal.finish()
        journal.close()
        assert journal.bytes("stdout") == size
        assert 0 <= journal.dropped("stdout") <= size


async def test_a_blob_of_something_else_is_refused(io_loop: object) -> None:
    with pytest.raises(ValueError):
        Journal.from_inline(b"\x93\x01\x02\x03")
