"""Wait for a condition of another process, which has no way to tell us."""

from __future__ import annotations

import time
from collections.abc import Callable

INTERVAL_S = 0.05


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again until it holds; False when the time was up before."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(INTERVAL_S)
    return True
