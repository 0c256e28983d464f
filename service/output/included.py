"""What a job's answer includes of its output."""

from __future__ import annotations

import codecs

import msgspec

from service.jobs import Job, Stream
from service.journal import Reader

# The rest is read from the stream's own route.
INCLUDED_BYTES = 64 * 1024
NO_OUTPUT = Stream(bytes=0, dropped=0, text="")


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
