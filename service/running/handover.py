"""What the guard holds of each run, so that the next process can go on with it.

A run is stored once it is some moments old; most have ended by then. From there on nothing of it
is in this process alone: what it prints goes into files in the step that takes it out of the pipe,
what is sent to it lies in a file that the guard holds too, and the guard is told of each step of a
stop before it is taken. So there is nothing left to do when the process is killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping

import msgspec

from executor import Handover, Usage
from service.guard.process import Ending, Held, Link
from service.running.run import Run, Snapshot

log = logging.getLogger(__name__)

# A job that ends sooner is no business of the guard's.
STORE_DELAY_S = 0.02
RETRY_S = 1.0

# In this order the descriptors of a run are stored, each at its index.
DESCRIPTORS = ("pidfd", "stdout", "stderr", "stdin", "input")


class _State(msgspec.Struct, array_like=True):
    version: int
    names: list[str]
    snapshot: msgspec.Raw


VERSION = 1

_encode = msgspec.msgpack.Encoder().encode
_state = msgspec.msgpack.Decoder(_State).decode
_snapshot = msgspec.msgpack.Decoder(Snapshot).decode


class Handovers:
    """What of this process's runs the guard holds."""

    def __init__(
        self, link: Link | None, runs: Mapping[str, Run], on_stored: Callable[[], None]
    ) -> None:
        """Without a `link` nothing is held. `on_stored` is called when a run is, on the loop."""
        self._link = link
        self._runs = runs
        self._on_stored = on_stored
        self._names: dict[str, list[str]] = {}
        self._waiting: list[Run] = []
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, id: str) -> bool:
        """Whether this job would outlive the process."""
        return id in self._names

    def start(self) -> None:
        """Hear the guard on the running loop."""
        if self._link is not None:
            self._link.listen(self._refused)

    def take(self) -> dict[str, Held]:
        """Return what the process before us has left, by job; whoever gets it owns it."""
        return {} if self._link is None else self._link.take()

    @property
    def are_possible(self) -> bool:
        """Whether there is a guard."""
        return self._link is not None

    def drop(self, held: Held) -> None:
        """Have the guard let go of what nobody goes on with."""
        if self._link is not None:
            self._link.remove(held.key)

    def taken_over(self, run: Run, held: Held) -> None:
        """Note that a run goes on here: the guard holds it as it was."""
        self._names[run.id] = _state(held.state).names
        run.tell_changes()

    def store_soon(self, run: Run) -> None:
        """Store a run, unless it has ended by then."""
        if self._link is not None:
            self._waiting.append(run)
            self._soon(STORE_DELAY_S)

    def changed(self, run: Run, handover: Handover | None = None) -> None:
        """Have the guard hold what a run is now, or is about to be."""
        if self._link is not None and (names := self._names.get(run.id)) is not None:
            self._link.state(run.id, _packed(run.snapshot(handover)[0], names))

    def stdin_closed(self, run: Run) -> None:
        """Have the command see the end of its stdin: the guard has that pipe open too."""
        if self._link is not None and "stdin" in (names := self._names.get(run.id, [])):
            self._link.close_descriptor(run.id, names.index("stdin"))

    async def reap(self, run: Run) -> tuple[int, Usage | None] | None:
        """Return the wait status of a command that has become the guard's child."""
        while self._link is not None:
            try:
                ending = await self._link.reap(run.id)
            except ChildProcessError:
                break
            if ending is not None:
                usage = Usage(ending.user_s, ending.system_s, ending.max_rss_kib * 1024)
                return ending.status, usage
            # it is being traced, or the process that has left has not told of it yet
            await asyncio.sleep(STORE_DELAY_S)
        return None

    def forget(self, id: str) -> None:
        """Let go of a run whose end is written."""
        if self._link is not None and self._names.pop(id, None) is not None:
            self._link.remove(id)

    def leave(self, released: Mapping[str, tuple[int, int]]) -> None:
        """Leave what is stored to the next process.

        Of what was `released` (pid and pidfd, by job) this process is the parent for as long as it
        lives: it tells the guard how each has ended.
        """
        if self._timer is not None:
            self._timer.cancel()
        if self._link is None:
            return
        self._link.leave()
        loop = asyncio.get_running_loop()
        for id, (pid, pidfd) in released.items():
            loop.add_reader(pidfd, self._reap_released, id, pid, pidfd)

    def _reap_released(self, id: str, pid: int, pidfd: int) -> None:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found and self._link is not None:
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)
            self._link.reaped(id, Ending(status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss))

    def _soon(self, delay_s: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._store_all)

    def _store_all(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for run in waiting:
            if self._runs.get(run.id) is run and run.end is None and not self._store(run):
                self._waiting.append(run)
        if self._waiting:
            self._soon(RETRY_S)
        self._on_stored()

    def _store(self, run: Run) -> bool:
        """Return whether that is done; else it is to be tried again."""
        if self._link is None or not run.journal.keep():
            return False
        try:
            run.tell_changes()
            snapshot, found = run.snapshot()
        except RuntimeError:
            return True  # it has just ended
        names = [name for name in DESCRIPTORS if name in found]
        state, fds = _packed(snapshot, names), [found[name] for name in names]
        if not self._link.store(run.id, snapshot.handover["pid"], state, fds):
            return False
        self._names[run.id] = names
        return True

    def _refused(self, id: str) -> None:
        self._names.pop(id, None)
        if run := self._runs.get(id):
            log.warning("job %s would not outlive this process: its guard has no room", id)
            self._waiting.append(run)
            self._soon(RETRY_S)


def unpack(held: Held) -> tuple[Snapshot, dict[str, int]]:
    """Return what was stored of a run, with its descriptors by name; ValueError for what can't be
    read.
    """
    state = _state(held.state)
    if state.version != VERSION:
        raise ValueError(f"a run of version {state.version} cannot be taken over")
    names = state.names
    return _snapshot(state.snapshot), {names[i]: fd for i, fd in held.descriptors.items()}


def close(held: Held) -> None:
    """Close what nobody takes over."""
    for fd in held.descriptors.values():
        os.close(fd)


def _packed(snapshot: Snapshot, names: list[str]) -> bytes:
    return _encode(_State(VERSION, names, msgspec.Raw(_encode(snapshot))))
