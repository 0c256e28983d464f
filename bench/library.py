"""How fast the library runs commands beside others: ``python bench/library.py [--quick]``.

Every figure is taken in a fresh process, the peers in turns, several rounds; the median counts.
Runs are also shown as a ratio to a C loop of posix_spawn, built here when there is a compiler.
Peers that are not installed are left out: nothing is installed or downloaded. No figure is a test.

    runs a second   commands started, read to their end and reaped
    cpu             processor time of the parent a run, in microseconds
    peak            peak resident memory of the parent, in MB
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import resource
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

FITS = (3, 11) <= sys.version_info[:2] <= (3, 13)  # fork_exec takes other words in others
if FITS:
    from _posixsubprocess import fork_exec

HERE = Path(__file__).resolve().parent
COMMANDS = {
    "true": ["/bin/true"],
    "echo": ["/bin/echo", "hello"],
    "1 MB": ["/usr/bin/head", "-c", "1000000", "/dev/zero"],
}
AT_ONCE = (1, 16, 256)
RUNS = {"true": 1500, "echo": 1500, "1 MB": 500}
GIGABYTE = 1 << 30


# one run of a command, by each peer


async def by_executor(args: list[str]) -> int:
    from executor import run

    return len((await run(args)).stdout)


async def by_asyncio(args: list[str]) -> int:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *args, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True
    )
    stdout, _ = await child.communicate()
    return len(stdout)


async def by_tornado(args: list[str]) -> int:
    from tornado.process import Subprocess

    child = Subprocess(
        args,
        stdin=subprocess.DEVNULL,
        stdout=Subprocess.STREAM,
        stderr=Subprocess.STREAM,
        start_new_session=True,
    )
    stdout, _, _ = await asyncio.gather(
        child.stdout.read_until_close(),
        child.stderr.read_until_close(),
        child.wait_for_exit(raise_error=False),
    )
    return len(stdout)


async def by_anyio(args: list[str]) -> int:
    import anyio

    done = await anyio.run_process(
        args, stdin=subprocess.DEVNULL, check=False, start_new_session=True
    )
    return len(done.stdout)


async def by_trio(args: list[str]) -> int:
    import trio

    done = await trio.run_process(
        args, capture_stdout=True, capture_stderr=True, check=False, start_new_session=True
    )
    return len(done.stdout)


class Bare:
    """The floor on asyncio: the system calls of ``executor``, and the least Python between them.

    No timeout, no stop, no bound on the output, no errors, no cleaning up.
    """

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[], None]] = {}
        asyncio.get_running_loop().add_reader(self.epoll.fileno(), self.on_ready)

    def on_ready(self) -> None:
        for fd, _ in self.epoll.poll(0):
            self.handlers[fd]()

    def watch(self, fd: int, handler: Callable[[], None]) -> None:
        self.handlers[fd] = handler
        self.epoll.register(fd, select.EPOLLIN)

    def close(self, fd: int) -> None:
        self.epoll.unregister(fd)
        os.close(fd)

    async def run(self, args: list[str]) -> int:
        ended = asyncio.get_running_loop().create_future()
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        (stdout, out), (stderr, err), (errors, failed) = os.pipe(), os.pipe(), os.pipe()
        words = [word.encode() for word in args]
        # fmt: off
        pid = fork_exec(
            words, (words[0],), True, (failed,), None, None,
            null, -1, -1, out, -1, err, errors, failed,
            True, True, -1, None, None, None, -1, None, True,
        )
        # fmt: on
        for fd in (null, out, err, failed):
            os.close(fd)
        os.read(errors, 4096)
        os.close(errors)
        chunks: list[bytes] = []
        left = 3

        def part(fd: int) -> None:
            nonlocal left
            self.close(fd)
            left -= 1
            if not left:
                os.wait4(pid, 0)
                ended.set_result(None)

        def read(fd: int) -> None:
            chunk = os.read(fd, 65536)
            chunks.append(chunk)
            if not chunk:
                part(fd)

        pidfd = os.pidfd_open(pid)
        self.watch(pidfd, lambda: part(pidfd))
        for fd in (stdout, stderr):
            os.set_blocking(fd, False)
            self.watch(fd, partial(read, fd))
        await ended
        return len(b"".join(chunks))


def by_subprocess(args: list[str]) -> int:
    done = subprocess.run(
        args, stdin=subprocess.DEVNULL, capture_output=True, check=False, start_new_session=True
    )
    return len(done.stdout)


# many runs, some at once


async def on_asyncio(
    act: Callable[[list[str]], Awaitable[int]], args: list[str], at_once: int, runs: int
) -> None:
    left = iter(range(runs))

    async def worker() -> None:
        for _ in left:
            await act(args)

    await asyncio.gather(*(worker() for _ in range(min(at_once, runs))))


async def on_bare(args: list[str], at_once: int, runs: int) -> None:
    await on_asyncio(Bare().run, args, at_once, runs)


async def on_tornado(args: list[str], at_once: int, runs: int) -> None:
    from tornado.process import Subprocess

    try:
        await on_asyncio(by_tornado, args, at_once, runs)
    finally:
        Subprocess.uninitialize()  # its SIGCHLD handler belongs to this loop


async def on_executor_callbacks(args: list[str], at_once: int, runs: int) -> None:
    """The callback form: each end starts the next."""
    from executor import Subprocess

    done = asyncio.get_running_loop().create_future()
    started = ended = 0

    def start() -> None:
        nonlocal started
        started += 1
        Subprocess(end, args=args).start()

    def end(*_: Any) -> None:
        nonlocal ended
        ended += 1
        if started < runs:
            start()
        elif ended == runs:
            done.set_result(None)

    for _ in range(min(at_once, runs)):
        start()
    await done


async def on_trio(args: list[str], at_once: int, runs: int) -> None:
    import trio

    left = iter(range(runs))

    async def worker() -> None:
        for _ in left:
            await by_trio(args)

    async with trio.open_nursery() as nursery:
        for _ in range(min(at_once, runs)):
            nursery.start_soon(worker)


def on_threads(args: list[str], at_once: int, runs: int) -> None:
    from concurrent.futures import ThreadPoolExecutor

    if at_once == 1:
        for _ in range(runs):
            by_subprocess(args)
        return
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda _: by_subprocess(args), range(runs)))


def many(peer: str, args: list[str], at_once: int, runs: int) -> None:
    acts = {
        "executor": by_executor,
        "asyncio": by_asyncio,
        "uvloop": by_asyncio,
        "anyio": by_anyio,
    }
    if peer == "subprocess":
        on_threads(args, at_once, runs)
    elif peer == "trio":
        import trio

        trio.run(on_trio, args, at_once, runs)
    elif peer == "bare calls":
        asyncio.run(on_bare(args, at_once, runs))
    elif peer == "tornado.process":
        asyncio.run(on_tornado(args, at_once, runs))
    elif peer == "executor callbacks":
        asyncio.run(on_executor_callbacks(args, at_once, runs))
    elif peer == "uvloop":
        import uvloop

        uvloop.run(on_asyncio(acts[peer], args, at_once, runs))
    else:
        asyncio.run(on_asyncio(acts[peer], args, at_once, runs))


PEERS = {
    "executor": "executor",
    "executor callbacks": "executor",
    "bare calls": "_posixsubprocess" if FITS else "no such module",
    "tornado.process": "tornado",
    "asyncio": "asyncio",
    "subprocess": "subprocess",
    "uvloop": "uvloop",
    "trio": "trio",
    "anyio": "anyio",
}


# what is measured in a process of its own


def peak_mb() -> float:
    """VmHWM: ru_maxrss would count the process that started us."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure_runs(peer: str, command: str, at_once: int, runs: int) -> dict[str, float]:
    args = COMMANDS[command]
    many(peer, args, min(at_once, 4), 8)  # imports, caches
    cpu, begin = cpu_seconds(), time.perf_counter()
    many(peer, args, at_once, runs)
    seconds = time.perf_counter() - begin
    return {
        "runs_per_s": runs / seconds,
        "cpu_us": (cpu_seconds() - cpu) / runs * 1e6,
        "peak_mb": peak_mb(),
    }


