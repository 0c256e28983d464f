"""A ledger of a test's own, and the clock that it goes by."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.ledger.sqlite import SqliteLedger

DAY_NS = 86_400 * 10**9


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(tmp_path / "l.db")
    yield ledger
    ledger.close()


class Clock:
    """The wall clock of this process, to be set."""

    def __init__(self) -> None:
        self.offset = 0
        self._time_ns = time.time_ns

    def __call__(self) -> int:
        return self._time_ns() + self.offset


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time_ns", clock)
    return clock
