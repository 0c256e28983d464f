"""The web page and its files, from the process itself; nginx serves them where it stands in front.

Every file that there is was found when the module was loaded: a path is looked up, never opened.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from service.errors import NotFound
from service.web.handler import Handler

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
    """`/` and `/static/PATH`: public, since they are the same for everybody."""

    is_public = True

    def get(self, name: str = "index.html") -> None:
        """Answer a file, or that the client has it already."""
        if name not in _FILES:
            raise NotFound("no such file")
        self.set_header("Content-Type", MEDIA_TYPES[_FILES[name].suffix])
        for header, value in HEADERS.items():
            self.set_header(header, value)
        content = _FILES[name].read_bytes()
        self.set_header("Etag", f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
        else:
            self.finish(content)

    head = get
