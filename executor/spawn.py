"""A command made ready to be started, and the start itself."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import marshal
import os
import pwd
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import starmap
from operator import index
from typing import Any, NamedTuple, TypedDict

from executor.errors import NO_ROOM
from executor.limits import Limits, trampoline

StrOrBytes = str | bytes
StrOrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class PopenArgs(TypedDict, total=False):
    """The keywords of ``subprocess.Popen`` that ``Subprocess`` takes, with the meaning they have
    there.

    ``stdin``, ``stdout`` and ``stderr`` may also be a path: it is opened here, for writing from its
    start, without waiting (a FIFO needs its other side open: else ENXIO, or no input); ``None`` is
    to share ours, as in Popen.
    """

    stdin: Any
    stdout: Any
    stderr: Any
    executable: StrOrPath | None
    shell: bool
    cwd: StrOrPath | None
    env: Mapping[Any, Any] | None
    pass_fds: Sequence[int]
    close_fds: bool
    restore_signals: bool
    start_new_session: bool
    umask: int
    user: str | int | None
    group: str | int | None
    extra_groups: Iterable[str | int] | None
    pipesize: int


_IDS = frozenset({"umask", "user", "group", "extra_groups"})
_KNOWN = frozenset(PopenArgs.__annotations__) - {
    "start_new_session",
    "pipesize",
    "stdin",
    "stdout",
    "stderr",
}
_FAST = sys.platform == "linux" and (3, 11) <= sys.version_info[:2] <= (3, 13)

if _FAST:
    from _posixsubprocess import fork_exec as _fork_exec


class Command:
    """Checked arguments of one start; ``TypeError`` and ``ValueError`` for wrong ones."""

    __slots__ = (
        "argv",
        "cwd",
        "env",
        "limits",
        "name",
        "options",
        "program",
        "soft_open_files",
        "words",
    )

    def __init__(
        self,
        args: Any,
        limits: Limits | None,
        soft_open_files: int | None,
        options: dict[str, Any],
    ) -> None:
        for name in options:
            if name not in _KNOWN:
                raise TypeError(_REFUSED.get(name, f"{name!r} is not a keyword of Subprocess"))
        argv = _argv(args, options.get("shell", False))
        executable = options.get("executable")
        if executable is not None and options.get("shell"):
            argv[0] = os.fsencode(executable)
        if not _IDS.isdisjoint(options):
            _check_ids(options)
        self.argv = argv
        self.limits = limits
        self.soft_open_files = soft_open_files
        self.options = options
        self.cwd = options.get("cwd")
        if self.cwd is not None:
            _no_nul(os.fsencode(self.cwd), "cwd")
        self.env = _environment(options.get("env"))
        self.program = argv[0] if executable is None else os.fsencode(executable)
        _no_nul(self.program, "executable")
        self.words = _words(args, options)
        self.name = executable if executable is not None else self.words[0]

    def candidates(self, program: bytes) -> tuple[bytes, ...]:
        """The paths to try: a name without a slash is looked up in PATH (env's, if given)."""
        if b"/" in program:
            return (program,)
        path = os.get_exec_path(self.options.get("env"))
        # an empty place is the working directory
        return tuple(os.fsencode(place) + b"/" * bool(place) + program for place in path)

    def audit(self) -> None:
        """Raise the event of subprocess.Popen (PEP 578): a hook may refuse the start."""
        options = self.options
        if _FAST or _needs_trampoline(self):  # else Popen raises it
            sys.audit("subprocess.Popen", self.name, self.words, self.cwd, options.get("env"))

    def is_no_room(self, error: OSError) -> bool:
        """Whether this error of a start may pass by itself."""
        if error.errno == errno.ENOMEM and self.limits and self.limits.address_space is not None:
            return False  # its own limit is too small for it, as far as we can know
        return error.errno in NO_ROOM


_REFUSED = {
    "preexec_fn": "preexec_fn is not offered: Python code between fork and exec can deadlock in a "
    "process with threads; see limits=, cgroup=, umask=, user=, group=, cwd=",
    "process_group": "process_group is not offered: the command leads a session of its own",
    "bufsize": "bufsize has no meaning here: pipes are read as they fill",
    "universal_newlines": "universal_newlines is not offered: use text=True or encoding=",
}


def _argv(args: Any, shell: bool) -> list[bytes]:
    if isinstance(args, (str, bytes, os.PathLike)):
        words = [os.fsencode(args)]
        if not words[0]:
            raise ValueError("args is empty")
        if shell:
            words = [b"/bin/sh", b"-c", *words]
    elif shell:
        # Popen would run the first item and give the others to the shell as $0, $1...
        raise ValueError("shell=True takes one string; for a list leave shell out")
    else:
        words = [os.fsencode(word) for word in args]
        if not words or not words[0]:
            raise ValueError("args is empty")
    for word in words:
        _no_nul(word, "args")
    return words


def _check_ids(options: dict[str, Any]) -> None:
    """Names become numbers now: a wrong one is a wrong option, not a failed start."""
    if options.get("user") is not None:
        options["user"] = _id(options["user"], "user", lambda name: pwd.getpwnam(name).pw_uid)
    if options.get("group") is not None:
        options["group"] = _group(options["group"])
    if options.get("extra_groups") is not None:
        options["extra_groups"] = [_group(group) for group in options["extra_groups"]]
    if not -1 <= index(options.get("umask", -1)) <= 0o777:
        raise ValueError(f"umask must be from 0 to 0o777, not {options['umask']!r}")


def _group(given: Any) -> int:
    return _id(given, "group", lambda name: grp.getgrnam(name).gr_gid)


def _id(given: Any, what: str, look_up: Callable[[str], int]) -> int:
    if isinstance(given, str):
        try:
            return look_up(given)
        except KeyError as error:
            raise ValueError(f"there is no {what} {given!r}") from error
    if not 0 <= index(given) < 2**32 - 1:
        raise ValueError(f"{given} is no {what} id")
    return index(given)


def _no_nul(value: bytes, what: str) -> None:
    if b"\0" in value:
        raise ValueError(f"{what} holds a NUL byte")


def _environment(env: Mapping[Any, Any] | None) -> list[bytes] | None:
    if env is None:
        return None
    pairs = {}  # by name: "A" and b"A" are one
    for key, value in env.items():
        name = os.fsencode(key)
        if not name or b"=" in name:
            raise ValueError(f"illegal name of an environment variable: {key!r}")
        pair = name + b"=" + os.fsencode(value)
        _no_nul(pair, "env")
        pairs[name] = pair
    return list(pairs.values())


def _words(args: Any, options: Mapping[str, Any]) -> list[Any]:
    """``argv`` as it was given, for people."""
    if options.get("shell"):
        return ["/bin/sh", "-c", args]
    return [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)


def spawn(command: Command, cgroup: str | None, stdio: tuple[int, int, int]) -> int:
    """Start ``command`` with these descriptors (-1: ours), in a session of its own; its process id.

    ``cgroup``: the ``cgroup.procs`` file of a cgroup that the command shall be in from its
    beginning.

    ``OSError`` with ``errno`` and ``filename`` (the program, or the cwd) where that can't be done;
    then no process is left. Blocks until the exec has worked or failed, as vfork(2) does anyway.
    """
    if _needs_trampoline(command) or cgroup is not None:
        return _spawn_by_trampoline(command, cgroup, stdio)
    image = Image(command.argv, command.program, command.name, command.env, ())
    return _spawn(command, image, stdio)


def _needs_trampoline(command: Command) -> bool:
    if command.limits is not None or _has_blocked_signals(command):
        return True
    # Popen opens descriptors of its own between our setting a limit and its fork
    return command.soft_open_files is not None and not _FAST


class Image(NamedTuple):
    """What is executed: the command itself, or the program that sets its limits."""

    argv: list[bytes]
    program: bytes
    name: Any  # in errors
    env: list[bytes] | None
    own_fds: tuple[int, ...]


def _spawn(command: Command, image: Image, stdio: tuple[int, int, int]) -> int:
    if not _FAST:
        return _popen(command, image, stdio)
    pids: list[int] = []
    try:
        told = _fork(command, image, stdio, pids)
    except BaseException:
        for pid in pids:
            _kill(pid)
        raise
    (pid,) = pids
    if told:
        _reap(pid)
        raise _spawn_error(command, image, told)
    return pid


def _fork(command: Command, image: Image, stdio: tuple[int, int, int], pids: list[int]) -> bytes:
    """What the child told before its exec; nothing when that worked."""
    options = command.options
    stdin, stdout, stderr = stdio
    errors_read, errors_write = _pipe_above_stdio()
    try:
        try:
            keep = {*options.get("pass_fds", ()), *image.own_fds, errors_write}
            # fmt: off
            words = (
                image.argv, command.candidates(image.program),
                options.get("close_fds", True), tuple(sorted(keep)),
                command.cwd, image.env,
                stdin, -1, -1, stdout, -1, stderr, errors_read, errors_write,
                options.get("restore_signals", True), True, -1,  # session, process group
                options.get("group"), options.get("extra_groups"),
                options.get("user"), options.get("umask", -1), None,  # preexec_fn
                True,  # vfork, unless an id changes
            )
            # fmt: on
            with _fork_lock:
                # extend() keeps the id before a signal handler can raise, as that of Ctrl-C does
                if command.soft_open_files is None:
                    pids.extend(starmap(_fork_exec, (words,)))
                else:
                    _fork_with_soft_limit(command.soft_open_files, words, pids)
        finally:
            os.close(errors_write)
        # in pieces, where it was a fork and not a vfork
        return b"".join(iter(partial(os.read, errors_read, 4096), b""))
    finally:
        os.close(errors_read)


# all starts take it, so that none of another thread inherits the limit of this one
_fork_lock = threading.Lock()


def _renew_fork_lock() -> None:
    """In a forked copy of this process: who held it is not there."""
    global _fork_lock
    _fork_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_fork_lock)


