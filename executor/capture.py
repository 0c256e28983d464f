"""What is kept of a stream: all of it up to a bound, beyond that the head and the tail."""

from __future__ import annotations

from collections import deque
from collections.abc import MutableSequence

SMALL = 4096
BLOCK = 65536


class Capture:
    """Keeps at most ``limit`` bytes (``None``: all), the first half and the last half.

    Small chunks are joined as they come: a child that prints one byte at a time costs no more
    memory than one that prints in blocks.
    """

    __slots__ = ("_head", "_head_room", "_tail", "_tail_limit", "_tail_size", "total")

    def __init__(self, limit: int | None) -> None:
        self.total = 0
        self._tail_limit = 0 if limit is None else limit // 2
        self._head_room = -1 if limit is None else limit - limit // 2
        self._head: list[bytes | bytearray] = []
        self._tail: deque[bytes | bytearray] | None = None
        self._tail_size = 0

    def add(self, chunk: bytes) -> None:
        size = len(chunk)
        self.total += size
        room = self._head_room
        if room < 0:
            _append(self._head, chunk)
        elif size <= room:
            self._head_room = room - size
            _append(self._head, chunk)
        else:
            self._overflow(chunk)

    def _overflow(self, chunk: bytes) -> None:
        if self._head_room:
            _append(self._head, chunk[: self._head_room])
            chunk = chunk[self._head_room :]
            self._head_room = 0
        if not self._tail_limit:
            return
        if self._tail is None:
            self._tail = deque()
        tail = self._tail
        _append(tail, chunk)
        self._tail_size += len(chunk)
        while self._tail_size - len(tail[0]) >= self._tail_limit:
            self._tail_size -= len(tail.popleft())

    @property
    def dropped(self) -> int:
        """Bytes that ``value()`` leaves out; they all lie between its head and its tail."""
        head = sum(map(len, self._head))
        return self.total - head - min(self._tail_size, self._tail_limit)

    def resume(self, total: int, head: bytes, tail: bytes) -> None:
        """Begin with what was kept elsewhere of ``total`` bytes, as ``parts()`` gave it."""
        for part in (head, tail):
            if part:
                self.add(part)
        self.total = total

    def parts(self) -> tuple[bytes, bytes]:
        """What ``value()`` gives, parted where bytes were dropped (or may be, from now on)."""
        kept = b"" if self._tail is None else b"".join(self._tail)[-self._tail_limit :]
        return b"".join(self._head), kept

    def value(self) -> bytes:
        head, tail = self._head, self._tail
        if tail is None:
            if len(head) == 1 and type(head[0]) is bytes:  # the usual short output: no copy
                return head[0]
            whole = b"".join(head)
            self._head = [whole]  # the chunks would be a second copy as long as we live
            return whole
        kept = b"".join(tail)[-self._tail_limit :]
        return b"".join((*head, kept))


def _append(chunks: MutableSequence[bytes | bytearray], chunk: bytes) -> None:
    if len(chunk) >= SMALL or not chunks:
        chunks.append(chunk)
        return
    last = chunks[-1]
    if type(last) is bytearray and len(last) < BLOCK:
        last += chunk
    else:
        chunks.append(bytearray(chunk))
