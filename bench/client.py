"""A small HTTP client that costs little: for requests of which each one is timed, or different."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Answer(NamedTuple):
    """What came back, and after how long."""

    status: int
    body: bytes
    seconds: float


class Connection:
    """One connection to a front, kept alive; one request at a time."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Mapping[str, str]
    ) -> None:
        """Take the streams, and the headers that every request has."""
        self._reader, self._writer = reader, writer
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    async def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send a request and read its answer, which must have a Content-Length."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{self._headers}"
        if body:
            head += "Content-Type: application/json\r\n"
        begin = time.perf_counter()
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lower = answer.lower()
        size = int(lower.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0] or 0)
        content = await self._reader.readexactly(size) if size else b""
        return Answer(int(answer[9:12]), content, time.perf_counter() - begin)

    async def close(self) -> None:
        """Let go."""
        self._writer.close()
        await self._writer.wait_closed()


async def connect(port: int, token: str) -> Connection:
    """Open a connection to the front on this port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    return Connection(reader, writer, {"Authorization": f"Bearer {token}"})


async def each(
    port: int, token: str, requests: Iterable[tuple[str, str, bytes]], connections: int
) -> list[Answer]:
    """Send every request once, over some connections; answers in the order of their arrival."""
    left = iter(requests)
    answers: list[Answer] = []

    async def worker() -> None:
        connection = await connect(port, token)
        try:
            for request in left:
                answers.append(await connection.ask(*request))
        finally:
            await connection.close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    return answers


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
