"""Our ends of the pipes of one child, together."""

from __future__ import annotations

import asyncio

from executor.capture import Capture
from executor.input import Input
from executor.options import Options
from executor.pipes import Owner, Sink, Source
from executor.stdio import Stdio
from executor.watch import Watch


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
            self._read(owner, watch, "stdout", stdio.take_stdout(), options)
        if stdio.stderr != -1:
            self._read(owner, watch, "stderr", stdio.take_stderr(), options)
        if stdio.stdin != -1:
            sink = Sink(owner, watch, stdio.take_stdin())
            self.input = Input(owner, sink, options.encoder())
            self.input.begin(options.input, loop)

    def _read(self, owner: Owner, watch: Watch, name: str, fd: int, options: Options) -> None:
        capture = Capture(options.max_output)
        source = Source(owner, watch, name, fd, capture, options.on_output)
        self.sources.append(source)
        source.begin()

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
