"""`python -m service --port 8885`: one process of the service."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from service.errors import ServiceError
from service.guard.process import die_with, listener
from service.server import serve
from service.settings import load


def main() -> int:
    """Run one process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--port", type=int, help="the process's port (default: the first one)")
    parser.add_argument("--config", help="a TOML file with settings")
    # from the guard alone
    parser.add_argument("--listen-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--guard", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.guard:
        die_with(options.guard)
    front = None if options.listen_fd is None else listener(options.listen_fd)
    try:
        settings = load(options.config).settings
        asyncio.run(serve(settings, options.port or settings.ports[0], front))
    except ServiceError as exc:
        print(f"squall: {exc}", file=sys.stderr)
        return os.EX_CONFIG  # the guard leaves it to supervisord when to try again
    return 0


if __name__ == "__main__":
    sys.exit(main())
