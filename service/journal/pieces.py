"""How what was read is cut into chunks, so that each is kept whole or dropped whole for long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from service.journal.layout import Layout
from service.journal.text import cut_before, first_character, is_continued, unfinished

DROPPED_BYTES = 1 << 31  # the longest chunk at all: a record has 32 bits for it

Look = Callable[[int, int], bytes]
"""Returns bytes by offset and size."""


def pieces(layout: Layout, offset: int, size: int, look: Look) -> Iterable[int]:
    """Cut `size` bytes that begin at `offset` of their stream; returns the pieces' lengths.

    No chunk lies on both sides of the head's end. The first character beyond it is a chunk of its
    own: it is the first to be dropped, and its number is then the number of the gap. What is
    dropped as it comes, because more than the tail's length follows it, is one chunk.
    """
    if size <= min(layout.head - offset, layout.piece):
        return (size,)
    return _pieces(layout, offset, size, look)


def _pieces(layout: Layout, offset: int, size: int, look: Look) -> Iterator[int]:
    end = offset + size
    if offset < layout.head:
        front = min(layout.head, end)
        is_cut = front < end and is_continued(look(front, 1))
        whole = front - (_unfinished(offset, front, look) if is_cut else 0)
        yield from _short(offset, whole, layout.piece, look)
        yield from _short(whole, front, layout.piece, look)
        offset = front
    if end - offset > layout.tail:
        yield from _dropped(end - layout.tail - offset)
        offset = end - layout.tail
    elif offset < end and offset == layout.head:
        first = first_character(look(offset, min(4, end - offset)))
        yield first
        offset += first
    yield from _short(offset, end, layout.piece, look)


def _dropped(size: int) -> Iterator[int]:
    while size:
        yield (length := min(size, DROPPED_BYTES))
        size -= length


def _short(start: int, end: int, limit: int, look: Look) -> Iterator[int]:
    while start < end:
        length = end - start
        if length > limit:
            near = max(0, limit - 3)  # a character that is cut begins here or later
            length = near + cut_before(look(start + near, limit + 1 - near), limit - near)
        yield (length := length or limit)
        start += length


def _unfinished(start: int, end: int, look: Look) -> int:
    near = max(start, end - 3)
    return unfinished(look(near, end - near))
