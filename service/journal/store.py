"""Where the journal of a running job lies: in memory at first, then in its files."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from pathlib import Path

from service.journal.data import is_at_end
from service.journal.extent import Source
from service.journal.files import Files, remove
from service.journal.layout import PIECE_BYTES, Layout
from service.journal.memory import Memory, encode
from service.journal.reader import opened
from service.journal.record import Record
from service.journal.spliced import Spliced
from service.journal.timers import Timers
from service.journal.view import View

INLINE_BYTES = 16 * 1024  # so much may lie in memory and, after the end, in the ledger
INLINE_RECORDS = 1024
MEMORY_BYTES = 256 * 1024  # the most that is held in memory when no file can be made

SPILL_S = 0.03  # the longest that output lies in memory only
RETRY_S = 1.0  # when no file could be made

log = logging.getLogger(__name__)


class Store:
    """Takes bytes, and then records of them. A full disk costs output, never an exception: from
    the first byte that cannot be written, a stream counts as lost.
    """

    def __init__(self, directory: Path, job_id: str, layout: Layout, timers: Timers) -> None:
        """Begin in memory; nothing is opened yet."""
        self.layout = layout
        self.ends = [0, 0]  # of what is recorded
        self.lost = [0, 0]
        self.dropped = [0, 0]  # known from the end on
        self.blob: Content | None = None
        self.is_live = True  # its chunks are whole, also the one in which the kept tail begins
        self._directory = directory
        self._job_id = job_id
        self._timers = timers
        self._source: Memory | Files = Memory(layout)
        self._is_full = [False, False]
        self._is_kept = False
        self._has_files = False
        self._has_ended = False
        self._retry_at = 0.0
        self._has_warned = False

    def bytes(self, stream: int) -> int:
        """How many bytes were read from the job so far, and recorded."""
        return self.ends[stream] + self.lost[stream]

    def size(self, stream: int) -> int:
        """How many bytes there are, also beyond the last record."""
        return self._source.size(stream)

    def data(self, stream: int, offset: int, size: int) -> Content:
        """Return bytes that are there; raises OSError."""
        return self._source.data(stream, offset, size)

    def look(self, stream: int, offset: int, size: int) -> Content:
        """Return bytes that say where to cut; none where they cannot be read."""
        try:
            return self._source.data(stream, offset, size)
        except OSError as exc:
            self._warn(exc)
            return b""

    def read(self, stream: int, fd: int, size: int) -> Sized:
        """Read from a pipe: bytes, which are to be appended, while all is in memory; else they are
        in the file when this returns. BlockingIOError when there are none yet.
        """
        if self._is_full[stream]:
            return self._read_lost(stream, fd, size)
        if isinstance(self._source, Memory):
            if not self._is_kept:
                return os.read(fd, size)
            if is_at_end(fd):
                return Spliced(0)
            self._spill(self._source)
        if isinstance(self._source, Memory):  # no file can be made now
            return os.read(fd, size)
        return self._splice(self._source, stream, fd, size)

    def append(self, stream: int, data: Content) -> None:
        """Add bytes; they are recorded later."""
        before = self._source.size(stream)
        if not self._is_full[stream] and self._has_room(len(data)):
            try:
                self._source.append(stream, data)
            except OSError as exc:
                self._fill(stream, exc)
            else:
                return
        self._lose(stream, len(data) - (self._source.size(stream) - before))

    def put(self, stream: int, record: Record, *, is_new: bool) -> bool:
        """Add a record, or let it take the place of the last one; False when that can't be, and
        all that is not recorded is lost.
        """
        try:
            self._source.put(stream, record, is_new)
        except OSError as exc:
            self._warn(exc)
            self._cut(stream)
            return False
        self.ends[stream] = record.end
        return True

    def trim(self, stream: int) -> None:
        """Give back the room of what is dropped."""
        if isinstance(self._source, Files):
            self._source.trim(stream)

    def keep(self) -> bool:
        """From now on let nothing be in memory only; False when that can't be done now."""
        source = self._source
        if isinstance(source, Memory) and source.total and not self._spill(source):
            return False
        self._is_kept = True
        return True

    def go_on(self, files: Files) -> int:
        """Go on with what a writer left in files; returns the last number."""
        self._source = files
        self._has_files = self._is_kept = True
        for stream, lost in enumerate(files.lost):
            self.ends[stream] = files.end(stream)
            if lost is not None:
                self._is_full[stream], self.lost[stream] = True, lost.length
                # how it ends is said again, after what may still be recorded
                files.lost[stream] = Record(0, lost.at, lost.offset, lost.length)
        return View(files, is_live=True).seq

    def left(self) -> list[tuple[int, int]]:
        """Of the streams that have bytes which are not recorded, the time in microseconds when the
        last of them came and which one it is, in this order.
        """
        files = self._source
        if not isinstance(files, Files):
            return []
        streams = [stream for stream in (0, 1) if files.size(stream) > self.ends[stream]]
        return sorted((files.changed_at(stream), stream) for stream in streams)

    @contextmanager
    def opened(self) -> Iterator[Source]:
        """Open what there is for one look."""
        source = self._source
        if isinstance(source, Files) and source.is_closed:
            with opened(self._directory, self._job_id) as again:
                yield again
        else:
            yield source

    def number_lost(self, seq: int) -> int:
        """What was lost is one more item in each stream; returns the last number."""
        for stream, lost in enumerate(self.lost):
            if lost:
                seq += 1
                self._put_lost(stream, seq)
        return seq

    def end(self) -> None:
        """End all records."""
        self._has_ended = True
        try:
            view = View(self._source)
            self.dropped = [view.dropped(stream) for stream in (0, 1)]
        except OSError as exc:
            self._spoilt(exc)

    def pack(self) -> Content | None:
        """Return all of it as one blob where it is small, and let the files be; None else."""
        self.blob = self._encode() if self._is_small() else None
        source = self._source
        if isinstance(source, Files):
            if self.blob is None:
                for stream in (0, 1):
                    source.trim(stream, is_last=True)
            source.close()
            if self.blob is not None:
                self._source = Memory.decode(self.blob)
                self.is_live = False
        return self.blob

    def save(self) -> None:
        """Write what is in memory to files."""
        if isinstance(self._source, Memory) and self._source.total:
            self._spill(self._source)

    def close(self) -> None:
        """Close the files; they are removed where `pack` returned a blob."""
        if isinstance(self._source, Files):
            self._source.close()
        if self.blob is not None and self._has_files:
            try:
                remove(self._directory, self._job_id)
            except OSError as exc:  # they go when the job is forgotten
                self._warn(exc)

    def _splice(self, files: Files, stream: int, fd: int, size: int) -> Sized:
        try:
            return Spliced(files.splice(stream, fd, max(size, PIECE_BYTES)))
        except BlockingIOError:
            raise
        except OSError as exc:
            if exc.errno == errno.EINVAL:  # this file system, or what is no pipe, can't be spliced
                return os.read(fd, size)
            self._fill(stream, exc)
            return self._read_lost(stream, fd, size)

    def _read_lost(self, stream: int, fd: int, size: int) -> Sized:
        """Read what can't be written. It is counted at once: a successor misses no more than the
        count of one read.
        """
        if data := os.read(fd, size):
            self._lose(stream, len(data))
        return Spliced(len(data))

    def _has_room(self, size: int) -> bool:
        """Move on to files when it is time; False when there are none and memory is full."""
        memory = self._source
        if not isinstance(memory, Memory):
            return True
        if memory.total + size <= INLINE_BYTES:
            self._timers.call_later(SPILL_S, self._spill_late)
            return True
        return self._spill(memory) or memory.total + size <= MEMORY_BYTES

    def _fill(self, stream: int, exc: OSError) -> None:
        """From here on the stream is lost: that is written down before the first byte is."""
        self._warn(exc)
        self._lose(stream, 0)

    def _lose(self, stream: int, count: int) -> None:
        self._is_full[stream] = True
        self.lost[stream] += count
        self._put_lost(stream, 0)

    def _cut(self, stream: int) -> None:
        """What can't be recorded is lost; that is written down before it goes."""
        end, size = self.ends[stream], self._source.size(stream)
        self._is_full[stream] = True
        self.lost[stream] += size - end
        self._put_lost(stream, 0, end)
        try:
            self._source.cut(stream)
        except OSError as exc:
            self._warn(exc)

    def _put_lost(self, stream: int, seq: int, offset: int | None = None) -> None:
        offset = self._source.size(stream) if offset is None else offset
        lost = Record(seq, time.time_ns() // 1000, offset, self.lost[stream])
        try:
            self._source.put_lost(stream, lost)
        except OSError as exc:
            self._warn(exc)

    def _is_small(self) -> bool:
        source = self._source
        records = source.count(0) + source.count(1)
        if isinstance(source, Memory):
            return records > 0 or any(self.lost)
        kept = sum(self.ends) + sum(self.lost) - sum(self.dropped)
        return kept <= INLINE_BYTES and records <= INLINE_RECORDS

    def _encode(self) -> Content | None:
        try:
            return encode(self._source)
        except OSError as exc:
            self._spoilt(exc)
            return None

    def _spoilt(self, exc: OSError) -> None:
        """The files do not hold what was written to them; the job itself may have seen to that."""
        self._warn(exc)
        self.dropped = [self.bytes(stream) for stream in (0, 1)]

    def _spill_late(self) -> None:
        if isinstance(self._source, Memory) and not self._spill(self._source):
            self._timers.call_later(RETRY_S, self._spill_late)

    def _spill(self, memory: Memory) -> bool:
        """Write what is in memory to files, which take its place while the job runs.

        Returns False when that can't be done now.
        """
        now = time.monotonic()
        if now < self._retry_at:
            return False
        try:
            found = self._copy_to_files(memory)
        except OSError as exc:
            self._warn(exc)
            self._retry_at = now + RETRY_S
            return False
        self._has_files = True
        if self._has_ended:
            found.close()
        else:
            self._source = found
        return True

    def _copy_to_files(self, memory: Memory) -> Files:
        found = Files.create(self._directory, self._job_id, self.layout)
        try:
            memory.copy_to(found)
        except OSError:
            found.close()
            remove(self._directory, self._job_id)
            raise
        return found

    def _warn(self, exc: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning("output of job %s cannot be written down: %s", self._job_id, exc)


Content = bytes  # inside Store, `bytes` is a method
