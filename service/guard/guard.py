"""The parent of one service process: `python -m service.guard --port 8885`.

    a signal of supervisord     what the guard does
    TERM, INT, QUIT             no longer listens, passes it on, ends as the process ends
    HUP                         replaces the process: TERM, and when it has ended, a new one

A process that dies otherwise is started anew at once. One that refuses to run (a setting, a port,
the ledger) says so by its exit code, or ends by itself in its first second: the guard ends with
the same code, and when to try again is supervisord's to decide. One that is killed again and again
has to wait, each time longer; one that the machine has no room for is tried again soon. When the
guard dies, the kernel kills the process (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Sequence

BACKLOG = 1024
LISTEN_FD = 3  # where the process finds the listening socket

STOPS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
SIGNALS = STOPS | {signal.SIGHUP, signal.SIGCHLD}

REFUSED_S = 1.0
REFUSES = os.EX_CONFIG  # however long it took on a busy machine
# a process that has lived so long owes nothing to the deaths of those before it
STEADY_S = 5.0
WAIT_S, WAIT_MAX_S = 0.05, 5.0
# for longer than this nobody shall knock in vain: nginx asks another process when it is refused
KNOCK_S = 0.5
# without a descriptor, memory or process for it, the next try
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
NO_ROOM_S = 0.5


class Guard:
    """One process after another, on one port."""

    def __init__(self, port: int, options: Sequence[str]) -> None:
        """`options` are for the process, which gets them as they are."""
        self._port = port
        self._options = options
        self._listener: socket.socket | None = None
        self._pid: int | None = None
        self._started_at = 0.0
        self._deaths = 0
        self._is_stopping = self._is_replacing = False

    def run(self) -> int:
        """Return the exit code when a signal has stopped it, or the process refuses to run."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        code, wait_s = None, 0.0
        while code is None:
            if self._pid is None and wait_s == 0.0:
                wait_s = self._try_to_start()
            if self._pid is not None:
                code, wait_s = self._attend(signal.sigwaitinfo(SIGNALS).si_signo)
            elif (info := signal.sigtimedwait(SIGNALS, wait_s)) is None:
                wait_s = 0.0
            elif info.si_signo in STOPS:
                code = 0
        return code

    def _attend(self, number: int) -> tuple[int | None, float]:
        """Return the exit code when all is over, else how long to wait for the next process."""
        if number == signal.SIGCHLD:
            return self._reap()
        self._is_stopping |= number in STOPS
        self._is_replacing = True
        self._stop(number if number in STOPS else signal.SIGTERM)
        return None, 0.0

    def _try_to_start(self) -> float:
        """Return how long to wait for the next try; 0 when it has started."""
        try:
            self._start()
        except OSError as exc:
            if exc.errno not in NO_ROOM:
                raise
            self._close()
            _note(f"no process can be started now: {exc.strerror}")
            return NO_ROOM_S
        return 0.0

    def _start(self) -> None:
        listener = self._listen().fileno()
        command = [sys.executable, "-m", "service", *self._options]
        command += ["--listen-fd", str(LISTEN_FD), "--guard", str(os.getpid())]
        self._is_replacing = False
        self._started_at = time.monotonic()
        self._pid = os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, listener, LISTEN_FD)],
            setsigmask=(),
        )

    def _stop(self, number: int) -> None:
        # first: the process accepts those who have knocked, and from then on nginx asks another
        self._close()
        if self._pid is not None:
            os.kill(self._pid, number)

    def _reap(self) -> tuple[int | None, float]:
        pid, status = os.waitpid(self._pid or 0, os.WNOHANG)
        if pid == 0:
            return None, 0.0
        self._pid = None
        code, lived_s = os.waitstatus_to_exitcode(status), time.monotonic() - self._started_at
        refuses = code == REFUSES or (code > 0 and lived_s < REFUSED_S)
        if self._is_stopping or refuses:
            return code if code >= 0 else 128 - code, 0.0
        if self._is_replacing:
            return None, 0.0
        self._deaths = 1 if lived_s >= STEADY_S else self._deaths + 1
        wait_s = min(WAIT_S * 2 ** (self._deaths - 1), WAIT_MAX_S) if self._deaths > 1 else 0.0
        if wait_s > KNOCK_S:
            self._close()
        how = f"exited with {code}" if code >= 0 else f"was killed by signal {-code}"
        _note(f"process {pid} {how} after {lived_s:.1f} s; the next one in {wait_s:.2f} s")
        return None, wait_s

    def _listen(self) -> socket.socket:
        if self._listener is None:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._port))
            listener.listen(BACKLOG)
            self._listener = listener
        return self._listener

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


def main(options: Sequence[str]) -> int:
    """Guard the process on the port that its `options` name."""
    for descriptor in (1, 2):
        # pipes that supervisord empties: were it stopped, guard and process would wait for it
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.set_blocking(descriptor, False)
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


def _note(text: str) -> None:
    try:
        os.write(2, f"squall: {text}\n".encode())
    except OSError:
        pass  # supervisord does not read, or is gone: what is guarded matters more
