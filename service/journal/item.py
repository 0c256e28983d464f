"""What a reader of a journal gets: the items of the HTTP contract."""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import datetime

import msgspec

from service.jobs import rfc3339


class Item(msgspec.Struct, frozen=True):
    """One chunk of output, or bytes that were not kept (`dropped`, then `data` is empty).

    `at` is Unix time in microseconds, `offset` the place of the first byte in its stream.
    """

    seq: int
    at: int
    stream: str
    offset: int
    data: bytes = b""
    dropped: int = 0
    encoded: bytes | None = None

    @property
    def time(self) -> str:
        """When it was read, as RFC 3339."""
        return rfc3339(self.at)

    @classmethod
    def from_json(cls, line: bytes) -> Item:
        """Return the item that `json` gave."""
        wire = _decode(line)
        data = b64decode(wire.base64) if wire.base64 else (wire.text or "").encode()
        at = round(datetime.fromisoformat(wire.time).timestamp() * 1_000_000)
        return cls(wire.seq, at, wire.stream, wire.offset, data, wire.dropped, line)

    def json(self) -> bytes:
        """Return it as the contract's JSON; made once, however many ask."""
        if self.encoded is None:
            msgspec.structs.force_setattr(self, "encoded", _encode(self))
        return self.encoded or b""


class _Wire(msgspec.Struct, frozen=True, omit_defaults=True):
    seq: int
    time: str
    stream: str
    offset: int
    text: str | None = None
    base64: str | None = None
    dropped: int = 0


_encoder = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(_Wire).decode


def _encode(item: Item) -> bytes:
    text = base64 = None
    if not item.dropped:
        try:
            text = str(item.data, "utf-8")
        except UnicodeDecodeError:  # not text: the contract has base64 for it
            base64 = b64encode(item.data).decode()
    return _encoder.encode(
        _Wire(item.seq, item.time, item.stream, item.offset, text, base64, item.dropped)
    )
