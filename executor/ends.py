"""Our ends of the pipes of one child, together."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from executor.capture import Capture
from executor.input import Input
from executor.options import Options
from executor.pipes import Owner, ReadByCaller, Sink, Source
from executor.stdio import Stdio
from executor.watch import Watch

if TYPE_CHECKING:
    from executor.handover import Handover


class Ends:
    """Owns them from ``begin()`` on; each tells ``owner`` when it has ended (``look()``)."""

    __slots__ = ("input", "sources")

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.input: Input | None = None

    def begin(
        self,
        owner: Owner,
        stdio: Stdio,
        options: Options,
        watch: Watch,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """``OSError`` when the kernel has no room to watch them."""
        # each is taken when there is a Source to own it
        if stdio.stdout != -1:
            self._source(owner, watch, "stdout", stdio.take_stdout(), options).begin()
        if stdio.stderr != -1:
            self._source(owner, watch, "stderr", stdio.take_stderr(), options).begin()
        if stdio.stdin != -1:
            sink = Sink(owner, watch, stdio.take_stdin())
            self.input = Input(owner, sink, options.encoder())
            self.input.begin(options.input, loop)

    def _source(self, owner: Owner, watch: Watch, name: str, fd: int, options: Options) -> Source:
        capture = Capture(options.max_output)
        words = (owner, watch, name, fd, capture, options.on_output)
        source = Source(*words) if options.read is None else ReadByCaller(*words, options.read)
        self.sources.append(source)
        return source

    def resume(
        self,
        owner: Owner,
        handover: Handover,
        options: Options,
        watch: Watch,
    ) -> None:
        """As ``begin()``, with what another has left. After an ``OSError``, ``release()``."""
        fds = handover.descriptors
        outputs = (("stdout", handover.stdout), ("stderr", handover.stderr))
        for name, state in outputs:
            if state is not None:
                source = self._source(owner, watch, name, fds.get(name, -1), options)
                source.resume(state)
        if handover.stdin is not None:
            sink = Sink(owner, watch, fds.get("stdin", -1))
            sink.incomplete = handover.stdin.incomplete
            self.input = Input(owner, sink, options.encoder())
        for fd in self.descriptors().values():
            if fd != -1:
                os.set_blocking(fd, False)
                os.set_inheritable(fd, False)  # as it was before an exec that was to keep it
        for source in self.sources:
            if source.fd != -1:
                source.begin()
        if self.input is not None and handover.stdin is not None:
            self.input.resume(handover.stdin.data, handover.stdin.ends)

    def descriptors(self) -> dict[str, int]:
        """By the names of the streams; -1 for one that is closed."""
        found = {source.name: source.fd for source in self.sources}
        return found if self.input is None else {**found, "stdin": self.input.fd}

    def release(self) -> None:
        """Close none of them: they are another's. Who reads or writes is told."""
        for source in self.sources:
            source.release()
        if self.input is not None:
            self.input.release()

    def end_with_child(self) -> None:
        """It has exited: what is in the pipes is read, what was written is handed on."""
        for source in self.sources:
            source.read_rest()
        if self.input is not None:
            self.input.end_with_child()

    def cut(self, cancel_output: bool) -> None:
        """What has not been handed on is given up; the pipes are read once more, and closed as soon
        as ``on_output`` is free, which ``cancel_output`` says not to wait for.
        """
        if self.input is not None:
            self.input.cut()
        for source in self.sources:
            if cancel_output:
                source.cancel_output()
            source.end_soon()

    @property
    def is_open(self) -> bool:
        """Something may still come or go, or code of the caller's is busy with it."""
        for source in self.sources:
            if source.is_open:
                return True
        return self.input is not None and self.input.is_open

    @property
    def has_an_end(self) -> bool:
        """The child has closed one of its streams."""
        return any(source.fd == -1 for source in self.sources)

    @property
    def incomplete(self) -> bool:
        """Something was cut."""
        if self.input is not None and self.input.incomplete:
            return True
        return any(source.incomplete for source in self.sources)

    def close(self) -> None:
        """Close the descriptors and tell nobody."""
        for source in self.sources:
            source.close()
        if self.input is not None:
            self.input.close()
