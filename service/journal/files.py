"""A journal on the disk.

ID.journal         what it is, its records, and what was lost
ID.out, ID.err     the bytes of each stream, in a file that is made with the first of them
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from service.journal.data import Data, is_at_end
from service.journal.layout import PAGE, Layout
from service.journal.record import Record
from service.journal.records import VERSION, Records
from service.journal.ring import Ring

RECORDS = "journal"
STREAM_FILES = ("out", "err")
STEP_BYTES = 1 << 20  # what is dropped is given back in such steps


def path(directory: Path, job_id: str, name: str = RECORDS) -> Path:
    """Where a file of a job's journal lies; the last part of an id is random."""
    return directory / job_id[-2:] / f"{job_id}.{name}"


def remove(directory: Path, job_id: str) -> None:
    """Forget a job's files, as many as there are; the records first, without which there is no
    journal for those who look.
    """
    for name in (RECORDS, *STREAM_FILES):
        path(directory, job_id, name).unlink(missing_ok=True)


def sizes(directory: Path) -> Iterator[tuple[str, int]]:
    """Yield id and bytes on the disk of every journal that has a file.

    It looks at every file: with many of them this is for a thread.
    """
    for shelf in directory.glob("??"):
        found: dict[str, int] = {}
        for one in shelf.iterdir():
            if one.suffix[1:] in (RECORDS, *STREAM_FILES):
                try:
                    size = one.lstat().st_blocks * 512
                except FileNotFoundError:
                    continue  # forgotten meanwhile
                found[one.stem] = found.get(one.stem, 0) + size
        yield from found.items()


class Files:
    """The open files of a journal."""

    __slots__ = ("_data", "_directory", "_job_id", "_records", "is_closed", "layout", "lost")

    def __init__(self, directory: Path, job_id: str, records: Records) -> None:
        """`create`, `open` and `take_over` are the ways to make one, which owns its descriptors."""
        self._directory = directory
        self._job_id = job_id
        self._records = records
        self._data: list[Data | Ring | None] = [None, None]
        self.layout = records.layout
        self.lost = records.lost
        self.is_closed = False

    @classmethod
    def create(cls, directory: Path, job_id: str, layout: Layout) -> Files:
        """Make the file of the records, where there is none; raises OSError and leaves no file."""
        return cls(directory, job_id, Records.create(path(directory, job_id), layout))

    @classmethod
    def open(cls, directory: Path, job_id: str) -> Files:
        """Open what there is, to read; FileNotFoundError when there is no journal."""
        files = cls(directory, job_id, Records.open(path(directory, job_id)))
        try:
            files._open_data(os.O_RDONLY)
        except BaseException:
            files.close()
            raise
        return files

    @classmethod
    def take_over(cls, directory: Path, job_id: str, layout: Layout) -> Files | None:
        """Open what a writer left, to go on; None when it left nothing.

        Without whole records, all bytes count as not yet recorded. Raises OSError, and ValueError
        for what another version wrote.
        """
        try:
            records = Records.open(path(directory, job_id), os.O_RDWR)
        except FileNotFoundError:
            if not any(path(directory, job_id, name).exists() for name in STREAM_FILES):
                return None
            records = Records.create(path(directory, job_id), layout)
        files = cls(directory, job_id, records)
        try:
            if records.version != VERSION:
                raise ValueError(f"job {job_id}: its output was begun by another version")
            files._open_data(os.O_RDWR)
            files._cut_lost()
        except BaseException:
            files.close()
            raise
        return files

    def close(self) -> None:
        """Close the descriptors; may be called again."""
        if not self.is_closed:
            self.is_closed = True
            self._records.close()
            for data in self._data:
                if data is not None:
                    data.close()

    def count(self, stream: int) -> int:
        """How many records the stream has had."""
        return self._records.count(stream)

    def end(self, stream: int) -> int:
        """The offset after the last record."""
        return self._records.end(stream)

    def size(self, stream: int) -> int:
        """How many bytes there are, also beyond the last record."""
        data = self._data[stream]
        return data.size if isinstance(data, Data) else 0

    def changed_at(self, stream: int) -> int:
        """When bytes were added last, as Unix time in microseconds."""
        return self._own(stream).changed_at

    def record(self, stream: int, number: int) -> Record:
        """Return one of the first `slots` or of the last `oldest` of them."""
        return self._records.record(stream, number)

    def data(self, stream: int, offset: int, size: int) -> bytes:
        """Return bytes that are kept; zeros for what a power failure took."""
        data = self._data[stream]
        return data.read(offset, size) if data else bytes(size)

    def append(self, stream: int, data: bytes) -> None:
        """Add bytes; OSError when the disk is full: `size` says how many are there."""
        self._own(stream).append(data)

    def splice(self, stream: int, fd: int, size: int) -> int:
        """Add what is in a pipe, as `Data.splice` does."""
        if self._data[stream] is None and is_at_end(fd):
            return 0  # no file for a stream without bytes
        return self._own(stream).splice(fd, size)

    def put(self, stream: int, record: Record, is_new: bool) -> None:
        """Add the record of bytes that are there, or let it take the last one's place.

        Raises OSError when the disk is full: then the record is not changed or not there.
        """
        self._records.put(stream, record, is_new)

    def put_lost(self, stream: int, record: Record) -> None:
        """Write down what was lost; there is room for it already."""
        self._records.put_lost(stream, record)

    def cut(self, stream: int) -> None:
        """Forget what lies beyond the last record; raises OSError."""
        if self._data[stream] is not None:
            self._own(stream).cut(self.end(stream))

    def trim(self, stream: int, *, is_last: bool = False) -> None:
        """Give back the room of what is dropped, in steps, the rest of it when `is_last`.

        The chunk in which the tail begins stays whole, for a follower who is just reading it.
        """
        layout, data = self.layout, self._data[stream]
        if isinstance(data, Data):
            end = self.end(stream) - layout.tail - layout.piece
            data.drop(layout.head, end, PAGE if is_last else STEP_BYTES)

    def _own(self, stream: int) -> Data:
        data = self._data[stream]
        if not isinstance(data, Data):
            name = path(self._directory, self._job_id, STREAM_FILES[stream])
            data = self._data[stream] = Data.create(name)
        return data

    def _open_data(self, flags: int) -> None:
        """Open the files of the streams: all at once, so that what is forgotten between is not
        taken for zeros.
        """
        for stream, name in enumerate(STREAM_FILES):
            if self._records.version != VERSION:
                self._data[stream] = Ring(self._records.fd, self.layout, stream)
                continue
            try:
                found = Data.open(path(self._directory, self._job_id, name), flags)
            except FileNotFoundError:
                if self.count(stream) and flags == os.O_RDONLY:
                    raise
                continue
            self._data[stream] = found
            found.size = max(found.size, self.end(stream))

    def _cut_lost(self) -> None:
        """Where bytes were lost, what lies beyond was counted with them."""
        for stream, lost in enumerate(self.lost):
            data = self._data[stream]
            if lost and isinstance(data, Data) and data.size > lost.offset:
                data.cut(lost.offset)
