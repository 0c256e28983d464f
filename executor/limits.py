"""Limits of the operating system on one command (setrlimit(2)), and the program that sets them.

Python offers two places to set a limit for a child: between fork and exec (``preexec_fn``: unsafe
in a process with threads, and it forbids vfork), or on the child once it runs (prlimit(2): too
late, the program has begun). So a start with limits goes through a tiny Python program in the child
itself: it sets the limits, then becomes the command by execve(2), keeping process id, session,
descriptors and signal state. It costs about 6 ms; a start without limits never sees it.
Why not ``sh -c 'ulimit ...; exec "$@"'`` or prlimit(1): they tell a missing program by exit code
127 only, as the program itself might, and a shell runs a script without ``#!`` as its own.
"""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass, fields

_RESOURCES = {
    "address_space": resource.RLIMIT_AS,
    "cpu_seconds": resource.RLIMIT_CPU,
    "open_files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "file_size": resource.RLIMIT_FSIZE,
    "core_size": resource.RLIMIT_CORE,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard and soft limit of the command and each of its children; ``None`` leaves it as it is
    here.

    ``address_space``, ``file_size``, ``core_size`` in bytes; ``cpu_seconds`` of processor time, at
    the end of which the kernel sends SIGXCPU, one second later SIGKILL; ``open_files`` is the
    highest descriptor plus one; ``processes`` counts all processes of the user, not of the command
    (and never holds root). ``ValueError`` for a negative number. See setrlimit(2).
    """

    address_space: int | None = None
    cpu_seconds: int | None = None
    open_files: int | None = None
    processes: int | None = None
    file_size: int | None = None
    core_size: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{field.name} must be a whole number, not {value!r}")
            if not 0 <= value < 2**63:
                raise ValueError(f"{field.name} must be from 0 to 2**63 - 1, not {value}")

    def rlimits(self) -> list[tuple[int, int, int]]:
        """(resource, soft, hard) of each limit that is set, the address space last."""
        found = []
        for name, number in _RESOURCES.items():
            value = getattr(self, name)
            if value is not None:
                # CPU: a soft limit is a SIGXCPU that the program may see, the hard one a SIGKILL
                hard = value + 1 if number == resource.RLIMIT_CPU else value
                found.append((number, value, hard))
        return sorted(found, key=lambda limit: limit[0] == resource.RLIMIT_AS)


# Runs in the child. What to do comes by descriptor argv[1]. Descriptor argv[2] is close-on-exec and
# tells how it went: "+" once the exec is tried, then nothing more if it worked, else "errno:step".
# The command's environment must not reach this interpreter, nor this interpreter's doings the
# command: Python ignores SIGPIPE and SIGXFSZ, and may set LC_CTYPE in its environment.
# posix and _signal, not os and signal: the latter imports enum, and half of the time goes there.
_PROGRAM = """
import posix, sys
todo, errors = int(sys.argv[1]), int(sys.argv[2])
step = b"start"
try:
    import _signal, marshal, resource
    posix.set_inheritable(errors, False)
    with open(todo, "rb") as file:
        args, candidates, env, rlimits, cgroup, default_signals = marshal.load(file)
    step = b"cgroup"
    if cgroup is not None:
        with open(cgroup, "wb", buffering=0) as file:
            file.write(b"0")
    for number in default_signals:
        _signal.signal(number, _signal.SIG_DFL)
    if default_signals:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    step = b"limits"
    for which, soft, hard in rlimits:
        top = resource.getrlimit(which)[1]
        if top != resource.RLIM_INFINITY and posix.geteuid():
            soft, hard = min(soft, top), min(hard, top)
        resource.setrlimit(which, (soft, hard))
    step = b"exec"
    posix.write(errors, b"+")
    failure = None
    for path in candidates:
        try:
            posix.execve(path, args, env)
        except OSError as error:
            if failure is None or error.errno not in (2, 20):
                failure = error
    raise failure
except OSError as error:
    posix.write(errors, b"%d:%s" % (error.errno or 5, step))
except MemoryError:
    posix.write(errors, b"12:" + step)
except ValueError:
    posix.write(errors, b"1:" + step)
finally:
    posix._exit(127)
"""


def trampoline(todo: int, errors: int) -> list[bytes]:
    """The command line that reads from descriptor ``todo`` and tells errors to ``errors``."""
    flags = ("-I", "-S", "-B", "-X", "utf8", "-c")
    words = (sys.executable, *flags, _PROGRAM, str(todo), str(errors))
    return [word.encode("utf-8", "surrogateescape") for word in words]
