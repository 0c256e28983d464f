"""Items of a journal in memory: those that were added last, and those that were read last."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from service.journal.item import Item
from service.journal.record import STREAMS, Record

RECENT_BYTES = 128 * 1024
SHARED_BYTES = 512 * 1024
ITEM_COST = 256  # what an item takes beside its bytes


class _Entry(NamedTuple):
    item: Item
    end: int  # what it and all before it cost


class Recent:
    """A window over the items that were added last, without a gap.

    Followers get the very same items from it: read once, encoded once. It is empty while nobody
    follows, and never holds much more than `limit`.
    """

    __slots__ = ("_entries", "_first", "is_on", "limit", "total")

    def __init__(self) -> None:
        """Begin empty, and switched off."""
        self.limit = RECENT_BYTES
        self.total = 0  # what all items that were ever added cost
        self._entries: dict[int, _Entry] = {}
        self._first = 0  # the number of the first entry
        self.is_on = False

    def switch(self, is_on: bool) -> None:
        """Begin to take items, or forget them and take no more."""
        self.is_on = is_on
        if not is_on:
            self.clear()

    def clear(self) -> None:
        """Forget all items: what is added next is the first."""
        self._entries.clear()

    def add(self, record: Record, stream: int, data: bytes) -> None:
        """Add a new item; for when it is on."""
        self._first = self._first if self._entries else record.seq
        self._put(Item(record.seq, record.at, STREAMS[stream], record.offset, data))
        while self.total - self._start() > self.limit and len(self._entries) > 1:
            del self._entries[self._first]
            self._first += 1

    def grow(self, record: Record, data: bytes) -> None:
        """Add bytes to the last item; nobody has got it yet."""
        if entry := self._entries.get(record.seq):
            last = entry.item
            self.total -= _cost(last)
            self._put(Item(last.seq, last.at, last.stream, last.offset, last.data + data))

    def items(self, after: int, max_bytes: int) -> list[Item]:
        """Return the items after number `after` until they hold `max_bytes` or so; none when the
        next one is not here.
        """
        found: list[Item] = []
        while max_bytes > 0 and (entry := self._entries.get(after + 1)):
            found.append(entry.item)
            max_bytes -= len(entry.item.data)
            after += 1
        return found

    def behind(self, seq: int) -> int | None:
        """Return what the items after number `seq` cost; None when not all of them are here."""
        if seq + 1 == self._first and self._entries:
            return self.total - self._start()
        entry = self._entries.get(seq)
        return None if entry is None else self.total - entry.end

    def _put(self, item: Item) -> None:
        self.total += _cost(item)
        self._entries[item.seq] = _Entry(item, self.total)

    def _start(self) -> int:
        first = self._entries[self._first]
        return first.end - _cost(first.item)


class Shared:
    """What followers have read last from the file: others are likely to read it next."""

    __slots__ = ("_found", "_size")

    def __init__(self) -> None:
        """Begin empty."""
        self._found: OrderedDict[int, list[Item]] = OrderedDict()
        self._size = 0

    def get(self, after: int) -> list[Item] | None:
        """Return what was found after a number."""
        return self._found.get(after)

    def put(self, after: int, items: list[Item]) -> None:
        """Keep what was found after a number, and forget what was kept for the longest time."""
        if items:
            self._found[after] = items
            self._size += sum(map(_cost, items))
            while self._size > SHARED_BYTES:
                self._size -= sum(map(_cost, self._found.popitem(last=False)[1]))

    def clear(self) -> None:
        """Forget all."""
        self._found.clear()
        self._size = 0


def _cost(item: Item) -> int:
    return len(item.data) + ITEM_COST
