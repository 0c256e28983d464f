"""What all tests of the library share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def plain_path(monkeypatch):
    """Whose tests run may have a directory in PATH that is closed to them: then EACCES wins."""
    monkeypatch.setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
