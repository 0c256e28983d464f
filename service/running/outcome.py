"""How a command ended, in the words of a job."""

from __future__ import annotations

import os

from executor import Result
from service.jobs import Reason, State, Usage


def judge(result: Result[bytes]) -> tuple[State, Reason]:
    """Say how a command ended; what stopped it comes before its exit code."""
    if result.has_timed_out:
        return "failed", "timeout"
    if result.was_cancelled:
        return "cancelled", "cancelled"
    if result.status is None:
        return "lost", "crash"
    if result.status < 0:
        return "failed", "signal"
    return ("succeeded" if result.status == 0 else "failed"), "exit"


def usage_of(result: Result[bytes]) -> Usage | None:
    used = result.usage
    return Usage(used.user_seconds, used.system_seconds, used.max_rss_bytes) if used else None


def why(exc: BaseException) -> str:
    if isinstance(exc, OSError) and exc.strerror:
        return f"{exc.strerror}: {os.fsdecode(exc.filename)}" if exc.filename else exc.strerror
    return str(exc)
