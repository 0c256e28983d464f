"""The words of squall: what is asked (Spec), what is kept (Job), and which moves are legal.

Frozen data without I/O. A Job is the JSON object of the HTTP contract, field by field; the same
names are columns in the ledger. Times are RFC 3339 strings in UTC with microseconds, which also
sort as text; durations are seconds; sizes are bytes.

What a field means stands beside it and nowhere else: the OpenAPI document, the options of the
command line, the page's form and the tables of docs/http.md have it from `described`.
"""

from __future__ import annotations

import functools
import secrets
import signal
import time
import typing
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]
Reason = Literal["exit", "signal", "timeout", "cancelled", "output_limit", "spawn_error", "crash"]

ENDED: frozenset[State] = frozenset({"succeeded", "failed", "cancelled", "lost"})

# What may follow what. A claimed job is still `queued` until its command runs; when its owner
# dies in between, nobody can know whether it ran, and it passes through `running` to `lost`.
MOVES: dict[State, frozenset[State]] = {
    "queued": frozenset({"running", "cancelled", "failed"}),
    "running": ENDED,
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "lost": frozenset(),
}

# A job's id in its one written form, as a regular expression.
ID_PATTERN = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

# One argument or one environment entry may not be longer: MAX_ARG_STRLEN, execve(2).
ARG_BYTES_MAX = 131_071
ARGS_MAX = 4_096
ENV_MAX = 1_024
LABELS_MAX = 64
SIGNALS = list(signal.Signals.__members__)
BASE64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
SECONDS_MAX = 10 * 365 * 86_400

EPOCH = datetime.fromtimestamp(0, UTC)
# An id is made right after `created_at` is: what differs more, differs since the clock was set.
STEP_MS = 1000


# What squall itself tells a job: whoever could set it would mark a stranger's process as its own.
OWN_NAMES = "SQUALL_JOB_"

Wrong = Iterator[tuple[str, str]]
Checks = Mapping[str, Callable[[Any], Wrong]]


def _is(title: str, description: str, *examples: object, **schema: Any) -> Meta:
    """What people are told of a field; `schema` says to programs what `checks` looks for."""
    return Meta(
        title=title,
        description=description,
        examples=[*examples] or None,
        extra_json_schema=schema or None,
    )


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a job is stopped."""

    signal: Annotated[
        str, _is("Signal", "The signal that asks it to end.", "SIGINT", enum=SIGNALS)
    ] = "SIGTERM"
    grace: Annotated[
        Annotated[float, Meta(ge=0, le=86_400)],
        _is("Grace", "Seconds until SIGKILL, where the command does not end by itself.", 30),
    ] = 5.0

    checks: ClassVar[Checks] = {"signal": lambda name: _wrong_signal(name)}


# What execve(2) takes; `checks` looks for it, and the schema says so.
Text = Annotated[
    str, Meta(extra_json_schema={"pattern": r"^[^\x00]*$", "maxLength": ARG_BYTES_MAX})
]
Count = Annotated[int, Meta(ge=0, le=2**31)]
Bytes = Annotated[int, Meta(ge=0, le=2**62)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job may use: resource limits (setrlimit(2)), and the bytes kept of each stream."""

    address_space: Annotated[
        Bytes | None, _is("Address space", "Bytes of memory that a process may map.", 2**30)
    ] = None
    cpu_seconds: Annotated[
        Count | None, _is("CPU seconds", "Seconds of processor time that a process may use.", 60)
    ] = None
    open_files: Annotated[
        Count | None, _is("Open files", "Descriptors that a process may have.", 256)
    ] = None
    processes: Annotated[
        Count | None,
        _is("Processes", "Processes of the service's user, other jobs' included.", 500),
    ] = None
    file_size: Annotated[
        Bytes | None, _is("File size", "Bytes that a file may grow to.", 2**30)
    ] = None
    core_size: Annotated[Bytes | None, _is("Core size", "Bytes of a core dump.", 0)] = None
    output_bytes: Annotated[
        Annotated[int, Meta(ge=0, le=2**40)] | None,
        _is("Output bytes", "Bytes kept of each output stream: half head, half tail.", 2**20),
    ] = None


