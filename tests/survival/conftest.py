"""A process under its guard, to be killed and replaced."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..guard.guarded import Guarded


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with tempfile.TemporaryDirectory(prefix="squall-") as directory:
        service = Guarded(Path(directory), 1)
        yield service
        service.stop()


@pytest.fixture(params=["killed", "replaced"])
def again(request, guarded):
    """Have the process followed by another one, in one of the two ways."""
    return guarded.kill_process if request.param == "killed" else guarded.replace
