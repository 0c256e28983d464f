"""What was asked of one run: checked, and not changed any more."""

from __future__ import annotations

import codecs
import contextlib
import math
import os
import signal
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

from executor.changes import OnChange
from executor.input import Encode
from executor.limits import Limits
from executor.pipes import OnOutput, Read
from executor.spawn import Command
from executor.stdio import DEVNULL, PIPE, check_stream
from executor.stop import Step

Callback = Callable[[int | None, Any, Any, bool], object]

STOP: tuple[Step, ...] = ((signal.SIGTERM, 5.0), (signal.SIGKILL, None))
DRAIN_S = 1.0
MAX_OUTPUT = 16 * 1024 * 1024

NOTHING = object()


class Options:
    """One slot an option, as in ``Subprocess``; ``TypeError``, ``ValueError`` for wrong ones."""

    __slots__ = (
        "args",
        "callback",
        "cgroup",
        "command",
        "drain",
        "encoding",
        "errors",
        "input",
        "kill_group",
        "max_output",
        "on_change",
        "on_output",
        "pass_fds",
        "pipesize",
        "read",
        "stderr",
        "stdin",
        "stdout",
        "stop",
        "timeout",
    )

    def __init__(
        self,
        callback: Callback | None,
        timeout: float | None,
        args: Any,
        stop: Iterable[Step] | None,
        drain: float | None,
        input: Any,
        max_output: int | None,
        on_output: OnOutput | None,
        read: Read | None,
        on_change: OnChange | None,
        encoding: str | None,
        errors: str,
        text: bool | None,
        limits: Limits | None,
        kill_group: bool,
        cgroup: str | os.PathLike[str] | None,
        soft_open_files: int | None,
        popen: dict[str, Any],
    ) -> None:
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        if on_output is not None and not callable(on_output):
            raise TypeError(f"on_output must be callable, not {on_output!r}")
        if limits is not None and not isinstance(limits, Limits):
            raise TypeError(f"limits must be Limits(...), not {limits!r}")
        self.callback = callback
        self.on_output = on_output
        self.read = read
        self.on_change = on_change
        # a copy: an iterator gives its words once, and a list may be changed by its owner
        self.args = _args(args)
        self.timeout = _timeout(timeout)
        self.drain = None if drain is None else _seconds("drain", drain)
        self.max_output = _size(max_output)
        self.stop = STOP if stop is None else _stop(stop)
        self.kill_group = kill_group or cgroup is not None
        self.cgroup = None if cgroup is None else os.fspath(cgroup)
        self.encoding = _encoding(encoding, errors, text)
        self.errors = errors
        self._take_streams(input, popen)
        if read is not None:
            _check_read(read, self.max_output)
        if on_change is not None:
            check_on_change(on_change, self.stop, self.input)
        self.command = Command(self.args, limits, _count(soft_open_files), popen)

    def _take_streams(self, given: Any, popen: dict[str, Any]) -> None:
        self.pipesize = popen.pop("pipesize", -1)
        if not isinstance(self.pipesize, int):
            raise TypeError("pipesize must be a whole number of bytes")
        self.pass_fds = popen["pass_fds"] = tuple(popen.get("pass_fds", ()))
        if not popen.pop("start_new_session", True):
            raise ValueError("the command always leads a session of its own")
        self.stdout = _checked("stdout", popen.pop("stdout", PIPE))
        self.stderr = _checked("stderr", popen.pop("stderr", PIPE))
        stdin = popen.pop("stdin", NOTHING)
        self.input: Any = None
        if given is None:
            self.stdin = DEVNULL if stdin is NOTHING else _checked("stdin", stdin)
        elif stdin is not NOTHING:
            raise ValueError("input and stdin exclude each other")
        else:
            self._take_input(given)

    def _take_input(self, given: Any) -> None:
        if isinstance(given, str):
            given = self.encode(given)
        if isinstance(given, (bytes, bytearray, memoryview)):
            self.stdin, self.input = PIPE, bytes(given)
        elif isinstance(given, AsyncIterable):
            self.stdin, self.input = PIPE, given
        elif isinstance(given, int) or callable(getattr(given, "fileno", None)):
            self.stdin = check_stream("input", given)
            if isinstance(given, int) and given < 0:
                raise ValueError(f"input is no descriptor: {given}")
        else:
            raise TypeError(
                f"input must be bytes, a descriptor, a file or an async iterator, not {given!r}"
            )

    def encode(self, text: str) -> bytes:
        """What the child shall read: never with ``?`` in place of a character."""
        if self.encoding is None:
            raise TypeError("it must be bytes where no encoding is given, not str")
        return text.encode(self.encoding, self._strict_errors())

    def _strict_errors(self) -> str:
        return self.errors if self.errors in _REVERSIBLE else "strict"

    def encoder(self) -> Encode:
        """The same piece by piece: what a stateful encoding begins with comes once."""
        if self.encoding is not None:
            with contextlib.suppress(LookupError):  # a codec that knows no pieces
                return codecs.getincrementalencoder(self.encoding)(self._strict_errors()).encode
        return lambda text, final: self.encode(text)


