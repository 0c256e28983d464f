"""What a guard and its process say to each other, over a pair of SEQPACKET sockets; see unix(7).

    the process says
    HELLO can-leave version     it is ready to take over, and waits for what is held; HUP makes it
                                leave, if 1, else it has to be stopped for the next one; which
                                version its states are of
    STORE key pid               hold this state and these descriptors; refused without room
    STATE key                   the state has changed
    CLOSE key index             close one of the descriptors
    REMOVE key                  let go of all of it
    REAP key                    how has its process ended, which is the guard's child now?
    LEFT                        it has let go of all that it had stored, for the next one
    REAPED key status user system maxrss    after that: how a child of its own has ended

    the guard says
    HELD key pid indexes        for each, once the process before has ended, or left; with those
                                of its descriptors that were not closed
    READY                       that was all
    REFUSED key                 it is not held: what it belongs to dies with the process
    ENDED key status user system maxrss     as of wait4(2); the same again when asked again
    ALIVE key                   it has not ended, or a process that has left will tell
    UNKNOWN key                 it is no child of the guard's

A message is a line of words, then the state, which means nothing to the guard. A `pid` is 0 where
what is stored has no process.
"""

from __future__ import annotations

import _socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # half a megabyte at run time
    from collections.abc import Sequence

VERSION = 1  # of all this; a process that does not know its guard's refuses to run

STATE_MAX = 64 * 1024
DESCRIPTORS_MAX = 16

_INT = 4  # bytes of a C int, in which descriptors are sent
_SPACE = _socket.CMSG_SPACE(DESCRIPTORS_MAX * _INT)


class Message:
    """One message, received; whoever gets it owns its descriptors."""

    __slots__ = ("descriptors", "is_whole", "state", "verb", "words")

    def __init__(self, data: bytes, descriptors: list[int], is_whole: bool) -> None:
        """`is_whole` is false where descriptors, or part of the state, found no room."""
        line, _, self.state = data.partition(b"\n")
        self.verb, *self.words = line.decode().split(" ")
        self.descriptors = descriptors
        self.is_whole = is_whole


def pack(*words: object, state: bytes = b"") -> bytes:
    """Return a message without its descriptors."""
    return " ".join(map(str, words)).encode() + b"\n" + state


def send(to: _socket.socket, data: bytes, descriptors: Sequence[int] = ()) -> None:
    """Send a message; BlockingIOError when there is no room for it, another OSError at the end."""
    ancillary = []
    if descriptors:
        numbers = b"".join(fd.to_bytes(_INT, sys.byteorder) for fd in descriptors)
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)]
    to.sendmsg([data], ancillary, _socket.MSG_NOSIGNAL)


def receive(whence: _socket.socket) -> Message | None:
    """Receive a message; None at the end, BlockingIOError when there is none."""
    while True:
        try:
            data, ancillary, flags, _ = whence.recvmsg(
                STATE_MAX + 1024, _SPACE, _socket.MSG_CMSG_CLOEXEC
            )
            break
        except ConnectionResetError:
            continue  # it has died with messages of ours unread; its own come after that
    descriptors = [
        int.from_bytes(content[place : place + _INT], sys.byteorder)
        for _level, _type, content in ancillary
        for place in range(0, len(content) - _INT + 1, _INT)
    ]
    if not data:
        return None
    cut = flags & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC)
    return Message(data, descriptors, not cut)
