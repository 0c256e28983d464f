"""How a run ended: plain facts, frozen."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, AnyStr, Generic, NamedTuple

from executor.capture import Capture
from executor.stop import CANCELLED, FAILED, TIMEOUT

if TYPE_CHECKING:
    from executor.child import Child


@dataclass(frozen=True, slots=True)
class Usage:
    """What the kernel charged to the command and those of its children that it waited for
    (wait4(2)).

    ``max_rss_bytes`` is an upper bound: Linux counts the resident size of the process that started
    the command until the program begins, so that it is never below the peak of this process.
    """

    user_seconds: float
    system_seconds: float
    max_rss_bytes: int


class Ending(NamedTuple):
    """``status`` as in ``Result``; no ``usage`` when somebody else has reaped the child."""

    status: int | None
    core_dumped: bool
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Result(Generic[AnyStr]):
    """How a run ended.

    ``status`` is the exit code, ``-N`` for a death by signal N, ``None`` where nobody can know it
    (another part of the process reaped the child). ``stdout`` and ``stderr`` are what was kept:
    all of it, or the first and the last bytes when ``..._dropped`` is above 0; empty for a stream
    that was not captured. ``..._total`` counts the bytes that were read.
    ``incomplete`` says that a pipe was still open when draining ended, so more might have come.
    ``usage`` is ``None`` when the child was reaped by another.
    ``started_at`` is Unix time in seconds; ``duration`` the seconds from there to the exit.
    """

    args: Any
    pid: int
    status: int | None
    stdout: AnyStr
    stderr: AnyStr
    has_timed_out: bool
    was_cancelled: bool
    incomplete: bool
    stdout_total: int
    stderr_total: int
    stdout_dropped: int
    stderr_dropped: int
    usage: Usage | None
    started_at: float
    duration: float
    core_dumped: bool = False

    @property
    def ending(self) -> str:
        """The end in words: ``"ended with exit code 3"``, ``"was killed by SIGKILL"``."""
        if self.status is None:
            text = "ended in a way that nobody knows"
        elif self.status >= 0:
            text = f"ended with exit code {self.status}"
        else:
            text = f"was killed by {signal_name(-self.status)}"
        return text + (" after its timeout" if self.has_timed_out else "")


def make_result(run: Child) -> tuple[Result[Any], BaseException | None]:
    """Of a run whose child is reaped; and what was wrong with its output as text."""
    captures = {source.name: source.capture for source in run.ends.sources}
    stdout = captures.get("stdout") or _NOTHING
    stderr = captures.get("stderr") or _NOTHING
    out, out_dropped, out_error = _output(stdout, run.options.encoding, run.options.errors)
    err, err_dropped, err_error = _output(stderr, run.options.encoding, run.options.errors)
    ending = run.ending
    result = Result(
        args=run.options.args,
        pid=run.pid,
        status=None if ending is None else ending.status,
        stdout=out,
        stderr=err,
        has_timed_out=run.stopping.reason == TIMEOUT,
        was_cancelled=run.stopping.reason in (CANCELLED, FAILED),
        incomplete=run.ends.incomplete,
        stdout_total=stdout.total,
        stderr_total=stderr.total,
        stdout_dropped=out_dropped,
        stderr_dropped=err_dropped,
        usage=None if ending is None else ending.usage,
        started_at=run.started_at,
        duration=run.exited_at - run.started_mono,
        core_dumped=ending is not None and ending.core_dumped,
    )
    return result, out_error or err_error


_NOTHING = Capture(0)


def _output(
    capture: Capture, encoding: str | None, errors: str
) -> tuple[Any, int, BaseException | None]:
    """What was kept, how much was not, and what was wrong with it."""
    try:
        output, failure = _text(capture.value(), encoding, errors)
    except MemoryError as error:  # how the command ended is told all the same
        return b"" if encoding is None else "", capture.total, error
    return output, capture.dropped, failure


def _text(output: bytes, encoding: str | None, errors: str) -> tuple[Any, BaseException | None]:
    if encoding is None:
        return output, None
    try:
        return output.decode(encoding, errors), None
    except Exception as error:  # a UnicodeError, or what a codec or error handler raises
        failure = error
    try:
        return output.decode(encoding, "replace"), failure
    except Exception:  # a codec that replaces nothing, as "idna"; the failure is shown already
        return output.decode("latin-1"), failure


def signal_name(number: int) -> str:
    """``"SIGTERM"``, or ``"signal 40"`` for a number without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