def _check_read(read: Read, max_output: int | None) -> None:
    if not callable(read):
        raise TypeError(f"read must be callable, not {read!r}")
    if max_output != 0:
        raise ValueError("read leaves no bytes to keep: it needs max_output=0")


def check_on_change(on_change: OnChange, stop: tuple[Step, ...], given: Any) -> None:
    """``TypeError``; ``ValueError`` for what can't be handed over."""
    if not callable(on_change):
        raise TypeError(f"on_change must be callable, not {on_change!r}")
    if any(callable(what) for what, _ in stop):
        raise ValueError("on_change is for what can be handed over: not a stop step of code")
    if given is not None and not isinstance(given, bytes):
        raise ValueError("on_change is for what can be handed over: not an iterator as input")


def _args(args: Any) -> Any:
    if isinstance(args, (str, bytes, os.PathLike, tuple)):
        return args
    return [] if args is None else list(args)


_REVERSIBLE = frozenset({"surrogateescape", "surrogatepass"})


def _checked(name: str, wanted: Any) -> Any:
    if wanted is PIPE or wanted is DEVNULL:  # the usual ones
        return wanted
    return check_stream(name, wanted)


def _timeout(value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"timeout must be a number of seconds, not {value!r}")
    if math.isnan(value):
        raise ValueError("timeout is not a number")
    return None if value < 0 or math.isinf(value) else value


def _seconds(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be 0 or more and finite, not {value}")
    return value


def _size(value: int | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"max_output must be a number of bytes, not {value!r}")
    if value < 0:
        raise ValueError(f"max_output must be 0 or more, not {value}")
    return value


def _count(value: int | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"soft_open_files must be a whole number, not {value!r}")
    if not 0 <= value < 2**63:
        raise ValueError(f"soft_open_files must be from 0 to 2**63 - 1, not {value}")
    return value


def _stop(steps: Iterable[Step]) -> tuple[Step, ...]:
    checked = tuple((what, seconds) for what, seconds in steps)
    if not checked:
        raise ValueError("stop needs one step at least")
    for what, seconds in checked:
        if not callable(what):
            signal.Signals(what) if what < signal.SIGRTMIN else _real_time(what)
        if seconds is not None:
            _seconds("the wait of a stop step", seconds)
    return checked


def _real_time(number: int) -> None:
    if number > signal.SIGRTMAX:
        raise ValueError(f"{number} is not a signal")


def _encoding(encoding: str | None, errors: str, text: bool | None) -> str | None:
    if encoding is None:
        if not text:
            return None
        encoding = "utf-8"
    try:
        "".encode(encoding)  # not codecs.lookup(): that knows "hex" and others without text too
        codecs.lookup_error(errors)
    except (LookupError, UnicodeError) as error:
        raise ValueError(str(error)) from error
    return encoding
