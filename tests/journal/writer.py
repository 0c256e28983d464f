"""A process that writes a journal, says how far it is, and waits to be killed.

Its arguments: directory, output_bytes, the length of a chunk, how many chunks (0: without end).
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from service.journal import Journal

from .model import ID


def content(start: int, size: int) -> bytes:
    """Bytes of which each place can be told: lines of 16 with their number."""
    first, last = start // 16, (start + size) // 16 + 1
    lines = b"".join(b"%015d\n" % number for number in range(first, last))
    return lines[start % 16 : start % 16 + size]


async def main(directory: str, output_bytes: int, size: int, count: int) -> None:
    journal = Journal(Path(directory), ID, output_bytes=output_bytes)
    written = index = 0
    while not count or index < count:
        journal.write("stdout", content(written, size))
        written += size
        index += 1
        os.write(1, b"%d\n" % written)
        if index % 50 == 0:
            journal.write("stderr", b"%015d\n" % (index // 50 - 1))
            await asyncio.sleep(0)
    await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