def _fork_with_soft_limit(wanted: int, words: tuple[Any, ...], pids: list[int]) -> None:
    """The child inherits the limit at its fork, so it is ours meanwhile.

    Descriptors that are open above it stay valid (setrlimit(2)).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = (_at_most(wanted, hard), hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, lower)
        pids.extend(starmap(_fork_exec, (words,)))
    finally:
        # no call of Python code before it: there a signal handler could raise
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _at_most(wanted: int, hard: int) -> int:
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _spawn_error(command: Command, image: Image, told: bytes) -> OSError:
    """What the child wrote: ``OSError:2:`` or, before the exec, ``OSError:2:noexec``."""
    _, number, place = told.split(b":", 2)
    code = int(number, 16)
    is_cwd = place.startswith(b"noexec") and not _is_of_ids(command, code)
    return OSError(code, os.strerror(code), command.cwd if is_cwd else image.name)


def _is_of_ids(command: Command, code: int | None) -> bool:
    """Before Python 3.13 a refused user or group is told as a refused cwd is."""
    return code in _REFUSED_IDS and not _IDS.isdisjoint(command.options)


_REFUSED_IDS = frozenset({errno.EPERM, errno.EINVAL, errno.EAGAIN})  # chdir(2) has none of them


def _popen(command: Command, image: Image, stdio: tuple[int, int, int]) -> int:
    argv, program, name, env, own_fds = image
    options = {k: v for k, v in command.options.items() if k not in ("shell", "executable", "env")}
    kept = (*options.get("pass_fds", ()), *own_fds)
    if options.get("close_fds", True):
        options["pass_fds"] = kept
    else:  # Popen would close all others
        options.pop("pass_fds", None)
        for fd in kept:
            os.set_inheritable(fd, True)
    stdin, stdout, stderr = (None if fd == -1 else fd for fd in stdio)
    try:
        process = subprocess.Popen(
            argv,
            executable=program,
            env=None if env is None else dict(pair.split(b"=", 1) for pair in env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            **options,
        )
    except OSError as error:
        if error.filename == program or _is_of_ids(command, error.errno):
            error.filename = name
        raise
    # it is ours to reap: Popen must neither poll it nor warn of it
    process.returncode = 0
    return process.pid


def _spawn_by_trampoline(command: Command, cgroup: str | None, stdio: tuple[int, int, int]) -> int:
    pids: list[int] = []
    try:
        told = _through_trampoline(command, cgroup, stdio, pids)
    except BaseException:
        for pid in pids:
            _kill(pid)
        raise
    (pid,) = pids
    if told == b"+":
        return pid
    _reap(pid)
    raise _trampoline_error(command, cgroup, told)


def _through_trampoline(
    command: Command, cgroup: str | None, stdio: tuple[int, int, int], pids: list[int]
) -> bytes:
    """What the program that sets limits told: "+" alone when the command runs."""
    todo = _todo(command, cgroup)
    try:
        errors_read, errors_write = _pipe_above_stdio()
        try:
            try:
                words = trampoline(todo, errors_write)
                program = os.fsencode(sys.executable)
                own = (todo, errors_write)
                image = Image(words, program, sys.executable, None, own)
                pids.append(_spawn(command, image, stdio))
            finally:
                os.close(errors_write)
            return b"".join(iter(partial(os.read, errors_read, 4096), b""))
        finally:
            os.close(errors_read)
    finally:
        os.close(todo)


def _todo(command: Command, cgroup: str | None) -> int:
    """A descriptor that holds, at its start, what the trampoline has to do."""
    env = command.env
    pairs = os.environb if env is None else dict(pair.split(b"=", 1) for pair in env)
    restored = command.options.get("restore_signals", True)
    work = (
        command.argv,
        command.candidates(command.program),
        dict(pairs),
        _rlimits(command),
        cgroup,
        [int(number) for number in _restored_signals()] if restored else [],
    )
    fd = _above_stdio(os.memfd_create("executor", os.MFD_CLOEXEC))
    try:
        with open(fd, "wb", closefd=False) as file:
            marshal.dump(work, file)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _rlimits(command: Command) -> list[tuple[int, int, int]]:
    found = []
    if command.soft_open_files is not None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        found.append((resource.RLIMIT_NOFILE, _at_most(command.soft_open_files, hard), hard))
    return found + (command.limits.rlimits() if command.limits is not None else [])


def _has_blocked_signals(command: Command) -> bool:
    """A child inherits the mask of this thread, and only code in the child can empty it."""
    if not signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        return False
    return bool(command.options.get("restore_signals", True))


def _restored_signals() -> list[signal.Signals]:
    return [getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name)]


def _trampoline_error(command: Command, cgroup: str | None, told: bytes) -> OSError:
    if told in (b"", b"+"):
        text = "the interpreter that sets limits did not start"
        return OSError(errno.ENOEXEC, text, sys.executable)
    number, step = told.lstrip(b"+").split(b":", 1)
    code = int(number)
    place = {b"exec": command.name, b"cgroup": cgroup, b"limits": "limits"}
    return OSError(code, os.strerror(code), place.get(step, sys.executable))


def _kill(pid: int) -> None:
    """For a start that was interrupted: nothing of it is left."""
    try:
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):  # it had no session yet
            os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # SIGCHLD is ignored: the kernel has reaped it
        return
    except PermissionError:  # a set-user-id program: it ends by itself
        return
    _reap(pid)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # SIGCHLD is ignored: the kernel has reaped it
        os.waitpid(pid, 0)


def _pipe_above_stdio() -> tuple[int, int]:
    read, write = os.pipe()
    if write > 2:
        return read, write
    # in a process that has closed its standard streams the child would overwrite the end
    try:
        return read, _above_stdio(write)
    except OSError:
        os.close(read)
        raise


def _above_stdio(fd: int) -> int:
    if fd > 2:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)
