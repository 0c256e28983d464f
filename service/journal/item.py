"""What a reader of a journal gets: the items of the HTTP contract."""

from __future__ import annotations

from base64 import b64decode, b64encode

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

    @property
    def is_text(self) -> bool:
        """Whether its bytes are UTF-8."""
        try:
            str(self.data, "utf-8")
        except UnicodeDecodeError:
            return False
        return True

    def json_around(self) -> tuple[bytes, bytes]:
        """Return what stands before and after the text, or the base64, in its JSON."""
        text, base64 = ("", None) if self.is_text else (None, "")
        wire = _Wire(self.seq, self.time, self.stream, self.offset, text, base64)
        return _encoder.encode(wire)[:-2], b'"}'

    def json(self) -> bytes:
        """Return it as the contract's JSON; made once, however many ask."""
        if self.encoded is None:
            msgspec.structs.force_setattr(self, "encoded", _encode(self))
        return self.encoded or b""


class SentItem:
    """An item as another process sent it; only its number is read unless more is asked for."""

    __slots__ = ("_line", "_wire", "seq")

    def __init__(self, line: bytes) -> None:
        """Read one item's JSON, as `Item.json` made it; ValueError when it is something else."""
        if not line.startswith(_SEQ):
            raise ValueError("not an item of a journal")
        self.seq = int(line[len(_SEQ) : line.index(b",", len(_SEQ))])
        self._line = line
        self._wire: _Wire | None = None

    @property
    def stream(self) -> str:
        """Which stream it is of."""
        return self._decoded().stream

    @property
    def data(self) -> bytes:
        """The bytes of output."""
        wire = self._decoded()
        return b64decode(wire.base64) if wire.base64 else (wire.text or "").encode()

    def json(self) -> bytes:
        """Return it as it was sent."""
        return self._line

    def _decoded(self) -> _Wire:
        if self._wire is None:
            self._wire = _decode(self._line)
        return self._wire


_SEQ = b'{"seq":'


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
