"""What a guard holds for its process, and for the one after it: states and descriptors, by key."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # half a megabyte at run time
    from collections.abc import Iterator, Sequence


class Entry:
    """One state, with its descriptors, of which those that were closed are -1."""

    __slots__ = ("descriptors", "ending", "pid", "state")

    def __init__(self, pid: int, state: bytes, descriptors: Sequence[int]) -> None:
        """Own the descriptors."""
        self.pid = pid
        self.state = state
        self.descriptors = list(descriptors)
        self.ending: tuple[object, ...] | None = None  # once it was reaped: status and usage

    def close(self, index: int) -> None:
        """Close one of the descriptors, if it is open."""
        if self.descriptors[index] >= 0:
            os.close(self.descriptors[index])
            self.descriptors[index] = -1


class Store:
    """All entries, in the order in which they came."""

    def __init__(self) -> None:
        """Begin empty."""
        self._entries: dict[str, Entry] = {}
        self._pids: set[int] = set()

    def put(self, key: str, entry: Entry) -> None:
        """Take an entry; one that had its key is let go of."""
        self.remove(key)
        self._entries[key] = entry
        if entry.pid:
            self._pids.add(entry.pid)

    def get(self, key: str) -> Entry | None:
        """Return what is held by that name."""
        return self._entries.get(key)

    def remove(self, key: str) -> Entry | None:
        """Let go of an entry, and return it, closed."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._pids.discard(entry.pid)
            for index in range(len(entry.descriptors)):
                entry.close(index)
        return entry

    def items(self) -> Iterator[tuple[str, Entry]]:
        """Yield all of them."""
        yield from self._entries.items()

    def reaped(self, entry: Entry, ending: tuple[object, ...]) -> None:
        """Note how an entry's process has ended: its number may be another's from now on."""
        entry.ending = ending
        self._pids.discard(entry.pid)

    def has_process(self, pid: int) -> bool:
        """Whether this process belongs to an entry."""
        return pid in self._pids

    def pids(self) -> frozenset[int]:
        """Return the processes that belong to entries."""
        return frozenset(self._pids)
