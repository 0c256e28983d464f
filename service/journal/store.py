"""Where the journal of a running job lies: in memory at first, then in its file."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.journal import file
from service.journal.extent import Source
from service.journal.layout import Layout
from service.journal.memory import Memory, encode
from service.journal.reader import opened, remove
from service.journal.record import Record
from service.journal.timers import Timers
from service.journal.view import View

INLINE_BYTES = 16 * 1024  # so much may lie in memory and, after the end, in the ledger
INLINE_RECORDS = 1024
MEMORY_BYTES = 256 * 1024  # the most that is held in memory when no file can be made

SPILL_S = 0.03  # the longest that output lies in memory only
RETRY_S = 1.0  # when no file could be made

log = logging.getLogger(__name__)


class Store:
    """Takes records and bytes. A full disk costs output, never an exception: from the first byte
    that cannot be written, a stream counts as lost.
    """

    def __init__(self, directory: Path, job_id: str, layout: Layout, timers: Timers) -> None:
        """Begin in memory; nothing is opened yet."""
        self.layout = layout
        self.ends = [0, 0]
        self.lost = [0, 0]
        self.dropped = [0, 0]  # known from the end on
        self.blob: Content | None = None
        self.is_live = True  # its chunks are whole, also the one in which the kept tail begins
        self._directory = directory
        self._job_id = job_id
        self._timers = timers
        self._source: Memory | file.File = Memory(layout)
        self._has_file = False
        self._has_ended = False
        self._retry_at = 0.0
        self._has_warned = False

    def bytes(self, stream: int) -> int:
        """How many bytes were read from the job so far."""
        return self.ends[stream] + self.lost[stream]

    def has_room(self, size: int) -> bool:
        """Move on to the file when it is time; False when there is none and memory is full."""
        memory = self._source
        if not isinstance(memory, Memory):
            return True
        if memory.size + size <= INLINE_BYTES:
            self._timers.call_later(SPILL_S, self._spill_late)
            return True
        return self._spill(memory) or memory.size + size <= MEMORY_BYTES

    def put(self, stream: int, record: Record, data: Content, *, is_new: bool) -> bool:
        """Add a record, or let it take the place of the last one; False when its bytes are lost."""
        if not self.lost[stream]:
            try:
                self._source.put(stream, record, data, is_new)
            except OSError as exc:
                self._warn(exc)
            else:
                self.ends[stream] = record.end
                return True
        self.lost[stream] += len(data)
        return False

    @contextmanager
    def opened(self) -> Iterator[Source]:
        """Open what there is for one look."""
        source = self._source
        if isinstance(source, file.File) and source.is_closed:
            with opened(self._directory, self._job_id) as again:
                yield again
        else:
            yield source

    def end(self, seq: int) -> int:
        """End all records: what was lost is one more in each stream. Returns the last number."""
        for stream, lost in enumerate(self.lost):
            if lost:
                seq += 1
                self._put_lost(stream, Record(seq, time.time_ns() // 1000, self.ends[stream], lost))
        self._has_ended = True
        try:
            view = View(self._source)
            self.dropped = [view.dropped(stream) for stream in (0, 1)]
        except OSError as exc:
            self._spoilt(exc)
        return seq

    def pack(self) -> Content | None:
        """Return all of it as one blob where it is small, and let the file be; None else."""
        self.blob = self._encode() if self._is_small() else None
        if isinstance(self._source, file.File):
            self._source.close()
            if self.blob is not None:
                self._source = Memory.decode(self.blob)
                self.is_live = False
        return self.blob

    def save(self) -> None:
        """Write what is in memory to the file."""
        if isinstance(self._source, Memory) and self._source.size:
            self._spill(self._source)

    def close(self) -> None:
        """Close the file; it is removed where `pack` returned a blob."""
        if isinstance(self._source, file.File):
            self._source.close()
        if self.blob is not None and self._has_file:
            try:
                remove(self._directory, self._job_id)
            except OSError as exc:  # it goes when the job is forgotten
                self._warn(exc)

    def _put_lost(self, stream: int, record: Record) -> None:
        self._source.lost[stream] = record
        if isinstance(self._source, file.File):
            try:
                self._source.put_lost(stream, record)
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
        """The file does not hold what was written to it; the job itself may have seen to that."""
        self._warn(exc)
        self.dropped = [self.bytes(stream) for stream in (0, 1)]

    def _spill_late(self) -> None:
        if isinstance(self._source, Memory) and not self._spill(self._source):
            self._timers.call_later(RETRY_S, self._spill_late)

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
        if self._has_ended:
            found.close()
        else:
            self._source = found
        return True

    def _copy_to_file(self, memory: Memory) -> file.File:
        path = file.path(self._directory, self._job_id)
        found = file.File.create(path, self.layout)
        try:
            memory.copy_to(found)
        except OSError:
            found.close()
            path.unlink()
            raise
        return found

    def _warn(self, exc: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning("output of job %s cannot be written down: %s", self._job_id, exc)


Content = bytes  # inside Store, `bytes` is a method
