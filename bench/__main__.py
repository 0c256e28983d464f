"""The command line of the bench."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import goals, needs, table
from bench.figure import Figure
from bench.measures import (
    Measure,
    Run,
    a_waited_for,
    b_durable,
    c_list,
    d_growth,
    e_alive,
    f_output,
    g_start,
    h_follow,
    i_handover,
)
from bench.needs import Need, program
from bench.place import Place

MEASURES = [
    each.MEASURE
    for each in (
        *(a_waited_for, b_durable, c_list, d_growth, e_alive, f_output, g_start, h_follow),
        i_handover,
    )
]
WRK = program("wrk")


def main() -> None:
    """Measure what was asked for, show it, and write it down."""
    given = _arguments()
    # so that what was started ends with us
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if given.peers_python:
        needs.use_python(given.peers_python)
    wanted = [measure for measure in MEASURES if measure.letter in (given.letters or "abcdefghi")]
    _tell_missing(wanted)
    figures: list[Figure] = []
    with Place() as place:
        run = Run(place, given.quick, given.turns or (2 if given.quick else 5))
        for measure in wanted:
            if measure.letter in "ac" and not WRK.is_there:
                run.tell(f"{measure.letter}: left out, it needs wrk")
                continue
            taken = measure.take(run)
            table.show(f"{measure.letter}. {measure.title}", taken)
            sys.stdout.flush()
            figures += taken
    verdicts = goals.judge(figures)
    table.show_goals(verdicts)
    if given.json:
        document = table.document(figures, verdicts, _machine())
        given.json.write_text(json.dumps(document, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "letters", nargs="*", choices=[[], *"abcdefghi"], help="what to measure; all by default"
    )
    parser.add_argument("--quick", action="store_true", help="less of everything, two turns")
    parser.add_argument("--turns", type=int, help="how often each is measured, 5 by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it down for programs")
    parser.add_argument(
        "--peers-python", metavar="PYTHON", help="the interpreter that has the Python peers"
    )
    return parser.parse_args()


def _tell_missing(wanted: Sequence[Measure]) -> None:
    """Say which peers are left out, and how to have them."""
    advice: dict[Need, list[str]] = {}
    for need in needs.missing([WRK]):
        advice[need] = ["the load of a and c"]
    for measure in wanted:
        for peer in measure.peers:
            for need in needs.missing(peer.needs):
                advice.setdefault(need, []).append(peer.name)
    for need, names in advice.items():
        print(f"missing {need.name}: {need.advice}  (for {', '.join(names)})", file=sys.stderr)


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }


if __name__ == "__main__":
    main()
