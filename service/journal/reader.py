"""Reading a journal that has ended, wherever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from service.journal.extent import Extent, Source
from service.journal.files import Files
from service.journal.item import Item
from service.journal.layout import Layout
from service.journal.memory import Memory
from service.journal.record import STREAMS
from service.journal.view import View

ITEMS_BYTES = 64 * 1024

Sources = Callable[[], AbstractContextManager[Source]]


class Reader:
    """Reads one journal; it holds no descriptor between two calls and need not be closed.

    Every method raises OSError when a file cannot be read, and ValueError for another stream
    than `stdout` and `stderr`. A journal that was forgotten meanwhile is empty.
    """

    __slots__ = ("_sources",)

    is_finished = True
    _is_live = False

    def __init__(self, sources: Sources) -> None:
        """`open` and `from_inline` are the ways to make one, and open nothing yet."""
        self._sources = sources

    @staticmethod
    def open(directory: Path, job_id: str) -> Reader:
        """Read the files of a job that has ended or was lost; empty when there is none."""
        return Reader(lambda: opened(directory, job_id))

    @staticmethod
    def from_inline(blob: bytes) -> Reader:
        """Read what `Journal.finish` returned; ValueError when it is something else."""
        memory = Memory.decode(blob)
        return Reader(lambda: nullcontext(memory))

    @property
    def seq(self) -> int:
        """The number of the last item, 0 when there is none."""
        with self._sources() as source:
            return View(source).seq

    def bytes(self, stream: str) -> int:
        """How many bytes were read from the job."""
        with self._sources() as source:
            return View(source).bytes(STREAMS.index(stream))

    def kept(self, stream: str) -> int:
        """How many of them are kept."""
        with self._sources() as source:
            return View(source).kept(STREAMS.index(stream))

    def dropped(self, stream: str) -> int:
        """How many of them are not."""
        with self._sources() as source:
            return View(source).dropped(STREAMS.index(stream))

    def extent(self, stream: str) -> Extent:
        """Which bytes are kept now; more may be kept, and others dropped, while the job runs."""
        with self._sources() as source:
            return View(source).extent(STREAMS.index(stream))

    def read(self, stream: str, start: int, size: int, of: Extent | None = None) -> Content:
        """Return up to `size` kept bytes from place `start` among the kept bytes: less, or b"",
        only at their end.

        Several reads fit together when they take the same `extent` as `of`; they return less,
        or b"", too where bytes were dropped since, or all was forgotten.
        """
        with self._sources() as source:
            view, index = View(source), STREAMS.index(stream)
            return view.read(index, start, size, of or view.extent(index))

    def read_from(self, stream: str, offset: int, size: int) -> tuple[int, Content]:
        """Return up to `size` kept bytes from `offset` in all that was read, and where they begin:
        further on when bytes there were dropped. b"" means that there are no more by now.
        """
        with self._sources() as source:
            return View(source).read_from(STREAMS.index(stream), offset, size)

    def items(self, after: int = 0, max_bytes: int = ITEMS_BYTES) -> list[Item]:
        """Return the items after number `after`, in order, until they hold `max_bytes` or so.

        An empty list means that there are no more by now.
        """
        with self._sources() as source:
            return View(source, is_live=self._is_live).items(after, max_bytes)

    async def wait_changed(self, after: int) -> None:
        """Return at once: nothing will be added."""


Content = bytes  # inside Reader, `bytes` is a method


@contextmanager
def opened(directory: Path, job_id: str) -> Iterator[Source]:
    """Open a job's files for one look at them; an empty journal when there are none."""
    try:
        source = Files.open(directory, job_id)
    except FileNotFoundError:  # it printed nothing, or it was forgotten
        yield Memory(Layout(0))
        return
    try:
        yield source
    finally:
        source.close()
