"""What is kept of a stream, and where its records lie in their file.

    page 0            the header
    for each stream   2 * slots records: the first ones, then a ring of the last ones

Places that were never written are holes and take no room on the disk.
"""

from __future__ import annotations

from service.journal.record import SIZE

PAGE = 4096
PIECE_BYTES = 128 * 1024  # the longest chunk that is kept under one record
SLOTS_MIN = 4096


class Layout:
    """The numbers that follow from `output_bytes`."""

    __slots__ = ("head", "output_bytes", "piece", "slots", "tail")

    def __init__(self, output_bytes: int) -> None:
        """`output_bytes` of each stream are kept."""
        self.output_bytes = output_bytes
        self.head = output_bytes // 2
        self.tail = output_bytes - self.head
        self.piece = min(PIECE_BYTES, self.tail)
        self.slots = max(SLOTS_MIN, output_bytes // 64)

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
