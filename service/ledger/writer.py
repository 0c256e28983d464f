"""Groups of writes: one transaction, and on the disk before anybody is told.

Each operation answers for itself: when one raises, or the group can't be committed, every one is
made again in a transaction of its own. One that has not had its turn after some seconds is given
up, and is not made when the turn comes. What was committed is seen by all processes at once; when
it can't be made durable, what nobody may rely on then is undone by another transaction, and told
as failed.
"""

from __future__ import annotations

import errno
import functools
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import apsw

from service.errors import LedgerError, ServiceError
from service.ledger.connection import BUSY_MILLISECONDS, TimeLimit, Turn, Wal, told
from service.ledger.thread import Group, Operation

T = TypeVar("T")
log = logging.getLogger(__name__)

# After a sync that failed, so long until the next one; then the operation is given up.
SYNC_PAUSES_S = (0.1, 0.4)
CHECKPOINT_BUSY_MS = 500


class Writer:
    """Writes on one connection; `perform` is called on its thread."""

    def __init__(
        self, db: apsw.Connection, wal: Wal, turn: Turn, on_commit: Callable[[float], None]
    ) -> None:
        """`on_commit` is called with the seconds that a group took."""
        self._db = db
        self._wal = wal
        self._turn = turn
        self._on_commit = on_commit
        self._limit = TimeLimit(db)
        self._cause: Exception | None = None  # why the log may not be on the disk
        self._to_undo: list[Callable[[], Any]] = []

    def perform(self, group: Group) -> None:
        """Make every operation's call and set its outcome."""
        begun_at = time.monotonic()
        if self._cause is not None or self._to_undo:
            self.mend()
        begun = [operation for operation in group if not self._refuse(operation)]
        self._commit(begun)
        durable = [operation for operation in begun if _must_be_durable(operation)]
        if durable and not self._make_durable():
            for operation in durable:
                self._take_back(operation)
        try:
            self._on_commit(time.monotonic() - begun_at)
        except Exception:
            log.exception("a group of writes is not counted")

    def check(self) -> None:
        """Raise LedgerError when what is written could not be made durable."""
        if self._cause is not None:
            raise _not_durable(self._cause)

    def mend(self) -> None:
        """Where something could not be made durable, or not be undone, try again."""
        if self._cause is not None:
            self._try_sync()
        left, self._to_undo = self._to_undo, []
        for undo in left:
            self._undo(undo)

    def _refuse(self, operation: Operation[Any]) -> bool:
        """Refuse what would have to be undone, before others can see it."""
        if self._cause is None or operation.undo is None:
            return False
        operation.outcome = _not_durable(self._cause)
        return True

    def _commit(self, group: Group) -> None:
        try:
            self._in_transaction(lambda: self._call(group))
        except apsw.BusyError as exc:  # it was not begun
            _fail(group, exc)
        except Exception as exc:
            if len(group) == 1:
                _fail(group, exc)
                return
            for operation in group:
                self._commit([operation])

    def _call(self, group: Group) -> None:
        for operation in group:
            if not operation.begin():
                continue  # it was told that it failed
            self._limit.start()
            try:
                operation.outcome = operation.call()
            except ServiceError as exc:  # a refusal: a verb looks before it writes
                operation.outcome = exc

    def _in_transaction(self, call: Callable[[], T]) -> T:
        # waiting for one's turn in the kernel: SQLite itself would sleep and try again
        with self._turn:
            self._limit.start()
            if self._db.in_transaction:  # that could not be rolled back
                self._db.execute("ROLLBACK")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                result = call()
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # else SQLite has done it
                    self._db.execute("ROLLBACK")
                raise
            return result

    def _make_durable(self) -> bool:
        for pause_s in SYNC_PAUSES_S:
            if self._try_sync():
                return True
            time.sleep(pause_s)
        return self._try_sync()

    def _try_sync(self) -> bool:
        """Return whether all that was committed is on the disk now."""
        try:
            if self._cause is not None:
                self._begin_log_anew()
            self._wal.sync()
        except (apsw.Error, OSError) as exc:
            if self._cause is None:
                log.error("what is written cannot be made durable: %s", exc)
            self._cause = exc
            return False
        if self._cause is not None:
            log.warning("what is written is durable again")
        self._cause = None
        return True

    def _begin_log_anew(self) -> None:
        """Copy all into the database, which is synced then, and empty the log.

        The kernel tells of a failed sync once, and may drop what it could not write: the next sync
        of the same log would succeed without it.
        """
        self._db.set_busy_timeout(CHECKPOINT_BUSY_MS)
        try:
            with self._turn:
                is_busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
        finally:
            self._db.set_busy_timeout(BUSY_MILLISECONDS)
        if is_busy:
            raise OSError(errno.EBUSY, "the log is being read")

    def _take_back(self, operation: Operation[Any]) -> None:
        """Undo what could not be made durable, and tell that it failed; or what stands of it."""
        if operation.undo is None or self._cause is None:
            return
        undo = functools.partial(operation.undo, operation.outcome)
        operation.outcome = _not_durable(self._cause)
        if (standing := self._undo(undo)) is not None:
            operation.outcome = standing

    def _undo(self, undo: Callable[[], T]) -> T | None:
        try:
            return self._in_transaction(undo)
        except (apsw.Error, OSError) as exc:
            log.error("what could not be made durable cannot be undone yet: %s", exc)
            self._to_undo.append(undo)
            return None


def _must_be_durable(operation: Operation[Any]) -> bool:
    has_failed = not operation.is_begun or isinstance(operation.outcome, BaseException)
    return operation.is_durable and not has_failed


def _fail(group: Group, exc: Exception) -> None:
    for operation in group:
        operation.outcome = told(exc, "written")


def _not_durable(cause: Exception) -> LedgerError:
    error = LedgerError(f"the ledger cannot be written: what is written is not durable: {cause}")
    error.__cause__ = cause
    return error
