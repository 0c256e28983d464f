"""Where the service is, and how to be let in: address, token and certificate."""

from __future__ import annotations

import ipaddress
import os
import ssl
from urllib.parse import urlsplit

from service.cli.client import Client
from service.cli.errors import Failure
from service.errors import SettingsError
from service.settings import Settings
from service.state import StateDir


def open_client(settings: Settings, url: str | None = None) -> Client:
    """Return a client for `url`, or else for the front of the service that `settings` describe."""
    address = whole_url(url or settings.front_url)
    token = os.environ.get("SQUALL_TOKEN") or read_token(settings, address)
    certificate = settings.front.tls_certificate if address == settings.front_url else ""
    return Client(address, token, tls=_trust(certificate) if certificate else None)


def whole_url(address: str) -> str:
    """Return an address as a URL; `HOST:PORT` alone is enough for this machine's own.

    Raises Failure for what is no address of a service, and for another machine's without a scheme:
    nobody should send a token there in the clear without having said so.
    """
    url = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number
        is_one = False
    if not is_one:
        raise Failure(f"{address}: not the address of a service; http://HOST:PORT is one")
    if "://" not in address and not _is_loopback(parts.hostname or ""):
        raise Failure(f"{address} is another machine's: say https://{address}, or http://")
    return url.rstrip("/")


def read_token(settings: Settings, url: str | None = None) -> str:
    """Return the token of the service on this machine; raises Failure when there is none yet.

    It goes to this machine only: for a `url` elsewhere it is refused.
    """
    if url is not None and not _is_here(url, settings):
        raise Failure(f"{url} is another machine's: give its token in SQUALL_TOKEN")
    state = StateDir(settings.state.dir)
    try:
        if not state.token_file.exists():
            raise Failure(
                f"no token at {state.token_file}: it is made at the first `squall up`; for a"
                " service that runs elsewhere give SQUALL_TOKEN and --url"
            )
        return state.token()
    except (OSError, SettingsError) as exc:
        raise Failure(f"the token cannot be read: {exc}") from exc


def _is_here(url: str, settings: Settings) -> bool:
    host = urlsplit(url).hostname or ""
    return url == settings.front_url or host == settings.front.host or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name


def _trust(certificate: str) -> ssl.SSLContext:
    # the front's own certificate, named in the settings that also name the address: it and
    # nothing else is trusted, whatever host name it was made for
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
