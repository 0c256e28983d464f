"""Output as it is sent: in parts that are small enough for a slow reader to cost little, and made
once for all who read the same.
"""

from __future__ import annotations

from base64 import b64encode
from collections import OrderedDict
from collections.abc import Iterable, Iterator

import msgspec

from service.journal import Item, SentItem

PART_BYTES = 24 * 1024  # of output; a multiple of 3, so that base64 can be made part by part
SHARED_BYTES = 4 * 1024 * 1024

AnyItem = Item | SentItem

_encode = msgspec.json.Encoder().encode


class Encoder:
    """Makes the JSON of items; long ones come in parts, of which the newest are kept."""

    def __init__(self) -> None:
        """Begin with none made."""
        self._parts: OrderedDict[tuple[str, int, int, int], bytes] = OrderedDict()
        self._size = 0

    def json(self, job_id: str, item: AnyItem) -> Iterator[bytes]:
        """Yield an item's JSON, part by part; the next one is made when it is asked for."""
        if isinstance(item, SentItem):
            yield from slices(item.json())
        elif len(item.data) <= PART_BYTES:
            yield item.json()
        else:
            yield from self._long(job_id, item)

    def _long(self, job_id: str, item: Item) -> Iterator[bytes]:
        front, back = item.json_around()
        is_text = item.is_text
        yield front
        for begin in range(0, len(item.data), PART_BYTES):
            key = (job_id, item.seq, len(item.data), begin)
            part = self._parts.get(key)
            if part is None:
                part = self._keep(key, _part(item.data, begin, is_text))
            yield part
        yield back

    def _keep(self, key: tuple[str, int, int, int], part: bytes) -> bytes:
        self._parts[key] = part
        self._size += len(part)
        while self._size > SHARED_BYTES:
            self._size -= len(self._parts.popitem(last=False)[1])
        return part


def slices(data: bytes) -> Iterator[bytes]:
    """Yield bytes in parts."""
    if len(data) <= PART_BYTES:
        yield data
        return
    for begin in range(0, len(data), PART_BYTES):
        yield data[begin : begin + PART_BYTES]


def packed(parts: Iterable[bytes], limit: int = PART_BYTES) -> Iterator[bytes]:
    """Yield small parts together, up to `limit` bytes, as far as they are there already."""
    begun: list[bytes] = []
    size = 0
    for part in parts:
        if begun and size + len(part) > limit:
            yield b"".join(begun)
            begun, size = [], 0
        if not begun and len(part) > limit // 2:
            yield part  # as it is: what is shared need not be copied
            continue
        begun.append(part)
        size += len(part)
    if begun:
        yield b"".join(begun)


def _part(data: bytes, begin: int, is_text: bool) -> bytes:
    end = begin + PART_BYTES
    if not is_text:
        return b64encode(data[begin:end])
    return _encode(str(data[_start(data, begin) : _start(data, end)], "utf-8"))[1:-1]


def _start(data: bytes, place: int) -> int:
    """Return where the character begins that lies at a place."""
    while place < len(data) and data[place] & 0xC0 == 0x80:
        place -= 1
    return min(place, len(data))
