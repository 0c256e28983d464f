"""Which bytes are kept: the first half and the last half of each stream, to the byte."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from service.journal import Journal
from service.journal.layout import PIECE_BYTES
from service.journal.wakeups import QUIET_S

from .model import ID, check_ended, check_items, check_kept, chunks, ended, joined

pytestmark = pytest.mark.gen_test(timeout=120)

BOUNDS = (0, 1, 2, 3, 10, 1000, 1001, 40_000, 300_000)


@pytest.mark.parametrize("output_bytes", BOUNDS)
async def test_head_and_tail_are_kept_whatever_comes_in_which_pieces(
    io_loop: object, tmp_path: Path, output_bytes: int
) -> None:
    for seed in range(60):
        random_ = random.Random(seed)
        directory = tmp_path / str(seed)
        journal = Journal(directory, ID, output_bytes=output_bytes)
        parts = chunks(random_, output_bytes, random_.choice([0, 1, 3, 30]))
        for stream, data in parts:
            journal.write(stream, data)
            if random_.random() < 0.3:
                journal.items()
        sent = joined(parts)
        reader = ended(journal, directory)
        check_kept(journal, sent, output_bytes)
        check_ended(reader, sent, output_bytes, seed)


@pytest.mark.parametrize("output_bytes", [1000, 100_000])
async def test_every_length_around_a_boundary(
    io_loop: object, tmp_path: Path, output_bytes: int
) -> None:
    head, tail = output_bytes // 2, output_bytes - output_bytes // 2
    ring = tail + 2 * min(PIECE_BYTES, tail)
    data = random.Random(1).randbytes(head + 3 * ring + 5)
    step = tail // 3 + 1
    for near in (0, 1, head, output_bytes, head + ring, head + 2 * ring, len(data) - 3):
        for length in range(max(0, near - 2), near + 3):
            journal = Journal(tmp_path / str(length), ID, output_bytes=output_bytes)
            for start in range(0, length, step):
                journal.write("stderr", data[start : min(start + step, length)])
            sent = {"stdout": b"", "stderr": data[:length]}
            check_ended(ended(journal, tmp_path / str(length)), sent, output_bytes)


async def test_a_follower_of_bytes_sees_each_byte_or_jumps_over_what_was_dropped(
    io_loop: object, tmp_path: Path
) -> None:
    random_ = random.Random(5)
    journal = Journal(tmp_path, ID, output_bytes=20_000)
    data, offset, seen, jumps = b"", 0, 0, 0
    for _ in range(300):
        data += (part := random_.randbytes(random_.randrange(1, 4000)))
        journal.write("stdout", part)
        while random_.random() < 0.6:
            at, found = journal.read_from("stdout", offset, 3000)
            assert at >= offset
            assert found == data[at : at + len(found)]
            jumps += at > offset
            seen += len(found)
            offset = at + len(found)
    journal.finish()
    journal.close()
    assert jumps
    assert seen > 20_000
    assert journal.read_from("stdout", len(data), 10) == (len(data), b"")


async def test_reads_of_one_moment_fit_together_while_the_job_goes_on(
    io_loop: object, tmp_path: Path
) -> None:
    random_ = random.Random(6)
    for before in (900, 1000, 1400, 5000):
        journal = Journal(tmp_path / str(before), ID, output_bytes=1000)
        data = random_.randbytes(before).hex().encode()[:before]
        journal.write("stdout", data)
        of = journal.extent("stdout")
        kept = data if before <= 1000 else data[:500] + data[-500:]
        assert journal.read("stdout", 0, 400, of) == kept[:400]
        journal.write("stdout", b"x" * 100)
        rest = journal.read("stdout", 400, 5000, of)
        assert rest == kept[400 : 400 + len(rest)]  # less where bytes are gone, never others
        assert len(rest) == (500 if before == 900 else 100)
        if before > 1000:
            assert journal.read("stdout", 700, 5000, of) == kept[700:]
        journal.finish()
        journal.close()


async def test_chunks_of_one_byte_are_few_records(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    data = random.Random(2).randbytes(100_000).translate(bytes(range(128)) * 2)
    started = time.monotonic()
    for index in range(len(data)):
        journal.write("stdout", data[index : index + 1])
    elapsed = time.monotonic() - started
    sent = {"stdout": data, "stderr": b""}
    check_ended(ended(journal, tmp_path), sent, 1 << 24)
    assert journal.seq < 10 + 3 * elapsed / QUIET_S


async def test_more_chunks_than_records_are_kept_drop_the_oldest(
    io_loop: object, tmp_path: Path
) -> None:
    for count in (4095, 4096, 8190, 8191, 8192, 8193, 12_287, 12_288, 12_289, 20_001):
        directory = tmp_path / str(count)
        journal = Journal(directory, ID, output_bytes=200_000)
        data = random.Random(count).randbytes(count * 2).translate(bytes(range(128)) * 2)
        for index in range(count):
            journal.write("stdout", data[2 * index : 2 * index + 2])
            journal.extent("stdout")  # what was seen does not grow
            if index % 1000 == 0:
                journal.write("stderr", b"e")
        sent = {"stdout": data, "stderr": b"e" * (count // 1000 + 1)}
        live = journal.items(0, 1)
        reader = ended(journal, directory)
        assert reader.seq == journal.seq
        items = []
        while found := reader.items(items[-1].seq if items else 0):
            items += found
        check_items(items, sent)
        assert live == items[:1]
        dropped = 2 * max(0, count - 4096 - 4095 + (count > 4096 + 4095))
        assert reader.dropped("stdout") == dropped == journal.dropped("stdout")
        assert reader.dropped("stderr") == 0
        assert reader.kept("stdout") == len(reader.read("stdout", 0, 1 << 20))
