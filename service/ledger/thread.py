"""Blocking database calls, in order, on a thread of their own.

What is asked in one turn of the loop is handed over together, and what arrives while a group is
being written forms the next group: one transaction, and one fsync, serve as many operations as
came in meanwhile, and a lone one waits for nobody.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from service.errors import LedgerError

T = TypeVar("T")
log = logging.getLogger(__name__)
GROUP_MAX = 256
# What could not be begun for so long is given up: another process may have been stopped (SIGSTOP)
# while it had its turn to write, and nobody knows when it goes on.
WAIT_S = 10.0


class Operation(Generic[T]):
    """One call to be made on the thread, and the futures that its callers await.

    The call may be made again when it has raised. `undo(outcome)` undoes what it wrote, and
    returns what stands of it all the same, or None. Until it is begun it may be given up.
    """

    __slots__ = ("_fate", "call", "futures", "is_begun", "is_durable", "loop", "outcome", "undo")

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
        self.is_begun = False
        self._fate = threading.Lock()  # whoever takes it first decides

    def begin(self) -> bool:
        """Whether the call is to be made, on the thread: not when it was given up before."""
        self.is_begun = self.is_begun or self._fate.acquire(blocking=False)
        return self.is_begun

    def give_up(self, error: Exception) -> bool:
        """Tell that it failed, on the loop; False when it was begun, and its outcome will come."""
        if not self._fate.acquire(blocking=False):
            return False
        self.outcome = error
        self.settle()
        # nothing of it is kept for as long as the thread does not come to it
        self.futures, self.call, self.undo = [], _never, None
        return True

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


def _never() -> Any:
    raise RuntimeError("what was given up is not called")


Group = Sequence[Operation[Any]]


class _Handed(NamedTuple):
    """What was asked in one turn of the loop; the timer gives it up."""

    operations: list[Operation[Any]]
    timer: asyncio.TimerHandle | None


class DatabaseThread:
    """Runs groups of operations on one thread of its own.

    `perform(group)` is called on the thread; it makes every operation's call and sets its
    outcome. What it raises is the outcome of all. With `gives_up` it makes only the calls of those
    that it could `begin`: others were told that they failed, as it had not come to them in time.
    """

    def __init__(
        self, name: str, perform: Callable[[Group], None], *, gives_up: bool = False
    ) -> None:
        """Start the thread."""
        self._perform = perform
        self._gives_up = gives_up
        self._is_stuck = False
        self._asked: list[Operation[Any]] = []
        self._is_closed = False
        self._same: dict[Hashable, Operation[Any]] = {}
        self._queue: SimpleQueue[_Handed | None] = SimpleQueue()
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
        when the thread was closed, or has not moved for long: nothing more waits for it then.
        """
        if self._is_closed:
            raise LedgerError("the ledger is closed")
        if self._is_stuck:
            raise _stuck()
        operation: Operation[T] | None = self._same.get(same)
        if operation is None:
            operation = Operation(call, is_durable, undo)
            if not self._asked:
                operation.loop.call_soon(self._hand_over)
            self._asked.append(operation)
            if same is not None:
                self._same[same] = operation
        return operation.awaited()

    def close(self) -> bool:
        """Perform what is queued, then end the thread; blocks until it has ended.

        Returns whether it has: it is left behind where it can't go on.
        """
        self._hand_over()
        self._is_closed = True
        self._queue.put(None)
        self._thread.join(WAIT_S if self._gives_up else None)
        return not self._thread.is_alive()

    def _hand_over(self) -> None:
        asked, self._asked = self._asked, []
        self._same.clear()
        if asked:
            loop = asked[0].loop
            timer = loop.call_later(WAIT_S, self._give_up, asked) if self._gives_up else None
            self._queue.put(_Handed(asked, timer))

    def _give_up(self, asked: list[Operation[Any]]) -> None:
        error = _stuck()
        given_up = [operation for operation in asked if operation.give_up(error)]
        if given_up and not self._is_stuck:
            self._is_stuck = True
            log.error("%s", error)

    def _run(self) -> None:
        is_open = True
        while is_open:
            handed, is_open = self._next_group()
            group = [operation for one in handed for operation in one.operations]
            if not group:
                continue
            try:
                self._perform(group)
            except BaseException as exc:  # a bug: nobody is left waiting, and the thread goes on
                for operation in group:
                    operation.outcome = exc
            try:
                group[0].loop.call_soon_threadsafe(self._settle, handed)
            except RuntimeError:
                pass  # the loop is closed, nobody awaits these any more

    def _next_group(self) -> tuple[list[_Handed], bool]:
        group: list[_Handed] = []
        size = 0
        item = self._queue.get()
        try:
            while item is not None:
                group.append(item)
                size += len(item.operations)
                if size >= GROUP_MAX:
                    return group, True
                item = self._queue.get_nowait()
        except Empty:
            return group, True
        return group, False

    def _settle(self, handed: list[_Handed]) -> None:
        if self._is_stuck:
            self._is_stuck = False
            log.warning("the ledger's turn to write has come again")
        for operations, timer in handed:
            if timer is not None:
                timer.cancel()
            for operation in operations:
                operation.settle()


def _stuck() -> LedgerError:
    return LedgerError(
        f"the ledger cannot be written: its turn did not come in {WAIT_S:g} s;"
        " a process that writes does not go on"
    )
