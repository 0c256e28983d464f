"""What is noted of one chunk, and how it is written down.

On disk a record has 32 bytes, so that it never lies across two pages: a writer that is killed
leaves it as it was or as it should be. The checksum catches what else may tear it.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

STREAMS = ("stdout", "stderr")

SIZE = 32
LOST_SIZE = 40
_BODY = struct.Struct("<QQQI")  # lap << 44 | seq, time, offset, length; then a CRC-32 of these
_LOST = struct.Struct("<QQQQ")  # seq, time, offset, length; then a CRC-32 of these and zeros
_SEQ_BITS = 44


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One chunk: its number in the job, Unix time in microseconds, and place in its stream."""

    seq: int
    at: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        """The offset of the byte after it."""
        return self.offset + self.length


def pack(record: Record, lap: int) -> bytes:
    """Write down a record; `lap` says which round over the slots it belongs to."""
    body = _BODY.pack(lap << _SEQ_BITS | record.seq, record.at, record.offset, record.length)
    return body + zlib.crc32(body).to_bytes(4, "little")


def unpack(data: bytes) -> tuple[int, Record] | None:
    """Return lap and record; None when nothing whole was written here."""
    body = data[:-4]
    if len(data) != SIZE or zlib.crc32(body) != int.from_bytes(data[-4:], "little"):
        return None
    word, at, offset, length = _BODY.unpack(body)
    return word >> _SEQ_BITS, Record(word & (1 << _SEQ_BITS) - 1, at, offset, length)


def pack_lost(record: Record) -> bytes:
    """Write down what was lost, which may be more than a record on disk can say."""
    body = _LOST.pack(record.seq, record.at, record.offset, record.length)
    return body + zlib.crc32(body).to_bytes(8, "little")


def unpack_lost(data: bytes) -> Record | None:
    """Return what was lost; None when nothing whole was written here."""
    body = data[:-8]
    if len(data) != LOST_SIZE or zlib.crc32(body) != int.from_bytes(data[-8:], "little"):
        return None
    return Record(*_LOST.unpack(body))