def measure_stream(peer: str, size: int) -> dict[str, float]:
    from executor import Subprocess, run

    args = ["/usr/bin/head", "-c", str(size), "/dev/zero"]

    async def streamed() -> int:
        total = 0
        async with Subprocess(args=args, max_output=0) as sp:
            async for chunk in sp.chunks():
                total += len(chunk)
        return total

    async def captured() -> int:
        return (await run(args, max_output=1 << 20)).stdout_total

    def plain() -> int:
        """What a plain loop of os.read reaches, on a pipe as it comes."""
        total = 0
        with subprocess.Popen(args, stdout=subprocess.PIPE, bufsize=0) as child:
            fd = child.stdout.fileno()  # type: ignore[union-attr]
            while chunk := os.read(fd, 65536):
                total += len(chunk)
        return total

    async def by_asyncio_reader() -> int:
        total = 0
        child = await asyncio.create_subprocess_exec(*args, stdout=asyncio.subprocess.PIPE)
        while chunk := await child.stdout.read(65536):  # type: ignore[union-attr]
            total += len(chunk)
        await child.wait()
        return total

    cpu, begin = cpu_seconds(), time.perf_counter()
    if peer == "os.read loop":
        total = plain()
    else:
        act = {"streamed": streamed, "captured": captured, "asyncio": by_asyncio_reader}[peer]
        total = asyncio.run(act())
    seconds = time.perf_counter() - begin
    if total != size:
        raise RuntimeError(f"{peer} read {total} bytes of {size}")
    return {
        "mb_per_s": size / seconds / 1e6,
        "cpu_s": cpu_seconds() - cpu,
        "peak_mb": peak_mb(),
    }


