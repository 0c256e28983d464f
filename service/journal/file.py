"""A journal in its file."""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from pathlib import Path

from service.journal.layout import Layout
from service.journal.record import SIZE, Record, pack, unpack

_HEADER = struct.Struct("<16sQ")
_MAGIC = b"squall journal 1"
_LOST = 64  # in the header: for each stream a record of what could not be written


def path(directory: Path, job_id: str) -> Path:
    """Where a job's journal lies; the last part of an id is random."""
    return directory / job_id[-2:] / f"{job_id}.journal"


class File:
    """An open file of a journal: one file a job, for both streams."""

    __slots__ = ("_counts", "_ends", "_fd", "layout", "lost")

    def __init__(self, fd: int, layout: Layout) -> None:
        """`create` and `open` are the ways to make one, which owns its descriptor."""
        self._fd = fd
        self.layout = layout
        self.lost: list[Record | None] = [None, None]
        self._counts = [0, 0]
        self._ends = [0, 0]

    @classmethod
    def create(cls, path: Path, layout: Layout) -> File:
        """Make a file, and its directory where it has none; raises OSError and leaves no file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o600)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, flags, 0o600)
        file = cls(fd, layout)
        try:
            _pwrite(fd, _HEADER.pack(_MAGIC, layout.output_bytes).ljust(_LOST + 2 * SIZE, b"\0"), 0)
        except OSError:
            file.close()
            path.unlink()
            raise
        return file

    @classmethod
    def open(cls, path: Path) -> File:
        """Open a file to read; FileNotFoundError, also when its writer died before the header."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            header = os.pread(fd, _LOST + 2 * SIZE, 0)
            if not header.startswith(_MAGIC):
                raise FileNotFoundError(f"{path}: holds no journal")
            file = cls(fd, Layout(_HEADER.unpack_from(header)[1]))
            for stream in (0, 1):
                start = _LOST + stream * SIZE
                if found := unpack(header[start : start + SIZE]):
                    file.lost[stream] = found[1]
                count = file._counts[stream] = file._find_count(stream)
                file._ends[stream] = file.record(stream, count - 1).end if count else 0
        except BaseException:
            os.close(fd)
            raise
        return file

    @property
    def is_closed(self) -> bool:
        """Whether its descriptor is."""
        return self._fd < 0

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

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

    def data(self, stream: int, offset: int, size: int) -> bytes:
        """Return bytes that are kept; zeros for what a power failure took."""
        parts = []
        while size:
            place, there = self.layout.span(stream, offset, size)
            parts.append(os.pread(self._fd, there, place).ljust(there, b"\0"))
            offset, size = offset + there, size - there
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def put(self, stream: int, record: Record, data: bytes, is_new: bool) -> None:
        """Add the bytes at the record's end; the record is new, or takes the last one's place.

        Raises OSError when the disk is full: then the record is not changed or not there.
        """
        if len(data) <= self.layout.piece:  # what is longer is dropped as it comes
            self._put_data(stream, record.end - len(data), data)
        number = self._counts[stream] - (not is_new)
        place, lap = self.layout.slot(stream, number)
        _pwrite(self._fd, pack(record, lap), place)
        self._counts[stream], self._ends[stream] = number + 1, record.end

    def put_lost(self, stream: int, record: Record) -> None:
        """Write down what could not be written; the header has room for it already."""
        self.lost[stream] = record
        _pwrite(self._fd, pack(record, 0), _LOST + stream * SIZE)

    def _put_data(self, stream: int, offset: int, data: bytes) -> None:
        start, size = 0, len(data)
        while start < size:
            place, there = self.layout.span(stream, offset + start, size - start)
            _pwrite(self._fd, data[start : start + there] if there < size else data, place)
            start += there

    def _slot(self, stream: int, number: int) -> tuple[int, Record] | None:
        place, lap = self.layout.slot(stream, number)
        found = unpack(os.pread(self._fd, SIZE, place))
        # the first slots are never written again; in the ring the lap on disk says more
        return found if found is None or lap or not found[0] else None

    def _find_count(self, stream: int) -> int:
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


def _pwrite(fd: int, data: bytes, place: int) -> None:
    done = os.pwrite(fd, data, place)
    while done < len(data):  # the disk is nearly full: the next call says so
        done += os.pwrite(fd, data[done:], place + done)
