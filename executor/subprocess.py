"""``Subprocess`` and ``run``: what a caller sees of a command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import warnings
from collections.abc import AsyncIterable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, AnyStr, Generic, Literal, Self, TypedDict, Unpack, overload

from executor.adopted import Reap
from executor.changes import OnChange
from executor.child import Child
from executor.dropped import LEAVE_S, drop, drop_after_leaving, is_awaited, is_leaving
from executor.errors import CommandFailed, NoRoom, OutputLost, Released
from executor.handover import Handover, describe
from executor.input import Input as OpenInput
from executor.limits import Limits
from executor.options import DRAIN_S, MAX_OUTPUT, Options, check_on_change
from executor.phase import RELEASED
from executor.pipes import OnOutput, Read, Source
from executor.result import Result
from executor.spawn import PopenArgs
from executor.stdio import PIPE
from executor.stop import CANCELLED, TIMEOUT, Step
from executor.streams import LONG_LINE, Chunks, Lines
from executor.takeover import TakenOver

Input = bytes | str | int | AsyncIterable[bytes] | AsyncIterable[str] | Any
BytesCallback = Callable[[int | None, bytes, bytes, bool], object]
TextCallback = Callable[[int | None, str, str, bool], object]
StreamName = Literal["stdout", "stderr"]


class Keywords(PopenArgs, total=False):
    """The keywords that do not decide between ``bytes`` and ``str``."""

    stop: Iterable[Step]
    drain: float | None
    input: Input
    max_output: int | None
    on_output: OnOutput | None
    read: Read | None
    on_change: OnChange | None
    errors: str
    limits: Limits | None
    kill_group: bool
    cgroup: str | os.PathLike[str] | None
    soft_open_files: int | None


class TakeOverKeywords(TypedDict, total=False):
    """The keywords of ``take_over()`` that do not decide between ``bytes`` and ``str``."""

    stop: Iterable[Step] | None
    drain: float | None
    max_output: int | None
    on_output: OnOutput | None
    read: Read | None
    on_change: OnChange | None
    errors: str
    kill_group: bool


class RunKeywords(Keywords, total=False):
    """All keywords of ``run()`` beside its own."""

    encoding: str | None
    text: bool | None


class Subprocess(Generic[AnyStr]):
    """One run of one command on the event loop of the thread that starts it. Not for other threads.

    ``callback(status, stdout, stderr, has_timed_out)`` is called exactly once, on the loop, never
    inside ``start()`` or ``cancel()``, when the child is reaped and every descriptor closed. It may
    be a coroutine function. What it raises goes to the loop's exception handler. Or
    ``await wait()``; or both.

    The run has ended when the child has exited and every pipe is at its end or ``drain`` is over.

    ``timeout``: seconds until the stop sequence begins; negative or ``None``: never.
    ``args``: a sequence of ``str``, ``bytes`` or ``PathLike``; one of these alone is the program,
    or, with ``shell=True``, the text for ``/bin/sh -c``. A shell takes no list.
    ``stop``: a sequence of (signal, seconds until the next step or ``None``), sent to the whole
    process group; a function in place of the signal is called with the process id, and may return
    an awaitable, which has the seconds of its step. End it with SIGKILL, or a child that ignores
    the rest goes on.
    ``drain``: seconds to go on reading, after the child has exited, a pipe that another process
    still holds; ``None``: until it is closed, or ``timeout`` is over.
    ``input``: bytes, a descriptor or file (the child reads it itself), or an async iterator of
    bytes; ``str`` in place of bytes with ``encoding``. A child that does not read it all is no
    error; the iterator is cancelled when the child has exited, and its cleanup waited for.
    ``stdin=PIPE`` in its place leaves stdin open for ``write()`` and ``close_stdin()``. By default
    stdin is the null device.
    ``max_output``: bytes kept of each stream, the first and the last half; ``None``: all; 0: none.
    ``on_output(stream, chunk)``: called with each chunk, as bytes, in the order it was read, all
    of them before the run has ended. While an awaitable that it returned is not done, that stream
    is not read. If it raises, the run is stopped and ``wait()`` raises its error. After a stop it
    has until ``drain`` is over: then it is cancelled, and gets no more.
    ``read(stream, descriptor, size)``: called in place of ``os.read()``; it takes bytes out of the
    pipe itself, about ``size``, as ``os.splice()`` to a file does, and returns something that is as
    long as what it has taken: ``on_output`` gets that as it is. 0 long is the end, BlockingIOError
    an empty pipe. Nothing is kept here (``max_output=0``), so ``chunks()`` and ``lines()`` can't
    be. If it raises, the run is stopped as with ``on_output``, and this stream not read any more.
    ``on_change(handover)``: called, on the loop, with what ``handover()`` says whenever that of a
    stop or of the end is about to change: before each stop step, which is the first of ``steps``
    and due now, so that who takes over repeats it and does not forget it; after it; and with the
    ``ending``, before a child of ours is reaped. What it raises is raised by ``wait()``.
    ``encoding``, ``errors``: output is ``str``; ``text=True`` is ``encoding="utf-8"``. Newlines
    stay. What you give as ``str`` must have its place in ``encoding``, whatever ``errors`` says;
    only ``surrogateescape`` and ``surrogatepass`` hold for both ways.
    ``limits``: see ``Limits``; in force before the first instruction of the program.
    ``kill_group``: kill what is left of the process group also when the command ends by itself,
    once its pipes are drained. By default its background children live on. After a stop they never
    do.
    ``cgroup``: a directory of a cgroup v2 tree that this process may write: the run gets a cgroup
    below it, and nothing in it outlives the run, not even a daemon with a session of its own.
    ``soft_open_files``: the soft limit of descriptors that the command begins with, at most our
    hard one: for a process that has raised its own. It costs two system calls, no trampoline as
    ``limits`` does. It is our limit while the start lasts (about 1 ms): code of other threads that
    runs without the GIL then meets EMFILE if it opens a descriptor beyond it.
    The other keywords are those of ``subprocess.Popen`` (see ``PopenArgs``).

    ``TypeError`` and ``ValueError`` for wrong options come from the constructor.
    """

    @overload
    def __init__(
        self: Subprocess[bytes],
        callback: BytesCallback | None = ...,
        timeout: float | None = ...,
        *,
        args: Any,
        encoding: None = ...,
        text: Literal[False] | None = ...,
        **options: Unpack[Keywords],
    ) -> None: ...
    @overload
    def __init__(
        self: Subprocess[str],
        callback: TextCallback | None = ...,
        timeout: float | None = ...,
        *,
        args: Any,
        encoding: str,
        text: bool | None = ...,
        **options: Unpack[Keywords],
    ) -> None: ...
    @overload
    def __init__(
        self: Subprocess[str],
        callback: TextCallback | None = ...,
        timeout: float | None = ...,
        *,
        args: Any,
        text: Literal[True],
        encoding: str | None = ...,
        **options: Unpack[Keywords],
    ) -> None: ...

    def __init__(
        self,
        callback: Callable[..., object] | None = None,
        timeout: float | None = -1,
        *,
        args: Any,
        stop: Iterable[Step] | None = None,
        drain: float | None = DRAIN_S,
        input: Input = None,
        max_output: int | None = MAX_OUTPUT,
        on_output: OnOutput | None = None,
        read: Read | None = None,
        on_change: OnChange | None = None,
        encoding: str | None = None,
        errors: str = "replace",
        text: bool | None = None,
        limits: Limits | None = None,
        kill_group: bool = False,
        cgroup: str | os.PathLike[str] | None = None,
        soft_open_files: int | None = None,
        **popen_args: Unpack[PopenArgs],
    ) -> None:
        self._child: Child | None = None
        self._options = Options(
            callback,
            timeout,
            args,
            stop,
            drain,
            input,
            max_output,
            on_output,
            read,
            on_change,
            encoding,
            errors,
            text,
            limits,
            kill_group,
            cgroup,
            soft_open_files,
            dict(popen_args),
        )

    def start(self) -> None:
        """Start the command on the running loop, or, where none runs yet, on ``IOLoop.current()``.

        ``OSError`` with ``errno`` and ``filename`` if that can't be done; then nothing of it is
        left, and it may be tried again: a ``NoRoom`` says that this may help. ``RuntimeError`` if
        it is started already. When it returns, the program runs, in its own session.
        """
        if self._child is not None:
            raise RuntimeError("this Subprocess is started already")
        try:
            child = Child(self._options, _loop())
            child.start()
        except OSError as error:
            if self._options.command.is_no_room(error):
                raise NoRoom(error.errno, error.strerror, error.filename) from error
            raise
        self._child = child

    def cancel(self) -> bool:
        """Begin the stop sequence; whether that did something: not before the start, not twice, and
        not after the end.
        """
        return self._child is not None and self._child.stop(CANCELLED)

    def send_signal(self, sig: int, group: bool = True) -> bool:
        """Send a signal to the process group of the child, or to the child alone; whether it was
        sent.

        ``PermissionError`` if the child runs as another user (a set-user-id program).
        """
        return self._started().signal(sig, group)

    async def wait(self) -> Result[AnyStr]:
        """How the run ended. Cancelling the wait leaves the child running.

        Raises what ``on_output``, a stop step or the iterator given as ``input`` raised, after the
        end of the child (an ``ExecutorError`` for a CancelledError); ``UnicodeError`` with
        ``errors="strict"``.
        """
        child = self._started()
        _same_loop(child)
        await child.ended()
        _not_released(child)
        if child.failure is not None:
            raise child.failure
        if child.result is None:
            raise RuntimeError("the event loop was closed before the end")
        return child.result

    async def write(self, data: AnyStr) -> None:
        """Write to the child's stdin (``stdin=PIPE``); returns when the pipe has taken it all.

        So a child that does not read makes it wait. Cancelling it takes nothing back.
        ``BrokenPipeError`` if nobody reads any more, ``ValueError`` after ``close_stdin()``.
        """
        stdin = self._stdin()
        try:
            await stdin.write(data)
        except BrokenPipeError:
            _not_released(self._started())
            raise
        _not_released(self._started())

    def close_stdin(self) -> None:
        """End the child's stdin once all that was written is handed on; idempotent."""
        self._stdin().end()

    def chunks(self, stream: StreamName = "stdout") -> Chunks[AnyStr]:
        """The stream's output as it comes, from its beginning. One reader a stream.

        A slow reader slows the child. What it reads is kept for ``Result`` all the same, up to
        ``max_output``. ``OutputLost`` if some is dropped already, ``ValueError`` if the stream is
        not captured.
        """
        if self._options.read is not None:
            raise ValueError("what read takes out of the pipe can't be read here as well")
        source = self._source(stream)
        if source.listener is not None and source.listener() is not None:
            raise RuntimeError(f"{stream} has a reader already")
        if source.capture.dropped:
            lost = f"{source.capture.dropped} bytes of {stream} are dropped already"
            raise OutputLost(f"{lost}: ask sooner, or with a larger max_output")
        options = self._options
        chunks: Chunks[AnyStr] = Chunks(
            self, source, self._started().loop, options.encoding, options.errors
        )
        chunks.begin()
        return chunks

    def lines(self, stream: StreamName = "stdout", *, limit: int = LONG_LINE) -> Lines[AnyStr]:
        """The stream's lines as they come, each with its newline; otherwise as ``chunks()``.

        A line longer than about ``limit`` comes in pieces, so that memory stays bounded.
        """
        if limit < 1:
            raise ValueError("limit must be 1 or more")
        return Lines(self.chunks(stream), limit)

    def handover(self) -> Handover:
        """All that it takes to go on with this run elsewhere, as it is now; changes nothing.

        ``RuntimeError`` before the start and after the end, ``ValueError`` for what can't be handed
        over: a stop step that is a function, an iterator given as input that has not ended.
        """
        return describe(self._started())

    def tell_changes(self, on_change: OnChange) -> None:
        """As the option ``on_change``, in its place, from now on: most runs are over before they
        are worth to be told of. ``RuntimeError`` unless it runs, ``ValueError`` for what can't be
        handed over.
        """
        run = self._started()
        check_on_change(on_change, run.options.stop, run.options.input)
        run.tell_changes(on_change)

    def release(self) -> Handover:
        """Give the run up as it is, for another process to go on with: nothing is signalled.

        Its timers, tasks and watched descriptors are gone; the descriptors belong to who has the
        Handover from now on. ``wait()``, ``write()`` and readers raise ``Released``, the callback
        is not called, and dropping this Subprocess kills nothing. What ``on_output`` is busy with
        is cancelled, and counts as read. Raises as ``handover()``, and nothing has changed then.
        """
        return self._started().release()

    @overload
    @classmethod
    def take_over(
        cls,
        handover: Handover,
        callback: BytesCallback | None = ...,
        *,
        reap: Reap | None = ...,
        encoding: None = ...,
        text: Literal[False] | None = ...,
        **options: Unpack[TakeOverKeywords],
    ) -> Subprocess[bytes]: ...
    @overload
    @classmethod
    def take_over(
        cls,
        handover: Handover,
        callback: TextCallback | None = ...,
        *,
        reap: Reap | None = ...,
        encoding: str,
        text: bool | None = ...,
        **options: Unpack[TakeOverKeywords],
    ) -> Subprocess[str]: ...
    @overload
    @classmethod
    def take_over(
        cls,
        handover: Handover,
        callback: TextCallback | None = ...,
        *,
        reap: Reap | None = ...,
        text: Literal[True],
        encoding: str | None = ...,
        **options: Unpack[TakeOverKeywords],
    ) -> Subprocess[str]: ...

    @classmethod
    def take_over(
        cls,
        handover: Handover,
        callback: Callable[..., object] | None = None,
        *,
        reap: Reap | None = None,
        stop: Iterable[Step] | None = None,
        drain: float | None = DRAIN_S,
        max_output: int | None = MAX_OUTPUT,
        on_output: OnOutput | None = None,
        read: Read | None = None,
        on_change: OnChange | None = None,
        encoding: str | None = None,
        errors: str = "replace",
        text: bool | None = None,
        kill_group: bool = False,
    ) -> Subprocess[Any]:
        """Go on with a run that was begun elsewhere: the Subprocess runs already, on the loop that
        ``start()`` would take, and behaves as one that was started; what is overdue is done now.

        It owns the descriptors of ``handover`` from now on. If it raises (``OSError`` without room
        for it, ``TypeError`` and ``ValueError`` as the constructor), they stay the caller's, and it
        may be tried again. Options are not handed over: give those of the start again. ``stop``
        is for a stop that has not begun, in place of the steps that the Handover has.

        ``reap``: where the child has another parent by now, a function whose awaitable gives its
        wait status, as waitpid(2) does, and ``Usage`` or ``None``; ``None`` in place of both where
        nobody can know. Called once, when the child has exited and all else is done: it need not
        be reaped before. Without it, a child of ours is waited for, and of another's child the
        status is known from Linux 6.15 on, once its parent has reaped it; else it is ``None``.
        """
        subprocess = cls.__new__(cls)
        subprocess._child = None
        steps = stop if handover.reason is None and stop is not None else handover.steps
        subprocess._options = Options(
            callback,
            None,
            handover.args,
            steps or None,
            drain,
            None,
            max_output,
            on_output,
            read,
            on_change,
            encoding,
            errors,
            text,
            None,
            kill_group or handover.cgroup is not None,
            None,
            None,
            {},
        )
        child = TakenOver(subprocess._options, _loop(), handover, reap)
        child.begin(handover)
        subprocess._child = child
        return subprocess

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop what still runs and wait for its end; a program that has closed a stream, as one
        that exits does, is waited for a moment before. Cancelled once more, it kills at once.
        """
        child = self._started()
        _same_loop(child)
        cancelled: asyncio.CancelledError | None = None
        if error is None and is_leaving(child):
            try:
                async with asyncio.timeout(LEAVE_S):
                    await child.ended()
            except TimeoutError:
                pass  # it goes on without that stream
            except asyncio.CancelledError as once:
                cancelled = once
        child.stop(CANCELLED)
        while not child.is_over:
            try:
                await child.ended()
            except asyncio.CancelledError as again:
                child.stop_at_once()
                cancelled = again
        if cancelled is not None:
            raise cancelled
        if child.failure is not None and error is None:
            raise child.failure

    @property
    def pid(self) -> int | None:
        """The process id, also after the end; ``None`` before the start."""
        return None if self._child is None else self._child.pid

    @property
    def result(self) -> Result[AnyStr] | None:
        """``None`` until the run has ended."""
        return None if self._child is None else self._child.result

    @property
    def status(self) -> int | None:
        """As in ``Result``; ``None`` until the run has ended."""
        return None if self.result is None else self.result.status

    @property
    def stdout(self) -> AnyStr | None:
        """As in ``Result``; ``None`` until the run has ended."""
        return None if self.result is None else self.result.stdout

    @property
    def stderr(self) -> AnyStr | None:
        """As in ``Result``; ``None`` until the run has ended."""
        return None if self.result is None else self.result.stderr

    @property
    def has_timed_out(self) -> bool:
        """Whether the timeout was what stopped it; true from that moment on."""
        return self._child is not None and self._child.stopping.reason == TIMEOUT

    def _started(self) -> Child:
        if self._child is None:
            raise RuntimeError("this Subprocess is not started")
        return self._child

    def _source(self, stream: str) -> Source:
        child = self._started()
        _not_released(child)
        for source in child.ends.sources:
            if source.name == stream:
                return source
        raise ValueError(f"{stream!r} is not a stream that is captured")

    def _stdin(self) -> OpenInput:
        child = self._started()
        _not_released(child)
        stdin = child.ends.input
        if stdin is None or self._options.input is not None:
            raise ValueError("stdin is not open: start with stdin=PIPE")
        return stdin

    def __repr__(self) -> str:
        child = self._child
        if child is None:
            state = "not started"
        elif child.result is not None:
            state = child.result.ending
        elif child.phase is RELEASED:
            state = f"released as process {child.pid}"
        else:
            state = f"running as process {child.pid}"
        return f"<Subprocess {self._options.args!r} {state}>"

    def __del__(self) -> None:
        child = getattr(self, "_child", None)  # None also when the constructor has failed
        if child is None or child.is_over or is_awaited(child):
            return
        message = f"{self!r} was dropped and killed"
        if is_leaving(child):
            with contextlib.suppress(RuntimeError):  # the loop is closed
                drop_after_leaving(child, partial(warnings.warn, message, ResourceWarning))
                return
        drop(child)
        warnings.warn(message, ResourceWarning, stacklevel=2, source=self)


def _loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # started before the loop is
        # only here: it takes a third of the time of importing us
        from tornado.ioloop import IOLoop

        return IOLoop.current().asyncio_loop  # type: ignore[attr-defined, no-any-return]


def _not_released(child: Child) -> None:
    if child.phase is RELEASED:
        raise Released("the run was released: how it goes on, who has taken it over will know")


def _same_loop(child: Child) -> None:
    if asyncio.get_running_loop() is not child.loop:
        raise RuntimeError("this Subprocess was started on another event loop")


@overload
async def run(
    args: Any,
    *,
    timeout: float | None = ...,  # noqa: ASYNC109
    check: bool = ...,
    encoding: None = ...,
    text: Literal[False] | None = ...,
    **options: Unpack[Keywords],
) -> Result[bytes]: ...
@overload
async def run(
    args: Any,
    *,
    timeout: float | None = ...,  # noqa: ASYNC109
    check: bool = ...,
    encoding: str,
    text: bool | None = ...,
    **options: Unpack[Keywords],
) -> Result[str]: ...
@overload
async def run(
    args: Any,
    *,
    timeout: float | None = ...,  # noqa: ASYNC109
    check: bool = ...,
    text: Literal[True],
    encoding: str | None = ...,
    **options: Unpack[Keywords],
) -> Result[str]: ...
async def run(
    args: Any,
    *,
    timeout: float | None = -1,  # noqa: ASYNC109  (a stop sequence, not asyncio.timeout)
    check: bool = False,
    **options: Unpack[RunKeywords],
) -> Result[Any]:
    """Run a command to its end. The keywords are those of ``Subprocess``.

    Cancelling it stops the child, waits for its end, and re-raises. ``OSError`` if the command
    can't be started; with ``check=True``, ``CommandFailed`` unless it ended with exit code 0
    within its timeout; ``ValueError`` for ``stdin=PIPE``, which nobody could write to.
    """
    if options.get("stdin") == PIPE:
        raise ValueError("run() takes no stdin=PIPE, as nobody could write to it: use input=")
    bytes_or_text: Any = Subprocess  # which of its overloads it is, the caller's options say
    async with bytes_or_text(None, timeout, args=args, **options) as subprocess:
        result: Result[Any] = await subprocess.wait()
    if check and (result.status != 0 or result.has_timed_out):
        raise CommandFailed(result)
    return result