class Stdin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the command reads on its standard input: one of `text` and `base64`."""

    text: Annotated[str | None, _is("Text", "Text, sent as UTF-8.", "hello\n")] = None
    base64: Annotated[
        str | None, _is("Base64", "Any bytes, as base64.", "aGVsbG8K", pattern=BASE64)
    ] = None

    def content(self) -> bytes:
        """Return the bytes to feed; ValueError when `base64` is not base64."""
        if self.text is not None:
            return self.text.encode()
        return b64decode(self.base64 or "", validate=True)


class Spec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """What was asked: one command, and how to run it."""

    args: Annotated[
        Annotated[list[Text], Meta(min_length=1, max_length=ARGS_MAX)],
        _is(
            "Command",
            "The program and its arguments. No shell reads them:"
            ' for a pipeline say `["sh", "-c", "..."]`.',
            ["echo", "hello"],
            prefixItems=[{"type": "string", "pattern": r"^[^\x00]+$"}],
        ),
    ]
    env: Annotated[
        Annotated[dict[str, Text], Meta(max_length=ENV_MAX)],
        _is(
            "Environment",
            "Variables added to a small base: `PATH`, `HOME`, `USER`, `LOGNAME`, `LANG`,"
            " `SQUALL_JOB_ID`. The service's own environment is never passed on.",
            {"TZ": "UTC"},
            propertyNames={"pattern": r"^[^=\x00]+$"},
        ),
    ] = {}
    cwd: Annotated[
        str | None,
        _is(
            "Directory",
            "Where to run, an absolute path. The home directory of the service's user by default.",
            "/srv/data",
            pattern=r"^/[^\x00]*$",
        ),
    ] = None
    stdin: Annotated[
        Stdin | Literal["open"] | None,
        _is(
            "Standard input",
            'What the command reads: `{"text": "..."}`, `{"base64": "..."}`, or `"open"` for what'
            " is sent while it runs. Empty by default.",
            {"text": "hello\n"},
            "open",
        ),
    ] = None
    timeout: Annotated[
        Annotated[float, Meta(gt=0, le=SECONDS_MAX)] | None,
        _is("Timeout", "Seconds until the job is stopped. None by default.", 60),
    ] = None
    stop: Annotated[
        Stop,
        _is(
            "Stop",
            "How the job is stopped: `signal` first, SIGKILL after `grace` seconds.",
            {"signal": "SIGINT", "grace": 30},
        ),
    ] = Stop()
    limits: Annotated[
        Limits,
        _is(
            "Limits",
            "What the job may use: `address_space`, `cpu_seconds`, `open_files`, `processes`,"
            " `file_size`, `core_size` (setrlimit(2)), and `output_bytes` kept of each stream.",
            {"cpu_seconds": 60},
        ),
    ] = Limits()
    labels: Annotated[
        Annotated[dict[str, Text], Meta(max_length=LABELS_MAX)],
        _is(
            "Labels",
            "Names and values to find the job by.",
            {"app": "web"},
            propertyNames={"pattern": r"^[^:\x00]+$"},
        ),
    ] = {}

    # all of args, env and labels, and as much as is needed for everything else
    strings_max: ClassVar[int] = ARGS_MAX + 2 * ENV_MAX + 2 * LABELS_MAX + 10_000
    checks: ClassVar[Checks] = {
        "args": lambda args: _wrong_args(args),
        "env": lambda env: _wrong_env(env),
        "cwd": lambda cwd: _wrong_cwd(cwd),
        "stdin": lambda stdin: _wrong_stdin(stdin),
        "labels": lambda labels: _wrong_labels(labels),
    }


class StoredSpec(Spec, frozen=True, forbid_unknown_fields=False):
    """A spec as the ledger has it: fields of a newer version are passed over.

    `awaits_reader` was asked for beside the spec (`Prefer: lossless`): the job's output waits for
    a reader from its first byte on.
    """

    awaits_reader: bool = False

    @property
    def asked(self) -> Spec:
        """The spec as it came."""
        return Spec(**{name: getattr(self, name) for name in Spec.__struct_fields__})


Content = bytes  # inside Stream, `bytes` is a field


class Usage(msgspec.Struct, frozen=True):
    """What the command used, its waited-for children included (getrusage(2))."""

    user_seconds: float
    system_seconds: float
    max_rss_bytes: int


class Stream(msgspec.Struct, frozen=True, omit_defaults=True):
    """One output stream: bytes the child wrote, how many of them were not kept, and its content."""

    bytes: int
    dropped: int
    text: str | None = None
    base64: str | None = None

    def with_content(self, content: Content) -> Stream:
        """Return the same stream with its content as text, or as base64 where it is not UTF-8."""
        try:
            return msgspec.structs.replace(self, text=str(content, "utf-8"))
        except UnicodeDecodeError:
            return msgspec.structs.replace(self, base64=b64encode(content).decode())


NOTHING = Stream(bytes=0, dropped=0)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One command accepted to be run once, as the ledger knows it."""

    id: Annotated[str, _is("Id", "A UUID, version 7: later jobs have greater ones.")]
    state: Annotated[State, _is("State", "What may happen next, or how it ended.")]
    reason: Annotated[Reason | None, _is("Reason", "Why it ended.")] = None
    error: Annotated[
        str | None, _is("Error", "Why it could not be started, or what else there is to say.")
    ] = None
    args: list[str]
    env: dict[str, str] = {}
    cwd: str | None = None
    timeout: float | None = None
    stop: Stop = Stop()
    limits: Limits = Limits()
    labels: dict[str, str] = {}
    created_at: Annotated[str, _is("Created", "When it was accepted.")]
    started_at: Annotated[str | None, _is("Started", "When its command was started.")] = None
    finished_at: Annotated[str | None, _is("Finished", "When it was over.")] = None
    duration: Annotated[
        float | None, _is("Duration", "Seconds that its command ran, from `started_at` on.")
    ] = None
    owner: Annotated[str | None, _is("Owner", "The process of squall that runs it.")] = None
    pid: Annotated[int | None, _is("PID", "Its command's process id.")] = None
    exit_code: Annotated[int | None, _is("Exit code", "What its command exited with.")] = None
    signal: Annotated[str | None, _is("Signal", "The signal that ended its command.")] = None
    has_timed_out: Annotated[
        bool, _is("Timed out", "Whether it was stopped after `timeout` seconds.")
    ] = False
    cancel_requested: Annotated[
        bool, _is("Cancel requested", "Whether somebody wants it stopped.")
    ] = False
    usage: Annotated[
        Usage | None,
        _is("Usage", "What it used: `user_seconds`, `system_seconds`, `max_rss_bytes`."),
    ] = None
    stdout: Annotated[
        Stream,
        _is(
            "Standard output",
            "`bytes` that the command wrote, `dropped` bytes that were not kept, and where output"
            " is included `text`, or `base64` where it is not UTF-8.",
        ),
    ] = NOTHING
    stderr: Annotated[Stream, _is("Standard error", "As `stdout`.")] = NOTHING
    rerun_of: Annotated[str | None, _is("Rerun of", "The job that this one runs again.")] = None
    handovers: Annotated[
        int, _is("Handovers", "How often a new process of squall has taken it over while it ran.")
    ] = 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    def ended(self, end: End, owner: str, cancel_requested: bool) -> Job:
        """Return the job as its end leaves it, which is what the ledger then says too."""
        return msgspec.structs.replace(
            self,
            owner=owner,
            cancel_requested=cancel_requested,
            **{name: getattr(end, name) for name in end.__struct_fields__},
        )

    def as_of(self, state: State) -> Job:
        """Return the job as it was when it came into an earlier state."""
        if state == self.state != "queued":
            return self
        before = msgspec.structs.replace(
            self,
            state=state,
            **dict.fromkeys(("reason", "error", "finished_at", "duration", "exit_code")),
            **dict.fromkeys(("signal", "usage")),
            has_timed_out=False,
            stdout=NOTHING,
            stderr=NOTHING,
        )
        if state == "running":
            return before
        fields = ("owner", "pid", "started_at")
        return msgspec.structs.replace(before, cancel_requested=False, **dict.fromkeys(fields))


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended: all that is written down at its end."""

    state: State
    reason: Reason
    error: str | None = None
    pid: int | None = None
    started_at: str | None = None
    finished_at: str
    duration: float | None = None
    exit_code: int | None = None
    signal: str | None = None
    has_timed_out: bool = False
    usage: Usage | None = None
    stdout: Stream = NOTHING
    stderr: Stream = NOTHING


def described(struct: type[msgspec.Struct]) -> dict[str, Meta]:
    """Return title, description and examples of each field, by its name.

    A job tells what was asked by the same names, so those are described once, in the spec.
    """
    found = dict(described(Spec)) if struct is Job else {}
    hints = typing.get_type_hints(struct, include_extras=True)
    for name in struct.__struct_fields__:
        for meta in getattr(hints[name], "__metadata__", ()):
            if meta.description:
                found[name] = meta
    return {name: found[name] for name in struct.__struct_fields__}


def check_move(before: State, after: State) -> None:
    """Raise ValueError when a job may not go from `before` to `after`: a bug, never bad input."""
    if after not in MOVES[before]:
        raise ValueError(f"a job cannot go from {before} to {after}")


def now() -> str:
    """Return the time as RFC 3339 in UTC with microseconds: 2026-11-21T02:40:00.123456Z."""
    return rfc3339(time.time_ns() // 1000)


def rfc3339(microseconds: int) -> str:
    """Format a Unix time in microseconds."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_to_the_second(seconds)}.{fraction:06d}Z"


