"""`python -S -m service.guard --port 8885`: what supervisord runs; it runs the process.

Orphans of a process become children of its guard (PR_SET_CHILD_SUBREAPER, which execve(2) keeps).
That is said here, and then the guard begins anew: ctypes and what `-m` needs would be two
megabytes in it for ever.
"""

import ctypes
import os
import sys

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_GUARD = "import sys; from service.guard.guard import main; sys.exit(main(sys.argv[1:]))"


def _become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


if __name__ == "__main__":
    _become_subreaper()
    os.execv(sys.executable, [sys.executable, "-S", "-c", _GUARD, *sys.argv[1:]])  # noqa: S606
