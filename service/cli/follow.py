"""A job's output as it comes: the journal, read through connections that may break."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator

import msgspec

from service.cli.client import Client, decode, job_path
from service.cli.errors import Failure, Unreachable
from service.cli.resume import lines, resumed
from service.jobs import Job


class Item(msgspec.Struct, frozen=True):
    """One item of the journal: output, bytes that were not kept, or at the end the job."""

    seq: int | None = None
    stream: str = ""
    text: str | None = None
    base64: str | None = None
    dropped: int = 0
    job: Job | None = None
    raw: bytes = b""

    def content(self) -> bytes:
        """Return the bytes of output."""
        if self.text is not None:
            return self.text.encode()
        return b64decode(self.base64 or "")


def items(client: Client, job_id: str, *, follow: bool, after: int | None = None) -> Iterator[Item]:
    """Yield the journal of a job; the last item of an ended job is the job itself.

    It begins after the item `after`. With `follow` it goes on until the job has ended, and the job
    waits rather than that something is dropped before it is read. Where a connection breaks, the
    next one goes on after the last item, so none is lost and none comes twice. Raises Failure when
    that does not work for a minute.
    """
    path = f"{job_path(job_id)}/output"

    def connect() -> Iterator[bytes]:
        asked = "true" if follow else None
        return lines(client.stream(path, follow=asked, lossless=asked, after=after))

    try:
        for line in resumed(connect, until_closed=not follow):
            item = decode(line, Item)
            after = after if item.seq is None else item.seq
            yield msgspec.structs.replace(item, raw=line)
            if item.job is not None:
                return
    except Unreachable as exc:
        raise Failure(f"{exc.message}; the job is {job_id}") from exc
