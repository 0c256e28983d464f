"""What a start asks of the kernel: case 74, and what is said of vfork. Counts, never times."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections import Counter

import pytest

STRACE = shutil.which("strace")
PROGRAM = """
import asyncio, os, resource, sys
from executor import Limits, run
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), hard))
limits = Limits(core_size=0) if sys.argv[2] == "limits" else None
assert asyncio.run(run(["/bin/true"], limits=limits)).status == 0
"""


def calls_of_a_start(directory, open_files: int, kind: str) -> Counter[str]:
    """System calls by name, of parent and child together."""
    log = directory / f"{open_files}"
    # signals and timers come as they like; these don't
    watched = "close,close_range,dup2,dup3,vfork,clone,clone3,fork,execve,getdents64,fcntl"
    words = [STRACE, "-f", "-qq", "-e", f"trace={watched}", "-o", log, sys.executable, "-c"]
    done = subprocess.run(
        [*words, PROGRAM, str(open_files), kind], capture_output=True, check=False
    )
    if b"ptrace" in done.stderr or b"Operation not permitted" in done.stderr:
        pytest.skip("tracing is not allowed here")
    assert done.returncode == 0, done.stderr
    lines = log.read_text().splitlines()
    return Counter(line.split(maxsplit=1)[1].split("(")[0] for line in lines if "(" in line)


@pytest.mark.skipif(STRACE is None, reason="needs strace")
@pytest.mark.parametrize("kind", ["plain", "limits"])
def test_start_is_a_vfork_and_its_work_does_not_grow_with_the_limit_of_descriptors(tmp_path, kind):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few, many = (calls_of_a_start(tmp_path, limit, kind) for limit in (256, min(hard, 1_000_000)))
    assert few == many
    assert few["vfork"] + few["clone"] + few["clone3"] + few["fork"] == few["vfork"] == 1
