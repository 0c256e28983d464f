"""One process of a guard's, and what the two have to say to each other."""

from __future__ import annotations

import _socket
import os
import resource
import sys
import time

from service.guard.messages import VERSION, Message, receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:  # half a megabyte at run time
    from collections.abc import Sequence


COMMAND = ("-m", "service")  # what the interpreter runs


class Child:
    """A process of the service, from its start to its end.

    It `is_ready` once it waits for what is held, and `has_left` when it has let go of that again
    and only answers those who still wait. HUP makes it leave where it `can_leave`.
    """

    def __init__(
        self, listener: int, options: Sequence[str], open_files: tuple[int, int], version: str
    ) -> None:
        """Start it, with these descriptor limits, for states of this version; OSError when that
        can't be done.
        """
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.is_ready = self.can_leave = self.is_leaving = self.has_left = False
        self.version = version
        self.is_silent = False  # it has closed its socket, or died
        self.started_at = time.monotonic()
        self.socket = ours
        self._unsent: list[tuple[bytes, Sequence[int]]] = []
        command = [sys.executable, *COMMAND, *options, "--guard", str(os.getpid())]
        command += ["--listen-fd", str(listener), "--control-fd", str(theirs.fileno())]
        command += ["--guard-version", str(VERSION), "--state-version", version]
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, open_files)
            self.pid = os.posix_spawn(
                command[0],
                command,
                os.environ,
                # to the same number: it is inherited
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, fd) for fd in (listener, theirs.fileno())],
            )
        except OSError:
            ours.close()
            raise
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            theirs.close()

    def say(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a message, now or as soon as there is room for it."""
        self._unsent.append((data, descriptors))
        self.flush()

    def flush(self) -> None:
        """Send what waits, as much as there is room for."""
        sent = 0
        for data, descriptors in self._unsent:
            try:
                send(self.socket, data, descriptors)
            except BlockingIOError:
                break
            except OSError:  # it has died, or closed this
                sent = len(self._unsent)
                break
            sent += 1
        del self._unsent[:sent]

    @property
    def has_unsent(self) -> bool:
        """Whether it is to be polled for room."""
        return bool(self._unsent)

    def hear(self) -> Message | None:
        """Return the next message; None when there is none, for now or for ever."""
        try:
            message = receive(self.socket)
        except OSError:
            return None
        self.is_silent = message is None
        return message

    def kill(self, number: int) -> None:
        """Send a signal; it has not been waited for yet, so its number is its own."""
        os.kill(self.pid, number)

    def close(self) -> None:
        """Close our end."""
        self.socket.close()
