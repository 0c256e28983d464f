"""A run as it is at one moment, in plain values: what another process needs to go on with it."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from executor.result import Ending, Usage

if TYPE_CHECKING:
    from executor.capture import Capture
    from executor.child import Child
    from executor.pipes import Source

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time() -> float:
    """Seconds since the boot, suspension included: the same in each process of the machine."""
    return time.clock_gettime(_BOOTTIME)


@dataclass(frozen=True, slots=True)
class OutputState:
    """What was read of one captured stream: ``total`` bytes, of which ``head`` and ``tail`` are
    kept (all that is kept is in ``head`` until some was dropped).

    ``incomplete``: it was given up before its end.
    """

    total: int
    head: bytes = b""
    tail: bytes = b""
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class InputState:
    """``data`` is what was written and is not in the pipe yet; ``ends`` says that nothing follows
    it, ``incomplete`` that some was given up.
    """

    data: bytes = b""
    ends: bool = False
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Handover:
    """All that it takes to go on with a run: see ``Subprocess.take_over()``.

    Made by ``handover()`` or ``release()``; ``dataclasses.replace()`` puts right what is known
    better by now, as ``stdout.total`` after a kill. ``..._boot`` are seconds of CLOCK_BOOTTIME,
    which another process reads the same, also much later.

    ``descriptors``: by the names ``pidfd``, ``stdin``, ``stdout`` and ``stderr``, those that are
    still open. Of ``handover()`` they are the run's own: whoever keeps them makes duplicates, as
    sending them over a socket does. Of ``release()`` they belong to who has the Handover.
    ``reason``: what stops it (``"timeout"``, ``"cancelled"``, ``"failed"``) or ``None``; ``steps``
    are those of the stop that are still to be taken, the first at ``step_boot`` (``None``: not by
    the clock). ``timeout_boot``: when the timeout is due; ``None`` without one, and once it was.
    ``exited_boot``: when the exit was seen. ``ending``: how it ended, known just before the child
    is reaped. ``cgroup``: the directory that is this run's own.
    """

    args: Any
    pid: int
    started_at: float
    started_boot: float
    timeout_boot: float | None = None
    reason: str | None = None
    steps: tuple[tuple[int, float | None], ...] = ()
    step_boot: float | None = None
    exited_boot: float | None = None
    ending: Ending | None = None
    cgroup: str | None = None
    stdin: InputState | None = None
    stdout: OutputState | None = None
    stderr: OutputState | None = None
    descriptors: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All but the descriptors, as JSON and msgpack can hold it (bytes are base64, paths text).

        A key that is missing has its default; ``from_dict()`` leaves out what it does not know, so
        that versions may differ.
        """
        return {
            "args": _plain_args(self.args),
            "pid": self.pid,
            "started_at": self.started_at,
            "started_boot": self.started_boot,
            "timeout_boot": self.timeout_boot,
            "reason": self.reason,
            "steps": [list(step) for step in self.steps],
            "step_boot": self.step_boot,
            "exited_boot": self.exited_boot,
            "ending": _plain_ending(self.ending),
            "cgroup": self.cgroup,
            "stdin": _plain(self.stdin, "data", "ends", "incomplete"),
            "stdout": _plain(self.stdout, "total", "head", "tail", "incomplete"),
            "stderr": _plain(self.stderr, "total", "head", "tail", "incomplete"),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], descriptors: Mapping[str, int]) -> Self:
        """What ``to_dict()`` made, with the descriptors as they are numbered here."""
        return cls(
            args=data["args"],
            pid=data["pid"],
            started_at=data["started_at"],
            started_boot=data["started_boot"],
            timeout_boot=data.get("timeout_boot"),
            reason=data.get("reason"),
            steps=tuple((number, seconds) for number, seconds in data.get("steps", ())),
            step_boot=data.get("step_boot"),
            exited_boot=data.get("exited_boot"),
            ending=_ending(data.get("ending")),
            cgroup=data.get("cgroup"),
            stdin=_input(data.get("stdin")),
            stdout=_output(data.get("stdout")),
            stderr=_output(data.get("stderr")),
            descriptors=dict(descriptors),
        )

    def close(self) -> None:
        """Close the descriptors: for who owns them (``release()``) and hands them to nobody."""
        for fd in self.descriptors.values():
            os.close(fd)


def _plain_args(args: Any) -> Any:
    if isinstance(args, (str, bytes, os.PathLike)):
        return os.fsdecode(args)
    return [os.fsdecode(word) for word in args]


def _plain(state: object | None, *names: str) -> dict[str, Any] | None:
    if state is None:
        return None
    values = {name: getattr(state, name) for name in names}
    return {
        name: base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
        for name, value in values.items()
    }


def _plain_ending(ending: Ending | None) -> dict[str, Any] | None:
    if ending is None:
        return None
    status, core_dumped, usage = ending
    used = usage and [usage.user_seconds, usage.system_seconds, usage.max_rss_bytes]
    return {"status": status, "core_dumped": core_dumped, "usage": used}


def _ending(data: Mapping[str, Any] | None) -> Ending | None:
    if data is None:
        return None
    used = data.get("usage")
    usage = None if used is None else Usage(*used)
    return Ending(data["status"], data.get("core_dumped", False), usage)


def _input(data: Mapping[str, Any] | None) -> InputState | None:
    if data is None:
        return None
    waiting = base64.b64decode(data.get("data", ""))
    return InputState(waiting, data.get("ends", False), data.get("incomplete", False))


def _output(data: Mapping[str, Any] | None) -> OutputState | None:
    if data is None:
        return None
    head, tail = (base64.b64decode(data.get(name, "")) for name in ("head", "tail"))
    return OutputState(data["total"], head, tail, data.get("incomplete", False))


def describe(run: Child, step_is_due: bool = False) -> Handover:
    """``run`` as it is now; ``step_is_due``: its next stop step is about to be taken.

    ``RuntimeError`` when it is over, ``ValueError`` for what can't be handed over.
    """
    if run.is_over:
        raise RuntimeError(f"a run that is {run.phase} can't be handed over")
    ends, stopping = run.ends, run.stopping
    steps = []
    for what, seconds in stopping.steps:
        if callable(what):
            raise ValueError("a stop step that is a function can't be handed over")
        steps.append((int(what), seconds))
    if ends.input is not None and ends.input.has_source:
        raise ValueError("an iterator given as input can't be handed over")
    boot = boot_time()
    from_mono = boot - time.monotonic()
    from_loop = boot - run.loop.time()
    step_at = boot if step_is_due else _at(stopping.due_at, from_loop)
    fds = {"pidfd": run.exit.pidfd, **ends.descriptors()}
    outputs = {source.name: _output_state(source) for source in ends.sources}
    return Handover(
        args=run.options.args,
        pid=run.pid,
        started_at=run.started_at,
        started_boot=run.started_mono + from_mono,
        timeout_boot=_at(run.deadline.timeout_at, from_loop),
        reason=stopping.reason,
        steps=tuple(steps),
        step_boot=step_at,
        exited_boot=_at(run.exited_at or None, from_mono),
        ending=run.ending,
        cgroup=run.group.cgroup,
        stdin=None if ends.input is None else InputState(*ends.input.state()),
        stdout=outputs.get("stdout"),
        stderr=outputs.get("stderr"),
        descriptors={name: fd for name, fd in fds.items() if fd != -1},
    )


def _at(at: float | None, offset: float) -> float | None:
    return None if at is None else at + offset


def _output_state(source: Source) -> OutputState:
    capture: Capture = source.capture
    head, tail = capture.parts()
    return OutputState(capture.total, head, tail, source.incomplete and source.fd == -1)
