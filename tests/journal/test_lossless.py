"""Readers that want every byte: the job waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from service.journal import Item, Journal, holds
from service.journal.layout import PIECE_BYTES
from service.journal.recent import ITEM_COST

from .model import ID

pytestmark = pytest.mark.gen_test(timeout=60)

CHUNK = bytes(range(256)) * 256  # 64 KiB, no text
COUNT = 64


@pytest.fixture(params=[0, 1, 1000, 1 << 20, 1 << 24])
def journal(io_loop: object, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Journal]:
    journal = Journal(tmp_path, ID, output_bytes=request.param)
    yield journal
    journal.close()


async def write_all(journal: Journal, count: int = COUNT) -> None:
    """As the library does: what `write` returns is awaited before more is read."""
    for number in range(count):
        pause = journal.write("stdout", number.to_bytes(4, "big") + CHUNK)
        if pause is not None:
            await pause
        await asyncio.sleep(0)
    journal.finish()


def expected(count: int = COUNT) -> bytes:
    return b"".join(number.to_bytes(4, "big") + CHUNK for number in range(count))


async def read(journal: Journal, after: int = 0, stop_at: int = 1 << 60) -> list[Item]:
    """Read until the end, or until an item with a number."""
    found: list[Item] = []
    async with aclosing(journal.follow(after, 1000, is_lossless=True)) as following:
        async for items in following:
            found += items
            await asyncio.sleep(0.001)  # slower than the writer
            if items[-1].seq >= stop_at:
                break
    return found


def content(items: list[Item]) -> bytes:
    assert not any(item.dropped for item in items)
    return b"".join(item.data for item in items)


async def test_a_slow_reader_gets_every_byte_whatever_is_kept(journal: Journal) -> None:
    writing = asyncio.create_task(write_all(journal))
    assert content(await read(journal)) == expected()
    await writing


async def test_two_readers_get_every_byte_each(journal: Journal) -> None:
    one, other, _ = await asyncio.gather(read(journal), read(journal), write_all(journal))
    assert content(one) == content(other) == expected()


async def test_a_reader_that_comes_back_goes_on_without_loss(journal: Journal) -> None:
    writing = asyncio.create_task(write_all(journal))
    found: list[Item] = []
    while not (journal.is_finished and found and found[-1].seq == journal.seq):
        after = found[-1].seq if found else 0
        found += await read(journal, after, stop_at=after + 5)
    assert content(found) == expected()
    await writing


async def test_a_reader_that_is_back_before_it_is_seen_to_go_holds_nothing_up(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1000)
    first = journal.follow(0, 1000, is_lossless=True)
    writing = asyncio.create_task(write_all(journal))
    found = list(await anext(first))
    second = asyncio.create_task(read(journal, found[-1].seq))
    await asyncio.sleep(0)
    await first.aclose()
    async with asyncio.timeout(holds.GONE_S / 2):
        found += await second
    assert content(found) == expected()
    await writing
    journal.close()


async def test_an_awaited_reader_gets_what_was_written_before_it_came(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1000, is_awaited=True)
    writing = asyncio.create_task(write_all(journal))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not writing.done() and 0 < journal.bytes("stdout") < 1 << 20
    assert content(await read(journal)) == expected()
    await writing
    journal.close()


async def test_the_job_goes_on_when_the_reader_has_been_gone_for_long(
    io_loop: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "GONE_S", 0.01)
    journal = Journal(tmp_path, ID, output_bytes=1000)
    writing = asyncio.create_task(write_all(journal))
    await read(journal, stop_at=5)
    await writing
    assert journal.dropped("stdout") == len(expected()) - 1000
    journal.close()


@pytest.mark.parametrize("is_gone_before", [True, False])
async def test_a_job_that_is_stopped_does_not_wait_for_a_reader_that_is_gone(
    io_loop: object, tmp_path: Path, is_gone_before: bool
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    first = journal.follow(0, 1000, is_lossless=True)
    writing = asyncio.create_task(write_all(journal))
    await anext(first)
    if is_gone_before:
        await first.aclose()
        journal.stop_expecting()
    else:
        journal.stop_expecting()
        assert not writing.done()
        await first.aclose()
    await asyncio.wait_for(writing, holds.GONE_S / 2)
    assert content(journal.items(max_bytes=1 << 30)) == expected()
    journal.close()


async def test_a_reader_that_is_there_is_waited_for_in_a_job_that_is_stopped(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1000)
    following = journal.follow(0, 1000, is_lossless=True)
    writing = asyncio.create_task(write_all(journal))
    found = list(await anext(following))
    journal.stop_expecting()
    async for items in following:
        found += items
        await asyncio.sleep(0.001)
    assert content(found) == expected()
    await writing
    journal.close()


async def test_a_late_reader_stops_the_loss(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 20)
    for number in range(COUNT):
        journal.write("stdout", number.to_bytes(4, "big") + CHUNK)
    lost = journal.dropped("stdout")
    reading = asyncio.create_task(read(journal))
    await asyncio.sleep(0)
    await write_all(journal)
    found = await reading
    # what is on its way into the journal when it comes still has to be taken
    assert lost <= sum(item.dropped for item in found) <= lost + 2 * len(CHUNK)
    assert b"".join(item.data for item in found).endswith(expected())
    journal.close()


async def test_memory_is_bounded_and_given_back(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1000, is_awaited=True)
    pauses = [journal.write(stream, CHUNK) for stream in ("stdout", "stderr") for _ in range(3)]
    assert all(pause is not None and not pause.done() for pause in pauses)  # type: ignore[attr-defined]
    assert holds.UNREAD_BYTES + 2 * len(CHUNK) <= holds.HELD_BYTES
    journal.close()
    assert all(pause.done() for pause in pauses)  # type: ignore[union-attr]
    assert journal._recent.items(0, 1 << 30) == []


async def test_without_such_a_reader_nothing_waits(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1000)
    async with aclosing(journal.follow(0, 1000)) as items:
        following = asyncio.create_task(anext(items))
        await asyncio.sleep(0)
        assert all(journal.write("stdout", CHUNK) is None for _ in range(COUNT))
        await following
    journal.finish()
    journal.close()


async def test_what_was_written_and_never_read_counts_as_dropped(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 20)
    journal.write("stdout", "half a 漢".encode()[:-1])
    journal.finish((100, 0))
    assert (journal.bytes("stdout"), journal.dropped("stdout")) == (100, 91)
    assert [item.dropped for item in journal.items()] == [0, 91]
    journal.close()


async def test_what_two_streams_bring_at_once_is_held_for_the_reader(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=2 * holds.UNREAD_BYTES)
    journal.write("stdout", bytes(300_000))
    reading = journal.follow(0, 1000, is_lossless=True)
    found = list(await anext(reading))
    while found[-1].seq < journal.seq:
        found += await anext(reading)
    more = asyncio.create_task(anext(reading))  # type: ignore[arg-type]
    await asyncio.sleep(0)  # all that was there is taken
    just_allowed = [bytes(16_384 - ITEM_COST)] * (holds.UNREAD_BYTES // 16_384)
    assert all(journal.write("stdout", chunk) is None for chunk in just_allowed)
    assert journal.write("stdout", bytes(PIECE_BYTES)) is not None
    assert journal.write("stderr", bytes(PIECE_BYTES)) is not None
    journal.finish()
    found += await more
    async for items in reading:
        found += items
    assert not any(item.dropped for item in found)
    journal.close()


async def test_a_reader_gets_every_byte_over_a_handover(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 20)
    found: list[Item] = []
    writing = asyncio.create_task(write_all(journal))
    found += await read(journal, stop_at=4)
    written = journal.bytes("stdout")
    assert journal.keep() and not writing.done()
    writing.cancel()
    journal._timers.close()
    journal._store._source.close()  # type: ignore[union-attr]
    second = Journal.take_over(tmp_path, ID, output_bytes=1 << 20, is_awaited=True)
    pause = second.write("stdout", expected()[written : written + 10])
    assert pause is not None
    writing = asyncio.create_task(write_rest(second, pause, expected()[written + 10 :]))
    found += await read(second, found[-1].seq)
    assert content(found) == expected()
    await writing
    second.close()
    journal._holds.close()


async def write_rest(journal: Journal, pause: Awaitable[None], data: bytes) -> None:
    await pause
    for start in range(0, len(data), len(CHUNK)):
        pause_ = journal.write("stdout", data[start : start + len(CHUNK)])
        if pause_ is not None:
            await pause_
    journal.finish()
