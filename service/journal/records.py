"""The records of a journal in their file."""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from pathlib import Path

from service.journal.layout import PAGE, Layout
from service.journal.record import (
    LOST_SIZE,
    SIZE,
    Record,
    pack,
    pack_lost,
    unpack,
    unpack_lost,
)

VERSION = 2
_HEADER = struct.Struct("<15scQ")
_MAGIC = b"squall journal "
_LOST = 64  # in the header: for each stream what was lost
_HEADER_SIZE = _LOST + 2 * LOST_SIZE


class Records:
    """An open file of records, of both streams."""

    __slots__ = ("_counts", "_ends", "fd", "layout", "lost", "version")

    def __init__(self, fd: int, layout: Layout) -> None:
        """`create` and `open` are the ways to make one, which owns its descriptor."""
        self.fd = fd
        self.layout = layout
        self.version = VERSION
        self.lost: list[Record | None] = [None, None]
        self._counts = [0, 0]
        self._ends = [0, 0]

    @classmethod
    def create(cls, path: Path, layout: Layout) -> Records:
        """Make a file, and its directory where it has none; raises OSError and leaves no file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o600)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, flags, 0o600)
        try:
            header = _HEADER.pack(_MAGIC, b"%d" % VERSION, layout.output_bytes)
            # the room for what is lost is taken now: it is needed when the disk is full
            _pwrite(fd, header.ljust(_HEADER_SIZE, b"\0"), 0)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        return cls(fd, layout)

    @classmethod
    def open(cls, path: Path, flags: int = os.O_RDONLY) -> Records:
        """Open a file; FileNotFoundError, also when its writer died before the header."""
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            header = os.pread(fd, _HEADER_SIZE, 0)
            if not header.startswith(_MAGIC) or header[15:16] not in (b"1", b"2"):
                raise FileNotFoundError(f"{path}: holds no journal")
            _, version, output_bytes = _HEADER.unpack_from(header)
            records = cls(fd, Layout(output_bytes))
            records.version = int(version)
            records._find(header)
        except BaseException:
            os.close(fd)
            raise
        return records

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)

    def count(self, stream: int) -> int:
        """How many records the stream has had."""
        return self._counts[stream]

    def end(self, stream: int) -> int:
        """The offset after the last record."""
        return self._ends[stream]

    def record(self, stream: int, number: int) -> Record:
        """Return one of the first `slots` or of the last `oldest` of them."""
        found = self._slot(stream, number)
        if found is None:
            raise OSError(f"record {number} of the journal cannot be read")
        return found[1]

    def put(self, stream: int, record: Record, is_new: bool) -> None:
        """Add a record, or let it take the last one's place.

        Raises OSError when the disk is full: then the record is not changed or not there.
        """
        number = self._counts[stream] - (not is_new)
        place, lap = self.layout.slot(stream, number)
        _pwrite(self.fd, pack(record, lap), place)
        self._counts[stream], self._ends[stream] = number + 1, record.end

    def put_lost(self, stream: int, record: Record) -> None:
        """Write down what was lost, in place of what was said of it before."""
        self.lost[stream] = record
        _pwrite(self.fd, pack_lost(record), _LOST + stream * LOST_SIZE)

    def _find(self, header: bytes) -> None:
        size, read = (SIZE, _unpack_lost_1) if self.version == 1 else (LOST_SIZE, unpack_lost)
        for stream in (0, 1):
            start = _LOST + stream * size
            self.lost[stream] = read(header[start : start + size])
            count = self._counts[stream] = self._find_count(stream)
            self._ends[stream] = self.record(stream, count - 1).end if count else 0

    def _slot(self, stream: int, number: int) -> tuple[int, Record] | None:
        place, lap = self.layout.slot(stream, number)
        found = unpack(os.pread(self.fd, SIZE, place))
        # the first slots are never written again; in the ring the lap on disk says more
        return found if found is None or lap or not found[0] else None

    def _find_count(self, stream: int) -> int:
        """Return how many records there are: few, mostly, which one look shows."""
        place, _ = self.layout.slot(stream, 0)
        page = os.pread(self.fd, PAGE, place)
        starts = range(0, PAGE, SIZE)
        count = bisect_left(starts, True, key=lambda start: not unpack(page[start : start + SIZE]))
        return count if count < len(starts) else self._find_large_count(stream)

    def _find_large_count(self, stream: int) -> int:
        slots = self.layout.slots
        if self._slot(stream, slots - 1) is None:
            return bisect_left(
                range(slots), True, key=lambda number: self._slot(stream, number) is None
            )
        first, second = self._slot(stream, slots), self._slot(stream, slots + 1)
        if first is None:  # nothing yet, or being written over in a further lap
            return slots if second is None else slots * (second[0] + 1)
        lap = first[0]

        def is_older(place: int) -> bool:
            found = self._slot(stream, slots + place)
            return found is None or found[0] != lap

        return slots * lap + bisect_left(range(slots), True, key=is_older)


def _unpack_lost_1(data: bytes) -> Record | None:
    found = unpack(data)
    return found[1] if found else None


def _pwrite(fd: int, data: bytes, place: int) -> None:
    done = os.pwrite(fd, data, place)
    while done < len(data):  # the disk is nearly full: the next call says so
        done += os.pwrite(fd, data[done:], place + done)
