"""Where things lie in a journal's file.

    page 0            the header
    for each stream   2 * slots records: the first ones, then a ring of the last ones
    for each stream   the first `head` bytes, then a ring of the last ones

Places that were never written are holes and take no room on the disk. The ring of bytes is larger
than the tail that is kept: the bytes of a chunk are written before its record, and must not lie
over bytes that count as kept until the record says so; and the chunk in which the tail begins
stays readable whole while the job runs.
"""

from __future__ import annotations

from service.journal.record import SIZE

PAGE = 4096
PIECE_BYTES = 128 * 1024  # the longest chunk that is kept under one record
SLOTS_MIN = 4096


class Layout:
    """The numbers that follow from `output_bytes`."""

    __slots__ = ("_data", "_per_stream", "head", "output_bytes", "piece", "ring", "slots", "tail")

    def __init__(self, output_bytes: int) -> None:
        """`output_bytes` of each stream are kept."""
        self.output_bytes = output_bytes
        self.head = output_bytes // 2
        self.tail = output_bytes - self.head
        self.piece = min(PIECE_BYTES, self.tail)
        self.ring = self.tail + 2 * self.piece
        self.slots = max(SLOTS_MIN, output_bytes // 64)
        self._data = _whole_pages(PAGE + 2 * 2 * self.slots * SIZE)
        self._per_stream = _whole_pages(self.head + self.ring)

    @property
    def oldest(self) -> int:
        """How many of the last records are kept beyond the first `slots`.

        One less than there is room for: the slot of the next one may be half written.
        """
        return self.slots - 1

    def slot(self, stream: int, number: int) -> tuple[int, int]:
        """Return place and lap of a stream's record."""
        lap, place = divmod(number, self.slots)
        return PAGE + SIZE * (place + self.slots * (bool(lap) + 2 * stream)), lap

    def span(self, stream: int, offset: int, size: int) -> tuple[int, int]:
        """Return the place of the byte at `offset`, and how many up to `size` follow it there."""
        start = self._data + stream * self._per_stream
        if offset < self.head:
            return start + offset, min(size, self.head - offset)
        place = (offset - self.head) % self.ring
        return start + self.head + place, min(size, self.ring - place)


def _whole_pages(size: int) -> int:
    return -(-size // PAGE) * PAGE
