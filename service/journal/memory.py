"""A journal in memory, and as one blob in the ledger."""

from __future__ import annotations

import msgspec

from service.journal.extent import Source, extent
from service.journal.file import File
from service.journal.layout import Layout
from service.journal.record import Record

VERSION = 1


class Memory:
    """A small journal: all bytes that were read, or what is left of them after the end."""

    __slots__ = ("_data", "_gaps", "_records", "layout", "lost", "size")

    def __init__(self, layout: Layout) -> None:
        """Start empty."""
        self.layout = layout
        self.lost: list[Record | None] = [None, None]
        self.size = 0
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

    def put(self, stream: int, record: Record, data: bytes, is_new: bool) -> None:
        """Add the bytes at the record's end; the record is new, or takes the last one's place."""
        self.size += len(data)
        self._data[stream].extend(data)
        if is_new:
            self._records[stream].append(record)
        else:
            self._records[stream][-1] = record

    def copy_to(self, file: File) -> None:
        """Write all of it to a new file; raises OSError."""
        for stream, records in enumerate(self._records):
            data = bytes(self._data[stream])
            for record in records:
                file.put(stream, record, data[record.offset : record.end], True)
            if lost := self.lost[stream]:
                file.put_lost(stream, lost)

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
