"""Who may call: the token or a session, and the hosts and origins that a request may name.

A page that a browser loaded from elsewhere can reach a loopback port, under a name that its
author points there (DNS rebinding): so a token is always needed, and a Host or an Origin that is
not ours is refused.

A session is a signed cookie. The key comes from the token, so a session that one process began
holds on all of them, and a new token ends it. Any page can make a browser send the cookie: what
changes something must carry a header too, which only our own page can know (XSRF).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.web import create_signed_value, decode_signed_value

from service.settings import FrontSettings
from service.web.problems import Forbidden, Unauthorized

SESSION_DAYS = 7


class Access:
    """Decides on a request by its headers."""

    def __init__(self, token: str, front: FrontSettings) -> None:
        """Take the token and the names of the front."""
        self._token = token.encode()
        # cookies are shared by all ports of a host: another fleet's must not pass for ours
        self.session_cookie = f"squall_{front.port}"
        self._secret = hmac.digest(self._token, b"squall session", hashlib.sha256).hex()
        self._names = {"localhost", "127.0.0.1", "::1", front.host, *front.allowed_hosts}
        # a name is what rebinding needs: addresses are safe where clients come from other machines
        self._any_address = not ipaddress.ip_address(front.host).is_loopback

    def check(self, request: HTTPServerRequest) -> None:
        """Raise Forbidden unless Host and Origin are ours."""
        if not self._is_ours(f"//{request.headers.get('Host', '')}"):
            raise Forbidden("this Host is not allowed; see front.allowed_hosts")
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_ours(origin):
            raise Forbidden("this Origin is not allowed; see front.allowed_hosts")

    def authenticate(self, request: HTTPServerRequest) -> None:
        """Raise Unauthorized unless the request carries the token or belongs to a session.

        Raises Forbidden when a session asks for a change without its header.
        """
        session = self.session(request)
        if session is None or "Authorization" in request.headers:
            self._check_token(request)
        elif request.method not in ("GET", "HEAD"):
            given = request.headers.get("X-XSRFToken", "").encode()
            if not hmac.compare_digest(given, self.xsrf_token(session).encode()):
                raise Forbidden("the session's X-XSRFToken is missing or wrong")

    def is_token(self, given: str) -> bool:
        """Whether it is the token; how long that takes tells nothing."""
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token)

    def new_session(self) -> tuple[bytes, bytes]:
        """Return a session, and its cookie's value."""
        session = secrets.token_urlsafe(16)
        return session.encode(), create_signed_value(self._secret, self.session_cookie, session)

    def session(self, request: HTTPServerRequest) -> bytes | None:
        """Return the session that the request's cookie names; None without one, or when too old."""
        cookie = request.cookies.get(self.session_cookie)
        value = cookie.value if cookie else None
        return decode_signed_value(
            self._secret, self.session_cookie, value, max_age_days=SESSION_DAYS
        )

    def xsrf_token(self, session: bytes) -> str:
        """Return what a session's changes carry as `X-XSRFToken`."""
        return hmac.digest(self._secret.encode(), b"xsrf " + session, hashlib.sha256).hex()

    def _check_token(self, request: HTTPServerRequest) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.is_token(token.strip()):
            raise Unauthorized("give the token: 'Authorization: Bearer TOKEN'; see 'squall token'")

    def _is_ours(self, url: str) -> bool:
        try:
            name = urlsplit(url).hostname
        except ValueError:
            return False  # not a host at all
        return name in self._names or (self._any_address and _is_address(name))


def _is_address(name: str | None) -> bool:
    try:
        ipaddress.ip_address(name or "")
    except ValueError:
        return False
    return True
