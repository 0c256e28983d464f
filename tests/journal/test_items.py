"""The items: numbers, resume, gaps, characters, JSON."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from pathlib import Path

import msgspec
import pytest

from service.jobs import rfc3339
from service.journal import Item, Journal, SentItem
from service.journal.text import cut_before, first_character, unfinished

from .model import ID, all_items, check_items, chunks, ended, joined

pytestmark = pytest.mark.gen_test(timeout=60)


async def test_numbers_rise_by_one_from_one_in_the_order_of_reading(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1 << 20)
    assert journal.seq == 0
    assert journal.items() == []
    for index in range(2500):
        journal.write(("stdout", "stderr")[index % 2], b"%d\n" % index)
    items = all_items(journal)
    assert [item.seq for item in items] == list(range(1, 2501))
    assert [int(item.data) for item in items] == list(range(2500))
    assert [item.at for item in items] == sorted(item.at for item in items)
    assert items[7].time == rfc3339(items[7].at)
    journal.finish()
    journal.close()


@pytest.mark.parametrize("output_bytes", [100, 5000, 1 << 20])
async def test_resume_at_every_number_gives_the_same_bytes_also_where_some_are_dropped(
    io_loop: object, tmp_path: Path, output_bytes: int
) -> None:
    for seed in range(20):
        directory = tmp_path / str(seed)
        journal = Journal(directory, ID, output_bytes=output_bytes)
        for stream, data in chunks(random.Random(seed), 3000, 40):
            journal.write(stream, data)
        reader = ended(journal, directory)
        items = all_items(reader)
        for after in range(reader.seq + 2):
            told = [(item.seq, item.data) for item in items if item.seq > after]
            assert [(item.seq, item.data) for item in all_items(reader, after)] == told


async def test_a_follower_that_falls_behind_is_told_the_exact_number(
    io_loop: object, tmp_path: Path
) -> None:
    for seed in range(20):
        random_ = random.Random(seed)
        journal = Journal(tmp_path / str(seed), ID, output_bytes=10_000)
        parts = chunks(random_, 3000, 300)
        items: list[Item] = []
        for stream, data in parts:
            journal.write(stream, data)
            if random_.random() < 0.1:
                items += journal.items(items[-1].seq if items else 0, random_.choice([1, 9000]))
        items += all_items(journal, items[-1].seq if items else 0)
        journal.finish()
        items += all_items(journal, items[-1].seq)
        journal.close()
        check_items(items, joined(parts))
        assert any(item.dropped for item in items)


async def test_a_gap_is_one_item(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1000)
    for index in range(100):
        journal.write("stdout", bytes([index]) * 50)
        journal.items()
    reader = ended(journal, tmp_path)
    assert [item.dropped for item in reader.items() if item.dropped] == [4000]


async def test_nothing_is_kept_of_a_job_with_no_room_but_all_is_counted(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=0)
    for _ in range(1000):
        journal.write("stdout", b"x" * 1000)
    reader = ended(journal, tmp_path)
    assert [(item.offset, item.dropped) for item in reader.items()] == [(0, 1_000_000)]
    assert reader.read("stdout", 0, 10) == b""


async def test_a_character_split_between_reads_is_whole_in_one_item(
    io_loop: object, tmp_path: Path
) -> None:
    text = "aé漢😀" * 2000
    data = text.encode()
    for size in (1, 2, 3, 5, 1000):
        journal = Journal(tmp_path / str(size), ID, output_bytes=1 << 20)
        items: list[Item] = []
        for start in range(0, len(data), size):
            journal.write("stdout", data[start : start + size])
            if start % 7 == 0:
                items += journal.items(items[-1].seq if items else 0)
        journal.finish()
        items += all_items(journal, items[-1].seq if items else 0)
        journal.close()
        assert "".join(json.loads(item.json())["text"] for item in items) == text


async def test_a_character_at_the_bound_between_head_and_tail_is_the_only_one_cut(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1000)
    journal.write("stdout", "漢".encode() * 300)
    items = [json.loads(item.json()) for item in journal.items()]
    assert ["text" in item for item in items] == [True, False, False, True]
    journal.finish()
    journal.close()


async def test_an_unfinished_character_comes_as_base64_at_the_end_or_after_a_moment(
    io_loop: object, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, ID, output_bytes=1000)
    journal.write("stdout", b"caf\xe9")
    assert [item.data for item in journal.items()] == [b"caf"]
    await asyncio.wait_for(journal.wait_changed(1), 30)
    assert [item.data for item in journal.items(1)] == [b"\xe9"]
    journal.write("stdout", b"\xf0\x9f")
    journal.finish()
    (last,) = journal.items(2)
    assert base64.b64decode(json.loads(last.json())["base64"]) == b"\xf0\x9f"
    journal.close()


async def test_json_is_the_contracts(io_loop: object, tmp_path: Path) -> None:
    journal = Journal(tmp_path, ID, output_bytes=8)
    journal.write("stdout", b"ab\n\x00")
    journal.write("stderr", b"\xff\xfe\xc3")
    journal.write("stdout", b"0123456789")
    reader = ended(journal, tmp_path)
    found = [json.loads(item.json()) for item in reader.items()]
    times = [item.pop("time") for item in found]
    assert times == [item.time for item in reader.items()]
    assert found == [
        {"seq": 1, "stream": "stdout", "offset": 0, "text": "ab\n\0"},
        {"seq": 2, "stream": "stderr", "offset": 0, "base64": "//4="},
        {"seq": 3, "stream": "stdout", "offset": 4, "dropped": 6},
        {"seq": 4, "stream": "stdout", "offset": 10, "text": "6789"},
        {"seq": 5, "stream": "stderr", "offset": 2, "base64": "ww=="},
    ]


def test_of_an_item_that_is_passed_on_only_the_number_is_read() -> None:
    line = b'{"seq":17,and what is not looked at'
    sent = SentItem(line)
    assert (sent.seq, sent.json()) == (17, line)
    with pytest.raises(msgspec.DecodeError):
        _ = sent.data
    with pytest.raises(ValueError, match="not an item"):
        SentItem(b'{"job":{}}')


def test_cutting_text() -> None:
    data = "aé漢😀".encode()
    ends = {0, 1, 3, 6, 10}
    for length in range(len(data) + 1):
        whole = max(end for end in ends if end <= length)
        assert unfinished(data[:length]) == length - whole
        assert cut_before(data, length) == whole
    assert unfinished(b"\x80\x80\x80\x80") == 0
    assert unfinished(b"a\xff") == 0
    assert cut_before(b"\x80" * 9, 5) == 5
    assert first_character("漢a".encode()) == 3
    assert first_character(b"\x80\x80a") == 2
    assert first_character(b"\x80" * 9) == 4
