"""How a run ended: plain facts, frozen."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any, AnyStr, Generic


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


def signal_name(number: int) -> str:
    """``"SIGTERM"``, or ``"signal 40"`` for a number without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
