"""What a journal must hold, said in the simplest way."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from pathlib import Path

from service.journal import Item, Journal, Reader

ID = "019aa38f-0000-7000-8000-0000000000ab"
STREAMS = ("stdout", "stderr")
PATIENCE_S = 30.0


def expected(data: bytes, output_bytes: int) -> bytes:
    """The bytes that are kept of a stream."""
    if len(data) <= output_bytes:
        return data
    head = output_bytes // 2
    return data[:head] + data[len(data) - (output_bytes - head) :]


def all_items(reader: Reader, after: int = 0, max_bytes: int = 64 * 1024) -> list[Item]:
    """All items after a number, asked for again and again."""
    found: list[Item] = []
    while items := reader.items(found[-1].seq if found else after, max_bytes):
        found += items
    return found


def check_items(items: list[Item], sent: dict[str, bytes]) -> None:
    """Each stream is told from its first byte to its last, once, and numbers rise."""
    assert all(a.seq < b.seq for a, b in itertools.pairwise(items))
    offsets = dict.fromkeys(sent, 0)
    for item in items:
        assert item.offset == offsets[item.stream]
        assert bool(item.data) != bool(item.dropped)
        end = offsets[item.stream] = item.offset + len(item.data) + item.dropped
        assert not item.data or item.data == sent[item.stream][item.offset : end]
    assert offsets == {stream: len(data) for stream, data in sent.items()}


def check_kept(reader: Reader, sent: dict[str, bytes], output_bytes: int) -> None:
    """Exactly head and tail of each stream are there, and the numbers say so."""
    for stream, data in sent.items():
        kept = expected(data, output_bytes)
        assert reader.read(stream, 0, len(data) + 1) == kept
        assert reader.bytes(stream) == len(data)
        assert reader.kept(stream) == len(kept)
        assert reader.dropped(stream) == len(data) - len(kept)


def check_ended(reader: Reader, sent: dict[str, bytes], output_bytes: int, seed: int = 0) -> None:
    """All of the above for a journal that has ended; and a resume gives just what is left."""
    check_kept(reader, sent, output_bytes)
    items = all_items(reader)
    check_items(items, sent)
    for stream in sent:
        dropped = sum(item.dropped for item in items if item.stream == stream)
        assert dropped == reader.dropped(stream)
    random_ = random.Random(seed)
    for index in random_.sample(range(len(items)), min(len(items), 30)):
        rest = all_items(reader, items[index].seq, random_.choice([1, 100, 1 << 20]))
        assert rest == items[index + 1 :]


def chunks(random_: random.Random, output_bytes: int, count: int) -> list[tuple[str, bytes]]:
    """Chunks of all kinds, of lengths around those where something changes."""
    lengths = (1, 2, 3, 7, 300, output_bytes // 2, output_bytes // 2 + 1, output_bytes)
    lengths += (output_bytes + 1, output_bytes // 7)
    made = []
    for _ in range(count):
        length = max(1, random_.choice(lengths))
        text = "aé漢😀\n" * (length // 11 + 1)
        data = random_.randbytes(length) if random_.random() < 0.5 else text.encode()
        made.append((random_.choice(("stdout", "stdout", "stderr")), data))
    return made


def joined(parts: list[tuple[str, bytes]]) -> dict[str, bytes]:
    """What was sent to each stream."""
    return {stream: b"".join(data for to, data in parts if to == stream) for stream in STREAMS}


def ended(journal: Journal, directory: Path) -> Reader:
    """End a journal, and return what a later process reads."""
    blob = journal.finish()
    journal.close()
    return Journal.open(directory, ID) if blob is None else Journal.from_inline(blob)


async def wait_until(condition: Callable[[], object]) -> None:
    """Wait for a condition while the loop goes on."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def files(directory: Path) -> list[Path]:
    """The files of all journals."""
    return [path for path in directory.rglob("*") if path.is_file()]
