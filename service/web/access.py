"""Who may call: the token, and the hosts and origins that a request may name.

A page that a browser loaded from elsewhere can reach a loopback port, under a name that its
author points there (DNS rebinding): so a token is always needed, and a Host or an Origin that is
not ours is refused.
"""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from service.settings import FrontSettings
from service.web.problems import Forbidden, Unauthorized


class Access:
    """Decides on a request by its headers."""

    def __init__(self, token: str, front: FrontSettings) -> None:
        """Take the token and the names of the front."""
        self._token = token.encode()
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
        """Raise Unauthorized unless the request carries the token."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._token):
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
