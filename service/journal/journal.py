"""The journal of a job that runs here: written, and followed while it is written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Iterator, Sized
from contextlib import aclosing, contextmanager
from functools import lru_cache
from pathlib import Path

from service.journal.characters import Characters
from service.journal.extent import Source
from service.journal.files import Files
from service.journal.holds import Holds
from service.journal.item import Item
from service.journal.layout import Layout
from service.journal.reader import ITEMS_BYTES, Reader
from service.journal.recent import Recent, Shared
from service.journal.record import STREAMS
from service.journal.store import Store
from service.journal.timers import Timers
from service.journal.wakeups import Wakeups
from service.journal.writer import Writer

_layout = lru_cache(Layout)


class Journal(Reader):
    """It starts in memory and moves to files when it grows, gets older than a moment, or is to be
    kept. All methods belong to the loop's thread, and its loop must run. A full disk costs output,
    never an exception: from the first byte that cannot be written, a stream counts as dropped.

    Its life: `read_pipe` and `write` ..., `finish`, the ledger takes what that returned, `close`.

    Once `keep` has returned True, its writer may be killed at any moment, and another goes on by
    `take_over`: numbers, offsets and bytes are what they would have been. Two things are not
    exact: the time of a chunk that the first one did not come to record, which is that of the
    file; and on a full disk the count of what is lost, in which one read may be missing. Where no
    file can be made at all then, what comes lies in memory, as before `keep`, until one can.
    """

    is_finished = False

    def __init__(
        self, directory: Path, job_id: str, *, output_bytes: int, is_awaited: bool = False
    ) -> None:
        """Keep `output_bytes` of each stream; nothing is opened yet.

        With `is_awaited` a reader is on its way that wants every byte: see `follow`.
        """
        super().__init__(self._look)
        layout = _layout(output_bytes)
        self._timers = Timers()
        self._store = Store(directory, job_id, layout, self._timers)
        self._recent = Recent()
        self._writer = Writer(self._store, self._recent)
        self._changes = Wakeups()
        self._characters = Characters(
            self._timers, self._store, self._recent, self._writer, self._changes.notify
        )
        self._followers = 0
        self._shared = Shared()
        self._holds = Holds(self._recent, layout.tail, lambda: self.seq, self._switch_recent)
        self._is_closed = False
        if is_awaited:
            self._holds.expect()

    @classmethod
    def take_over(
        cls, directory: Path, job_id: str, *, output_bytes: int, is_awaited: bool = False
    ) -> Journal:
        """Go on with what a writer left that was killed, or closed it unfinished; it is kept.

        The writer must be dead beyond doubt: reaped, not just out of reach. What it took and did
        not record is recorded now. Nothing there is an empty journal. Raises OSError when it
        can't be done now, and ValueError for what another version began.

        With `is_awaited` the job waits for a reader that wants every byte, and lost its connection
        with the writer: it misses nothing where the last 512 KiB of a stream are kept.
        """
        files = Files.take_over(directory, job_id, _layout(output_bytes))
        if files is not None:
            output_bytes = files.layout.output_bytes
        journal = cls(directory, job_id, output_bytes=output_bytes, is_awaited=is_awaited)
        if files is not None:
            journal._go_on(files)
        journal.keep()
        return journal

    @property
    def seq(self) -> int:
        """The number of the last item, 0 when there is none yet."""
        return self._writer.seq

    def bytes(self, stream: str) -> int:
        """How many bytes were read from the job so far."""
        return self._store.bytes(STREAMS.index(stream))

    def dropped(self, stream: str) -> int:
        """How many of them are not kept."""
        if self.is_finished:
            return self._store.dropped[STREAMS.index(stream)]
        return super().dropped(stream)

    def read_pipe(self, stream: str, fd: int, size: int) -> Sized:
        """Read up to `size` bytes from the job's pipe; what comes back is for `write`, at once.

        It is bytes while all is in memory, and then only something that has their length, for
        they went into the file in one step, which no kill divides; `size` does not bound these,
        a chunk does. Empty at the pipe's end; BlockingIOError when nothing is there yet.
        RuntimeError after `finish`.
        """
        if self.is_finished:
            raise RuntimeError("the journal is finished")
        return self._store.read(0 if stream == "stdout" else 1, fd, size)

    def keep(self) -> bool:
        """From now on nothing that was read is in memory only: what is, is written now, and what
        comes goes into the files. False when that can't be done now, or all has ended.
        """
        return not self.is_finished and self._store.keep()

    def write(self, stream: str, chunk: Content | Sized) -> Awaitable[None] | None:
        """Add what was read from the job, by `read_pipe` or elsewhere; RuntimeError after `finish`.

        Returns what is to be awaited before more is read from this stream, for the sake of a
        reader that wants every byte; None where nobody does, or all is well.
        """
        if self.is_finished:
            raise RuntimeError("the journal is finished")
        index = 0 if stream == "stdout" else 1
        data = chunk if isinstance(chunk, Content) else None
        if data is not None:
            self._store.append(index, data)
        self._characters.record(index, data)
        return self._holds.pause() if self._holds else None

    def stop_expecting(self) -> None:
        """Wait no more for a reader that wants every byte and is gone, now or later."""
        self._holds.stop_expecting()

    def finish(self, written: tuple[int, int] = (0, 0)) -> Content | None:
        """End the journal, once the job has ended; the same again when called again.

        `written` is how many bytes the job has written to each stream, where that may be more than
        has come here: the rest counts as dropped.

        Returns all of it as one blob when it is small, for the ledger; None when it stays in its
        files, or when there was no output. Until `close` a blob is also kept safe in a file, as
        output is, so that nothing is lost with the process before the ledger has it.
        """
        if not self.is_finished:
            self._end(written)
            self._writer.seq = self._store.number_lost(self._writer.seq)
            self._store.end()
            self._store.pack()
            self._changes.notify_now()
        return self._store.blob

    def close(self) -> None:
        """Let go of everything: the ledger has the end, or the job is given up.

        Files are removed when `finish` returned a blob, else they stay for those who come after.
        What was not finished is written to them first, and another may take it over. May be
        called again.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._timers.close()
        if not self.is_finished:
            self._store.save()
            self._end((0, 0))
            self._store.end()
            self._changes.notify_now()
        self._store.close()
        self._holds.close()

    def items(self, after: int = 0, max_bytes: int = ITEMS_BYTES) -> list[Item]:
        """Return the items after number `after`, in order, until they hold `max_bytes` or so.

        An empty list means that there are no more by now. Items may be shared: treat them as
        constant.
        """
        self._writer.freeze()
        found = self._recent.items(after, max_bytes) or self._shared.get(after)
        if not found:
            found = super().items(after, max_bytes)
            if self._followers:
                self._shared.put(after, found)
        return found

    async def follow(
        self, after: int = 0, max_bytes: int = ITEMS_BYTES, *, is_lossless: bool = False
    ) -> AsyncGenerator[list[Item], None]:
        """Yield the items after number `after` as they come, as `items` returns them, to the end.

        Who keeps up gets small reads of some milliseconds together; who doesn't reads on at once.
        With `is_lossless` the job waits rather than that something is dropped which was not yet
        taken, that is: before the next items were asked for.
        """
        with self._followed():
            async with aclosing(self._follow(after, max_bytes)) as following:
                if not is_lossless:
                    async for items in following:
                        yield items
                    return
                with self._holds.held(after) as hold:
                    async for items in following:
                        yield items
                        self._holds.take(hold, items[-1].seq)
                    self._holds.end(hold)

    async def wait_changed(self, after: int) -> None:
        """Return when there is an item after number `after`, or at the end; may be cancelled.

        For a follower of bytes: take `seq` before reading, and wait with that.
        """
        if self.seq > after and not self.is_finished:
            await self._changes.take()
        while self.seq <= after and not self.is_finished:
            await self._changes.wait()

    async def _follow(self, after: int, max_bytes: int) -> AsyncGenerator[list[Item], None]:
        while True:
            items = self.items(after, max_bytes)
            is_newest = not items or items[-1].seq == self.seq
            if items:
                after = items[-1].seq
                yield items
            elif self.is_finished:
                return
            if is_newest:
                await self.wait_changed(after)

    @contextmanager
    def _followed(self) -> Iterator[None]:
        self._followers += 1
        self._switch_recent()
        try:
            yield
        finally:
            self._followers -= 1
            self._switch_recent()

    def _switch_recent(self) -> None:
        self._recent.switch(bool(self._followers or self._holds))
        if not self._followers:
            self._shared.clear()

    @contextmanager
    def _look(self) -> Iterator[Source]:
        self._writer.freeze()
        with self._store.opened() as source:
            yield source

    @property
    def _is_live(self) -> bool:  # type: ignore[override]
        return self._store.is_live

    def _go_on(self, files: Files) -> None:
        self._writer.seq = self._store.go_on(files)
        for at, stream in self._store.left():
            self._characters.record(stream, at=at)

    def _end(self, written: tuple[int, int]) -> None:
        self._characters.flush()
        for stream, count in enumerate(written):
            self._store.lost[stream] += max(0, count - self._store.bytes(stream))
        self.is_finished = True


Content = bytes  # inside Journal, `bytes` is a method
