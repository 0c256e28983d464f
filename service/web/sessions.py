"""Sessions that are open: an empty file each, so that one that was ended is so on every process."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

SESSION_DAYS = 7
SESSIONS_MAX = 1000


class Sessions:
    """The open sessions of all processes; they outlive a restart."""

    def __init__(self, directory: Path) -> None:
        """`directory` holds them and nothing else."""
        self._directory = directory

    def begin(self) -> str:
        """Return a new session; where there are too many the oldest ends. Raises OSError."""
        self._clear_up()
        session = secrets.token_urlsafe(16)
        self._directory.joinpath(session).touch(mode=0o600)
        return session

    def is_open(self, session: str) -> bool:
        """Whether nobody has ended it."""
        return self._directory.joinpath(session).exists()

    def end(self, session: str) -> None:
        """End it, whether it is open or not."""
        self._directory.joinpath(session).unlink(missing_ok=True)

    def _clear_up(self) -> None:
        begun = sorted((path.stat().st_mtime, path) for path in self._directory.iterdir())
        oldest = time.time() - SESSION_DAYS * 86_400
        too_many = len(begun) - SESSIONS_MAX
        for number, (begun_at, path) in enumerate(begun):
            if number <= too_many or begun_at < oldest:
                path.unlink(missing_ok=True)
