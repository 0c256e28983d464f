"""Blocking database calls, in order, on a thread of their own.

What is asked in one turn of the loop is handed over together, and what arrives while a group is
being written forms the next group: one transaction, and one fsync, serve as many operations as
came in meanwhile, and a lone one waits for nobody.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from service.errors import LedgerError

T = TypeVar("T")
GROUP_MAX = 256


class Operation(Generic[T]):
    """One call to be made on the thread, and the futures that its callers await.

    The call may be made again when it has raised. `undo(outcome)` undoes what it wrote, and
    returns what stands of it all the same, or None.
    """

    __slots__ = ("call", "futures", "is_durable", "loop", "outcome", "undo")

    def __init__(
        self, call: Callable[[], T], is_durable: bool, undo: Callable[[T], T | None] | None
    ) -> None:
        """Made on the loop that will await it."""
        self.call = call
        self.is_durable = is_durable
        self.undo = undo
        self.loop = asyncio.get_running_loop()
        self.futures: list[asyncio.Future[T]] = []
        self.outcome: T | BaseException | None = None

    def awaited(self) -> asyncio.Future[T]:
        """Return one more future for the outcome."""
        future: asyncio.Future[T] = self.loop.create_future()
        self.futures.append(future)
        return future

    def settle(self) -> None:
        """Hand the outcome to whoever still waits for it."""
        for future in self.futures:
            if future.done():
                continue  # its await was cancelled
            if isinstance(self.outcome, BaseException):
                future.set_exception(self.outcome)
            else:
                future.set_result(self.outcome)  # type: ignore[arg-type]


Group = Sequence[Operation[Any]]


class DatabaseThread:
    """Runs groups of operations on one thread of its own.

    `perform(group)` is called on the thread; it makes every operation's call and sets its
    outcome. What it raises is the outcome of all.
    """

    def __init__(self, name: str, perform: Callable[[Group], None]) -> None:
        """Start the thread."""
        self._perform = perform
        self._asked: list[Operation[Any]] = []
        self._is_closed = False
        self._same: dict[Hashable, Operation[Any]] = {}
        self._queue: SimpleQueue[list[Operation[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(
        self,
        call: Callable[[], T],
        *,
        is_durable: bool = False,
        undo: Callable[[T], T | None] | None = None,
        same: Hashable = None,
    ) -> asyncio.Future[T]:
        """Queue a call; await the future for what it returns or raises.

        Who asks for the `same` in one turn of the loop shares one call, and its value. LedgerError
        when the thread was closed.
        """
        if self._is_closed:
            raise LedgerError("the ledger is closed")
        operation: Operation[T] | None = self._same.get(same)
        if operation is None:
            operation = Operation(call, is_durable, undo)
            if not self._asked:
                operation.loop.call_soon(self._hand_over)
            self._asked.append(operation)
            if same is not None:
                self._same[same] = operation
        return operation.awaited()

    def close(self) -> None:
        """Perform what is queued, then end the thread; blocks until it has ended."""
        self._hand_over()
        self._is_closed = True
        self._queue.put(None)
        self._thread.join()

    def _hand_over(self) -> None:
        asked, self._asked = self._asked, []
        self._same.clear()
        if asked:
            self._queue.put(asked)

    def _run(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._next_group()
            if not group:
                continue
            try:
                self._perform(group)
            except BaseException as exc:  # a bug: nobody is left waiting, and the thread goes on
                for operation in group:
                    operation.outcome = exc
            try:
                group[0].loop.call_soon_threadsafe(_settle, group)
            except RuntimeError:
                pass  # the loop is closed, nobody awaits these any more

    def _next_group(self) -> tuple[list[Operation[Any]], bool]:
        group: list[Operation[Any]] = []
        item = self._queue.get()
        try:
            while item is not None:
                group += item
                if len(group) >= GROUP_MAX:
                    return group, True
                item = self._queue.get_nowait()
        except Empty:
            return group, True
        return group, False


def _settle(group: Group) -> None:
    for operation in group:
        operation.settle()
