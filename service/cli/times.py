"""Durations and moments as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

import click

from service.jobs import rfc3339

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
AMOUNT = r"(\d+(?:\.\d*)?|\.\d+)"
AMOUNTS = rf"(?:{AMOUNT}(ms|[smhdw]))"
FORMS = "2h, 1h30m, 3d, today, yesterday, 14:30, 2026-11-20, 2026-11-20 14:30 and RFC 3339 are"


def duration(text: str) -> float:
    """Return the seconds of `1.5`, `90s`, `500ms`, `2m` or `1h30m`; a number alone is seconds."""
    if re.fullmatch(AMOUNT, text):
        return float(text)
    if re.fullmatch(rf"{AMOUNTS}+", text):
        found = re.findall(AMOUNTS, text)
        return sum(float(number) * SECONDS[unit] for number, unit in found)
    raise click.BadParameter(f"{text!r} is not a duration; 30, 1.5, 500ms, 2m and 1h30m are")


def moment(text: str) -> str:
    """Return a moment as RFC 3339 in UTC.

    `90s`, `15m`, `1h30m`, `3d`, `1w` are so long ago; `today`, `yesterday` and a date mean their
    first moment; a time alone is today's. What names no zone is in the zone of this machine.
    """
    try:
        found = _moment(text.strip(), datetime.now().astimezone())
        return rfc3339(round(found.astimezone(UTC).timestamp() * 1_000_000))
    except (ValueError, OverflowError, click.BadParameter) as exc:
        raise click.BadParameter(f"{text!r} is not a time; {FORMS}") from exc


def _moment(text: str, now: datetime) -> datetime:
    midnight = datetime.combine(now.date(), time())
    days = {"today": 0, "yesterday": 1}
    if text == "now":
        return now
    if text in days:
        return midnight - timedelta(days=days[text])
    if re.fullmatch(rf"{AMOUNTS}+( ago)?", text):
        return now - timedelta(seconds=duration(text.removesuffix(" ago")))
    if re.fullmatch(r"\d?\d:\d\d(:\d\d)?", text):
        return datetime.combine(
            midnight, time.fromisoformat(text if text[1] != ":" else f"0{text}")
        )
    if re.match(r"\d{4}-\d\d-\d\d", text):
        return datetime.fromisoformat(text.upper())
    raise ValueError(text)
