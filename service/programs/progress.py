"""What a caller is told while the fleet changes."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, str], None]
"""Called with a name (`8885`, `nginx`, `squall`) and what became of it: `ready`, `stopped`, ..."""


def silent(name: str, event: str) -> None:
    """Tell nobody."""
