"""What was stored, read by a version that may be older than the one that wrote it.

Requests are read strictly; here, what this version doesn't know is left out, and what it would
not accept is read all the same.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from service.jobs import Stdin, StoredSpec, Usage

S = TypeVar("S", bound=msgspec.Struct)

_spec = msgspec.json.Decoder(StoredSpec).decode
_usage = msgspec.json.Decoder(Usage).decode
_stdin: Callable[[bytes], Stdin | Literal["open"]] = msgspec.json.Decoder(
    Stdin | Literal["open"]
).decode


def read_spec(text: str) -> StoredSpec:
    """Return a stored spec; without arguments where there is nothing to be read."""
    try:
        return _spec(text)
    except msgspec.MsgspecError:
        return _known(StoredSpec, _plain(text), args=[])


def read_stdin(text: bytes) -> Stdin | Literal["open"] | None:
    """Return a stored stdin; None where this version doesn't know its kind."""
    try:
        return _stdin(text)
    except msgspec.MsgspecError:
        stdin = _known(Stdin, _plain(text))
        return None if stdin == Stdin() else stdin


def read_usage(text: str) -> Usage | None:
    """Return a stored usage; None where it isn't one."""
    try:
        return _usage(text)
    except msgspec.MsgspecError:
        return None


def _plain(text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return None


def _known(kind: type[S], value: Any, **defaults: Any) -> S:
    """Return a struct of what is known of a JSON object, and of the fields' defaults."""
    fields = defaults
    for name, type_ in _types(kind).items():
        if isinstance(value, dict) and name in value:
            try:
                fields[name] = _converted(type_, value[name])
            except msgspec.ValidationError:
                pass  # of a kind that this version doesn't know: as if it were not there
    return kind(**fields)


def _converted(type_: Any, value: Any) -> Any:
    for kind in (type_, *typing.get_args(type_)):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
            return _known(kind, value)
    return msgspec.convert(value, type_)


@functools.cache
def _types(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the types of a struct's fields, without the bounds that requests have."""
    hints = typing.get_type_hints(kind)
    return {name: hints[name] for name in kind.__struct_fields__}
