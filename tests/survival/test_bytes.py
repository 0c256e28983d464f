"""No byte is lost or doubled, whenever the process is killed."""

from __future__ import annotations

import os
import random
import sys
import time

# both streams, in pieces of all sizes, until told to stop; then says how much it was
LOUD = """
import os, random, sys
numbers = random.Random(int(sys.argv[1]))
block = bytes(numbers.randrange(256) for _ in range(65_521))
sent = [0, 0]
while not os.path.exists("stop"):
    stream = numbers.random() < 0.2
    size = numbers.choice([1, 10, 100, 4096, 65536, 200_000])
    start = sent[stream] % len(block)
    data = (block * (size // len(block) + 2))[start:start + size]
    while data:
        done = os.write(1 + stream, data)
        sent[stream] += done
        data = data[done:]
with open(f"sent.{sys.argv[1]}.tmp", "w") as file:
    file.write(f"{sent[0]} {sent[1]}")
os.rename(file.name, f"sent.{sys.argv[1]}")
sys.exit(int(sys.argv[1]) % 100)
"""


def expected(seed: int, size: int) -> bytes:
    numbers = random.Random(seed)
    block = bytes(numbers.randrange(256) for _ in range(65_521))
    return (block * (size // len(block) + 1))[:size]


def kept(data: bytes, limit: int) -> bytes:
    return (
        data
        if len(data) <= limit
        else data[: limit // 2] + data[len(data) - (limit - limit // 2) :]
    )


def test_loud_jobs_are_whole_however_often_their_process_is_killed(guarded):
    kills = int(os.environ.get("SQUALL_SOAK_KILLS", "8"))
    seed = int(os.environ.get("SQUALL_SOAK_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}, {kills} kills")
    moments = random.Random(seed)
    limit = 1_000_000
    jobs = {
        number: guarded.run_on(
            sys.executable,
            "-c",
            LOUD,
            str(number),
            cwd=str(guarded.directory),
            limits={"output_bytes": limit},
        )
        for number in range(seed, seed + 4)
    }
    for _ in range(kills):
        time.sleep(moments.random() * 0.2)
        guarded.kill_process()
    (guarded.directory / "stop").touch()
    for number, job in jobs.items():
        ended = guarded.wait_state(job["id"], "succeeded", "failed", "lost")
        assert (ended["reason"], ended["exit_code"], ended["handovers"]) == (
            "exit",
            number % 100,
            kills,
        )
        sizes = (guarded.directory / f"sent.{number}").read_text().split()
        for name, size in zip(("stdout", "stderr"), map(int, sizes), strict=True):
            assert ended[name]["bytes"] == size
            assert ended[name]["dropped"] == max(0, size - limit)
            got = guarded.ask("GET", f"/v1/jobs/{job['id']}/{name}").body
            assert got == kept(expected(number, size), limit), f"{name} of {number}, seed {seed}"
