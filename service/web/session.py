"""Signing in and out: for browsers, which keep a cookie better than a token."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from service.errors import LedgerError
from service.web.handler import Handler
from service.web.problems import Unauthorized
from service.web.sessions import SESSION_DAYS

BODY_MAX = 4096


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to sign in."""

    token: str


class SessionHandler(Handler):
    """`/session`: is there one, begin one, end it."""

    is_public = True
    body_limit = BODY_MAX  # nobody has shown a token yet

    def get(self) -> None:
        """Say whether this browser is signed in, and which X-XSRFToken its changes carry then."""
        self._tell(self.application.access.session(self.request))

    async def post(self) -> None:
        """Begin a session; Unauthorized when the token is not ours."""
        access = self.application.access
        if not access.is_token(self.body_as(Credentials).token.strip()):
            raise Unauthorized("this is not the token of this service; see 'squall token'")
        try:
            session, cookie = await asyncio.to_thread(access.begin_session)
        except OSError as exc:
            raise LedgerError(f"the session cannot be written down: {exc.strerror}") from exc
        days = SESSION_DAYS
        self.set_cookie(access.session_cookie, cookie, expires_days=days, **self._attributes())
        self._tell(session)

    def delete(self) -> None:
        """End the session, on every process."""
        self.application.access.end_session(self.request)
        self.clear_cookie(self.application.access.session_cookie, **self._attributes())
        self.set_status(204)
        self.finish()

    def _tell(self, session: bytes | None) -> None:
        xsrf = self.application.access.xsrf_token(session) if session else None
        self.answer({"is_signed_in": session is not None, "xsrf": xsrf})

    def _attributes(self) -> dict[str, Any]:
        # whoever ended TLS, nginx or a proxy before it, says so in X-Scheme
        is_secure = self.request.headers.get("X-Scheme", self.request.protocol) == "https"
        return {"httponly": True, "samesite": "Strict", "secure": is_secure}
