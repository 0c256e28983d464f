"""What a reader sees of a journal: which bytes are kept, and the items."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from service.journal.extent import Extent, Source, extent
from service.journal.item import Item
from service.journal.record import STREAMS, Record

ITEMS_MAX = 1000

Content = bytes  # inside View, `bytes` is a method


class View:
    """One look at a source.

    `is_live` shows the chunk in which the tail begins whole, for a follower that is just reading
    it: then every gap that it is told of ends where a chunk ends.
    """

    def __init__(self, source: Source, *, is_live: bool = False) -> None:
        """`source` must not change while it is looked at."""
        self._source = source
        self._is_live = is_live

    def extent(self, stream: int) -> Extent:
        """Which bytes are kept now."""
        return extent(self._source, stream)

    def bytes(self, stream: int) -> int:
        """How many bytes were read from the job."""
        return extent(self._source, stream).total + self._lost(stream)

    @property
    def seq(self) -> int:
        """The number of the last item, 0 when there is none."""
        lost = self._lost_items(0)
        return lost[-1].seq if lost else self._last_seq()

    def kept(self, stream: int) -> int:
        """How many of them are kept."""
        return extent(self._source, stream).kept

    def dropped(self, stream: int) -> int:
        """How many of them are not."""
        found = extent(self._source, stream)
        return found.start - found.head + self._lost(stream)

    def read(self, stream: int, start: int, size: int, of: Extent) -> Content:
        """Return bytes by their place among those kept at the moment `of`."""
        now = extent(self._source, stream)
        end = min(start + size, of.kept)
        parts, place = [], start
        while place < end:
            offset = of.offset(place)
            if now.head <= offset < now.start or offset >= now.total:
                break  # dropped or forgotten since
            stop = offset + min(end, of.head if place < of.head else of.kept) - place
            part = self._data(stream, offset, min(stop, now.head) if offset < now.head else stop)
            parts.append(part)
            place += len(part)
        return b"".join(parts)

    def read_from(self, stream: int, offset: int, size: int) -> tuple[int, Content]:
        """Return kept bytes by their offset, and the offset at which they begin."""
        found = extent(self._source, stream)
        if offset < found.head:
            return offset, self._data(stream, offset, min(offset + size, found.head))
        offset = max(offset, found.start)
        return offset, self._data(stream, offset, min(offset + size, found.total))

    def items(self, after: int, max_bytes: int) -> list[Item]:
        """Return items from the first after `after`, in order, at least one if there is any."""
        items: list[Item] = []
        cursors = [_Cursor(self._source, stream, after, self._is_live) for stream in (0, 1)]
        room = max_bytes
        while room > 0 and len(items) < ITEMS_MAX:
            first, other = sorted(cursors, key=_Cursor.seq)
            if (record := first.record) is None:
                return items + self._lost_items(after)
            if first.is_gone(record):
                items.append(first.take_dropped(other.seq()))
            else:
                items.append(first.take(record, room))
                room -= len(items[-1].data)
        return items

    def _lost(self, stream: int) -> int:
        lost = self._source.lost[stream]
        return lost.length if lost else 0

    def _lost_items(self, after: int) -> list[Item]:
        """What was lost comes last; where the writer was killed before it numbered it, too."""
        if self._source.lost == [None, None]:
            return []
        found, last = [], self._last_seq()
        for stream, lost in enumerate(self._source.lost):
            if lost and lost.length and (lost.seq or not self._is_live):
                last += 1
                seq, end = lost.seq or last, self._source.end(stream)
                found.append(Item(seq, lost.at, STREAMS[stream], end, dropped=lost.length))
        return sorted((item for item in found if item.seq > after), key=lambda item: item.seq)

    def _last_seq(self) -> int:
        """The number of the last record."""
        source = self._source
        counts = ((stream, source.count(stream)) for stream in (0, 1))
        numbers = (source.record(stream, count - 1).seq for stream, count in counts if count)
        return max(numbers, default=0)

    def _data(self, stream: int, start: int, end: int) -> Content:
        return self._source.data(stream, start, end - start) if start < end else b""


class _Cursor:
    """Walks over a stream's records from the first after a number."""

    def __init__(self, source: Source, stream: int, after: int, is_live: bool) -> None:
        self._source = source
        self._stream = stream
        self._is_live = is_live
        self._extent = extent(source, stream)
        layout, count = source.layout, source.count(stream)
        self._size = min(count, layout.slots + layout.oldest)
        self._skipped = count - self._size  # records that are gone
        self._index = self._find(after)
        self.record = self._at(self._index) if self._index < self._size else None
        self._next = self._first(after)  # the offset at which the next item begins
        self._ahead, self._ahead_at = b"", 0

    def seq(self) -> float:
        """The number of the next record."""
        return self.record.seq if self.record else float("inf")

    def is_gone(self, record: Record) -> bool:
        """Whether nothing of a record is kept; of the first beyond the head, not all of it."""
        head, start, _ = self._extent
        return head <= record.offset and (record.end <= start or self._is_cut_first(record))

    def take_dropped(self, before: float) -> Item:
        """Return one item for this record and those that follow before number `before`."""
        count = bisect_left(
            range(self._index, self._size),
            True,
            key=lambda i: (record := self._at(i)).seq >= before or not self.is_gone(record),
        )
        last = self._at(self._index + count - 1)
        offset, end = self._next, last.end
        self._go(self._index + count)
        if self._is_cut_first(last) or (self.record and self._is_cut(self.record)):
            end = self._extent.start
        self._next = end
        return Item(last.seq, last.at, STREAMS[self._stream], offset, dropped=end - offset)

    def take(self, record: Record, room: int) -> Item:
        """Return the item for this record."""
        data = self._data(self._next, record.end, room)
        item = Item(record.seq, record.at, STREAMS[self._stream], self._next, data)
        self._next = record.end
        self._go(self._index + 1)
        return item

    def _find(self, after: int) -> int:
        """Return the index of the first record after a number; the usual one is near the end."""
        step = 1
        while step < self._size and self._at(self._size - step).seq > after:
            step *= 2
        low = max(0, self._size - step)
        return bisect_right(range(self._size), after, low, key=lambda i: self._at(i).seq)

    def _first(self, after: int) -> int:
        record, previous = self.record, self._at(self._index - 1) if self._index else None
        if previous and self._is_cut_first(previous):
            return self._extent.start
        if record and self._is_cut(record) and not self._is_cut_first(record):
            return self._extent.start  # an item before tells of the front that went
        if previous and previous.seq == after:
            return previous.end  # not the next offset: the records between may be gone
        return record.offset if record else 0

    def _is_cut(self, record: Record) -> bool:
        """Whether the tail begins inside a record, and this shows."""
        return not self._is_live and record.offset < self._extent.start < record.end

    def _is_cut_first(self, record: Record) -> bool:
        """Whether it is the first beyond the head, cut. It counts as dropped, so that its number
        can stand for the gap; the few bytes of a character left of it go with the next one.
        """
        return record.offset == self._extent.head and self._is_cut(record)

    def _at(self, index: int) -> Record:
        slots = self._source.layout.slots
        return self._source.record(self._stream, index + (index >= slots and self._skipped))

    def _go(self, index: int) -> None:
        self._index = index
        self.record = self._at(index) if index < self._size else None

    def _data(self, begin: int, end: int, room: int) -> bytes:
        """Return bytes, out of a larger read where the records are short."""
        if begin < self._ahead_at or end - self._ahead_at > len(self._ahead):
            limit = self._extent.total if begin >= self._extent.head else self._extent.head
            size = min(max(room, end - begin), limit - begin)
            self._ahead, self._ahead_at = self._source.data(self._stream, begin, size), begin
        return self._ahead[begin - self._ahead_at : end - self._ahead_at]
