"""Standard input of this process, passed on to a job's open one as it comes."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

from msgspec import UNSET

from service.cli.client import PASSING, RETRY_S, Client, job_path
from service.cli.errors import Failure, Refused, Unreachable, note
from service.cli.resume import PATIENCE_S

PIECE_BYTES = 256 * 1024
BACKGROUND_S = 0.5
# A process that dies while it takes a piece is missed by the others within about a second.
SETTLE_S = 3


def has_input() -> bool:
    """Whether standard input may have something to pass on: it isn't the null device."""
    fd = sys.stdin.fileno()
    status = os.fstat(fd)
    is_null = stat.S_ISCHR(status.st_mode) and status.st_rdev == Path(os.devnull).stat().st_rdev
    return not is_null and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_WRONLY


class Forwarder:
    """Sends standard input to a job, piece after piece, by a thread of its own.

    A piece whose answer got lost is sent again with its offset, and the service leaves out what it
    has: nothing is missing or comes twice. When that does not work for a minute the job is
    cancelled: a command must not take damaged input for whole.
    """

    def __init__(self, client: Client, job_id: str) -> None:
        """Start; the thread ends with the input, with the job, or with this process."""
        self.has_failed = False
        self._client = client
        self._job_id = job_id
        self._is_running = False
        # in the background, reading the terminal is to be an error instead of a stop
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        Thread(target=self._forward, daemon=True).start()

    def _forward(self) -> None:
        offset = 0
        try:
            for content, is_last in pieces(sys.stdin.fileno()):
                if not self._send(content, offset, close=is_last):
                    return
                offset += len(content)
        except OSError as exc:
            self._give_up(f"standard input cannot be read: {exc.strerror}")
        except Failure as exc:
            self._give_up(f"{exc.message}; standard input did not arrive whole")

    def _send(self, content: bytes, offset: int, *, close: bool) -> bool:
        """Send one piece until it has arrived; returns False when nobody will ever read it."""
        path = f"{job_path(self._job_id)}/stdin?offset={offset}{'&close=true' if close else ''}"
        headers = {"Content-Type": "application/octet-stream"}
        until = None
        while True:
            try:
                self._client.request("POST", path, content, headers=headers, timeout_s=None)
                return True
            except Refused as exc:
                if exc.problem.status in (404, 409) and exc.problem.offset is UNSET:
                    if self._is_over():
                        return False
                elif exc.problem.status not in PASSING:
                    raise
                else:
                    until = _patient(until, exc)
            except Unreachable as exc:  # no connection, or it broke
                until = _patient(until, exc)
            time.sleep(RETRY_S)

    def _is_over(self) -> bool:
        """Whether a refusal is for good: the job has ended, or ran before and reads no more."""
        was_running = self._is_running
        try:
            job = self._client.get(job_path(self._job_id)).job()
        except Refused:
            return True  # forgotten
        self._is_running = job.state == "running"
        return job.has_ended or was_running

    def _give_up(self, why: str) -> None:
        if self._has_ended():
            return
        self.has_failed = True
        note(f"{why}; the job is being cancelled")
        while True:
            try:
                self._client.cancel(self._job_id)
                return
            except Failure:
                time.sleep(RETRY_S)  # until it is heard, or this process ends

    def _has_ended(self) -> bool:
        headers = {"Prefer": f"wait={SETTLE_S}"}
        try:
            return (
                self._client.request("GET", job_path(self._job_id), headers=headers).job().has_ended
            )
        except Failure:
            return False


def _patient(until: float | None, exc: Failure) -> float:
    """Return until when to try again; raises `exc` when that is over."""
    now = time.monotonic()
    if until is not None and now > until:
        raise exc
    return until or now + PATIENCE_S


def pieces(fd: int) -> Iterator[tuple[bytes, bool]]:
    """Yield what comes as soon as it comes, and with each piece whether it is the last one."""
    is_last = False
    while not is_last:
        content = _read(fd, PIECE_BYTES)
        is_last = not content
        while not is_last and len(content) < PIECE_BYTES and select.select([fd], [], [], 0)[0]:
            more = _read(fd, PIECE_BYTES - len(content))
            content += more
            is_last = not more
        yield content, is_last


def _read(fd: int, count: int) -> bytes:
    while True:
        select.select([fd], [], [])  # whoever opened it may have made it non-blocking
        try:
            return os.read(fd, count)
        except BlockingIOError:
            continue  # somebody else took it
        except OSError as exc:
            if exc.errno != errno.EIO or not os.isatty(fd):
                raise
            if not _is_in_background(fd):
                return b""  # the terminal is gone
        time.sleep(BACKGROUND_S)


def _is_in_background(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:
        return False  # another session's terminal
