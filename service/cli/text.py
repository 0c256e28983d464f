"""Words for a person: what a job is called, how long it took, how old it is."""

from __future__ import annotations

import shlex


def printable(text: str) -> str:
    r"""Return `text` with everything that a terminal would act on written as an escape.

    Control characters, line breaks, bidirectional marks and lone surrogates come out as `\x1b`
    and the like, so that nothing a job is called or prints moves the cursor or hides text.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def command(args: list[str]) -> str:
    """Return a job's arguments as a person would type them in a shell."""
    return printable(shlex.join(args))


def duration(seconds: float | None) -> str:
    """Return a duration with two units at most: `250 ms`, `2.5 s`, `3m 05s`, `2h 04m`, `3d 04h`."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    for below, unit, name, rest, rest_name in (
        (3_600, 60, "m", 1, "s"),
        (86_400, 3_600, "h", 60, "m"),
    ):
        if round(seconds) < below:
            return f"{round(seconds) // unit}{name} {round(seconds) % unit // rest:02}{rest_name}"
    return f"{round(seconds) // 86_400}d {round(seconds) % 86_400 // 3_600:02}h"


def age(seconds: float) -> str:
    """Return an age in its largest unit: `12s`, `3m`, `2h`, `5d`; `0s` for the future."""
    whole = max(0, int(seconds))
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if whole >= unit:
            return f"{whole // unit}{name}"
    return f"{whole}s"


def size(count: int) -> str:
    """Return a number of bytes in decimal units: `512 B`, `1.5 kB`, `100.0 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.95:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
