"""`squall top`: what runs, live."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from service.cli import tables
from service.cli.client import Client
from service.cli.commands import Context
from service.cli.errors import EXIT_SIGNAL, Failure
from service.cli.events import changes
from service.cli.output import write
from service.cli.text import printable
from service.jobs import ENDED, Job

DRAW_S = 0.25
# Longer than the service is ever silent: a heartbeat comes every 15 seconds.
STALE_S = 20.0
ENDED_SHARE = 3  # of the screen's lines, one in so many is for what has ended
HEAD_LINES = 4
ENDS_KEPT = 50
RATE_S = 10.0


class Overview:
    """The jobs of one moment; `apply` moves on to the next."""

    def __init__(self, queued: set[str], running: list[Job], ended: list[Job]) -> None:
        """Begin with what the list says; `ended` are the newest."""
        self.queued = queued
        self._running = {job.id: job for job in running}
        self._ended = {job.id: job for job in ended}
        self._ends: deque[float] = deque()
        self._since = time.monotonic()

    def apply(self, job: Job) -> None:
        """Go on to what a change has made of a job."""
        self.queued.discard(job.id)
        self._running.pop(job.id, None)
        if job.state == "queued":
            self.queued.add(job.id)
        elif job.state == "running":
            self._running[job.id] = job
        else:
            self._ends.append(time.monotonic())
            self._ended[job.id] = job
            if len(self._ended) > ENDS_KEPT:
                del self._ended[next(iter(self._ended))]

    def follow_on(self, earlier: Overview) -> None:
        """Go on counting ends where an earlier overview stopped."""
        self._ends, self._since = earlier._ends, earlier._since

    def running(self) -> list[Job]:
        """Return what runs, the oldest first."""
        return sorted(self._running.values(), key=lambda job: job.started_at or job.created_at)

    def ended(self) -> list[Job]:
        """Return what has ended, the newest end first."""
        return sorted(self._ended.values(), key=lambda job: job.finished_at or "", reverse=True)

    def rate(self) -> float:
        """Return how many jobs a second have ended, over the last ten seconds."""
        now = time.monotonic()
        while self._ends and self._ends[0] < now - RATE_S:
            self._ends.popleft()
        return len(self._ends) / min(RATE_S, max(now - self._since, 1.0))


def read_overview(client: Client) -> Overview:
    """Ask the list."""
    newest = client.page(state=sorted(ENDED), limit=ENDS_KEPT)
    return Overview(
        {job.id for job in _in_state(client, "queued")},
        list(_in_state(client, "running")),
        sorted((job for job, _ in newest.parsed()), key=lambda job: job.finished_at or ""),
    )


def _in_state(client: Client, state: str) -> Iterator[Job]:
    return (job for job, _ in client.jobs(state=state))


News = Job | Overview | Failure


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="Each job that changes its state, one a line."
)
@click.pass_obj
def top(context: Context, as_json: bool) -> int:
    """Show what runs, and what has ended last.

    What runs comes first, the oldest on top; live until `q` or Ctrl-C. Where standard output is
    no terminal, it is printed once.
    """
    client = context.client()
    try:
        if as_json:
            _print_changes(client)
        overview = read_overview(client)
        if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
            click.echo(_head(overview, client.url, rate=""))
            tables.jobs([*overview.running(), *overview.ended()])
        else:
            _watch(client, overview)
    except KeyboardInterrupt:
        pass  # it is how one leaves
    return 0


def _print_changes(client: Client) -> None:
    for change in changes(client):
        if change is not None:
            write("stdout", change.raw + b"\n")


def _watch(client: Client, overview: Overview) -> None:
    news: SimpleQueue[News] = SimpleQueue()
    Thread(target=_listen, args=(client, news), daemon=True).start()
    signal.signal(signal.SIGTERM, _leave)
    heard_at = time.monotonic()
    out = tables.console()
    with _keys() as key, Live(console=out, screen=True, auto_refresh=False) as live:
        while True:
            for one in _waiting(news):
                heard_at = time.monotonic()
                overview = _after(overview, one)
            is_stale = time.monotonic() - heard_at > STALE_S
            live.update(_screen(overview, client.url, out.size.height, is_stale), refresh=True)
            if key(DRAW_S) in ("q", "Q"):
                return


def _listen(client: Client, news: SimpleQueue[News]) -> None:
    try:
        for change in changes(client):
            news.put(read_overview(client) if change is None else change.job)
    except Failure as exc:
        news.put(exc)


def _after(overview: Overview, news: News) -> Overview:
    if isinstance(news, Failure):
        raise news
    if isinstance(news, Overview):
        news.follow_on(overview)
        return news
    overview.apply(news)
    return overview


def _waiting(news: SimpleQueue[News]) -> Iterator[News]:
    while True:
        try:
            yield news.get_nowait()
        except Empty:
            return


def _screen(overview: Overview, url: str, height: int, is_stale: bool) -> Group:
    running, ended = overview.running(), overview.ended()
    lines = max(height - HEAD_LINES, 2)
    room = max(lines - min(len(ended), lines // ENDED_SHARE), 1)
    shown = [*running[:room], *ended[: max(lines - min(len(running), room), 0)]]
    hidden = f", the oldest {room} shown" if len(running) > room else ""
    head = Text(_head(overview, url, hidden, f"   {overview.rate():.1f} ended/s"), style="bold")
    state = Text("no answer, trying again", "bold red") if is_stale else Text("q quits", "dim")
    for text in (head, state):
        text.no_wrap, text.overflow = True, "ellipsis"
    return Group(head, state, "", tables.of_jobs(shown))


def _head(overview: Overview, url: str, hidden: str = "", rate: str = "") -> str:
    counts = f"{len(overview.running()):,} running{hidden}   {len(overview.queued):,} queued{rate}"
    return f"{counts}   {printable(url)}"


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Yield what waits for a key, up to so many seconds; keys aren't shown meanwhile."""
    fd = sys.stdin.fileno()
    watched = [fd] if sys.stdin.isatty() else []

    def key(seconds: float) -> str:
        return (
            os.read(fd, 1).decode("latin-1") if select.select(watched, [], [], seconds)[0] else ""
        )

    if not watched:
        yield key
        return

    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield key
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _leave(signum: int, _frame: object) -> None:
    sys.exit(EXIT_SIGNAL + signum)  # by way of all that puts the terminal back
