"""One run from its start to its end: the machine behind ``Subprocess``.

It has ended when the child has exited AND every pipe is at its end or draining is over: never by
one of the two alone (CPython issue 119710, Go issue 23019). The order of the end is: exit seen,
rest of the pipes read, what is left of the process group killed (where asked), child reaped,
descriptors closed, result made, callback called.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import signal
import time
from collections.abc import AsyncIterable, Callable
from inspect import isawaitable
from typing import Any

from executor.capture import Capture
from executor.cgroup import Cgroup
from executor.errors import CALLERS
from executor.exits import Ending, Exit, reap_orphans
from executor.options import Options, Step
from executor.pipes import OnOutput, Sink, Source
from executor.result import Result, signal_name
from executor.spawn import spawn
from executor.stdio import Stdio
from executor.watch import watch_of

log = logging.getLogger("executor")

TIMEOUT = "timeout"
CANCELLED = "cancelled"
FAILED = "failed"
ABANDON_S = 2.0
LAST_GRACE_S = 1.0


class Child:
    """Runs on the thread of its loop. ``result`` is set once, last of all, and never changed."""

    __slots__ = (
        "_cgroup",
        "_context",
        "_drain_timer",
        "_dropped",
        "_ending",
        "_exit",
        "_exited_at",
        "_feeder",
        "_options",
        "_started_at",
        "_started_mono",
        "_steps",
        "_stop_timer",
        "_swept",
        "_timeout_timer",
        "_waiters",
        "_watch",
        "failure",
        "inert",
        "loop",
        "pid",
        "result",
        "sink",
        "sources",
        "stop_reason",
    )

    def __init__(self, options: Options, loop: asyncio.AbstractEventLoop) -> None:
        self._options = options
        self.loop = loop
        self._watch = watch_of(loop)
        self._context = contextvars.copy_context()
        self._drain_timer: asyncio.TimerHandle | None = None
        self._stop_timer: asyncio.TimerHandle | None = None
        self._timeout_timer: asyncio.TimerHandle | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._exited_at: float | None = None
        self._ending: Ending | None = None
        self._steps: tuple[Step, ...] = options.stop  # those still to be taken
        self._swept = self._dropped = False
        self.inert = False
        self.failure: BaseException | None = None
        self.stop_reason: str | None = None
        self.result: Result[Any] | None = None
        self.sources: list[Source] = []
        self.sink: Sink | None = None
        self._cgroup: Cgroup | None = None
        self.pid = 0
        self._exit = Exit(loop, self._watch, self._on_exit)

    # the start

    def start(self) -> None:
        """``OSError`` when that can't be done; then nothing is left of it."""
        reap_orphans()
        stdio = Stdio(self._options)
        try:
            self._spawn(stdio)
            self._begin(stdio)
        except BaseException:
            if self.pid:
                self._watch.tenants.discard(self)
                self.abandon()
            stdio.close()
            raise

    def _spawn(self, stdio: Stdio) -> None:
        options = self._options
        if options.cgroup is not None:
            self._cgroup = Cgroup(options.cgroup)
        self._started_at = time.time()
        self._started_mono = time.monotonic()
        try:
            procs = None if self._cgroup is None else self._cgroup.procs
            # no call with a star: a signal handler could raise between its end and the assignment
            self._exit.pid = self.pid = spawn(options.command, procs, stdio.their_ends)
        except BaseException:
            if self._cgroup is not None:
                self._cgroup.remove()
            raise

    def _begin(self, stdio: Stdio) -> None:
        # no await from the spawn to here (CPython issues 103847, 125502, 133536)
        options = self._options
        stdio.close_theirs()
        self._watch.tenants.add(self)
        self._exit.begin()
        if stdio.stdout != -1:
            self._read("stdout", stdio.take_stdout())
        if stdio.stderr != -1:
            self._read("stderr", stdio.take_stderr())
        if stdio.stdin != -1:
            self.sink = Sink(self, self._watch, stdio.take_stdin())
            self._feed(self.sink, options.input)
        if options.timeout is not None:
            self._timeout_timer = self.loop.call_later(options.timeout, self._on_timeout)

    def _read(self, name: str, fd: int) -> None:
        options = self._options
        capture = Capture(options.max_output)
        source = Source(self, self._watch, name, fd, capture, options.on_output)
        self.sources.append(source)
        source.begin()

    # input

    def _feed(self, sink: Sink, given: Any) -> None:
        if given is None:  # stdin=PIPE: the caller writes
            return
        if isinstance(given, bytes):
            sink.put(given)
            sink.end()
        else:
            # not eager: nothing of the caller's runs inside start()
            self._feeder = asyncio.Task(self._pump(sink, given), loop=self.loop)
            self._feeder.add_done_callback(self._fed)

    async def _pump(self, sink: Sink, chunks: AsyncIterable[bytes]) -> None:
        iterator = aiter(chunks)
        try:
            async for chunk in iterator:
                await sink.write(chunk)
        except BrokenPipeError:
            if not sink.broken:  # the iterator's own
                raise
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

    def _fed(self, feeder: asyncio.Task[None]) -> None:
        self._feeder = None
        error: BaseException | None
        if not feeder.cancelled():
            error = feeder.exception()
        else:
            # not by us, who do that at the exit only: what the child got is not all of its input
            error = asyncio.CancelledError() if self._exited_at is None else None
        if error is not None:
            self.fail(error)
        if self.sink is not None:
            self.sink.end()
        self._finish_if_done()

    # what the ends of the pipes need of us

    def call(self, on_output: OnOutput, name: str, chunk: bytes) -> asyncio.Future[object] | None:
        return self._context.run(_call, on_output, name, chunk)

    def fail(self, error: BaseException) -> None:
        """The caller's own code failed: the run is stopped, and the error shown at its end."""
        if self.failure is None:
            self.failure = error
        self.stop(FAILED)

    def closed(self, end: Source | Sink) -> None:
        self._finish_if_done()

    # stopping: one path for timeout, cancel and failure; the first reason wins

    def stop(self, reason: str) -> bool:
        """Begin the stop sequence; False when it is begun already or there is nothing to stop."""
        if self.stop_reason is not None or self._ending is not None or self.inert:
            return False
        self.stop_reason = reason
        self._next_step()
        return True

    def _next_step(self) -> None:
        self._stop_timer = None
        while self._steps:
            (what, seconds), self._steps = self._steps[0], self._steps[1:]
            if self._act(what):
                if seconds is not None:
                    self._stop_timer = self.loop.call_later(seconds, self._next_step)
                break
        if self._exited_at is not None:
            self._bound_drain()

    def _act(self, what: int | Callable[[int], object]) -> bool:
        if callable(what):
            try:
                what(self.pid)
            except CALLERS as error:  # shown at the end; the next step now
                if self.failure is None:
                    self.failure = error
                return False
            return True
        if what == signal.SIGKILL and self._cgroup is not None:
            self._cgroup.kill()
        try:
            self.signal(what)
        except PermissionError:
            # a set-user-id program: it ends by itself or not at all
            log.warning("not allowed to send %s to process group %d", signal_name(what), self.pid)
        return True

    def signal(self, number: int, group: bool = True) -> bool:
        """False when there is nobody to get it. ``PermissionError`` for a set-user-id program."""
        if self._ending is not None or self.inert or not self._exit.is_held():
            return False
        try:
            if group:
                os.killpg(self.pid, number)
            else:
                self._exit.send(number)
        except ProcessLookupError:  # it ended meanwhile
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to the whole group, now."""
        if self._stop_timer is not None:
            self._stop_timer.cancel()
            self._stop_timer = None
        self._steps = ((signal.SIGKILL, None),)
        self._next_step()

    def drop(self) -> None:
        """Nobody is left who wants to know: from a finalizer, so on any thread."""
        self._dropped = True
        try:
            self.signal(signal.SIGKILL)
        except PermissionError:  # a set-user-id program: it is reaped when it ends
            return

    def _on_timeout(self) -> None:
        self._timeout_timer = None
        if self._exited_at is not None:  # drain=None: the command made it in time, its pipe did not
            self._on_drain_over()
        elif self._exit.has_come():
            self._on_exit()
        else:
            self.stop(TIMEOUT)

    # the end

    def _on_exit(self) -> None:
        """The child has exited, or so it seems."""
        if self._exited_at is not None:
            self._finish_if_done()
        elif not self._is_open() and not self._sweeps():
            self._finish()
        elif self._exit.has_come():
            self._exited_at = time.monotonic()
            self._exit.ignore()
            self._drain()
        else:
            self._exit.again()

    def _drain(self) -> None:
        for source in self.sources:
            source.read_rest()
        if self._feeder is not None:
            self._feeder.cancel()
        elif self.sink is not None:
            self.sink.end_with_child()
        if self._ending is None and self._is_open():
            self._bound_drain()
        else:
            self._finish_if_done()

    def _bound_drain(self) -> None:
        seconds = self._drain_seconds()
        if self._drain_timer is None and seconds is not None and self._ending is None:
            self._cancel_timer("_timeout_timer")
            self._drain_timer = self.loop.call_later(seconds, self._on_drain_over)

    def _drain_seconds(self) -> float | None:
        if self._dropped:
            return 0.0
        if self._options.drain is None and self.stop_reason is not None and not self._steps:
            # stopped to the last step: who holds the pipe now has left the group
            return LAST_GRACE_S
        return self._options.drain

    def _on_drain_over(self) -> None:
        self._drain_timer = None
        if self._sweeps() and not self._swept:
            # who holds the pipe dies now; what it wrote is still to be read
            self._sweep()
            drain = self._options.drain
            grace = LAST_GRACE_S if drain is None else min(drain, LAST_GRACE_S)
            self._drain_timer = self.loop.call_later(grace, self._on_drain_over)
            return
        self._feeder = None
        if self.sink is not None:
            self.sink.give_up()
        for source in self.sources:
            if self.stop_reason is not None or self._dropped:
                source.dismiss()
            source.last_call()
        self._finish_if_done()

    def _is_open(self) -> bool:
        for source in self.sources:
            if source.is_open:
                return True
        return (self.sink is not None and self.sink.fd != -1) or self._feeder is not None

    def _finish_if_done(self) -> None:
        if self._exited_at is not None and self._ending is None and not self._is_open():
            self._finish()

    def _sweeps(self) -> bool:
        return self.stop_reason is not None or self._options.kill_group or self._dropped

    def _sweep(self) -> None:
        """Before the child is reaped, so that the group's id can't belong to another."""
        self._swept = True
        if self._cgroup is not None:
            self._cgroup.kill()
        try:
            self.signal(signal.SIGKILL)
        except PermissionError:  # set-user-id programs only
            log.warning("not allowed to kill what is left of process group %d", self.pid)

    def _finish(self) -> None:
        if self._sweeps() and not self._swept:
            self._sweep()
        ending = self._exit.reap()
        if ending is None:
            self._exit.again()
            return
        if self._exited_at is None:
            self._exited_at = time.monotonic()
        self._ending = ending
        self._exit.close()
        self._part()
        for timer in ("_timeout_timer", "_stop_timer", "_drain_timer"):
            self._cancel_timer(timer)
        self._watch.tenants.discard(self)
        if self._cgroup is None:
            self._settle(ending)
        else:
            self._cgroup.remove_soon(self.loop, lambda: self._settle(ending))

    def _part(self) -> None:
        for source in self.sources:
            source.part()
        if self.sink is not None:
            self.sink.part()

    def _cancel_timer(self, name: str) -> None:
        timer: asyncio.TimerHandle | None = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)

    def _settle(self, ending: Ending) -> None:
        self.result = self._make_result(ending)
        self._show_failure()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        callback = self._options.callback
        if callback is not None:
            result = self.result
            facts = (result.status, result.stdout, result.stderr, result.has_timed_out)
            try:
                rest = self._context.run(_call, callback, *facts)
            except CALLERS as error:  # as asyncio does with any callback
                self._report("the callback of a Subprocess failed", error)
            else:
                if rest is not None:
                    _callbacks.add(rest)
                    rest.add_done_callback(self._called)

    def _called(self, rest: asyncio.Future[object]) -> None:
        _callbacks.discard(rest)
        if not rest.cancelled() and (error := rest.exception()) is not None:
            self._report("the callback of a Subprocess failed", error)

    def _show_failure(self) -> None:
        if self.failure is not None and (self._options.callback is not None or not self._waiters):
            self._report("a Subprocess was stopped, as code given to it failed", self.failure)

    def _report(self, message: str, error: BaseException) -> None:
        args = self._options.args
        self.loop.call_exception_handler({"message": f"{message}: {args!r}", "exception": error})

    def _make_result(self, ending: Ending) -> Result[Any]:
        options = self._options
        captures = {source.name: source.capture for source in self.sources}
        stdout = captures.get("stdout") or _NOTHING
        stderr = captures.get("stderr") or _NOTHING
        exited_at = self._exited_at if self._exited_at is not None else self._started_mono
        return Result(
            args=options.args,
            pid=self.pid,
            status=ending.status,
            stdout=self._text(stdout.value()),
            stderr=self._text(stderr.value()),
            has_timed_out=self.stop_reason == TIMEOUT,
            was_cancelled=self.stop_reason in (CANCELLED, FAILED),
            incomplete=self._is_incomplete(),
            stdout_total=stdout.total,
            stderr_total=stderr.total,
            stdout_dropped=stdout.dropped,
            stderr_dropped=stderr.dropped,
            usage=ending.usage,
            started_at=self._started_at,
            duration=exited_at - self._started_mono,
            core_dumped=ending.core_dumped,
        )

    def _text(self, output: bytes) -> bytes | str:
        encoding = self._options.encoding
        if encoding is None:
            return output
        try:
            return output.decode(encoding, self._options.errors)
        except Exception as error:  # a UnicodeError, or what a codec or error handler raises
            if self.failure is None:
                self.failure = error
        try:
            return output.decode(encoding, "replace")
        except Exception:  # a codec that replaces nothing, as "idna"; the failure is shown already
            return output.decode("latin-1")

    def _is_incomplete(self) -> bool:
        if self.sink is not None and self.sink.incomplete:
            return True
        return any(source.incomplete for source in self.sources)

    async def ended(self) -> None:
        """Return when there is a result; cancelling it leaves the run as it is."""
        if self.result is None:
            waiter = self.loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    @property
    def is_awaited(self) -> bool:
        return bool(self._waiters) or self._options.callback is not None

    # without a loop

    def abandon(self) -> None:
        """The loop is closed, or the start failed half-way: kill, close, reap; nobody is told."""
        if self.inert or self._ending is not None:
            return
        self._swept = True
        self._dropped = True
        try:
            self._sweep()
        except OSError as error:
            log.warning("process %d could not be killed: %s", self.pid, error)
        self.inert = True
        self._discard()
        self._exit.wait_blocking(ABANDON_S)
        self._exit.close()
        if self._cgroup is not None:
            self._cgroup.remove()

    def forget(self) -> None:
        """In a forked copy of the process: the child is not ours."""
        self.inert = True
        self._discard()
        self._exit.close()

    def _discard(self) -> None:
        for source in self.sources:
            source.discard()
        if self.sink is not None:
            self.sink.discard()


_NOTHING = Capture(0)


# asyncio itself holds its tasks by weak references only
_callbacks: set[asyncio.Future[object]] = set()


def _call(act: Callable[..., object], *facts: object) -> asyncio.Future[object] | None:
    waiting = act(*facts)
    return asyncio.ensure_future(waiting) if isawaitable(waiting) else None
