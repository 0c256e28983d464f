"""The last lines of a job's output."""

from __future__ import annotations

from collections import deque

from service.cli.follow import Item
from service.cli.output import write, write_item


class Tail:
    """Keeps the last so many lines of what is added; a line belongs to one stream.

    What was not kept counts as a line, and ends the one before it.
    """

    def __init__(self, count: int) -> None:
        """Begin with nothing."""
        self._lines: deque[tuple[str, bytes] | Item] = deque(maxlen=count)
        self._begun: dict[str, list[bytes]] = {}

    def add(self, item: Item) -> None:
        """Go on by an item of the journal."""
        if item.dropped:
            self._end_line(item.stream)
            self._lines.append(item)
            return
        *whole, last = item.content().split(b"\n")
        for line in whole:
            self._begun.setdefault(item.stream, []).append(line + b"\n")
            self._end_line(item.stream)
        if last:
            self._begun.setdefault(item.stream, []).append(last)

    def write(self) -> None:
        """Write the lines to our own streams, those without an end last."""
        for stream in list(self._begun):
            self._end_line(stream)
        for line in self._lines:
            if isinstance(line, Item):
                write_item(line)
            else:
                write(*line)

    def _end_line(self, stream: str) -> None:
        if begun := self._begun.pop(stream, None):
            self._lines.append((stream, b"".join(begun)))
