"""Errors as `application/problem+json` (RFC 9457); their HTTP statuses are chosen here alone."""

from __future__ import annotations

import http
from collections.abc import Collection

from service.errors import (
    Conflict,
    Draining,
    Failing,
    FieldError,
    Full,
    Invalid,
    KeyReused,
    LedgerError,
    NoRoom,
    NotFound,
    OwnerGone,
    Problem,
    ServiceError,
    StdinGap,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1


class BadRequest(ServiceError):
    """The request itself, not a field of its body, is wrong."""


class Unauthorized(ServiceError):
    """No token, or a wrong one."""


class Forbidden(ServiceError):
    """A Host or an Origin that is not allowed."""


class MethodNotAllowed(ServiceError):
    """The route exists, this method of it does not."""

    def __init__(self, method: str, allowed: Collection[str]) -> None:
        """`allowed` are the methods that there are."""
        self.allowed = ", ".join(allowed)
        super().__init__(f"there is no {method} here: {self.allowed}")


class TooLarge(ServiceError):
    """The body is larger than the settings allow."""


class NotJson(ServiceError):
    """The body's Content-Type is not `application/json`."""


class TooManyStreams(ServiceError):
    """This process has no room for one more answer that goes on."""


class RangeNotSatisfiable(ServiceError):
    """The Range lies outside of what there is: `size` bytes."""

    def __init__(self, size: int) -> None:
        """There are `size` bytes."""
        super().__init__(f"there are {size} bytes")
        self.size = size


STATUS: dict[type[ServiceError], int] = {
    BadRequest: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    Conflict: 409,
    TooLarge: 413,
    NotJson: 415,
    RangeNotSatisfiable: 416,
    Invalid: 422,
    KeyReused: 422,
    Full: 503,
    Draining: 503,
    Failing: 503,
    NoRoom: 503,
    OwnerGone: 503,
    TooManyStreams: 503,
    LedgerError: 503,
}


def problem_of(error: BaseException) -> Problem:
    """Return the problem that tells a client of an error; what isn't ours is a bare 500."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    title = http.HTTPStatus(status).phrase
    if status == 500:
        detail = "an error inside squall; its log says more"
        return Problem(title=title, status=status, detail=detail)
    if isinstance(error, StdinGap):
        return Problem(title=title, status=status, detail=str(error), offset=error.offset)
    if not isinstance(error, Invalid):
        return Problem(title=title, status=status, detail=str(error))
    detail = "the request has wrong fields: " + str(error)
    return Problem(title=title, status=status, detail=detail, errors=error.errors)


def headers_of(error: BaseException) -> dict[str, str]:
    """Return the headers that belong to an error."""
    match error:
        case Unauthorized():
            return {"WWW-Authenticate": 'Bearer realm="squall"'}
        case MethodNotAllowed(allowed=allowed):
            return {"Allow": allowed}
        case RangeNotSatisfiable(size=size):
            return {"Content-Range": f"bytes */{size}"}
        case (
            Full()
            | Draining()
            | Failing()
            | NoRoom()
            | OwnerGone()
            | TooManyStreams()
            | LedgerError()
        ):
            return {"Retry-After": str(RETRY_AFTER_S)}
    return {}


def wrong_field(field: str, message: str) -> Invalid:
    """Return the error of a single wrong field."""
    return Invalid([FieldError(field, message)])
