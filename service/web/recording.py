"""Finds a job's output: live in this process, in the ledger with its end, or in files."""

from __future__ import annotations

import codecs

import msgspec

from service.jobs import Job, Stream
from service.journal import Journal, Reader
from service.web.handler import App

# What a job's answer includes of each stream; the rest is read from its own route.
INCLUDED_BYTES = 64 * 1024
NO_OUTPUT = Stream(bytes=0, dropped=0, text="")


async def recording(app: App, job: Job) -> Reader:
    """Return what reads the output of a job."""
    if run := app.runner.runs.get(job.id):
        return run.journal
    if (inline := await app.ledger.journal(job.id)) is not None:
        return Journal.from_inline(inline)
    return Journal.open(app.journals, job.id)


def with_output(job: Job, journal: Reader) -> Job:
    """Return the job with the beginning of its streams."""
    return msgspec.structs.replace(
        job, stdout=_stream(journal, "stdout"), stderr=_stream(journal, "stderr")
    )


def _stream(journal: Reader, name: str) -> Stream:
    size = journal.bytes(name)
    if not size:
        return NO_OUTPUT
    stream = Stream(size, journal.dropped(name))
    content = journal.read(name, 0, INCLUDED_BYTES)
    if journal.kept(name) > len(content):
        content = _whole_characters(content)
    return stream.with_content(content)


def _whole_characters(content: bytes) -> bytes:
    """Leave out a character that the end cuts in two; what isn't UTF-8 is left as it is."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(content)
    except UnicodeDecodeError:
        return content
    return content[: len(content) - len(decoder.getstate()[0])]
