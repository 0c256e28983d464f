"""What can go wrong in the service.

ServiceError
├── Invalid            a document has wrong fields; each is named
├── NotFound           no such job
├── Conflict           the job's state does not allow it
│   └── StdinGap       bytes are missing before the ones that were sent
├── KeyReused          an Idempotency-Key came back with another body
├── Full               too many jobs are queued
├── Draining           this process takes no new work
├── Failing            something that this process does by itself does not work
├── NoRoom             no descriptor, memory or process is to be had now
├── OwnerGone          the process that runs the job cannot be reached
├── LedgerError        the ledger cannot be read or written now
│   └── QueryTooSlow   what was asked of it takes too long
└── SettingsError      the settings cannot be used

Which HTTP status each one becomes stands in `service.web.problems` and nowhere else; what a client
is told is a Problem.
"""

from __future__ import annotations

import errno

import msgspec

# What is wrong can be as long as what was sent: of that, so much is told.
FIELD_MAX, MESSAGE_MAX = 200, 400
SUMMED_UP = 10

# What the system says when it has nothing to spare: each goes away by itself.
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS})


class FieldError(msgspec.Struct, frozen=True):
    """One wrong field: its path (`args[0]`, `limits.cpu_seconds`) and what is wrong with it."""

    field: str = ""
    message: str = ""

    def __str__(self) -> str:
        """Return both in one line; what is wrong with the document as a whole has no path."""
        return f"{self.field}: {self.message}" if self.field else self.message


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is told of an error, alone or in place of a job (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
    offset: int | msgspec.UnsetType = msgspec.UNSET  # only of a StdinGap


class ServiceError(Exception):
    """Anything squall itself refuses or cannot do; `str()` is fit to be shown to a client."""


class Invalid(ServiceError):
    """A document has wrong fields; `errors` names every one, or `str()` says that it doesn't."""

    def __init__(self, errors: list[FieldError], note: str = "") -> None:
        """`errors` are at least one; `note` is said of them all."""
        self.errors = [_clipped(error) for error in errors]
        told = [str(error) for error in self.errors[:SUMMED_UP]]
        if (more := len(errors) - SUMMED_UP) > 0:
            told.append(f"and {more} more")
        super().__init__("; ".join(told) + (f" ({note})" if note else ""))


class NotFound(ServiceError):
    """No job has this id."""


class Conflict(ServiceError):
    """The job's state does not allow what was asked."""


class StdinGap(Conflict):
    """A piece of stdin begins beyond what has come of it: `offset` bytes."""

    def __init__(self, offset: int) -> None:
        """Say how many bytes have come."""
        super().__init__(f"of the job's stdin {offset} bytes have come: go on with offset={offset}")
        self.offset = offset


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


class QueryTooSlow(LedgerError):
    """What was asked of the ledger takes it too long; ask for less."""


class SettingsError(ServiceError):
    """The settings cannot be used; every line of `str()` names a key and where it was set."""


def is_no_room(exc: BaseException) -> bool:
    """Whether the system had no descriptor, memory or process to spare; it may have in a moment."""
    return isinstance(exc, NoRoom | MemoryError) or (
        isinstance(exc, OSError) and exc.errno in NO_ROOM
    )


def _clipped(error: FieldError) -> FieldError:
    if len(error.field) <= FIELD_MAX and len(error.message) <= MESSAGE_MAX:
        return error
    return FieldError(_clip(error.field, FIELD_MAX), _clip(error.message, MESSAGE_MAX))


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
