"""What all tests of the library share."""

from __future__ import annotations

import asyncio

import pytest


@pytest.fixture(autouse=True, scope="session")
def no_default_loop():
    """Else the first ``io_loop`` makes asyncio open a loop of its own, which nobody closes."""
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def plain_path(monkeypatch):
    """Whose tests run may have a directory in PATH that is closed to them: then EACCES wins."""
    monkeypatch.setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
