"""A job's output on this process's own streams."""

from __future__ import annotations

import os
import select

from service.cli.errors import Unwritable, note
from service.cli.follow import Item
from service.cli.text import printable

FD = {"stdout": 1, "stderr": 2}


def write(stream: str, content: bytes) -> None:
    """Write all of `content` to this process's own stream; raises Unwritable, BrokenPipeError."""
    view = memoryview(content)
    while view:
        try:
            view = view[os.write(FD[stream], view) :]
        except BlockingIOError:  # whoever opened it made it non-blocking
            select.select([], [FD[stream]], [])
        except BrokenPipeError:
            raise  # its reader has what it wanted
        except OSError as exc:
            raise Unwritable(f"{stream} cannot be written: {exc.strerror}") from exc


def write_item(item: Item) -> None:
    """Write an item of the journal to the stream it belongs to, as it was."""
    if item.dropped:
        note(f"{item.dropped:,} bytes of {printable(item.stream)} were not kept")
    elif item.stream in FD:
        write(item.stream, item.content())
