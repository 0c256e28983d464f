"""A fleet with nginx in front, and pages of a browser that look at it."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.programs.conftest import Fleet, clone  # noqa: F401

from . import browser as chromium


class Front(Fleet):
    """The fleet as a browser and a script beside it see it."""

    @property
    def url(self) -> str:
        """Where nginx listens."""
        return f"http://127.0.0.1:{self.front_port}"

    @property
    def token(self) -> str:
        """The token."""
        return (self.state / "token").read_text().strip()

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Make a request with these headers only; a body is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.front_port, timeout=60)
        given = dict(headers or {})
        if body is not None:
            given.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, None if body is None else json.dumps(body), given)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def submit(self, *args: str, **spec: object) -> Any:
        """Submit a job that must be accepted."""
        status, _, answer = self.ask("POST", "/v1/jobs", {"args": args, **spec}, self.headers())
        assert status == 202, answer
        return json.loads(answer)

    def get(self, id: str) -> Any:
        """Return a job with its output."""
        return json.loads(self.request("GET", f"/v1/jobs/{id}?output=true")[2])


@pytest.fixture(scope="session")
def front(clone: Path) -> Iterator[Front]:  # noqa: F811
    """A fleet that is up, for all tests of the page."""
    with tempfile.TemporaryDirectory(prefix="squall-") as home:
        fleet = Front(clone, Path(home))
        fleet.squall("up")
        yield fleet
        fleet.squall("down", code=None)


@pytest.fixture(scope="session")
def browser() -> Iterator[chromium.Browser]:
    """The browser that all tests share."""
    binary = chromium.find()
    if binary is None:
        pytest.skip("needs chromium (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory(prefix="squall-", ignore_cleanup_errors=True) as directory:
        browser = chromium.Browser(binary, Path(directory))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: chromium.Browser) -> Iterator[chromium.Page]:
    """An empty page; at the end the browser must have had nothing to complain about."""
    page = browser.new_page()
    yield page
    complaints = [
        text
        for text in page.complaints()
        if not any(known in text for known in page.forgiven)
        # a page asks whether a job's stdin is open by writing nothing to it
        and not ("409" in text and text.endswith("/stdin"))
    ]
    page.close()
    assert complaints == []


@pytest.fixture
def inside(page: chromium.Page, front: Front) -> chromium.Page:
    """A page that is signed in and shows the list."""
    sign_in(page, front)
    return page


def sign_in(page: chromium.Page, front: Front) -> None:
    """Sign in as a person does."""
    page.go(front.url)
    page.wait("document.activeElement.id === 'token'")
    page.type(front.token)
    page.press("Enter")
    page.wait_text("live", "header")
    page.wait("document.querySelector('.count').textContent !== ''")
