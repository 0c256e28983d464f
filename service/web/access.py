"""Who may call: the token or a session, and the hosts and origins that a request may name.

A page that a browser loaded from elsewhere can reach a loopback port, under a name that its
author points there (DNS rebinding): so a token is always needed, and a Host or an Origin that is
not ours is refused.

An Origin is ours when it is the very place that the request was sent to, or the front: scheme, host
and port. Another port of this machine is somebody else's page.

A session is a signed cookie. The key comes from the token, so a session that one process began
holds on all of them, and a new token ends it; so does signing out. Any page can make a browser send
the cookie: what changes something must carry a header too, which only our own page can know (XSRF).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress

from tornado.httputil import HTTPServerRequest
from tornado.web import create_signed_value, decode_signed_value

from service.settings import FrontSettings, host_and_port
from service.web.problems import Forbidden, Unauthorized
from service.web.sessions import SESSION_DAYS, Sessions

PORTS = {"http": 80, "https": 443}


class Access:
    """Decides on a request by its headers."""

    def __init__(self, token: str, front: FrontSettings, sessions: Sessions) -> None:
        """`front` says which names are ours; `sessions` are those that are open."""
        self._token = token.encode()
        self._sessions = sessions
        # cookies are shared by all ports of a host: another service's must not pass for ours
        self.session_cookie = f"squall_{front.port}"
        self._secret = hmac.digest(self._token, b"squall session", hashlib.sha256).hex()
        self._names = {"localhost", "127.0.0.1", "::1", front.host.lower()}
        allowed = [host_and_port(host) for host in front.allowed_hosts]
        self._names |= {name for name, _ in allowed}
        scheme = "https" if front.tls_certificate else "http"
        self._origins = {(scheme, name, front.port) for name in self._names}
        self._origins |= {(scheme, name, port) for name, port in allowed if port}
        self._is_behind_proxy = front.behind_proxy
        if front.behind_proxy:  # which ends TLS, on the usual port where none was said
            self._origins |= {("https", name, port or 443) for name, port in allowed}
        # a name is what rebinding needs: addresses are safe where clients come from other machines
        self._any_address = not ipaddress.ip_address(front.host).is_loopback

    def check(self, request: HTTPServerRequest) -> None:
        """Raise Forbidden unless Host and Origin are ours."""
        host = request.headers.get("Host", "")
        if not self._is_our_host(host):
            raise Forbidden("this Host is not allowed; see front.allowed_hosts")
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_our_origin(origin, request):
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

    def begin_session(self) -> tuple[bytes, bytes]:
        """Return a session, and its cookie's value; raises OSError. It waits for the disk."""
        session = self._sessions.begin()
        return session.encode(), create_signed_value(self._secret, self.session_cookie, session)

    def end_session(self, request: HTTPServerRequest) -> None:
        """End the request's session, where it has one, on every process."""
        if session := self.session(request):
            self._sessions.end(session.decode())

    def session(self, request: HTTPServerRequest) -> bytes | None:
        """Return the open session that the request's cookie names; None when there is none."""
        cookie = request.cookies.get(self.session_cookie)
        session = decode_signed_value(
            self._secret,
            self.session_cookie,
            cookie.value if cookie else None,
            max_age_days=SESSION_DAYS,
        )
        return session if session and self._sessions.is_open(session.decode()) else None

    def xsrf_token(self, session: bytes) -> str:
        """Return what a session's changes carry as `X-XSRFToken`."""
        return hmac.digest(self._secret.encode(), b"xsrf " + session, hashlib.sha256).hex()

    def _check_token(self, request: HTTPServerRequest) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.is_token(token.strip()):
            raise Unauthorized("give the token: 'Authorization: Bearer TOKEN'; see 'squall token'")

    def _is_our_host(self, host: str) -> bool:
        try:
            name, _ = host_and_port(host)
        except ValueError:
            return False  # not a host at all
        return name in self._names or (self._any_address and _is_address(name))

    def _is_our_origin(self, origin: str, request: HTTPServerRequest) -> bool:
        scheme, _, host = origin.lower().partition("://")
        try:
            name, port = host_and_port(host)
        except ValueError:
            return False  # "null", or a file's
        if (scheme, name, port or PORTS.get(scheme)) in self._origins:
            return True
        schemes = {request.headers.get("X-Scheme", request.protocol)}
        if self._is_behind_proxy:
            schemes.add("https")
        return scheme in schemes and host == request.headers.get("Host", "").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