def measure_resident(resident_mb: int, runs: int) -> dict[str, float]:
    """Microseconds a start, with so much memory in use here."""
    ballast = bytearray(resident_mb << 20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    return measure_starts(runs)


def measure_open_files(limit: int, runs: int) -> dict[str, float]:
    """Microseconds a start, with room for so many descriptors, of which 500 are open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    for _ in range(500):
        os.dup(0)
    return measure_starts(runs)


def measure_starts(runs: int) -> dict[str, float]:
    async def starts() -> float:
        from executor import Subprocess

        spent = 0.0
        for _ in range(runs):
            sp = Subprocess(args=["/bin/true"])
            begin = time.perf_counter()
            sp.start()
            spent += time.perf_counter() - begin
            await sp.wait()
        return spent

    return {"start_us": asyncio.run(starts()) / runs * 1e6}


def measure_alive(count: int) -> dict[str, float]:
    """Many children alive at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 3 * count + 50 > soft:
        wanted = 3 * count + 50
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        count = min(count, (wanted - 50) // 3)

    async def main() -> dict[str, float]:
        from executor import Subprocess, run

        await run(["/bin/true"])
        before, cpu, begin = resident_bytes(), cpu_seconds(), time.perf_counter()
        children = [Subprocess(args=["/bin/sleep", "1000"]) for _ in range(count)]
        for child in children:
            child.start()
        started = time.perf_counter() - begin
        start_cpu = cpu_seconds() - cpu
        memory = resident_bytes() - before
        cpu = cpu_seconds()
        await asyncio.sleep(1)
        idle_cpu = cpu_seconds() - cpu
        begin, cpu = time.perf_counter(), cpu_seconds()
        for child in children:
            child.cancel()
        await asyncio.gather(*(child.wait() for child in children))
        return {
            "children": count,
            "start_s": started,
            "start_cpu_us_each": start_cpu / count * 1e6,
            "bytes_each": memory / count,
            "idle_cpu_ms_per_s": idle_cpu * 1e3,
            "cancel_all_s": time.perf_counter() - begin,
            "cancel_cpu_us_each": (cpu_seconds() - cpu) / count * 1e6,
        }

    return asyncio.run(main())


MEASURES: dict[str, Callable[..., dict[str, float]]] = {
    "runs": measure_runs,
    "stream": measure_stream,
    "resident": measure_resident,
    "open files": measure_open_files,
    "alive": measure_alive,
}


# the bench itself


def fresh(*words: object) -> dict[str, float]:
    """One figure, taken in a process of its own."""
    args = [sys.executable, __file__, "--one", json.dumps(words)]
    done = subprocess.run(args, capture_output=True, check=False, timeout=900)
    if done.returncode:
        raise SystemExit(f"{words} failed:\n{done.stderr.decode()}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def build_c_loop(place: Path) -> Path | None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    program = place / "spawn_loop"
    subprocess.run([compiler, "-O2", "-o", program, HERE / "spawn_loop.c"], check=True)
    return program


def c_figures(output: bytes, runs: int) -> dict[str, float]:
    seconds, user, system, peak = map(float, output.split())
    return {
        "runs_per_s": runs / seconds,
        "cpu_us": (user + system) / runs * 1e6,
        "peak_mb": peak / 1024,
    }


def c_loop(program: Path, command: str, at_once: int, runs: int) -> dict[str, float]:
    args = [program, str(at_once), str(runs), *COMMANDS[command]]
    return c_figures(subprocess.run(args, capture_output=True, check=True).stdout, runs)


def median(figures: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in figures) for name in figures[0]}


def bench_runs(program: Path | None, rounds: int, share: float) -> list[dict[str, Any]]:
    peers = [peer for peer, module in PEERS.items() if importlib.util.find_spec(module)]
    rows = []
    for command in COMMANDS:
        for at_once in AT_ONCE:
            runs = max(at_once, int(RUNS[command] * share))
            taken: dict[str, list[dict[str, float]]] = {}
            for _ in range(rounds):
                if program is not None:
                    taken.setdefault("C loop", []).append(c_loop(program, command, at_once, runs))
                for peer in peers:
                    figures = fresh("runs", peer, command, at_once, runs)
                    taken.setdefault(peer, []).append(figures)
            yardstick = median(taken["C loop"])["runs_per_s"] if program else None
            for peer, each in taken.items():
                row: dict[str, Any] = {"command": command, "at_once": at_once, "peer": peer}
                row |= median(each)
                row["ratio_to_c"] = row["runs_per_s"] / yardstick if yardstick else None
                rows.append(row)
            tell(f"{command}, {at_once} at once: done")
    return rows


def bench_two(program: Path | None, rounds: int, share: float) -> list[dict[str, Any]]:
    """Two parents side by side, for both cores."""
    runs = int(RUNS["true"] * share)
    ours = [
        sys.executable,
        __file__,
        "--one",
        json.dumps(("runs", "executor callbacks", "true", 16, runs)),
    ]
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        if program is not None:
            args = [program, "16", str(runs), *COMMANDS["true"]]
            pair = [subprocess.Popen(args, stdout=subprocess.PIPE) for _ in range(2)]
            rates = [c_figures(each.communicate()[0], runs)["runs_per_s"] for each in pair]
            taken.setdefault("C loop", []).append(sum(rates))
        pair = [subprocess.Popen(ours, stdout=subprocess.PIPE) for _ in range(2)]
        rates = [json.loads(each.communicate()[0])["runs_per_s"] for each in pair]
        taken.setdefault("executor", []).append(sum(rates))
    yardstick = statistics.median(taken["C loop"]) if program else None
    return [
        {
            "peer": f"2 x {peer}",
            "runs_per_s": statistics.median(rates),
            "ratio_to_c": statistics.median(rates) / yardstick if yardstick else None,
        }
        for peer, rates in taken.items()
    ]


def bench_stream(rounds: int, share: float) -> list[dict[str, Any]]:
    size = int(4 * GIGABYTE * share)
    peers = ("os.read loop", "streamed", "captured", "asyncio")
    taken = {peer: [] for peer in peers}  # type: dict[str, list[dict[str, float]]]
    for _ in range(rounds):
        for peer in peers:
            taken[peer].append(fresh("stream", peer, size))
    plain = median(taken["os.read loop"])["mb_per_s"]
    return [
        {
            "peer": peer,
            "bytes": size,
            **(row := median(each)),
            "ratio_to_plain": row["mb_per_s"] / plain,
        }
        for peer, each in taken.items()
    ]


def bench_resident(rounds: int, share: float) -> list[dict[str, Any]]:
    runs = int(300 * share) or 1
    rows = []
    for megabytes in (100, int(4096 * (1 if share == 1 else 0.25))):
        figures = median([fresh("resident", megabytes, runs) for _ in range(rounds)])
        rows.append({"resident_mb": megabytes, **figures})
    return rows


def bench_open_files(rounds: int, share: float) -> list[dict[str, Any]]:
    runs = int(300 * share) or 1
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(PermissionError, ValueError):  # only root may go beyond its limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, 1_000_000))
        hard = 1_000_000
    rows = []
    for limit in (1024, hard):
        figures = median([fresh("open files", limit, runs) for _ in range(rounds)])
        rows.append({"limit": limit, **figures})
    return rows


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{title}")
    names = list(rows[0])
    cells = [names] + [[shown(row[name]) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def shown(value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


TITLES = {
    "runs": "Runs of a command",
    "two": "/bin/true from two parents, 16 at once each",
    "stream": "One child with a large stdout",
    "resident": "Start with memory in use here",
    "open-files": "Start with room for many descriptors (RLIMIT_NOFILE)",
    "alive": "Children alive at once",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, two rounds")
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--only", choices=TITLES)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        what, *words = json.loads(given.one)
        print(json.dumps(MEASURES[what](*words)))
        return
    rounds = given.rounds or (2 if given.quick else 5)
    share = 0.1 if given.quick else 1.0
    results: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as place:
        program = build_c_loop(Path(place))
        if program is None:
            tell("no C compiler: no ratios to the C loop")
        parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
            "runs": lambda: bench_runs(program, rounds, share),
            "two": lambda: bench_two(program, rounds, share),
            "stream": lambda: bench_stream(min(rounds, 3), share),
            "resident": lambda: bench_resident(min(rounds, 3), share),
            "open-files": lambda: bench_open_files(min(rounds, 3), share),
            "alive": lambda: [fresh("alive", int(5000 * share))],
        }
        for name, part in parts.items():
            if given.only in (None, name):
                results[name] = part()
    if given.json:
        print(json.dumps(results, indent=1))
        return
    for name, rows in results.items():
        table(TITLES[name], rows)


if __name__ == "__main__":
    main()
