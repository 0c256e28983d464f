"""Processes that write one journal, one after another: each is killed, and the next takes over.

This process does what a guard does: it holds the pipes, and knows when a writer is dead. Its
arguments: directory, output_bytes, bytes of each stream, seed, and how writers are killed:
`steps` kills the first one before its first system call, the next one after it, and so on, until
`count` of them were killed; `random` kills `count` of them after a random time. When the output
has ended before that, it begins another journal. What was sent is known (`content`), what the
journals hold is checked after each kill and at the end of each.
"""

from __future__ import annotations

import asyncio
import base64
import ctypes
import fcntl
import itertools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

from service.journal import Item, Journal, Reader, data, files

from .model import ID, all_items, check_ended, check_items

PIPE_BYTES = 8192
TEXT = "aé漢😀\n".encode()
CALLS = ("open", "splice", "pwrite", "ftruncate", "close", "unlink")


def content(stream: str, size: int) -> bytes:
    """What a stream holds: bytes whose place can be told, or characters of all lengths."""
    if stream == "stdout":
        return b"".join(b"%015d\n" % number for number in range(size // 16 + 1))[:size]
    return (TEXT * (size // len(TEXT) + 1))[:size]


class Told:
    """What a client was told by one writer after the other, as it arrived there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def tell(self, items: list[Item]) -> None:
        lines = b"".join(item.json() + b"\n" for item in items)
        with self._path.open("ab", buffering=0) as file:
            file.write(lines)

    def items(self) -> list[Item]:
        """All that came whole; what came in part is forgotten, as a client does."""
        whole = self._path.read_bytes().rpartition(b"\n")
        self._path.write_bytes(whole[0] + whole[1])
        return [_item(json.loads(line)) for line in whole[0].splitlines()]


def _item(wire: dict[str, Any]) -> Item:
    data = base64.b64decode(wire["base64"]) if "base64" in wire else wire.get("text", "").encode()
    return Item(wire["seq"], 0, wire["stream"], wire["offset"], data, wire.get("dropped", 0))


class Trial:
    """One journal, from its first byte to its end."""

    def __init__(self, directory: Path, output_bytes: int, size: int, random_: random.Random):
        self.directory = directory
        self.output_bytes = output_bytes
        self.sent = {stream: content(stream, size) for stream in ("stdout", "stderr")}
        self.told = Told(directory / "told")
        self.result = directory / "result"
        self.ends: dict[str, int] = {}
        self._pid = self._feed(random_.random())

    def write(self, step: int | None) -> int:
        """Run one writer; returns its status when it is dead."""
        pid = self.begin(step)
        return os.waitpid(pid, 0)[1]

    def begin(self, step: int | None) -> int:
        after = len(self.told.items()) and self.told.items()[-1].seq
        if pid := os.fork():
            return pid
        _leave(lambda: self._write(step, after))

    def check(self) -> None:
        """What is there now is a part of what was sent, whole and in order; so is what was told."""
        told = self.told.items()
        reader = Journal.open(self.directory, ID)
        for items in (told, all_items(reader)):
            ends = {
                stream: max((i.offset + len(i.data) + i.dropped for i in found), default=0)
                for stream in self.sent
                if (found := [item for item in items if item.stream == stream]) or True
            }
            check_items(items, {s: self.sent[s][:end] for s, end in ends.items()})
        if not any(item.dropped for item in told):
            assert [item.seq for item in told] == list(range(1, len(told) + 1))

    def end(self) -> None:
        """All was taken, recorded and told."""
        os.waitpid(self._pid, 0)
        for fd in self.ends.values():
            os.close(fd)
        blob = self.result.read_bytes()
        reader = Journal.from_inline(blob) if blob else Journal.open(self.directory, ID)
        check_ended(reader, self.sent, self.output_bytes)
        told = self.told.items()
        check_items(told, self.sent)
        assert told[-1].seq == reader.seq
        assert reader.bytes("stdout") == len(self.sent["stdout"])
        self.check_numbers(reader, told)
        files.remove(self.directory, ID)

    def check_numbers(self, reader: Reader, told: list[Item]) -> None:
        """A number means the same bytes to whoever is told of it, at whichever time."""
        kept = {(i.seq, i.stream): i for i in all_items(reader) if not i.dropped}
        for item in told:
            same = kept.get((item.seq, item.stream))
            if same is not None and not item.dropped and same.offset == item.offset:
                assert same.data == item.data
        if not reader.dropped("stdout") + reader.dropped("stderr"):
            assert [item.seq for item in all_items(reader)] == list(range(1, reader.seq + 1))

    def _feed(self, seed: float) -> int:
        """Write to both pipes in pieces of all lengths, from a process of its own."""
        pipes = {stream: os.pipe() for stream in self.sent}
        for stream, (read, write) in pipes.items():
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            os.set_blocking(read, False)
            self.ends[stream] = read
        if pid := os.fork():
            for _, write in pipes.values():
                os.close(write)
            return pid
        _leave(lambda: self._write_all({s: write for s, (_, write) in pipes.items()}, seed))

    def _write_all(self, pipes: dict[str, int], seed: float) -> None:
        random_ = random.Random(seed)
        left = {stream: memoryview(data) for stream, data in self.sent.items()}
        while left:
            stream = random_.choice(sorted(left))
            size = random_.choice((1, 2, 7, 100, 1000, 5000))
            left[stream] = left[stream][os.write(pipes[stream], left[stream][:size]) :]
            if not left[stream]:
                del left[stream]
                os.close(pipes[stream])
            if random_.random() < 0.05:
                time.sleep(random_.choice((0.001, 0.001, 0.03)))  # a character waits so long

    def _write(self, step: int | None, after: int) -> None:
        if step is not None:
            _die_at(step)
        asyncio.run(self._take_over(after))

    async def _take_over(self, after: int) -> None:
        journal = Journal.take_over(self.directory, ID, output_bytes=self.output_bytes)
        following = asyncio.create_task(self._follow(journal, after))
        left = dict(self.ends)
        while left:
            for stream, fd in list(left.items()):
                try:
                    chunk = journal.read_pipe(stream, fd, 65536)
                except BlockingIOError:
                    await asyncio.sleep(0.0005)
                    continue
                if chunk:
                    journal.write(stream, chunk)
                else:
                    del left[stream]
            await asyncio.sleep(0)
        blob = journal.finish()
        await following
        part = self.result.with_suffix(".part")
        part.write_bytes(blob or b"")
        part.rename(self.result)
        journal.close()

    async def _follow(self, journal: Journal, after: int) -> None:
        async for items in journal.follow(after):
            self.told.tell(items)


def _die_at(step: int) -> None:
    """Be killed before or after a system call of the journal's."""
    steps = itertools.count(1)

    def count() -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            count()
            result = call(*args, **kwargs)
            count()
            return result

        return wrapper

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    data.punch = counted(data.punch)


def _leave(work: Callable[[], None]) -> NoReturn:
    """Do the work of a child, which has nothing of its parent's to end."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it ends with its parent
        work()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def trials(directory: str, output_bytes: int, size: int, random_: random.Random) -> Iterator[Trial]:
    for number in itertools.count():
        path = Path(directory) / str(number)
        path.mkdir(parents=True)
        yield Trial(path, output_bytes, size, random_)


def main(
    directory: str, output_bytes: int, size: int, seed: int, how: str, count: int
) -> tuple[int, int]:
    """Return how many writers were killed, and how many journals they wrote."""
    random_ = random.Random(seed)
    # small steps: holes must come and go between the kills, too
    files.STEP_BYTES = 8192
    killed = 0
    for number, trial in enumerate(trials(directory, output_bytes, size, random_), 1):
        while not trial.result.exists():
            if killed == count:
                status = trial.write(None)
            elif how == "steps":
                status = trial.write(killed + 1)
            else:
                pid = trial.begin(None)
                time.sleep(random_.choice((0.002, 0.005, 0.01, 0.03)) * (1 + random_.random()))
                os.kill(pid, signal.SIGKILL)
                status = os.waitpid(pid, 0)[1]
            assert status in (0, signal.SIGKILL), status
            killed += status == signal.SIGKILL
            if not trial.result.exists():
                trial.check()
        trial.end()
        if killed == count:
            return killed, number
        if status == 0 and how == "steps":
            killed += 1  # it ended before that step: the next step is for the next journal
    raise AssertionError


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[2:5]]
    print(*main(sys.argv[1], *numbers, sys.argv[5], int(sys.argv[6])))
