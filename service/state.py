"""The state directory: everything that the service writes, and its token."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from service.errors import SettingsError

# sun_path of a unix socket holds 108 bytes, its NUL included; unix(7).
SOCKET_PATH_MAX = 107


class StateDir:
    """The layout of the state directory; making one creates nothing."""

    def __init__(self, path: str | Path) -> None:
        """`path` need not be there yet."""
        self.path = Path(path).absolute()
        self.token_file = self.path / "token"
        self.ledger = self.path / "ledger.db"
        self.journals = self.path / "journals"
        self.log = self.path / "log"
        self.run = self.path / "run"
        self.settings = self.run / "settings.json"  # those that `squall up` started with
        self.metrics = self.path / "metrics"
        self.sessions = self.path / "sessions"
        self.tmp = self.path / "tmp"

    def socket(self, port: int) -> Path:
        """Where the process on `port` listens for its peers (HTTP)."""
        return self.run / f"{port}.sock"

    def notices(self, port: int) -> Path:
        """Where the process on `port` takes notices from its peers (datagrams)."""
        return self.run / f"{port}.notices"

    def lock(self, port: int) -> Path:
        """Locked by the process on `port` for as long as it lives."""
        return self.run / f"{port}.lock"

    def create(self) -> None:
        """Make the directories, for their owner only; raises SettingsError when it can't."""
        if len(os.fsencode(self.notices(65_535))) > SOCKET_PATH_MAX:
            raise SettingsError(f"state.dir: too long for a unix socket: {self.path}")
        try:
            for directory in (
                self.path,
                self.journals,
                self.log,
                self.metrics,
                self.run,
                self.sessions,
                self.tmp,
            ):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as exc:
            raise SettingsError(f"state.dir: {exc}") from exc

    def token(self) -> str:
        """Return the token, made at the first call ever; several processes may call at once."""
        try:
            return self._read_token()
        except FileNotFoundError:
            self._make_token()
            return self._read_token()

    def _read_token(self) -> str:
        token = self.token_file.read_text().strip()
        if len(token) < 16:
            raise SettingsError(f"{self.token_file}: holds no token; remove it to have one made")
        return token

    def _make_token(self) -> None:
        # linked into place whole, so that nobody reads half a token and the first one wins
        fresh = self.path / f".token.{os.getpid()}"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(fd)
        try:
            os.link(fresh, self.token_file)
        except FileExistsError:
            pass  # another process was first: its token is the one
        finally:
            fresh.unlink()
