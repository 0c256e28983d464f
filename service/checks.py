"""Every wrong field of a document, by name.

msgspec checks a document in one pass in C and stops at the first error. That pass is taken
first; only a document that fails it is walked again, slowly, to name everything that is wrong.

What is wrong can be far more than what was sent: a few bytes make an error of a hundred. So the
walk ends after ERRORS_MAX errors, and only documents up to WALKED_MAX bytes are walked at all;
of a longer one the first error is told. Where that happens, the Invalid says so.

What types cannot say, a struct says with a class variable `checks`: for a field, a function that
takes its value and yields (path below the field, message) for all that is wrong with it. It is
also asked about a list or an object some items of which are of a wrong type; it passes over those.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from service.errors import FieldError, Invalid

T = TypeVar("T")

ERRORS_MAX = 100
WALKED_MAX = 2**20
CHUNK = 64
SMALL = 2**18
# What msgspec says of an object, and what of one of its fields.
_OF_A_FIELD = {
    "Object contains unknown field ": "unknown field",
    "Object missing required field ": "required",
}
_NO_ITEM = msgspec.Raw()


class Room:
    """How much may still be told of what is wrong: of one document, or of several together."""

    def __init__(self, errors: int = ERRORS_MAX, walked_bytes: int = WALKED_MAX) -> None:
        """Begin with so many errors, in documents of so many bytes."""
        self._errors = errors
        self._walked_bytes = walked_bytes

    def walk(self, size: int) -> bool:
        """Whether a document of this size may be walked; if so, it has been."""
        if self._errors < 1 or size > self._walked_bytes:
            return False
        self._walked_bytes -= size
        return True

    def refuse(self, found: Iterable[FieldError]) -> Invalid:
        """Return the error of what was found, as far as there is room."""
        most = max(min(self._errors, ERRORS_MAX), 1)
        errors = list(islice(found, most + 1))
        note = f"the first {most} are told, there are more" if len(errors) > most else ""
        self._errors -= len(errors[:most])
        return Invalid(errors[:most], note)


def decode(body: bytes, type_: type[T], room: Room | None = None) -> T:
    """Decode JSON into `type_`; raises Invalid that names every wrong field, within the room."""
    check_size(body, type_)
    try:
        value = _decode(body, type_)
    except msgspec.ValidationError as exc:
        raise _refused(body, type_, room or Room(), exc) from exc
    return _checked(value, room)


def check_size(body: bytes, type_: type[Any]) -> None:
    """Raise Invalid where a body has more strings than its type allows: `strings_max`, if any.

    A million of them take a second to be made, only to be refused then.
    """
    most = getattr(type_, "strings_max", None)
    if most is None or len(body) <= SMALL:
        return
    # what is counted too little: a closing quote behind a backslash that is escaped itself
    quotes = body.count(b'"') - body.count(b'\\"')
    if quotes > 2 * most:
        raise Invalid([FieldError("", "there are more strings in it than there may be items")])


def items(body: bytes, most: int) -> list[bytes]:
    """Return the items of a JSON array, each as JSON; Invalid where there are more than `most`."""
    try:
        array = _decode(body, _array(most))
    except msgspec.ValidationError as exc:
        raise Invalid([FieldError("", f"must be an array of at most {most:,} items")]) from exc
    return [bytes(item) for item in msgspec.structs.astuple(array) if item is not _NO_ITEM]


def convert(document: object, type_: type[T]) -> T:
    """Return a document that is decoded already as a `type_`; raises Invalid as `decode` does."""
    try:
        value = msgspec.convert(document, type_)
    except msgspec.ValidationError as exc:
        raise Room().refuse(_or(wrong_fields(document, type_), [_error("", exc)])) from exc
    return _checked(value)


def wrong_fields(value: object, type_: Any, path: str = "") -> Iterator[FieldError]:
    """Name everything in `value` that `type_` does not allow; nothing when all is well."""
    inside = _wrong_inside(value, type_, path)
    return _or(inside, _wrong_as_a_whole(value, type_, path))


def _decode(body: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError:
        raise
    except RecursionError as exc:
        raise Invalid([FieldError("", "not a JSON document: nested too deeply")]) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Invalid([FieldError("", f"not a JSON document: {exc}")]) from exc


@functools.cache
def _array(most: int) -> type[msgspec.Struct]:
    """An array as a struct with a field for each item.

    One that is too long is refused as it is read, whereas a list of Raw would take 400 MB for the
    four million items that a body of 8 MiB has room for.
    """
    fields = [(f"item_{n}", msgspec.Raw, _NO_ITEM) for n in range(most)]
    return msgspec.defstruct("_Array", fields, array_like=True, forbid_unknown_fields=True)


def _refused(body: bytes, type_: Any, room: Room, first: msgspec.ValidationError) -> Invalid:
    told = [_error("", first)]
    if not room.walk(len(body)):
        return Invalid(told, "only the first is told: this is too much to look through")
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # no number (1e400), no text, or too deep, in a place that the first pass did not come to
        return room.refuse(told)
    return room.refuse(_or(wrong_fields(document, type_), told))


def _or(found: Iterator[FieldError], else_: Iterable[FieldError]) -> Iterator[FieldError]:
    first = next(found, None)
    if first is None:
        yield from else_
        return
    yield first
    yield from found


def _wrong_inside(value: object, type_: Any, path: str) -> Iterator[FieldError]:
    plain = _without_annotation(type_)
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct) and isinstance(value, dict):
        yield from _wrong_in_struct(value, plain, path)
    elif get_origin(plain) is list and isinstance(value, list):
        if too_many := _too_many(value, type_, path):
            yield too_many
            return
        (item_type,) = get_args(plain)
        for index in _suspects(value, plain):
            yield from wrong_fields(value[index], item_type, f"{path}[{index}]")
    elif get_origin(plain) is dict and isinstance(value, dict):
        if too_many := _too_many(value, type_, path):
            yield too_many
            return
        key_type, item_type = get_args(plain)
        for key, item in value.items():
            yield from wrong_fields(key, key_type, _join(path, key))
            yield from wrong_fields(item, item_type, _join(path, key))


def _suspects(value: list[object], type_: Any) -> Iterator[int]:
    """Yield the indices of items that may be wrong; most that are not are passed over in C."""
    for start in range(0, len(value), CHUNK):
        chunk = range(start, min(start + CHUNK, len(value)))
        try:
            msgspec.convert(value[chunk.start : chunk.stop], type_)
        except msgspec.ValidationError:
            yield from chunk


def _too_many(value: list[object] | dict[str, object], type_: Any, path: str) -> FieldError | None:
    """Say so where there are more items than allowed: then none of them is looked at."""
    for meta in getattr(type_, "__metadata__", ()):
        if meta.max_length is not None and len(value) > meta.max_length:
            return FieldError(path, f"must have at most {meta.max_length:,} items")
    return None


def _wrong_in_struct(
    value: dict[str, object], struct: type[msgspec.Struct], path: str
) -> Iterator[FieldError]:
    fields = _fields(struct)
    for name, (type_, is_required) in fields.items():
        if name in value:
            yield from _wrong_in_field(struct, name, value[name], type_, path)
        elif is_required:
            yield FieldError(_join(path, name), "required")
    for key in value:
        if key not in fields:
            yield FieldError(_join(path, key), "unknown field")


@functools.cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, tuple[Any, bool]]:
    """The type of each field, and whether it must be given."""
    hints = typing.get_type_hints(struct, include_extras=True)
    fields = msgspec.structs.fields(struct)
    return {field.encode_name: (hints[field.name], field.required) for field in fields}


def _wrong_in_field(
    struct: type[msgspec.Struct], name: str, value: object, type_: Any, path: str
) -> Iterator[FieldError]:
    named = set()
    for error in wrong_fields(value, type_, _join(path, name)):
        yield error
        named.add(error.field)
    if _join(path, name) in named:
        return  # as a whole, not in some of its items
    whole = value if named else msgspec.convert(value, type_)
    for error in _failed_checks(struct, name, whole, path):
        if error.field not in named:
            yield error


def _checked(value: T, room: Room | None = None) -> T:
    if isinstance(value, msgspec.Struct):
        failed = _all_failed_checks(value, "")
        if (first := next(failed, None)) is not None:
            raise (room or Room()).refuse(chain([first], failed))
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
) -> Iterator[FieldError]:
    check = getattr(struct, "checks", {}).get(name)
    if check is not None:
        for below, message in check(value):
            yield FieldError(_join(path, name) + below, message)


def _wrong_as_a_whole(value: object, type_: Any, path: str) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as exc:
        yield _error(path, exc)


def _error(path: str, exc: msgspec.ValidationError) -> FieldError:
    message, _, inner = str(exc).partition(" - at `$")
    inner = inner.removesuffix("`")
    field = path + inner if path else inner.removeprefix(".")
    for words, meaning in _OF_A_FIELD.items():
        if message.startswith(words):
            return FieldError(_join(field, message.removeprefix(words)[1:-1]), meaning)
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
