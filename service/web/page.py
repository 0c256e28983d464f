"""The web page and its files, from the process itself; nginx serves them where it stands in front.

The page finds its place in the address: `/` is the list, `/jobs/ID` a job, all else is wrong.
Every file that there is was found when the module was loaded: a path is looked up, never opened.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tornado.httputil import HTTPServerRequest

from service.errors import NotFound
from service.web.handler import Handler, NoRoute

STATIC = Path(__file__).with_name("static")

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# The same as in nginx/upstream.conf; a test compares them.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

_FILES = {
    str(path.relative_to(STATIC)): path for path in STATIC.rglob("*") if path.suffix in MEDIA_TYPES
}


class PageHandler(Handler):
    """`/`, `/jobs/ID` and `/static/PATH`: public, since they are the same for everybody."""

    is_public = True

    def get(self, name: str = "index.html") -> None:
        """Answer a file, or that the client has it already."""
        if name not in _FILES:
            raise NotFound("no such file")
        content = _begin(self, name)
        self.set_header("Etag", f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
        else:
            self.finish(content)

    head = get


class WrongAddressHandler(NoRoute):
    """Answers for every path that has no route: the page to a browser, a problem to all others."""

    def prepare(self) -> None:
        """Refuse, whatever the method; what a problem tells a program, the page tells a person."""
        if not _is_for_a_person(self.request):
            super().prepare()
        self.application.access.check(self.request)
        self.set_status(404)
        self.finish(_begin(self, "index.html"))


def _begin(handler: Handler, name: str) -> bytes:
    """Set the headers that a file has, and return what is in it."""
    handler.set_header("Content-Type", MEDIA_TYPES[_FILES[name].suffix])
    for header, value in HEADERS.items():
        handler.set_header(header, value)
    return _FILES[name].read_bytes()


def _is_for_a_person(request: HTTPServerRequest) -> bool:
    accepted = request.headers.get("Accept", "").lower().split(",")
    names = [media_type.partition(";")[0].strip() for media_type in accepted]
    return request.method in ("GET", "HEAD") and "text/html" in names
