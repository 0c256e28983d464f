"""Bytes as version 1 wrote them, to be read only: in the file of the records, behind them.

for each stream   the first `head` bytes, then a ring of the last ones
"""

from __future__ import annotations

import os

from service.journal.layout import PAGE, Layout
from service.journal.record import SIZE


class Ring:
    """The bytes of one stream."""

    __slots__ = ("_fd", "_head", "_size", "_start")

    def __init__(self, fd: int, layout: Layout, stream: int) -> None:
        """`fd` is that of the records, and stays theirs."""
        self._fd = fd
        self._head = layout.head
        self._size = layout.tail + 2 * layout.piece
        records = _whole_pages(PAGE + 2 * 2 * layout.slots * SIZE)
        self._start = records + stream * _whole_pages(self._head + self._size)

    def close(self) -> None:
        """There is nothing to close."""

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes that are kept; zeros for what a power failure took."""
        parts = []
        while size:
            place, there = self._span(offset, size)
            parts.append(os.pread(self._fd, there, self._start + place).ljust(there, b"\0"))
            offset, size = offset + there, size - there
        return b"".join(parts)

    def _span(self, offset: int, size: int) -> tuple[int, int]:
        """Return the place of the byte at `offset`, and how many up to `size` follow it there."""
        if offset < self._head:
            return offset, min(size, self._head - offset)
        place = (offset - self._head) % self._size
        return self._head + place, min(size, self._size - place)


def _whole_pages(size: int) -> int:
    return -(-size // PAGE) * PAGE
