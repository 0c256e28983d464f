"""What the first version wrote, with the bytes in a ring behind the records, is still read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from service.journal import Journal, sizes
from service.journal.files import path

from .model import ID, all_items

FIXTURE = Path(__file__).with_name("version1.gz")
STDOUT = b"".join(b"%015d\n" % number * 40 for number in range(100))
STDERR = b"".join("é漢 %d\n".encode() % number for number in range(0, 100, 10))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    file = path(tmp_path, ID)
    file.parent.mkdir()
    file.write_bytes(gzip.decompress(FIXTURE.read_bytes()))
    return tmp_path


def test_it_is_read_to_the_byte(directory: Path) -> None:
    reader = Journal.open(directory, ID)
    assert reader.read("stdout", 0, 1 << 20) == STDOUT[:10_000] + STDOUT[-10_000:]
    assert reader.read("stderr", 0, 1 << 20) == STDERR
    assert (reader.bytes("stdout"), reader.dropped("stdout")) == (64_100, 44_100)
    items = all_items(reader)
    assert reader.seq == items[-1].seq
    assert sum(item.dropped for item in items) == 44_100
    assert items[-1].dropped == 100
    assert b"".join(item.data for item in items if item.stream == "stderr") == STDERR
    assert [job_id for job_id, _ in sizes(directory)] == [ID]


def test_it_is_not_gone_on_with(directory: Path) -> None:
    before = path(directory, ID).read_bytes()
    with pytest.raises(ValueError, match="version"):
        Journal.take_over(directory, ID, output_bytes=20_000)
    assert path(directory, ID).read_bytes() == before
