"""Moments as people type them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import click
import pytest

from service.cli.times import duration, moment


@pytest.fixture(autouse=True)
def berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-20", "2026-11-19T23:00:00.000000Z"),
        ("2026-07-20", "2026-07-19T22:00:00.000000Z"),
        ("2026-11-20 14:30", "2026-11-20T13:30:00.000000Z"),
        ("2026-11-20T14:30:15", "2026-11-20T13:30:15.000000Z"),
        ("2026-11-20T14:30:15.25Z", "2026-11-20T14:30:15.250000Z"),
        ("2026-11-20t14:30:15z", "2026-11-20T14:30:15.000000Z"),
        ("2026-11-20T14:30:15-05:00", "2026-11-20T19:30:15.000000Z"),
    ],
)
def test_a_date_is_of_this_zone_unless_it_names_one(text: str, utc: str) -> None:
    assert moment(text) == utc


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("now", timedelta()),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1.5h", timedelta(hours=1.5)),
        ("2d", timedelta(days=2)),
        ("1h30m", timedelta(hours=1.5)),
        ("1w ago", timedelta(weeks=1)),
    ],
)
def test_a_duration_is_so_long_ago(text: str, ago: timedelta) -> None:
    before = datetime.now().astimezone() - ago
    found = datetime.fromisoformat(moment(text))
    assert before - timedelta(seconds=1) <= found
    assert found <= datetime.now().astimezone() - ago + timedelta(seconds=1)


def test_days_begin_at_midnight_here() -> None:
    today, yesterday = (
        datetime.fromisoformat(moment(text)).astimezone() for text in ("today", "yesterday")
    )
    assert (today.hour, today.minute, yesterday.hour) == (0, 0, 0)
    assert (today.date() - yesterday.date()) == timedelta(days=1)
    assert datetime.fromisoformat(moment("9:05")).astimezone().strftime("%H:%M") == "09:05"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("1.5", 1.5), ("500ms", 0.5), ("2m", 120), ("1h30m", 5_400), ("2m03.5s", 123.5)],
)
def test_a_duration_may_have_several_units(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "m", "1h30", "1 h", "-1s", "1x", "1e3", "."])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration"):
        duration(text)
