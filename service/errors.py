"""What can go wrong in the service.

ServiceError
├── Invalid            a document has wrong fields; each is named
├── NotFound           no such job
├── Conflict           the job's state does not allow it
├── KeyReused          an Idempotency-Key came back with another body
├── Full               too many jobs are queued
├── Draining           this process takes no new work
├── Failing            something that this process does by itself does not work
├── NoRoom             no descriptor, memory or process is to be had now
├── OwnerGone          the process that runs the job cannot be reached
├── LedgerError        the ledger cannot be read or written now
└── SettingsError      the settings cannot be used

Which HTTP status each one becomes stands in `service.web.problems` and nowhere else.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

# What the system says when it has nothing to spare: each goes away by itself.
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS})


class FieldError(NamedTuple):
    """One wrong field: its path (`args[0]`, `limits.cpu_seconds`) and what is wrong with it."""

    field: str
    message: str


class ServiceError(Exception):
    """Anything squall itself refuses or cannot do; `str()` is fit to be shown to a client."""


class Invalid(ServiceError):
    """A document has wrong fields; `errors` names every one."""

    def __init__(self, errors: list[FieldError]) -> None:
        """Take the wrong fields, at least one."""
        super().__init__(
            "; ".join(f"{e.field}: {e.message}" if e.field else e.message for e in errors)
        )
        self.errors = errors


class NotFound(ServiceError):
    """No job has this id."""


class Conflict(ServiceError):
    """The job's state does not allow what was asked."""


class KeyReused(ServiceError):
    """An `Idempotency-Key` was used before with another body."""


class Full(ServiceError):
    """Too many jobs are queued; try again later."""


class Draining(ServiceError):
    """This process is stopping and takes no new work."""


class Failing(ServiceError):
    """Something that this process does by itself does not work; it is tried again."""


class NoRoom(ServiceError):
    """No descriptor, memory or process is to be had at this moment; try again later."""


class OwnerGone(ServiceError):
    """The process that runs the job cannot be reached."""


class LedgerError(ServiceError):
    """The ledger cannot be read or written now."""


class SettingsError(ServiceError):
    """The settings cannot be used; every line of `str()` names a key and where it was set."""


def is_no_room(exc: BaseException) -> bool:
    """Whether the system had no descriptor, memory or process to spare; it may have in a moment."""
    return isinstance(exc, NoRoom | MemoryError) or (
        isinstance(exc, OSError) and exc.errno in NO_ROOM
    )
