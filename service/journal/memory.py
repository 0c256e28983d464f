"""A journal in memory, and as one blob in the ledger."""

from __future__ import annotations

import msgspec

from service.journal.extent import Source, extent
from service.journal.files import Files
from service.journal.layout import Layout
from service.journal.record import Record

VERSION = 1


class Memory:
    """A small journal: all bytes that were read, or what is left of them after the end."""

    __slots__ = ("_data", "_gaps", "_records", "layout", "lost", "total")

    def __init__(self, layout: Layout) -> None:
        """Start empty."""
        self.layout = layout
        self.lost: list[Record | None] = [None, None]
        self.total = 0
        self._records: tuple[list[Record], list[Record]] = ([], [])
        self._data = (bytearray(), bytearray())
        self._gaps = [(0, 0), (0, 0)]  # in each stream, where dropped bytes begin and end

    def count(self, stream: int) -> int:
        """How many records the stream has."""
        return len(self._records[stream])

    def end(self, stream: int) -> int:
        """The offset after the last record."""
        records = self._records[stream]
        return records[-1].end if records else 0

    def record(self, stream: int, number: int) -> Record:
        """Return one of them."""
        return self._records[stream][number]

    def data(self, stream: int, offset: int, size: int) -> bytes:
        """Return bytes; of a decoded blob only kept ones."""
        begin, end = self._gaps[stream]
        place = offset if offset < end else offset - (end - begin)
        return bytes(self._data[stream][place : place + size])

    def size(self, stream: int) -> int:
        """How many bytes there are, also beyond the last record."""
        return len(self._data[stream])

    def append(self, stream: int, data: bytes) -> None:
        """Add bytes."""
        self.total += len(data)
        self._data[stream].extend(data)

    def put(self, stream: int, record: Record, is_new: bool) -> None:
        """Add the record of bytes that are there, or let it take the last one's place."""
        if is_new:
            self._records[stream].append(record)
        else:
            self._records[stream][-1] = record

    def put_lost(self, stream: int, record: Record) -> None:
        """Keep what was lost, in place of what was said of it before."""
        self.lost[stream] = record

    def cut(self, stream: int) -> None:
        """Forget what lies beyond the last record."""
        del self._data[stream][self.end(stream) :]

    def copy_to(self, files: Files) -> None:
        """Write all of it to new files; raises OSError."""
        for stream, records in enumerate(self._records):
            if data := self._data[stream]:
                files.append(stream, bytes(data))
            for record in records:
                files.put(stream, record, True)
            if lost := self.lost[stream]:
                files.put_lost(stream, lost)

    @classmethod
    def decode(cls, blob: bytes) -> Memory:
        """Read a blob; raises ValueError when it isn't one."""
        content = _decoder.decode(blob)
        memory = cls(Layout(content.output_bytes))
        for stream, part in enumerate((content.stdout, content.stderr)):
            memory._records[stream].extend(part.records)
            memory._data[stream].extend(part.data)
            memory.lost[stream] = part.lost
            kept = extent(memory, stream)
            memory._gaps[stream] = (kept.head, kept.start)
        return memory


class _Part(msgspec.Struct, frozen=True, array_like=True):
    records: list[Record]
    data: bytes
    lost: Record | None


class _Blob(msgspec.Struct, frozen=True, array_like=True, tag=VERSION):
    output_bytes: int
    stdout: _Part
    stderr: _Part


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Blob)


def encode(source: Source) -> bytes:
    """Return a journal with not more than `slots` records a stream as one blob."""
    return _encoder.encode(_Blob(source.layout.output_bytes, _part(source, 0), _part(source, 1)))


def _part(source: Source, stream: int) -> _Part:
    kept = extent(source, stream)
    records = [source.record(stream, number) for number in range(source.count(stream))]
    data = source.data(stream, 0, kept.head)
    if kept.start < kept.total:
        data += source.data(stream, kept.start, kept.total - kept.start)
    return _Part(records, data, source.lost[stream])
