"""Every wrong field of a document, by name.

msgspec checks a document in one pass in C and stops at the first error. That pass is taken
first; only a document that fails it is walked again, slowly, to name everything that is wrong.

What types cannot say, a struct says with a class variable `checks`: for a field, a function that
takes its value and yields (path below the field, message) for all that is wrong with it. It is
also asked about a list or an object some items of which are of a wrong type; it passes over those.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from service.errors import FieldError, Invalid

T = TypeVar("T")


def decode(body: bytes, type_: type[T]) -> T:
    """Decode JSON into `type_`; raises Invalid that names every wrong field."""
    try:
        value = msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as exc:
        raise Invalid(wrong_fields(msgspec.json.decode(body), type_) or [_error("", exc)]) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Invalid([FieldError("", f"not a JSON document: {exc}")]) from exc
    return _checked(value)


def convert(document: object, type_: type[T]) -> T:
    """Take a document that is decoded already into `type_`; raises Invalid as `decode` does."""
    try:
        value = msgspec.convert(document, type_)
    except msgspec.ValidationError as exc:
        raise Invalid(wrong_fields(document, type_) or [_error("", exc)]) from exc
    return _checked(value)


def wrong_fields(value: object, type_: Any, path: str = "") -> list[FieldError]:
    """Name everything in `value` that `type_` does not allow; empty when all is well."""
    plain = _without_annotation(type_)
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct) and isinstance(value, dict):
        return _wrong_in_struct(value, plain, path)
    found: list[FieldError] = []
    if get_origin(plain) is list and isinstance(value, list):
        (item_type,) = get_args(plain)
        for index, item in enumerate(value):
            found += wrong_fields(item, item_type, f"{path}[{index}]")
    elif get_origin(plain) is dict and isinstance(value, dict):
        key_type, item_type = get_args(plain)
        for key, item in value.items():
            found += wrong_fields(key, key_type, _join(path, key))
            found += wrong_fields(item, item_type, _join(path, key))
    return found or _wrong_as_a_whole(value, type_, path)


def _wrong_in_struct(
    value: dict[str, object], struct: type[msgspec.Struct], path: str
) -> list[FieldError]:
    hints = typing.get_type_hints(struct, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    found = [FieldError(_join(path, key), "unknown field") for key in value if key not in fields]
    for name, field in fields.items():
        if name in value:
            found += _wrong_in_field(struct, name, value[name], hints[field.name], path)
        elif field.required:
            found.append(FieldError(_join(path, name), "required"))
    return found or _wrong_as_a_whole(value, struct, path)


def _wrong_in_field(
    struct: type[msgspec.Struct], name: str, value: object, type_: Any, path: str
) -> list[FieldError]:
    wrong = wrong_fields(value, type_, _join(path, name))
    named = {error.field for error in wrong}
    if _join(path, name) in named:
        return wrong  # as a whole, not in some of its items
    failed = _failed_checks(struct, name, value if wrong else msgspec.convert(value, type_), path)
    return wrong + [error for error in failed if error.field not in named]


def _checked(value: T) -> T:
    if isinstance(value, msgspec.Struct) and (errors := list(_all_failed_checks(value, ""))):
        raise Invalid(errors)
    return value


def _all_failed_checks(value: msgspec.Struct, path: str) -> Iterator[FieldError]:
    struct = type(value)
    for name, default in _defaults(struct).items():
        inner = getattr(value, name)
        if inner is default or inner == {}:
            continue
        if isinstance(inner, msgspec.Struct):
            yield from _all_failed_checks(inner, _join(path, name))
        yield from _failed_checks(struct, name, inner, path)


@functools.cache
def _defaults(struct: type[msgspec.Struct]) -> dict[str, object]:
    """What each field is when it isn't given: nothing can be wrong with that."""
    return {field.encode_name: field.default for field in msgspec.structs.fields(struct)}


def _failed_checks(
    struct: type[msgspec.Struct], name: str, value: object, path: str
) -> list[FieldError]:
    check = getattr(struct, "checks", {}).get(name)
    if check is None:
        return []
    return [FieldError(_join(path, name) + sub, message) for sub, message in check(value)]


def _wrong_as_a_whole(value: object, type_: Any, path: str) -> list[FieldError]:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as exc:
        return [_error(path, exc)]
    return []


def _error(path: str, exc: msgspec.ValidationError) -> FieldError:
    message, _, inner = str(exc).partition(" - at `$")
    inner = inner.removesuffix("`")
    field = path + inner if path else inner.removeprefix(".")
    return FieldError(field, message[:1].lower() + message[1:])


def _without_annotation(type_: Any) -> Any:
    """Look through Annotated and through `X | None` (and `X | Literal[...]`) to X."""
    if get_origin(type_) is typing.Annotated:
        return _without_annotation(get_args(type_)[0])
    if get_origin(type_) in (Union, types.UnionType):
        compound = [arg for arg in map(_without_annotation, get_args(type_)) if _is_compound(arg)]
        return compound[0] if len(compound) == 1 else type_
    return type_


def _is_compound(type_: Any) -> bool:
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return True
    return get_origin(type_) in (list, dict)


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
