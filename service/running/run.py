"""One job's run in this process: from its claim, through its command, to how it ended."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sized
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

import executor
from executor import Handover, OutputState, Result, Subprocess
from service import jobs
from service.errors import Conflict, NoRoom
from service.jobs import NOTHING, End, Reason, State, Stdin, Stream
from service.journal import Journal
from service.ledger import Claim, Start
from service.running import orphans
from service.running.command import Inherited, base_environment, limits_of, stop_steps
from service.running.outcome import judge, usage_of, why
from service.running.stdin import OpenStdin, given

log = logging.getLogger(__name__)


class Keeper(Protocol):
    """Who sees to it that a run outlives this process."""

    def changed(self, run: Run, handover: Handover | None = None) -> None:
        """What `snapshot` returns has changed, or is about to."""

    def stdin_closed(self, run: Run) -> None:
        """The command is to see the end of its stdin."""

    async def reap(self, run: Run) -> tuple[int, executor.Usage | None] | None:
        """Return the wait status of a command that is another process's child by now."""


class Snapshot(msgspec.Struct):
    """What the next process must know of a run, beside its job in the ledger and its descriptors.

    `handover` is what executor's Handover makes of itself. Written and read by different versions:
    fields are only added, with defaults.
    """

    started_at: str
    handover: dict[str, Any]
    error: str | None = None
    is_stdin_ending: bool = False


