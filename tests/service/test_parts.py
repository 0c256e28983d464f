"""Output is sent in small parts, made once."""

from __future__ import annotations

import json
import random
from contextlib import ExitStack

import pytest

from service.journal import Item, SentItem
from service.output.parts import PART_BYTES, Encoder, packed, slices
from service.web.streams import Streams

RANDOM = random.Random(5)
DATA = {
    "zeros": bytes(65_536),
    "random": RANDOM.randbytes(65_536),
    "text": ("aé漢😀\n" * 20_000).encode()[:65_535],
    "short": b"ok\n",
    "as long as a part": b"x" * PART_BYTES,
    "one byte more": b"x" * (PART_BYTES + 1),
    "cut at the end": "漢".encode() * 20_000 + b"\xe6",
}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_the_parts_of_an_item_are_its_json(data):
    item = Item(7, 1_700_000_000_000_000, "stdout", 1 << 40, data)
    parts = list(Encoder().json("job", item))
    assert b"".join(parts) == Item(7, item.at, "stdout", 1 << 40, data).json()
    assert max(map(len, parts)) <= 6 * PART_BYTES
    sent = SentItem(b"".join(parts))
    assert (sent.seq, sent.stream, sent.data) == (7, "stdout", data)
    assert b"".join(Encoder().json("job", sent)) == sent.json()


def test_a_part_is_made_once_for_all_and_few_are_kept():
    encoder = Encoder()
    items = [Item(n, 1, "stdout", n << 16, RANDOM.randbytes(65_536)) for n in range(1, 200)]
    first = list(encoder.json("job", items[0]))
    again = list(encoder.json("job", items[0]))
    assert any(one is other for one, other in zip(first, again, strict=True))
    for item in items:
        list(encoder.json("job", item))
    assert encoder._size <= 4 * 1024 * 1024
    assert sum(map(len, encoder._parts.values())) == encoder._size


def test_dropped_bytes_are_an_item_of_their_own():
    item = Item(3, 1, "stderr", 10, dropped=1 << 50)
    (part,) = Encoder().json("job", item)
    assert json.loads(part)["dropped"] == 1 << 50


def test_small_parts_go_together_and_none_gets_lost():
    parts = [bytes(RANDOM.randrange(PART_BYTES)) for _ in range(100)] + [b"x"] * 1000
    together = list(packed(parts))
    assert b"".join(together) == b"".join(parts)
    assert max(map(len, together)) <= PART_BYTES and len(together) < 100
    assert list(slices(bytes(100_000))) == [bytes(24_576)] * 4 + [bytes(1_696)]


def test_the_more_follow_the_less_is_held_for_each():
    class Following:
        def stop(self) -> None: ...

    streams = Streams(2000, 64)
    with ExitStack() as open_ones:
        found = []
        for count in (0, 1, 100, 1000):
            while len(list(streams)) < count:
                open_ones.enter_context(streams.entered(Following(), is_relayed=False))
            found.append(streams.share(16 << 20, 16 << 10, 192 << 10))
    assert found == [192 << 10, 192 << 10, (16 << 20) // 100, (16 << 20) // 1000]
