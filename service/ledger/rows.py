"""Jobs as rows: what stands in the columns of `schema.sql`, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from service.jobs import NOTHING, End, Job, Spec, State, Stream
from service.ledger import Asked, Claim
from service.ledger.stored import read_spec, read_stdin, read_usage

COLUMNS = (
    "id, state, owner, spec, created_at, started_at, finished_at, duration, pid, cancel_requested,"
    " has_timed_out, reason, error, exit_code, signal, usage, stdout_bytes, stdout_dropped,"
    " stderr_bytes, stderr_dropped, rerun_of, handovers"
)

SPEC = COLUMNS.split(", ").index("spec")

# An ended job keeps its stdin, as JSON, up to this length.
STDIN_KEPT_BYTES = 16 * 1024

encode = msgspec.json.Encoder().encode


def size_of(spec: str) -> int:
    """Return the bytes of a stored spec."""
    return len(spec) if spec.isascii() else len(spec.encode())


def new_job(id: str, spec: Spec, created_at: str, rerun_of: str | None = None) -> Job:
    """Return a job as it is accepted."""
    return Job(
        id=id,
        state="queued",
        args=spec.args,
        env=spec.env,
        cwd=spec.cwd,
        timeout=spec.timeout,
        stop=spec.stop,
        limits=spec.limits,
        labels=spec.labels,
        created_at=created_at,
        rerun_of=rerun_of,
    )


def row_of(job: Job, spec: Spec) -> tuple[str, str, bytes | None, str, str | None]:
    """Return a new job's id, spec, stdin, created_at and rerun_of."""
    stdin = None
    if spec.stdin is not None:
        stdin, spec = encode(spec.stdin), msgspec.structs.replace(spec, stdin=None)
    return job.id, encode(spec).decode(), stdin, job.created_at, job.rerun_of


def claim_of(id: Any, spec: Any, stdin: Any, created_at: Any) -> Claim:
    """Return a claim from its columns id, spec, stdin, created_at."""
    stored = read_spec(spec)
    claimed = stored if stored.awaits_reader else stored.asked
    if stdin is not None:
        claimed = msgspec.structs.replace(claimed, stdin=read_stdin(stdin))
    return Claim(id, claimed, created_at)


def asked_of(spec: Any, stdin: Any) -> Asked:
    """Return what was asked from its columns spec, stdin."""
    asked = read_spec(spec).asked
    if stdin:
        asked = msgspec.structs.replace(asked, stdin=read_stdin(stdin))
    return Asked(asked, has_all=stdin != b"" and asked.stdin != "open")


def job_of(
    id: str,
    state: State,
    owner: str | None,
    spec: str,
    created_at: str,
    started_at: str | None,
    finished_at: str | None,
    duration: float | None,
    pid: int | None,
    cancel_requested: int,
    has_timed_out: int,
    reason: Any,
    error: str | None,
    exit_code: int | None,
    signal: str | None,
    usage: str | None,
    stdout_bytes: int,
    stdout_dropped: int,
    stderr_bytes: int,
    stderr_dropped: int,
    rerun_of: str | None,
    handovers: int,
) -> Job:
    """Return a job from its `COLUMNS`."""
    asked = read_spec(spec)
    return Job(
        id=id,
        state=state,
        reason=reason,
        error=error,
        args=asked.args,
        env=asked.env,
        cwd=asked.cwd,
        timeout=asked.timeout,
        stop=asked.stop,
        limits=asked.limits,
        labels=asked.labels,
        created_at=created_at,
        started_at=started_at,
        finished_at=finished_at,
        duration=duration,
        owner=owner,
        pid=pid,
        exit_code=exit_code,
        signal=signal,
        has_timed_out=bool(has_timed_out),
        cancel_requested=bool(cancel_requested),
        usage=read_usage(usage) if usage else None,
        stdout=Stream(stdout_bytes, stdout_dropped) if stdout_bytes else NOTHING,
        stderr=Stream(stderr_bytes, stderr_dropped) if stderr_bytes else NOTHING,
        rerun_of=rerun_of,
        handovers=handovers,
    )


END_COLUMNS = (
    "state = ?, reason = ?, error = ?, pid = coalesce(?, pid),"
    " started_at = coalesce(?, started_at), finished_at = ?, duration = ?, exit_code = ?,"
    " signal = ?,"
    " has_timed_out = ?, usage = ?, stdout_bytes = ?, stdout_dropped = ?, stderr_bytes = ?,"
    " stderr_dropped = ?,"
    f" stdin = CASE WHEN length(stdin) > {STDIN_KEPT_BYTES} THEN X''"
    " WHEN NOT ? AND stdin = CAST('\"open\"' AS BLOB) THEN NULL ELSE stdin END"
)


def end_row(end: End, got_input: bool) -> tuple[Any, ...]:
    """Return what stands in `END_COLUMNS` after a job's end."""
    return (
        end.state,
        end.reason,
        end.error,
        end.pid,
        end.started_at,
        end.finished_at,
        end.duration,
        end.exit_code,
        end.signal,
        end.has_timed_out,
        encode(end.usage).decode() if end.usage else None,
        end.stdout.bytes,
        end.stdout.dropped,
        end.stderr.bytes,
        end.stderr.dropped,
        got_input,
    )
