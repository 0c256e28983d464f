"""Writing a job's journal, and following it while it is written."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from service.journal import file
from service.journal.extent import Source
from service.journal.item import Item
from service.journal.layout import Layout
from service.journal.memory import Memory, encode
from service.journal.pieces import pieces
from service.journal.reader import ITEMS_BYTES, Reader, opened, remove
from service.journal.record import STREAMS, Record
from service.journal.text import unfinished
from service.journal.view import View
from service.journal.wakeups import Wakeups

INLINE_BYTES = 16 * 1024  # so much may lie in memory and, after the end, in the ledger
INLINE_RECORDS = 1024
MEMORY_BYTES = 256 * 1024  # the most that is held in memory when no file can be made
EXTEND_BYTES = 16 * 1024  # a chunk that is so long does not grow

SPILL_S = 0.03  # the longest that output lies in memory only
HOLD_S = 0.02  # how long the first bytes of a character wait for the others
GROW_S = 0.005  # how long a chunk grows by small reads, until somebody sees it
RETRY_S = 1.0  # when no file could be made

log = logging.getLogger(__name__)
_layout = lru_cache(Layout)


class Journal(Reader):
    """The journal of a job that runs here.

    It starts in memory and moves to a file when it grows or gets older than a moment; from then
    on everything is in the page cache when `write` returns, but for the first bytes of a
    character, which wait some milliseconds for the others. All methods belong to the loop's
    thread, and `write` needs its loop running. A full disk costs output, never an exception: from
    the first byte that cannot be written, a stream counts as dropped.

    Its life: `write` ..., `finish`, the ledger takes what that returned, `close`.
    """

    is_finished = False
    _is_live = True

    def __init__(self, directory: Path, job_id: str, *, output_bytes: int) -> None:
        """Take the bytes to keep of each stream; nothing is opened yet."""
        super().__init__(self._look)
        self._directory = directory
        self._job_id = job_id
        self._layout = _layout(output_bytes)
        self._store: Memory | file.File = Memory(self._layout)
        self._has_file = False
        self._is_closed = False
        self._blob: bytes | None = None
        self._seq = 0
        self._ends = [0, 0]
        self._lost = [0, 0]
        self._dropped = [0, 0]  # known from the end on
        self._held = [b"", b""]
        self._last: Record | None = None  # the last chunk, while it may grow
        self._last_stream = 0
        self._last_at = 0.0
        self._held_at = 0.0
        self._retry_at = 0.0
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._changes = Wakeups()
        self._batch: tuple[tuple[int, int, int], list[Item]] | None = None
        self._warned = False

    @property
    def seq(self) -> int:
        """The number of the last item, 0 when there is none yet."""
        return self._seq

    def bytes(self, stream: str) -> int:
        """How many bytes were read from the job so far."""
        index = STREAMS.index(stream)
        return self._ends[index] + self._lost[index]

    def dropped(self, stream: str) -> int:
        """How many of them are not kept."""
        if self.is_finished:
            return self._dropped[STREAMS.index(stream)]
        return super().dropped(stream)

    def write(self, stream: str, chunk: Content) -> None:
        """Add what was read from the job; RuntimeError after `finish`."""
        if self.is_finished:
            raise RuntimeError("the journal is finished")
        index = 0 if stream == "stdout" else 1
        if held := self._held[index]:
            chunk, self._held[index] = held + chunk, b""
        if count := unfinished(chunk):
            self._held[index], self._held_at = chunk[-count:], time.monotonic()
            self._call_later(HOLD_S, self._release)
            chunk = chunk[:-count]
        if chunk:
            self._add(index, chunk)

    def finish(self) -> Content | None:
        """End the journal, once the job has ended; the same again when called again.

        Returns all of it as one blob when it is small, for the ledger; None when it stays in its
        file, or when there was no output. Until `close` a blob is also kept safe in a file, as
        output is, so that nothing is lost with the process before the ledger has it.
        """
        if self.is_finished:
            return self._blob
        self._end()
        self._blob = self._inline() if self._is_small() else None
        if isinstance(self._store, file.File):
            self._store.close()
            if self._blob is not None:
                self._store = Memory.decode(self._blob)
                self._is_live = False
        self._changes.notify_now()
        return self._blob

    def close(self) -> None:
        """Let go of everything: the ledger has the end, or the job is given up.

        A file is removed when `finish` returned a blob, else stays for those who come after.
        What was not finished is written to the file first. May be called again.
        """
        if self._is_closed:
            return
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._blob is not None and self._has_file:
            try:
                remove(self._directory, self._job_id)
            except OSError as exc:  # it goes when the job is forgotten
                self._warn(exc)
        if not self.is_finished:
            if isinstance(self._store, Memory) and self._store.size:
                self._spill(self._store)
            self._end()
            if isinstance(self._store, file.File):
                self._store.close()
            self._changes.notify_now()

    def items(self, after: int = 0, max_bytes: int = ITEMS_BYTES) -> list[Item]:
        """Return the items after number `after`, in order, until they hold `max_bytes` or so.

        An empty list means that there are no more by now. The list may be shared: treat it as
        constant.
        """
        key = (after, max_bytes, self._seq)
        if self._batch is None or self._batch[0] != key:
            self._batch = key, super().items(after, max_bytes)
        return self._batch[1]

    async def follow(
        self, after: int = 0, max_bytes: int = ITEMS_BYTES
    ) -> AsyncGenerator[list[Item], None]:
        """Yield the items after number `after` as they come, as `items` returns them, to the end.

        Who keeps up gets small reads of some milliseconds together; who doesn't reads on at once.
        """
        while True:
            items = self.items(after, max_bytes)
            is_newest = not items or items[-1].seq == self._seq
            if items:
                after = items[-1].seq
                yield items
            elif self.is_finished:
                return
            if is_newest:
                await self.wait_changed(after)

    async def wait_changed(self, after: int) -> None:
        """Return when there is an item after number `after`, or at the end; may be cancelled.

        For a follower of bytes: take `seq` before reading, and wait with that.
        """
        if self._seq > after and not self.is_finished:
            await self._changes.take()
        while self._seq <= after and not self.is_finished:
            await self._changes.wait()

    @contextmanager
    def _look(self) -> Iterator[Source]:
        self._last = None  # a chunk that somebody has seen does not grow
        if isinstance(self._store, file.File) and self.is_finished:
            with opened(self._directory, self._job_id) as source:
                yield source
        else:
            yield self._store

    def _add(self, stream: int, data: Content) -> None:
        if not self._has_room(len(data)):
            self._lost[stream] += len(data)
            return
        now = time.monotonic()
        if (last := self._last) and self._may_grow(last, stream, len(data), now):
            self._grow(last, stream, data)
            return
        for piece in pieces(self._layout, self._ends[stream], data):
            self._append(stream, piece)
        self._last_at = now
        self._changes.notify()

    def _has_room(self, size: int) -> bool:
        """Move on to a file when it is time; False when there is none and memory is full."""
        if not isinstance(self._store, Memory):
            return True
        if self._store.size + size <= INLINE_BYTES:
            self._call_later(SPILL_S, self._spill_late)
            return True
        return self._spill(self._store) or self._store.size + size <= MEMORY_BYTES

    def _may_grow(self, last: Record, stream: int, size: int, now: float) -> bool:
        """Whether the last chunk takes this in: small, just read, and nobody has seen it."""
        head = self._layout.head
        return (
            stream == self._last_stream
            and now - self._last_at < GROW_S
            and last.length + size <= min(EXTEND_BYTES, self._layout.piece)
            and (last.end + size <= head or last.offset > head)
        )

    def _grow(self, last: Record, stream: int, data: Content) -> None:
        record = Record(last.seq, last.at, last.offset, last.length + len(data))
        if self._put(stream, record, data, is_new=False):
            self._last = record

    def _append(self, stream: int, data: Content) -> None:
        offset = self._ends[stream]
        record = Record(self._seq + 1, time.time_ns() // 1000, offset, len(data))
        if self._put(stream, record, data, is_new=True):
            self._seq = record.seq
            self._last, self._last_stream = record, stream

    def _put(self, stream: int, record: Record, data: Content, *, is_new: bool) -> bool:
        if not self._lost[stream]:
            try:
                self._store.put(stream, record, data, is_new)
            except OSError as exc:
                self._warn(exc)
            else:
                self._ends[stream] = record.end
                return True
        self._lost[stream] += len(data)
        return False

    def _end(self) -> None:
        self._release_now()
        self._note_lost()
        try:
            view = View(self._store)
            self._dropped = [view.dropped(stream) for stream in (0, 1)]
        except OSError as exc:
            self._spoilt(exc)
        self.is_finished = True

    def _note_lost(self) -> None:
        for stream, lost in enumerate(self._lost):
            if not lost:
                continue
            self._seq += 1
            at = time.time_ns() // 1000
            record = self._store.lost[stream] = Record(self._seq, at, self._ends[stream], lost)
            if isinstance(self._store, file.File):
                try:
                    self._store.put_lost(stream, record)
                except OSError as exc:
                    self._warn(exc)

    def _is_small(self) -> bool:
        if not self._seq or isinstance(self._store, Memory):
            return self._seq > 0
        kept = sum(self._ends) + sum(self._lost) - sum(self._dropped)
        records = self._store.count(0) + self._store.count(1)
        return kept <= INLINE_BYTES and records <= INLINE_RECORDS

    def _inline(self) -> Content | None:
        try:
            return encode(self._store)
        except OSError as exc:
            self._spoilt(exc)
            return None

    def _spoilt(self, exc: OSError) -> None:
        """The file does not hold what was written to it; the job itself may have seen to that."""
        self._warn(exc)
        self._dropped = [self.bytes(stream) for stream in STREAMS]

    def _release(self) -> None:
        left = self._held_at + HOLD_S / 2 - time.monotonic()
        if left > 0:
            self._call_later(left, self._release)
        else:
            self._release_now()

    def _release_now(self) -> None:
        for stream, held in enumerate(self._held):
            if held:
                self._held[stream] = b""
                self._add(stream, held)

    def _spill_late(self) -> None:
        if isinstance(self._store, Memory) and not self._spill(self._store):
            self._call_later(RETRY_S, self._spill_late)

    def _spill(self, memory: Memory) -> bool:
        """Write what is in memory to a file, which takes its place while the job runs.

        Returns False when that can't be done now.
        """
        now = time.monotonic()
        if now < self._retry_at:
            return False
        try:
            found = self._copy_to_file(memory)
        except OSError as exc:
            self._warn(exc)
            self._retry_at = now + RETRY_S
            return False
        self._has_file = True
        if self.is_finished:
            found.close()
        else:
            self._store = found
        return True

    def _copy_to_file(self, memory: Memory) -> file.File:
        path = file.path(self._directory, self._job_id)
        found = file.File.create(path, self._layout)
        try:
            memory.copy_to(found)
        except OSError:
            found.close()
            path.unlink()
            raise
        return found

    def _call_later(self, delay: float, callback: Callable[[], None]) -> None:
        if callback not in self._timers and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._timers[callback] = loop.call_later(delay, self._fire, callback)

    def _fire(self, callback: Callable[[], None]) -> None:
        del self._timers[callback]
        callback()

    def _warn(self, exc: OSError) -> None:
        if not self._warned:
            self._warned = True
            log.warning("output of job %s cannot be written down: %s", self._job_id, exc)


Content = bytes  # inside Journal, `bytes` is a method
