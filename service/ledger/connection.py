"""Connections to the ledger's file: how they are opened, migrated, and take turns to write."""

from __future__ import annotations

import fcntl
import importlib.resources
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from service.errors import LedgerError, QueryTooSlow

# Earlier builds can corrupt a WAL database that several connections write: sqlite.org/wal.html.
SQLITE_MIN = (3, 51, 3)
BUSY_MILLISECONDS = 10_000
LOOK_AGAIN_S = 0.01
# An operation may take so long; that is asked every so many steps of SQLite's.
OPERATION_S = 5.0
PROGRESS_STEPS = 50_000
# The schema's versions, one script each; a script that has been released is never edited. They only
# add, and what they add has a default: while the processes are replaced, older ones write on.
SCRIPTS = {
    1: "schema.sql",
    2: "002-events.sql",
    3: "003-search.sql",
    4: "004-processes.sql",
    5: "005-rerun.sql",
    6: "006-handovers.sql",
}


class Turn:
    """The lock file by which the processes take turns to write; held while it is entered."""

    def __init__(self, path: Path) -> None:
        """Open the lock file of the database at `path`."""
        self._fd = os.open(f"{path}.turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Have the turn, or LedgerError when it does not come in that time.

        For the start, when no thread is there that could wait for it.
        """
        deadline = time.monotonic() + seconds
        while not self._taken():
            if time.monotonic() > deadline:
                raise LedgerError("another process has its turn to write, and does not go on")
            time.sleep(LOOK_AGAIN_S)
        try:
            yield
        finally:
            self.__exit__()

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


class TimeLimit:
    """Interrupts a connection's statements when the operation that they belong to takes too long.

    SQLite asks only after some thousand steps, so it costs nothing where there are few.
    """

    def __init__(self, db: apsw.Connection) -> None:
        """Watch over a connection, of which one thread at a time makes use."""
        self._until = float("inf")
        db.set_progress_handler(self._is_over, PROGRESS_STEPS)

    def start(self) -> None:
        """Begin with another operation."""
        self._until = time.monotonic() + OPERATION_S

    def _is_over(self) -> bool:
        return time.monotonic() > self._until


class Wal:
    """The write-ahead log's file, to be synced after a commit rather than within it.

    `synchronous = FULL` is this very sync, but made while the lock to write is held: then the
    processes' syncs wait for each other, where the file system would merge them. A checkpoint
    by another process in between syncs the log itself before it uses it, and no lock of SQLite
    lies on this file.
    """

    def __init__(self, path: Path) -> None:
        """Open the log of the database at `path`, which a connection keeps open."""
        self._fd = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC)

    def sync(self) -> None:
        """Return when all that was committed before is on the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


def told(exc: Exception, what: str) -> Exception:
    """Return the error by which a failure of SQLite's is told; a bug is told as it is."""
    if isinstance(exc, apsw.InterruptError):
        error: LedgerError = QueryTooSlow(f"it takes the ledger more than {OPERATION_S:g} s")
    elif isinstance(exc, apsw.Error | OSError):
        error = LedgerError(f"the ledger cannot be {what}: {exc}")
    else:
        return exc
    error.__cause__ = exc
    return error


def refuse_unsound_sqlite() -> None:
    """Raise LedgerError when this build of SQLite is not safe for us."""
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < SQLITE_MIN:
        wanted = ".".join(map(str, SQLITE_MIN))
        raise LedgerError(f"SQLite {version} can corrupt a shared ledger; {wanted} is needed")


def connect(path: Path, *, is_reader: bool = False) -> apsw.Connection:
    """Open a connection, for reading only or for writing too."""
    flags = apsw.SQLITE_OPEN_READONLY if is_reader else apsw.SQLITE_OPEN_READWRITE
    db = apsw.Connection(str(path), flags=flags | (0 if is_reader else apsw.SQLITE_OPEN_CREATE))
    db.set_busy_timeout(BUSY_MILLISECONDS)
    if not is_reader:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # see Wal.sync
        db.execute("PRAGMA wal_autocheckpoint = 4000")
        db.execute("PRAGMA journal_size_limit = 67108864")
    db.execute("PRAGMA cache_size = -16384")
    db.execute("PRAGMA temp_store = MEMORY")
    return db


def migrate(db: apsw.Connection) -> None:
    """Bring the schema up to date; that of a newer version serves as it is, for it only adds."""
    directory = importlib.resources.files("service.ledger")
    for number, name in SCRIPTS.items():
        if number <= db.pragma("user_version"):
            continue
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute(directory.joinpath(name).read_text())
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
