"""Load by wrk: many connections that ask again as soon as they are answered."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.needs import find

# wrk's own words cannot be read by a program: this prints what is needed as one line of JSON.
SCRIPT = """
wrk.method = %(method)s
%(headers)s
wrk.body = %(body)s
done = function(summary, latency, requests)
    local errors = summary.errors
    print(string.format(
        '\\n{"answers": %%d, "seconds": %%f, "refused": %%d, "broken": %%d,'
            .. ' "timeouts": %%d, "p99_ms": %%f}',
        summary.requests, summary.duration / 1e6, errors.status,
        errors.connect + errors.read + errors.write, errors.timeout, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True)
class Request:
    """What is asked, again and again."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] | None = None
    body: str | None = None


@dataclass(frozen=True)
class Load:
    """What came of it."""

    answers: int
    seconds: float
    refused: int
    broken: int
    timeouts: int
    p99_ms: float

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.answers - self.refused) / self.seconds

    @property
    def errors(self) -> int:
        """What was not answered, or not as it should be."""
        return self.refused + self.broken + self.timeouts


def load(
    request: Request, directory: Path, *, connections: int, seconds: float, threads: int = 1
) -> Load:
    """Ask for some seconds, over so many connections."""
    script = directory / "load.lua"
    script.write_text(_script(request))
    done = subprocess.run(
        [
            find("wrk") or "wrk",
            f"-t{min(threads, connections)}",
            f"-c{connections}",
            f"-d{seconds:.0f}s",
            "--timeout=10s",
            f"-s{script}",
            request.url,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return Load(**json.loads(done.stdout.rpartition("\n{")[2].join(["{", ""])))


def _script(request: Request) -> str:
    headers = "\n".join(
        f"wrk.headers[{_lua(name)}] = {_lua(value)}"
        for name, value in (request.headers or {}).items()
    )
    body = "nil" if request.body is None else _lua(request.body)
    return SCRIPT % {"method": _lua(request.method), "headers": headers, "body": body}


def _lua(text: str) -> str:
    return json.dumps(text)  # the same escapes for what is used here