class Run:
    """One claimed job.

    Its owner calls `start` once; `on_end(run)` is called once, on the loop, when the command has
    ended or could not be started; then `end` and `content` say how, and what it printed.
    `written` is done when that is in the ledger, or the job waits in the queue again.
    """

    __slots__ = (
        "_begun",
        "_error",
        "_inherited",
        "_is_unwanted",
        "_keeper",
        "_on_end",
        "_process",
        "_stdin",
        "cancel_requested",
        "content",
        "created_at",
        "end",
        "id",
        "journal",
        "spec",
        "started_at",
        "stdin_bytes",
        "written",
    )

    def __init__(
        self,
        claim: Claim,
        journal: Journal,
        inherited: Inherited,
        on_end: Callable[[Run], None],
        keeper: Keeper | None = None,
    ) -> None:
        """Nothing runs before `start` or `take_over`."""
        self.id = claim.id
        self.spec = claim.spec
        self.created_at = claim.created_at
        self.journal = journal
        self.started_at: str | None = None
        self.end: End | None = None
        self.content: bytes | None = None
        self.cancel_requested = False
        self.stdin_bytes = 0
        self.written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._inherited = inherited
        self._on_end = on_end
        self._keeper = keeper
        self._stdin: OpenStdin | None = None
        self._error: str | None = None
        self._is_unwanted = False
        self._process: Subprocess[bytes] | None = None
        self._begun: asyncio.Event | None = None  # made by the first one who waits

    @property
    def has_begun(self) -> bool:
        """Whether its command was started, or never will be here."""
        return self._process is not None or self.end is not None or self.written.done()

    async def wait_begun(self, timeout_s: float) -> None:
        """Return when it `has_begun`, or when the time is up."""
        if not self.has_begun:
            self._begun = self._begun or asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._begun.wait(), timeout_s)

    @property
    def was_stopped(self) -> bool:
        """Whether the command was stopped, by its timeout or on request, before its own end."""
        return (
            self._process is not None
            and self.end is not None
            and (self.end.reason in ("timeout", "cancelled"))
        )

    @property
    def cgroup(self) -> Path | None:
        """The cgroup that is this command's own, where it has one."""
        cgroup = self._process.handover().cgroup if self._process else None
        return None if cgroup is None else Path(cgroup)

    def start(self) -> Start | None:
        """Start the command; None when that can't be or shall not be, and the job has ended so.

        Raises NoRoom when it could be in a moment; then nothing has happened.
        """
        if self._is_unwanted:
            self._finish("cancelled", "cancelled")
            return None
        try:
            self._process, started_at = self._started()
        except executor.NoRoom as exc:
            self._close_stdin()
            raise NoRoom(f"no room to start a command: {exc.strerror}") from exc
        except Exception as exc:  # whatever it is, the job can't stay without an end
            if not isinstance(exc, OSError | ValueError):
                log.exception("job %s could not be started", self.id)
            self._finish("failed", "spawn_error", error=why(exc))
            return None
        self.started_at = started_at
        self._tell_begun()
        return Start(self.id, self._process.pid or 0, started_at)

    def take_over(self, snapshot: Snapshot, descriptors: Mapping[str, int]) -> Start:
        """Go on with a command that another process has started; it owns the descriptors then.

        Raises what it meets; then they are the caller's as before, and the command runs on.
        """
        fds = dict(descriptors)
        try:
            if self.spec.stdin == "open" and "input" in fds:
                pipe, file = fds.pop("stdin", -1), fds.pop("input")
                is_ending = snapshot.is_stdin_ending
                self._stdin = OpenStdin(pipe, file, self._stdin_closed)
                self._stdin.go_on(is_ending=is_ending)
            handover = Handover.from_dict({"args": self.spec.args, **snapshot.handover}, fds)
            self._process = Subprocess.take_over(
                self._counted(handover),
                self._ended,
                reap=self._reap,
                stop=stop_steps(self.spec.stop),
                **self._followed(),
            )
        except BaseException:
            if self._stdin is not None:
                self._stdin.let_go()
            raise
        self._error = snapshot.error
        self.started_at = snapshot.started_at
        self._tell_begun()
        return Start(self.id, handover.pid, snapshot.started_at)

    def snapshot(self, handover: Handover | None = None) -> tuple[Snapshot, dict[str, int]]:
        """Return what `take_over` needs, at this moment or as of a handover; RuntimeError when
        nothing runs.
        """
        if self._process is None or self.started_at is None:
            raise RuntimeError("the job does not run")
        handover = handover or self._process.handover()
        fds = dict(handover.descriptors)
        if self._stdin is not None:
            fds |= self._stdin.descriptors
        plain = handover.to_dict()
        del plain["args"]
        is_ending = self._stdin is not None and self._stdin.is_ending
        return Snapshot(self.started_at, plain, self._error, is_ending), fds

    def release_at_once(self) -> None:
        """As `release`, at the end of a process that has failed; the guard holds all of it."""
        with suppress(RuntimeError, ValueError):
            _, pidfd = self.release()
            os.close(pidfd)

    def tell_changes(self) -> None:
        """From now on tell the keeper what `snapshot` returns before it changes."""
        if self._process is not None:
            self._process.tell_changes(self._about_to_change)

    def release(self) -> tuple[int, int]:
        """Let go of the command without a signal, for the next process to take over.

        Returns its pid and a pidfd, which is the caller's. RuntimeError when nothing runs.
        """
        if self._process is None:
            raise RuntimeError("the job does not run")
        handover = self._process.release()
        fds = dict(handover.descriptors)
        if self._stdin is not None:
            fds |= self._stdin.let_go()
        pidfd = fds.pop("pidfd")
        for fd in fds.values():
            os.close(fd)
        self.journal.close()
        if not self.written.done():
            self.written.set_result(None)
        return handover.pid, pidfd

    def cancel(self, error: str | None = None) -> None:
        """Stop the command, or keep it from starting; of no effect once it has ended.

        `error` says why, if not on request.
        """
        if self._process is None:
            self._is_unwanted, self._error = True, error
        elif self._process.cancel():
            self._error = error
            # what the command left in its pipes is kept: who follows can still come back for it
            self.journal.stop_expecting()

    def give_up(self) -> None:
        """Let go of a job that was not started and waits in the queue again; it has no `end`."""
        self.journal.close()
        self.written.set_result(None)
        self._tell_begun()

    def close(self) -> None:
        """Let go of a job whose end is written."""
        try:
            self.journal.close()
        finally:
            self.written.set_result(None)

    def check_stdin(self, offset: int | None = None) -> None:
        """Raise Conflict unless the command runs and its stdin was asked to be open, StdinGap when
        it has not got all that comes before `offset`.
        """
        self._open_stdin().check(offset)

    async def write_stdin(self, data: bytes, offset: int | None = None) -> None:
        """Write to the command's open stdin as fast as it reads; Conflict when that can't be,
        NoRoom without memory for it.

        `offset` says how many bytes come before these: those that were written already are left
        out. What was written is counted at once, and goes out in this order, whoever waits for it.
        """
        await self._open_stdin().write(data, offset)

    def close_stdin(self) -> None:
        """End the command's open stdin; Conflict when it has none."""
        self._open_stdin().end()
        if self._keeper is not None:
            self._keeper.changed(self)

    def _open_stdin(self) -> OpenStdin:
        if self.spec.stdin != "open":
            raise Conflict("the job was not submitted with 'stdin': 'open'")
        if self._process is None or self._stdin is None or self.end is not None:
            raise Conflict("the job is not running")
        return self._stdin

    def signal(self, number: int) -> None:
        """Signal the command's process group; Conflict unless it runs."""
        if self._process is None or self.end is not None:
            raise Conflict("the job is not running")
        self._process.send_signal(number)

    def _started(self) -> tuple[Subprocess[bytes], str]:
        """Return the command, running, and since when."""
        spec, stdin = self.spec, self._their_stdin()
        try:
            process = Subprocess(
                self._ended,
                timeout=-1 if spec.timeout is None else spec.timeout,
                stop=stop_steps(spec.stop),
                stdin=stdin,
                limits=limits_of(spec.limits),
                umask=self._inherited.umask,
                soft_open_files=self._inherited.soft_open_files,
                cgroup=self._inherited.cgroup,
                args=spec.args,
                env={**base_environment(), **spec.env, orphans.MARK: self.id},
                cwd=spec.cwd or base_environment()["HOME"],
                **self._followed(),
            )
            started_at = jobs.now()  # before it starts, from when on its duration is counted
            process.start()
            return process, started_at
        finally:
            if stdin >= 0:
                os.close(stdin)

    def _followed(self) -> dict[str, Any]:
        """Return the options of a command that runs, whoever has started it."""
        options = {"max_output": 0, "kill_group": True, "on_output": self._record}
        options["read"] = self.journal.read_pipe
        return options

    def _their_stdin(self) -> int:
        """Open what the command reads; DEVNULL for nothing."""
        match self.spec.stdin:
            case None:
                return executor.DEVNULL
            case Stdin() as stdin:
                return given(stdin.content())
        theirs, self._stdin = OpenStdin.create(self._stdin_closed)
        return theirs

    def _stdin_closed(self) -> None:
        if self._keeper is not None:
            self._keeper.stdin_closed(self)

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            self.stdin_bytes = self._stdin.bytes
            self._stdin.close()

    def _about_to_change(self, handover: Handover) -> None:
        if self._keeper is not None:
            self._keeper.changed(self, handover)

    async def _reap(self) -> tuple[int, executor.Usage | None] | None:
        return await self._keeper.reap(self) if self._keeper is not None else None

    def _counted(self, handover: Handover) -> Handover:
        """What was taken out of the pipes is in the journal, also what nobody had time to count."""
        stdout = OutputState(self.journal.bytes("stdout"))
        return dataclasses.replace(
            handover, stdout=stdout, stderr=OutputState(self.journal.bytes("stderr"))
        )

    def _record(self, stream: str, chunk: Sized) -> Awaitable[None] | None:
        try:
            return self.journal.write(stream, chunk)
        except Exception as exc:
            self._error = f"stopped because its output could not be recorded: {exc}"
            raise

    def _ended(self, *_: object) -> None:
        result = self._process.result if self._process else None
        if result is None:
            raise RuntimeError("the callback ran before the result was there")
        self._finish(*judge(result), result=result)

    def _finish(
        self,
        state: State,
        reason: Reason,
        *,
        error: str | None = None,
        result: Result[bytes] | None = None,
    ) -> None:
        self._close_stdin()
        written = (result.stdout_total, result.stderr_total) if result else (0, 0)
        stdout, stderr = self._finish_output(written)
        status = result.status if result else None
        self.end = End(
            state=state,
            reason=reason,
            error=error or self._error,
            pid=result.pid if result else None,
            started_at=self.started_at,
            finished_at=jobs.now(),
            duration=result.duration if result else None,
            exit_code=status if status is not None and status >= 0 else None,
            signal=jobs.signal_name(-status) if status is not None and status < 0 else None,
            has_timed_out=result.has_timed_out if result else False,
            usage=usage_of(result) if result else None,
            stdout=stdout,
            stderr=stderr,
        )
        self._tell_begun()
        self._on_end(self)

    def _tell_begun(self) -> None:
        if self._begun is not None:
            self._begun.set()

    def _finish_output(self, written: tuple[int, int]) -> tuple[Stream, Stream]:
        journal = self.journal
        try:
            self.content = journal.finish(written)
            stdout = Stream(journal.bytes("stdout"), journal.dropped("stdout"))
            return stdout, Stream(journal.bytes("stderr"), journal.dropped("stderr"))
        except Exception as exc:  # the job has ended all the same
            log.exception("the output of job %s could not be finished", self.id)
            self._error = self._error or f"its output could not be finished: {exc}"
            return NOTHING, NOTHING
