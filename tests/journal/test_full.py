"""What happens when nothing more can be written."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.journal import Journal
from service.journal.record import LOST_SIZE, Record, pack_lost, unpack_lost
from service.journal.records import Records

from .model import ID, all_items, check_items, ended, files, wait_until

pytestmark = pytest.mark.gen_test(timeout=60)

OUTPUT_BYTES = 1 << 20
SENT = {"stdout": b"0123456789abcde\n" * 30_000, "stderr": b"errors\n" * 20}


def write_all(journal: Journal) -> None:
    for start in range(0, len(SENT["stdout"]), 10_000):
        journal.write("stdout", SENT["stdout"][start : start + 10_000])
    journal.write("stderr", SENT["stderr"])


def check_cut(journal: Journal, kept: range) -> None:
    """Of stdout a beginning is kept, all is counted, and what is kept is right."""
    assert journal.bytes("stdout") == len(SENT["stdout"])
    assert journal.dropped("stdout") == len(SENT["stdout"]) - journal.kept("stdout")
    assert journal.kept("stdout") in kept
    assert journal.read("stdout", 0, 1 << 20) == SENT["stdout"][: journal.kept("stdout")]
    check_items(all_items(journal), SENT)


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small disk can be mounted by root only")
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


async def test_a_full_disk_costs_output_is_counted_and_logged_once(
    io_loop: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path):
        journal = Journal(tmp_path, ID, output_bytes=OUTPUT_BYTES)
        write_all(journal)
        journal.finish()
        check_cut(journal, range(100_000, 200_000))
        journal.close()
        reader = Journal.open(tmp_path, ID)
        assert reader.bytes("stdout") == journal.bytes("stdout")
        assert reader.dropped("stdout") == journal.dropped("stdout")
        assert all_items(reader) == all_items(journal)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert ID in record.getMessage()
    assert os.strerror(errno.ENOSPC) in record.getMessage()


async def test_a_disk_that_is_full_from_the_start_leaves_what_memory_holds(
    io_loop: object, tmp_path: Path
) -> None:
    with small_disk(tmp_path):
        fill = tmp_path / "fill"
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            fill.write_bytes(bytes(300_000))
        journal = Journal(tmp_path, ID, output_bytes=OUTPUT_BYTES)
        write_all(journal)
        assert files(tmp_path) == [fill]
        reader = ended(journal, tmp_path)
        check_cut(journal, range(240_000, 270_000))
        assert reader.read("stdout", 0, 1 << 20) == journal.read("stdout", 0, 1 << 20)
        assert all_items(reader) == all_items(journal)


FILE_LIMIT = f"""
import asyncio, resource, sys
from pathlib import Path
from tests.journal.test_full import *

async def main():
    # the records of stderr lie beyond
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_003, 100_003))
    journal = Journal(Path(sys.argv[1]), {ID!r}, output_bytes=OUTPUT_BYTES)
    write_all(journal)
    journal.finish()
    check_cut(journal, range(100_003, 100_004))
    assert journal.dropped("stderr") == len(SENT["stderr"])
    journal.close()

asyncio.run(main())
"""


def test_a_limit_on_the_size_of_files_is_like_a_full_disk(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", FILE_LIMIT, str(tmp_path)], cwd=root, check=True)


@contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_descriptors_output_stays_in_memory_until_there_are_some(
    io_loop: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.journal.store.RETRY_S", 0.01)
    journal = Journal(tmp_path, ID, output_bytes=OUTPUT_BYTES)
    with no_descriptors():
        for _ in range(10):
            journal.write("stdout", b"x" * 10_000)
        await asyncio.sleep(0)
    assert files(tmp_path) == []
    assert journal.read("stdout", 0, 1 << 20) == b"x" * 100_000
    await wait_until(lambda: files(tmp_path))
    journal.write("stdout", b"y")
    reader = ended(journal, tmp_path)
    assert reader.read("stdout", 0, 1 << 20) == b"x" * 100_000 + b"y"
    assert reader.dropped("stdout") == 0


async def test_memory_does_not_grow_without_a_file(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=OUTPUT_BYTES)
    with no_descriptors():
        write_all(journal)
        journal.finish()
    check_cut(journal, range(240_000, 262_145))
    journal.close()


class Pipe:
    """A job's pipe, of which what is in it is known."""

    def __init__(self) -> None:
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)

    def pass_on(self, journal: Journal, data: bytes, stream: str = "stdout") -> None:
        os.write(self._write, data)
        left = len(data)
        while left:
            chunk = journal.read_pipe(stream, self.fd, 65_536)
            left -= len(chunk)
            journal.write(stream, chunk)


