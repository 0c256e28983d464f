"""One job's run in this process: from its claim, through its command, to how it ended."""

from __future__ import annotations

import asyncio
import functools
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

from executor import PIPE, Limits, Result, Subprocess
from service import jobs
from service.errors import Conflict
from service.jobs import End, Reason, State, Stdin, Stream, Usage
from service.journal import Journal
from service.ledger import Claim, Start
from service.running import orphans

RLIMITS = ("address_space", "cpu_seconds", "open_files", "processes", "file_size", "core_size")


class Run:
    """One claimed job.

    Its owner calls `start` once; `on_end(run)` is called once, on the loop, when the command has
    ended or could not be started; then `end` and `content` say how, and what it printed.
    `written` is done when that is in the ledger.
    """

    __slots__ = (
        "_error",
        "_is_unwanted",
        "_on_end",
        "_process",
        "cancel_requested",
        "content",
        "created_at",
        "end",
        "id",
        "journal",
        "spec",
        "started_at",
        "written",
    )

    def __init__(self, claim: Claim, journal: Journal, on_end: Callable[[Run], None]) -> None:
        """Take a claimed job; nothing runs yet."""
        self.id = claim.id
        self.spec = claim.spec
        self.created_at = claim.created_at
        self.journal = journal
        self.started_at: str | None = None
        self.end: End | None = None
        self.content: bytes | None = None
        self.cancel_requested = False
        self.written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_end = on_end
        self._error: str | None = None
        self._is_unwanted = False
        self._process: Subprocess[bytes] | None = None

    @property
    def was_stopped(self) -> bool:
        """Whether the command was stopped, by its timeout or on request, before its own end."""
        return (
            self._process is not None
            and self.end is not None
            and (self.end.reason in ("timeout", "cancelled"))
        )

    def start(self) -> Start | None:
        """Start the command; None when that can't be or shall not be, and the job has ended so."""
        if self._is_unwanted:
            self._finish("cancelled", "cancelled", error=self._error)
            return None
        try:
            self._process = self._subprocess()
            self._process.start()
        except (OSError, ValueError) as exc:
            self._process = None
            self._finish("failed", "spawn_error", error=_why(exc))
            return None
        self.started_at = jobs.now()
        return Start(self.id, self._process.pid or 0, self.started_at)

    def cancel(self, error: str | None = None) -> None:
        """Stop the command, or keep it from starting; of no effect once it has ended.

        `error` says why, if not on request.
        """
        if self._process is None:
            self._is_unwanted, self._error = True, error
        elif self._process.cancel():
            self._error = error

    def check_stdin(self) -> None:
        """Raise Conflict unless the command runs and its stdin was asked to be open."""
        self._open_stdin()

    async def write_stdin(self, data: bytes) -> None:
        """Write to the command's open stdin as fast as it reads; Conflict when that can't be."""
        try:
            await self._open_stdin().write(data)
        except (BrokenPipeError, ValueError) as exc:
            raise Conflict("nobody reads the job's stdin any more") from exc

    def close_stdin(self) -> None:
        """End the command's open stdin; Conflict when it has none."""
        self._open_stdin().close_stdin()

    def _open_stdin(self) -> Subprocess[bytes]:
        if self.spec.stdin != "open":
            raise Conflict("the job was not submitted with 'stdin': 'open'")
        if self._process is None or self.end is not None:
            raise Conflict("the job is not running")
        return self._process

    def signal(self, number: int) -> None:
        """Signal the command's process group; Conflict unless it runs."""
        if self._process is None or self.end is not None:
            raise Conflict("the job is not running")
        self._process.send_signal(number)

    def _subprocess(self) -> Subprocess[bytes]:
        spec = self.spec
        return Subprocess(
            self._ended,
            timeout=-1 if spec.timeout is None else spec.timeout,
            stop=_stop(spec.stop),
            **self._stdin(),
            max_output=0,
            on_output=self.journal.write,
            limits=_limits(spec.limits),
            kill_group=True,
            args=spec.args,
            env={**base_environment(), orphans.MARK: self.id, **spec.env},
            cwd=spec.cwd or base_environment()["HOME"],
        )

    def _stdin(self) -> dict[str, Any]:
        match self.spec.stdin:
            case None:
                return {}
            case Stdin() as stdin:
                return {"input": stdin.content()}
        return {"stdin": PIPE}

    def _ended(self, *_: object) -> None:
        result = self._process.result if self._process else None
        if result is None:
            raise RuntimeError("the callback ran before the result was there")
        self._finish(*_judge(result), error=self._error, result=result)

    def _finish(
        self,
        state: State,
        reason: Reason,
        *,
        error: str | None = None,
        result: Result[bytes] | None = None,
    ) -> None:
        self.content = self.journal.finish()
        status = result.status if result else None
        self.end = End(
            state=state,
            reason=reason,
            error=error,
            pid=result.pid if result else None,
            started_at=self.started_at,
            finished_at=jobs.now(),
            duration=result.duration if result else None,
            exit_code=status if status is not None and status >= 0 else None,
            signal=jobs.signal_name(-status) if status is not None and status < 0 else None,
            has_timed_out=result.has_timed_out if result else False,
            usage=_usage(result) if result else None,
            stdout=Stream(self.journal.bytes("stdout"), self.journal.dropped("stdout")),
            stderr=Stream(self.journal.bytes("stderr"), self.journal.dropped("stderr")),
        )
        self._on_end(self)


@functools.cache
def base_environment() -> dict[str, str]:
    """Return what every job gets: enough for ordinary programs, nothing of the service's own."""
    user = pwd.getpwuid(os.getuid())
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": user.pw_dir if Path(user.pw_dir).is_dir() else "/",
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "LANG": "C.UTF-8",
    }


@functools.lru_cache
def _stop(stop: jobs.Stop) -> tuple[tuple[int, float | None], ...]:
    return (jobs.signal_number(stop.signal) or SIGTERM, stop.grace), (SIGKILL, None)


@functools.lru_cache
def _limits(limits: jobs.Limits) -> Limits | None:
    asked = {name: getattr(limits, name) for name in RLIMITS}
    return None if set(asked.values()) == {None} else Limits(**asked)


def _judge(result: Result[bytes]) -> tuple[State, Reason]:
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


def _usage(result: Result[bytes]) -> Usage | None:
    used = result.usage
    return Usage(used.user_seconds, used.system_seconds, used.max_rss_bytes) if used else None


def _why(exc: BaseException) -> str:
    if isinstance(exc, OSError) and exc.strerror:
        return f"{exc.strerror}: {os.fsdecode(exc.filename)}" if exc.filename else exc.strerror
    return str(exc)
