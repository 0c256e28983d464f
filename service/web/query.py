"""What a request says outside of its body: query parameters, Prefer, Range."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta

from tornado.httputil import HTTPServerRequest

from service import jobs
from service.errors import FieldError, Invalid
from service.ledger import Query
from service.web.problems import RangeNotSatisfiable, wrong_field

LIMIT_DEFAULT, LIMIT_MAX = 50, 1000
SEQ_MAX = 2**53
GREAT_DIGITS = 20
TEXT_MAX = 1000
# The last one of the year 9999: times are compared as text.
MICROSECONDS_MAX = 253_402_300_800_000_000 - 1
LIST_PARAMETERS = ("state", "label", "since", "until", "q", "limit", "cursor")
STATES: tuple[jobs.State, ...] = tuple(jobs.MOVES)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[-+ ]\d\d:\d\d)", re.ASCII
)


class Parameters:
    """The query parameters of one request; Invalid names those that are not known."""

    def __init__(self, request: HTTPServerRequest, known: Collection[str]) -> None:
        """`known` are the names of those that it may have."""
        self._values = {
            name: [value.decode("utf-8", "replace") for value in values]
            for name, values in request.query_arguments.items()
        }
        if unknown := self._values.keys() - set(known):
            raise Invalid([FieldError(name, "unknown parameter") for name in sorted(unknown)])

    def all(self, name: str) -> list[str]:
        """Return every value of a repeatable parameter."""
        return self._values.get(name, [])

    def one(self, name: str) -> str | None:
        """Return a parameter's value, None when it isn't there."""
        values = self._values.get(name)
        return values[-1] if values else None

    def boolean(self, name: str) -> bool | None:
        """Return whether it is `true` or `false`, None when it isn't there."""
        value = self.one(name)
        if value not in (None, "true", "false"):
            raise wrong_field(name, "must be 'true' or 'false'")
        return None if value is None else value == "true"

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """Return a whole number within bounds."""
        value = self.one(name)
        if value is None:
            return default
        number = _digits(value)
        if number is None or not least <= number <= most:
            raise wrong_field(name, f"must be a whole number from {least} to {most}")
        return number


def list_query(request: HTTPServerRequest) -> Query:
    """Read the parameters of the list of jobs; Invalid names every wrong one."""
    parameters = Parameters(request, LIST_PARAMETERS)
    times, wrong = _times(parameters)
    wrong += [
        *(
            FieldError("state", f"no such state: {state!r}")
            for state in parameters.all("state")
            if state not in STATES
        ),
        *(
            FieldError("label", "must be KEY:VALUE")
            for label in parameters.all("label")
            if ":" not in label or label.startswith(":")
        ),
    ]
    labels = dict.fromkeys(parameters.all("label"))
    if len(labels) > jobs.LABELS_MAX:
        wrong.append(FieldError("label", f"at most {jobs.LABELS_MAX} can be asked for"))
    text = parameters.one("q") or ""
    if len(text) > TEXT_MAX:
        wrong.append(FieldError("q", f"must have at most {TEXT_MAX} characters"))
    cursor = parameters.one("cursor")
    if cursor is not None and not re.fullmatch(jobs.ID_PATTERN, cursor):
        wrong.append(FieldError("cursor", "is not one that this service gave"))
    limit = LIMIT_DEFAULT
    try:
        limit = parameters.number("limit", LIMIT_DEFAULT, least=1, most=LIMIT_MAX)
    except Invalid as exc:
        wrong += exc.errors
    if wrong:
        raise Invalid(wrong)
    return Query(
        states=tuple(state for state in STATES if state in parameters.all("state")),
        labels=tuple(_label(label) for label in labels),
        limit=limit,
        before=cursor,
        text=text,
        **times,
    )


def prefers_lossless(request: HTTPServerRequest) -> bool:
    """Whether `Prefer: lossless` says that a reader is on its way who wants every byte."""
    preferences = ",".join(request.headers.get_list("Prefer")).split(",")
    return "lossless" in (preference.strip().lower() for preference in preferences)


def wait_preference(request: HTTPServerRequest, most: float) -> float | None:
    """Return the seconds of `Prefer: wait=SECONDS` (RFC 7240); None when it isn't asked for."""
    for preference in ",".join(request.headers.get_list("Prefer")).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        seconds = value.strip().strip('"')
        if name.strip().lower() == "wait" and re.fullmatch(r"\d{1,9}(\.\d+)?", seconds):
            return min(float(seconds), most)
    return None


def byte_range(request: HTTPServerRequest, size: int) -> tuple[int, int] | None:
    """Return start and stop of the one range asked for (RFC 9110), None for all of it.

    Several ranges, or another unit, are answered whole. RangeNotSatisfiable when it lies outside.
    """
    match = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", _range(request).replace(" ", ""))
    if match is None or match[1] == match[2] == "":
        return None
    first, last = _digits(match[1]), _digits(match[2])
    if first is None:
        start, stop = max(size - (last or 0), 0), size
    else:
        start, stop = first, size if last is None else min(last + 1, size)
        if last is not None and last < first:
            return None
    if start >= size or start >= stop:
        raise RangeNotSatisfiable(size)
    return start, stop


def _range(request: HTTPServerRequest) -> str:
    # answers have no validator, so none that a client names can be the one of this answer
    return "" if "If-Range" in request.headers else request.headers.get("Range", "")


def _digits(text: str) -> int | None:
    """Return the number that digits make, None when they are none; great ones are just great.

    Python makes no int of more than 4,300 digits.
    """
    if not (text.isascii() and text.isdecimal()):
        return None
    significant = text.lstrip("0")
    return int(significant or "0") if len(significant) < GREAT_DIGITS else 10**GREAT_DIGITS


def _times(parameters: Parameters) -> tuple[dict[str, str], list[FieldError]]:
    """Return `since` and `until` as times of the ledger, and what is wrong with them."""
    times, wrong = {}, []
    for name in ("since", "until"):
        if (value := parameters.one(name)) is not None:
            try:
                times[name] = _time(value)
            except ValueError:
                wrong.append(FieldError(name, "must be a time like 2026-11-21T02:40:00Z"))
    return times, wrong


def _time(text: str) -> str:
    """Return a time of RFC 3339 in UTC, rounded up to a microsecond; ValueError."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a time")
    day, second, fraction, zone = match.groups("")
    # in a query that was not quoted, a '+' has become a blank
    time = datetime.fromisoformat(f"{day}T{second}{zone.upper().replace(' ', '+')}")
    nanoseconds = int(fraction[1:].ljust(9, "0"))
    microseconds = (time - jobs.EPOCH) // timedelta(microseconds=1) - -nanoseconds // 1000
    return jobs.rfc3339(min(max(microseconds, 0), MICROSECONDS_MAX))


def _label(label: str) -> tuple[str, str]:
    name, _, value = label.partition(":")
    return name, value
