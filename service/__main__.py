"""`python -m service --port 8885`: one process of the service."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

from service.errors import ServiceError
from service.guard.process import check_versions, die_with, join, listener
from service.running.handover import VERSION
from service.server import SIGNALS, serve
from service.settings import load


def main() -> int:
    """Run one process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--port", type=int, help="the process's port (default: the first one)")
    parser.add_argument("--config", help="a TOML file with settings")
    # from the guard alone
    parser.add_argument("--listen-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--control-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--guard", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--guard-version", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--state-version", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.guard:
        die_with(options.guard)
    front = None if options.listen_fd is None else listener(options.listen_fd)
    link = None
    try:
        settings = load(options.config).settings
        if options.guard:
            check_versions(options.guard_version, options.state_version, VERSION)
            # from here on signals may come, and wait until somebody minds them
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            link = join(options.control_fd, can_leave=settings.jobs.survive, version=VERSION)
        asyncio.run(serve(settings, options.port or settings.ports[0], front, link))
    except ServiceError as exc:
        print(f"squall: {exc}", file=sys.stderr)
        return os.EX_CONFIG  # the guard leaves it to supervisord when to try again
    return 0


if __name__ == "__main__":
    sys.exit(main())
