"""`python -m service.guard --port 8885`: what supervisord runs; it runs the process.

Orphans of a process become children of its guard (PR_SET_CHILD_SUBREAPER, which execve(2) keeps):
that is said here, and then the guard is run anew, as ctypes would be a megabyte in it for ever.
"""

import os
import sys

REAPS = "--subreaper"
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def _become_subreaper(options: list[str]) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    os.execv(sys.executable, [sys.executable, "-S", "-m", "service.guard", REAPS, *options])  # noqa: S606


if __name__ == "__main__":
    if sys.argv[1:2] != [REAPS]:
        _become_subreaper(sys.argv[1:])
    from service.guard.guard import main

    sys.exit(main(sys.argv[2:]))
