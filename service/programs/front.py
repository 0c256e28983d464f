"""What supervisord starts as `nginx`: it ends workers without a master, then becomes nginx.

A master that was killed leaves workers behind that serve on with the old configuration, and nobody
reloads them, stops them or starts them anew.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from service.programs import nginx
from service.programs.errors import ProgramError
from service.programs.files import ProgramFiles
from service.state import StateDir


def main(binary: str, state: str, directives: str) -> None:
    """Become the nginx of this state directory; never returns."""
    try:
        nginx.end_orphans(ProgramFiles(StateDir(state)))
    except ProgramError as exc:
        print(f"squall: {exc}", file=sys.stderr)  # the port is shared with them: nginx starts still
    for descriptor in (1, 2):
        # pipes that supervisord empties: were it stopped, nginx would wait for it in the midst
        os.set_blocking(descriptor, False)
    os.execv(binary, [*nginx.argv(Path(binary), Path(state), "nginx.conf"), "-g", directives])  # noqa: S606


if __name__ == "__main__":
    main(*sys.argv[1:])
