"""The parent of one service process: `python -m service.guard --port 8885`.

    a signal of supervisord     what the guard does
    TERM, INT, QUIT             no longer listens, passes it on, ends as the process ends
    HUP                         replaces the process

It holds what a running job needs, so that the job goes on when the process dies, and hands that
over to the next one. A process that dies is followed at once. To replace one, the next is started
beside it: one that refuses to run changes nothing; when it is ready, the one before is told to
leave, and it takes over as soon as that has left.

A process that refuses to run (a setting, a port, the ledger) says so by its exit code, or ends by
itself in its first second: the guard ends with the same code, and when to try again is
supervisord's to decide, unless it holds something. One that is killed again and again has to wait,
each time longer. When the guard dies, the kernel kills the process (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import _socket
import errno
import os
import resource
import select
import time

from service.guard import children, keeping
from service.guard.child import Child
from service.guard.signals import SIGCHLD, SIGHUP, SIGKILL, SIGTERM, STOPS, Signals
from service.guard.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:  # half a megabyte at run time
    from collections.abc import Sequence

BACKLOG = 1024

REFUSED_S = 1.0
REFUSES = os.EX_CONFIG  # however long it took on a busy machine
# a process that has lived so long owes nothing to the deaths of those before it
STEADY_S = 5.0
WAIT_S, WAIT_MAX_S = 0.05, 1.0
# without a descriptor, memory or process for it, the next try
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
NO_ROOM_S = 0.5
# for longer than this nobody shall knock in vain: nginx asks another process when it is refused
KNOCK_S = 0.5


class Guard:
    """One process after another, on one port."""

    def __init__(self, port: int, options: Sequence[str]) -> None:
        """`options` are for the process, which gets them as they are."""
        self._port = port
        self._options = options
        self._listener: _socket.socket | None = None
        self._store = Store()
        self._signals = Signals()
        self._process: Child | None = None  # the one that has what is held
        self._next: Child | None = None  # it waits for that
        self._former: list[Child] = []  # they have left, and answer those who still wait
        self._version = ""  # of the states that are held
        self._deaths = 0
        self._start_at: float | None = 0.0  # on the monotonic clock; None: not without being asked
        self._is_stopping = False
        self._code: int | None = None
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._open_files = soft, hard  # for the process, as we have found them
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def run(self) -> int:
        """Return the exit code when a signal has stopped it, or the process refuses to run."""
        while self._code is None or self._children:
            self._start_if_due()
            self._wait()
            for child in self._children:
                self._hear(child)
            self._attend(self._signals.take())
            self._hand_over()
        return self._code

    @property
    def _children(self) -> list[Child]:
        found = [self._process, self._next, *self._former]
        return [child for child in found if child is not None]

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._signals.descriptor, select.POLLIN)
        for child in self._children:
            if not child.is_silent:
                poll.register(child.socket, select.POLLIN | select.POLLOUT * child.has_unsent)
        wait_ms = None
        if self._start_at is not None:
            wait_ms = max(0.0, self._start_at - time.monotonic()) * 1000
        poll.poll(wait_ms)

    # signals

    def _attend(self, numbers: set[int]) -> None:
        for number in numbers & set(STOPS):
            self._stop(number)
        if SIGHUP in numbers and not self._is_stopping:
            self._replace()
        if SIGCHLD in numbers:
            for child in self._children:
                self._reap(child)
            children.reap_strangers(self._is_kept)

    def _is_kept(self, pid: int) -> bool:
        return self._store.has_process(pid) or any(child.pid == pid for child in self._children)

    def _stop(self, number: int) -> None:
        # first: the process accepts those who have knocked, and from then on nginx asks another
        self._close()
        self._is_stopping = True
        self._start_at = None
        for child in self._children:
            if child is not self._next:
                child.kill(number)
        if self._process is None and not (self._next and self._store.pids()):
            self._end(0)

    def _replace(self) -> None:
        process = self._process
        if process is None:
            self._deaths = 0
            self._start_at = time.monotonic()
        elif process.can_leave:
            self._next = self._next or self._start()
        else:
            self._close()
            process.kill(SIGTERM)

    def _end(self, code: int) -> None:
        """Nothing is left that could do anything with what is held."""
        if self._code is None:
            self._code = code if code >= 0 else 128 - code
        if self._next is not None:
            self._next.kill(SIGKILL)
        for pid in self._store.pids():
            _kill_group(pid)

    # processes

    def _start_if_due(self) -> None:
        if self._start_at is not None and time.monotonic() >= self._start_at:
            self._start_at = None
            if self._next is None:
                self._next = self._start()

    def _start(self) -> Child | None:
        try:
            listener = self._listen().fileno()
            return Child(listener, self._options, self._open_files, self._version)
        except OSError as exc:
            if exc.errno not in NO_ROOM and not self._store.pids() and self._process is None:
                raise
            _note(f"no process can be started now: {exc.strerror}")
            if self._process is None:
                self._close()
            self._start_at = time.monotonic() + NO_ROOM_S
            return None

    def _hear(self, child: Child) -> None:
        child.flush()
        while (message := child.hear()) is not None:
            keeping.attend(self._store, child, message, len(self._former))
        if child.has_left and child is self._process:
            self._process = None
            self._former.append(child)

    def _hand_over(self) -> None:
        if self._next is None or not self._next.is_ready:
            return
        if self._process is None:
            self._process, self._next = self._next, None
            self._version = self._process.version
            keeping.tell(self._store, self._process)
            if self._is_stopping:  # it has jobs to stop
                self._process.kill(SIGTERM)
        elif not self._process.is_leaving:
            self._process.is_leaving = True
            self._process.kill(SIGHUP)

    def _reap(self, child: Child) -> None:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid == 0:
            return
        self._hear(child)  # what it said last
        child.close()
        code, lived_s = os.waitstatus_to_exitcode(status), time.monotonic() - child.started_at
        if child in self._former:
            self._former.remove(child)
        elif child is self._next:
            self._next = None
            self._died(child, code, lived_s)
        else:
            self._process = None
            if self._is_stopping:
                self._end(code)
            elif child.is_leaving or not (child.can_leave or code):
                self._start_at = time.monotonic()
            else:
                self._died(child, code, lived_s)

    def _died(self, child: Child, code: int, lived_s: float) -> None:
        refuses = code == REFUSES or (code > 0 and lived_s < REFUSED_S)
        if self._process is not None:
            _note(f"the next process ends with {code}: nothing is replaced")
            return
        if self._is_stopping or (refuses and not self._store.pids()):
            self._end(code)
            return
        how = f"exited with {code}" if code >= 0 else f"was killed by signal {-code}"
        wait_s = self._follow(lived_s)
        _note(f"process {child.pid} {how} after {lived_s:.1f} s; the next one in {wait_s:.2f} s")

    def _follow(self, lived_s: float) -> float:
        """Have the next process started; return after how many seconds."""
        self._deaths = 1 if lived_s >= STEADY_S else self._deaths + 1
        wait_s = min(WAIT_S * 2 ** (self._deaths - 1), WAIT_MAX_S) if self._deaths > 1 else 0.0
        if wait_s > KNOCK_S:
            self._close()
        self._start_at = time.monotonic() + wait_s
        return wait_s

    # the port

    def _listen(self) -> _socket.socket:
        if self._listener is None:
            listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK)
            listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._port))
            listener.listen(BACKLOG)
            self._listener = listener
        return self._listener

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, SIGKILL)
    except OSError:
        pass  # it has ended, or is another user's


def main(options: Sequence[str]) -> int:
    """Guard the process on the port that its `options` name."""
    for descriptor in (1, 2):
        _unblock(descriptor)
    try:
        port = int(options[options.index("--port") + 1])
    except (ValueError, IndexError):
        _note("usage: python -m service.guard --port PORT [options of python -m service]")
        return 2
    try:
        return Guard(port, options).run()
    except OSError as exc:
        _note(f"port {port} of 127.0.0.1 cannot be used: {exc.strerror}")
        return 1


def _unblock(descriptor: int) -> None:
    """Of pipes that supervisord empties: were it stopped, guard and process would wait for it."""
    is_pipe = os.fstat(descriptor).st_mode & 0o170000 == 0o010000
    if is_pipe:
        os.set_blocking(descriptor, False)


def _note(text: str) -> None:
    try:
        os.write(2, f"squall: {text}\n".encode())
    except OSError:
        pass  # supervisord does not read, or is gone: what is guarded matters more
