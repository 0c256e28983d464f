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
from service.journal.layout import Layout
from tests.journal.test_full import *

async def main():
    place, _ = Layout(OUTPUT_BYTES).span(0, 100_003, 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (place, place))
    journal = Journal(Path(sys.argv[1]), {ID!r}, output_bytes=OUTPUT_BYTES)
    write_all(journal)
    journal.finish()
    check_cut(journal, range(100_000, 100_001))
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
