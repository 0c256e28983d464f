"""Figures and goals, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from bench.figure import SQUALL, Figure
from bench.goals import Verdict

Row = dict[str, Any]


def rows_of(figure: Figure) -> list[Row]:
    """One row for each who took part, squall first; `times` is squall's ratio to that peer."""
    peers = sorted(figure.peers, key=lambda peer: peer != SQUALL)
    return [
        {
            "what": figure.what,
            "peer": peer,
            "median": figure.median(peer),
            "unit": figure.unit,
            "spread": f"{100 * figure.spread(peer):.0f} %",
            "turns": len(figure.turns[peer]),
            "squall is": None
            if peer == SQUALL or (ratio := _ratio(figure, peer)) is None
            else f"{ratio:.2f} times",
        }
        for peer in peers
    ]


def _ratio(figure: Figure, peer: str) -> float | None:
    """None where it can't be said, as in JSON there is no infinity."""
    ratio = figure.ratio(peer) if SQUALL in figure.turns else math.inf
    return ratio if math.isfinite(ratio) else None


def show(title: str, figures: Iterable[Figure]) -> None:
    """Print figures as one table."""
    rows = [row for figure in figures for row in rows_of(figure)]
    if rows:
        _table(title, rows)


def show_goals(verdicts: Sequence[Verdict]) -> None:
    """Print what was wanted beside what was measured."""
    if verdicts:
        _table("Goals", [verdict.row() for verdict in verdicts])


def document(figures: Iterable[Figure], verdicts: Iterable[Verdict], machine: Row) -> Row:
    """Return everything as one JSON document."""
    return {
        "machine": machine,
        "figures": [
            {
                "key": figure.key,
                "what": figure.what,
                "unit": figure.unit,
                "less_is_better": figure.less_is_better,
                "peers": {
                    peer: {
                        "median": figure.median(peer),
                        "spread": figure.spread(peer),
                        "turns": figure.turns[peer],
                        "squall_is_times": _ratio(figure, peer),
                    }
                    for peer in figure.peers
                },
            }
            for figure in figures
        ],
        "goals": [verdict.row() for verdict in verdicts],
    }


def _table(title: str, rows: Sequence[Row]) -> None:
    print(f"\n{title}")
    names = list(rows[0])
    cells = [names] + [[_shown(row[name]) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2f}" if abs(value) < 10 else f"{value:,.0f}"