async def test_a_full_disk_keeps_and_counts_to_the_byte_over_a_handover(
    io_loop: object, tmp_path: Path
) -> None:
    with small_disk(tmp_path):
        data = SENT["stdout"]
        journal = Journal.take_over(tmp_path, ID, output_bytes=OUTPUT_BYTES)
        pipe = Pipe()
        for start in range(0, 300_000, 50_000):
            pipe.pass_on(journal, data[start : start + 50_000])
        kept = journal.kept("stdout")
        assert 100_000 < kept < 200_000
        assert journal.bytes("stdout") == 300_000
        journal._store._source.close()  # type: ignore[union-attr]
        assert Journal.open(tmp_path, ID).dropped("stdout") == 300_000 - kept
        assert [item.dropped for item in all_items(Journal.open(tmp_path, ID))][-1] > 0
        journal = Journal.take_over(tmp_path, ID, output_bytes=OUTPUT_BYTES)
        seq = journal.seq
        assert not any(item.dropped for item in all_items(journal))
        pipe.pass_on(journal, data[300_000:350_000])
        journal.finish()
        assert journal.seq == seq + 1
        assert (journal.bytes("stdout"), journal.kept("stdout")) == (350_000, kept)
        assert journal.dropped("stdout") == 350_000 - kept
        assert journal.read("stdout", 0, 1 << 20) == data[:kept]
        check_items(all_items(journal), {"stdout": data[:350_000], "stderr": b""})
        journal.close()


async def test_a_chunk_whose_record_cannot_be_written_is_lost_and_counted_once(
    io_loop: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.take_over(tmp_path, ID, output_bytes=OUTPUT_BYTES)
    pipe = Pipe()
    pipe.pass_on(journal, b"kept")
    journal.items()

    def full(self: Records, stream: int, record: object, is_new: bool) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Records, "put", full)
    pipe.pass_on(journal, b"lost")
    monkeypatch.undo()
    pipe.pass_on(journal, b"more")
    journal._store._source.close()  # type: ignore[union-attr]
    journal = Journal.take_over(tmp_path, ID, output_bytes=OUTPUT_BYTES)
    journal.finish()
    assert journal.read("stdout", 0, 100) == b"kept"
    check_items(all_items(journal), {"stdout": b"keptlostmore", "stderr": b""})
    journal.close()


async def test_keeping_waits_for_room(
    io_loop: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.journal.store.RETRY_S", 0.0)
    journal = Journal(tmp_path, ID, output_bytes=OUTPUT_BYTES)
    journal.write("stdout", b"x")
    with no_descriptors():
        assert not journal.keep()
    assert journal.keep()
    assert Journal.open(tmp_path, ID).bytes("stdout") == 1
    journal.close()


async def test_where_no_file_can_be_made_for_a_kept_job_its_output_waits_in_memory(
    io_loop: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.journal.store.RETRY_S", 0.0)
    journal = Journal(tmp_path, ID, output_bytes=OUTPUT_BYTES)
    assert journal.keep()
    pipe = Pipe()
    with no_descriptors():
        pipe.pass_on(journal, b"one")
    pipe.pass_on(journal, b"two")
    assert Journal.open(tmp_path, ID).bytes("stdout") == 6
    assert journal.read("stdout", 0, 10) == b"onetwo"
    journal.close()


@pytest.mark.parametrize("is_spliced", [True, False])
async def test_without_holes_a_disk_is_not_filled_with_what_nobody_keeps(
    io_loop: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_spliced: bool
) -> None:
    def punch(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr("service.journal.data.punch", punch)
    monkeypatch.setattr("service.journal.files.STEP_BYTES", 100_000)
    monkeypatch.setattr("service.journal.data.EXCESS_BYTES", 1_000_000)
    journal = Journal.take_over(tmp_path, ID, output_bytes=100_000)
    pipe = Pipe()
    for _ in range(100):
        if is_spliced:
            pipe.pass_on(journal, b"x" * 50_000)
        else:
            journal.write("stdout", b"x" * 50_000)
    assert sum(file.stat().st_blocks * 512 for file in files(tmp_path)) < 3_000_000
    journal.finish()
    assert journal.bytes("stdout") == 5_000_000
    assert journal.dropped("stdout") == 4_900_000
    journal.close()


def test_more_than_32_bits_can_be_lost() -> None:
    record = Record(7, 1, 1 << 40, 1 << 41)
    assert unpack_lost(pack_lost(record)) == record
    assert unpack_lost(bytes(LOST_SIZE)) is None