@functools.lru_cache(maxsize=16)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def least_id(time: str, later_ms: int = 0) -> str:
    """Return what no id that is made from `time` on is less than, compared as text.

    That holds while the clock isn't set back: `Ids` stay in order, and are then ahead of it.
    """
    since_epoch = datetime.fromisoformat(time) - EPOCH
    milliseconds = max(since_epoch // timedelta(milliseconds=1) + later_ms, 0)
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}"


def id_milliseconds(id: str) -> int:
    """Return the Unix time in an id."""
    return int(id[:8] + id[9:13], 16)


class Ids:
    """Makes job ids: UUIDv7 (RFC 9562), each greater than the one before from the same maker.

    The 12 bits after the milliseconds are a counter (method 1 of section 6.2), so the ids of a
    batch keep its order. Python has `uuid.uuid7` from 3.14 on only.
    """

    def __init__(self) -> None:
        """Start counting."""
        self._last = 0

    def __call__(self) -> str:
        """Return the next id in its usual text form."""
        self._last = max(time.time_ns() // 1_000_000 << 12, self._last + 1)
        milliseconds, counter = self._last >> 12, self._last & 0xFFF
        number = milliseconds << 80 | 7 << 76 | counter << 64 | 2 << 62 | secrets.randbits(62)
        return str(uuid.UUID(int=number))


def signal_number(name: str) -> int | None:
    """Return the number of a signal by its name (`SIGTERM`), None when there is no such signal."""
    try:
        return signal.Signals[name].value
    except KeyError:
        return None


def signal_name(number: int) -> str:
    """Return a signal's name; real-time signals between the named ones are `SIGRTMIN+N`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _wrong_args(args: list[str]) -> Wrong:
    if not args[0]:
        yield "[0]", "must name a program"
    if _is_plain(args):
        return
    for index, arg in enumerate(args):
        if message := _wrong_text(arg):
            yield f"[{index}]", message


def _wrong_env(env: dict[str, str]) -> Wrong:
    names = "".join(env)
    is_plain = _is_plain([*env, *env.values()])
    if is_plain and "" not in env and "=" not in names and OWN_NAMES not in names:
        return
    for name, value in env.items():
        if not name or "=" in name:
            yield f".{name}", "a name must not be empty or contain '='"
        elif name.startswith(OWN_NAMES):
            yield f".{name}", f"names that begin with {OWN_NAMES} are set by squall"
        elif message := _wrong_text(f"{name}={value}"):
            yield f".{name}", message


def _wrong_cwd(cwd: str | None) -> Wrong:
    if cwd is None:
        return
    if message := _wrong_text(cwd):
        yield "", message
    elif not cwd.startswith("/"):
        yield "", "must be an absolute path"


def _wrong_stdin(stdin: object) -> Wrong:
    if not isinstance(stdin, Stdin):
        return  # nothing, or "open"
    if (stdin.text is None) == (stdin.base64 is None):
        yield "", "give one of 'text' and 'base64'"
        return
    try:
        stdin.content()
    except ValueError:  # binascii.Error is one; so is a lone surrogate in text
        yield (".base64", "not base64") if stdin.text is None else (".text", "not valid Unicode")


def _wrong_signal(name: str) -> Wrong:
    if signal_number(name) is None:
        yield "", f"no such signal: {name!r}"


def _wrong_labels(labels: dict[str, str]) -> Wrong:
    if _is_plain([*labels, *labels.values()]) and "" not in labels and ":" not in "".join(labels):
        return
    for name, value in labels.items():
        if not name or ":" in name:
            yield f".{name}", "a name must not be empty or contain ':'"
        elif message := _wrong_text(f"{name}{value}"):
            yield f".{name}", message


def _is_plain(texts: list[str]) -> bool:
    """Whether nothing is wrong with the text of any of them, as far as C can tell at once."""
    try:
        joined = "".join(texts)
    except TypeError:
        return False  # some are no strings
    return len(joined) + len(texts) <= ARG_BYTES_MAX and joined.isascii() and "\0" not in joined


def _wrong_text(text: object) -> str | None:
    if not isinstance(text, str):
        return None  # its type is wrong, which is told already
    if "\0" in text:
        return "must not contain a NUL character"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "must be valid Unicode, without lone surrogates"
    return f"must be at most {ARG_BYTES_MAX} bytes long" if size > ARG_BYTES_MAX else None
