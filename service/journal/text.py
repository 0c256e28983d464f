"""Where a chunk may be cut without cutting a character. The bytes need not be UTF-8 (RFC 3629)."""

from __future__ import annotations


def unfinished(data: bytes) -> int:
    """Return how many bytes at the end begin a character that they do not finish: 0 to 3."""
    if not data or data[-1] < 0x80:
        return 0
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte >= 0xC0:
            return back if _length(byte) > back else 0
        if byte < 0x80:
            return 0
    return 0


def cut_before(data: bytes, limit: int) -> int:
    """Return where to cut: at `limit` bytes, or up to 3 before, where a character begins."""
    if limit >= len(data):
        return len(data)
    if data[limit] & 0xC0 != 0x80:
        return limit
    return limit - unfinished(data[max(0, limit - 3) : limit])


def is_continued(rest: bytes) -> bool:
    """Whether `rest` goes on with a character that began before it."""
    return bool(rest) and rest[0] & 0xC0 == 0x80


def first_character(data: bytes) -> int:
    """Return the length of the first character; what finishes an earlier one counts as one."""
    end = 1
    while end < min(4, len(data)) and data[end] & 0xC0 == 0x80:
        end += 1
    return end


def _length(lead: int) -> int:
    if 0xC2 <= lead <= 0xDF:
        return 2
    if 0xE0 <= lead <= 0xEF:
        return 3
    return 4 if 0xF0 <= lead <= 0xF4 else 1
