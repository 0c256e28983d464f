"""Following a journal while it is written."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from pathlib import Path

import pytest

from service.journal import Item, Journal
from service.journal.wakeups import QUIET_S

from .model import ID, check_items, chunks, joined

pytestmark = pytest.mark.gen_test(timeout=120)

PARTS = chunks(random.Random(3), 2000, 400)


async def write_and_finish(journal: Journal, seed: int = 0) -> None:
    random_ = random.Random(seed)
    for stream, data in PARTS:
        journal.write(stream, data)
        if random_.random() < 0.3:
            await asyncio.sleep(random_.choice([0, 0, 0.001, 0.008]))
    journal.finish()


async def follow(journal: Journal, max_bytes: int = 1000, pause: float = 0) -> list[Item]:
    found: list[Item] = []
    async for items in journal.follow(0, max_bytes):
        found += items
        await asyncio.sleep(pause)
    return found


async def test_two_followers_get_all_each_at_its_own_pace(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    fast, slow, _ = await asyncio.gather(
        follow(journal), follow(journal, 100_000, 0.05), write_and_finish(journal)
    )
    journal.close()
    check_items(fast, joined(PARTS))
    assert fast == slow
    assert not any(item.dropped for item in fast)


async def test_a_follower_of_bytes_gets_all(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    writing = asyncio.create_task(write_and_finish(journal))
    found = b""
    while True:
        seq, is_finished = journal.seq, journal.is_finished
        offset, data = journal.read_from("stdout", len(found), 10_000)
        assert offset == len(found)
        found += data
        if not data and is_finished:
            break
        if not data:
            await journal.wait_changed(seq)
    await writing
    journal.close()
    assert found == joined(PARTS)["stdout"]


async def test_a_thousand_followers_get_all(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    *all_found, _ = await asyncio.gather(
        *(follow(journal, 1 << 16) for _ in range(1000)), write_and_finish(journal)
    )
    journal.close()
    check_items(all_found[0], joined(PARTS))
    assert all(found == all_found[0] for found in all_found)


async def test_a_follower_is_woken_by_the_first_byte_and_by_the_end(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    waiting = asyncio.create_task(journal.wait_changed(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    journal.write("stdout", b"x")
    await waiting
    waiting = asyncio.create_task(journal.wait_changed(1))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    journal.finish()
    await waiting
    await journal.wait_changed(10**9)
    journal.close()


async def test_giving_up_wakes_followers(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    waiting = asyncio.create_task(journal.wait_changed(0))
    await asyncio.sleep(0)
    journal.close()
    await waiting


async def test_cancelled_waits_leave_nothing_and_disturb_nobody(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    waits = [asyncio.create_task(journal.wait_changed(0)) for _ in range(1000)]
    await asyncio.sleep(0)
    for wait in waits[:999]:
        wait.cancel()
    await asyncio.gather(*waits[:999], return_exceptions=True)
    assert not waits[999].done()
    journal.write("stdout", b"x")
    await waits[999]
    del waits
    gc.collect()
    pending = asyncio.all_tasks() - {asyncio.current_task()}
    assert not pending
    journal.finish()
    journal.close()


async def test_single_bytes_do_not_wake_a_follower_for_each(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    started = time.monotonic()
    following = asyncio.create_task(follow(journal))
    for _ in range(3000):
        journal.write("stdout", b"x")
        await asyncio.sleep(0)
    journal.finish()
    items = await following
    journal.close()
    check_items(items, {"stdout": b"x" * 3000, "stderr": b""})
    assert len(items) < 10 + 3 * (time.monotonic() - started) / QUIET_S


async def test_a_follower_far_behind_reads_from_the_file_when_the_job_has_long_ended(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 24)
    first = asyncio.create_task(follow(journal, 1, 0.001))
    await asyncio.sleep(0)
    await write_and_finish(journal)
    journal.close()
    check_items(await first, joined(PARTS))
