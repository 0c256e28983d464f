"""How what was read is cut into chunks, so that each is kept whole or dropped whole for long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from service.journal.layout import Layout
from service.journal.text import cut_before, first_character, is_continued, unfinished


def pieces(layout: Layout, offset: int, data: bytes) -> Iterable[bytes]:
    """Cut `data`, whose first byte is at `offset` of its stream.

    No chunk lies on both sides of the head's end. The first character beyond it is a chunk of its
    own: it is the first to be dropped, and its number is then the number of the gap. What is
    dropped as it comes, because more than the tail's length follows it, is one chunk.
    """
    room = layout.head - offset
    if len(data) <= min(room, layout.piece):
        return (data,)
    return _pieces(layout, offset, data)


def _pieces(layout: Layout, offset: int, data: bytes) -> Iterator[bytes]:
    room = layout.head - offset
    if room > 0:
        front, data = data[:room], data[room:]
        whole = len(front) - (unfinished(front) if is_continued(data) else 0)
        yield from _short(front[:whole], layout.piece)
        yield from _short(front[whole:], layout.piece)
        offset = layout.head
    if len(data) > layout.tail:
        yield data[: len(data) - layout.tail]
        data = data[len(data) - layout.tail :]
    elif data and offset == layout.head:
        first = first_character(data)
        yield data[:first]
        data = data[first:]
    yield from _short(data, layout.piece)


def _short(data: bytes, limit: int) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = min(start + limit, len(data))
        if end < len(data):
            end = start + (cut_before(data[start : end + 1], limit) or limit)
        yield data[start:end] if start or end < len(data) else data
        start = end
