"""What can go wrong beyond the errors of the operating system.

    ExecutorError
    ├── CommandFailed     run(check=True): the command did not end with exit code 0 in its time
    ├── NoRoom            start(): no descriptors, memory or processes now; also an OSError
    ├── OutputLost        chunks() or lines() asked for a stream whose beginning is dropped already
    └── Released          release() has given the run up: wait(), write() and readers get no end

A command that cannot be started is an ``OSError`` with ``errno`` and ``filename``, as everywhere in
Python, and where trying again may help a ``NoRoom``; a wrong option is a ``TypeError`` or
``ValueError``; a wrong order of calls a ``RuntimeError``.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from executor.result import Result


class ExecutorError(Exception):
    """Root of the errors of this package."""


class CommandFailed(ExecutorError):
    """The command ended with a status other than 0, or by its timeout; ``result`` has it all."""

    def __init__(self, result: Result[Any]) -> None:
        self.result = result
        super().__init__(result)

    def __str__(self) -> str:
        return f"{self.result.args!r} {self.result.ending}"


class OutputLost(ExecutorError):
    """The stream was asked for after some of it had been dropped for ``max_output``."""


class Released(ExecutorError):
    """``release()`` has given the run up: how it goes on, who takes it over will know."""


class NoRoom(OSError, ExecutorError):
    """A start that found no descriptor, memory or process left (``errno`` is EMFILE, ENFILE, EAGAIN
    or ENOMEM): nothing is left of it, and the same start may work later. Any other ``OSError`` of a
    start says that trying again can't help.
    """


NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
