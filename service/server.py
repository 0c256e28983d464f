"""One process of the service, from its settings to its end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket

from tornado.netutil import bind_sockets, bind_unix_socket

from service import descriptors, logs
from service.connections import Server
from service.descriptors import Shares
from service.errors import SettingsError
from service.guard.process import Link
from service.ledger.sqlite import SqliteLedger
from service.metrics import Metrics
from service.peers.notices import Peers
from service.running.cgroups import Cgroups
from service.running.command import Inherited
from service.running.retention import Retention
from service.running.runner import Runner
from service.running.slots import Slots
from service.settings import Settings
from service.state import StateDir
from service.tasks import Background
from service.web.handler import App
from service.web.routes import make_app

log = logging.getLogger(__name__)

# How long clients have after the drain to take their answers, and nginx to let go.
LINGER_S = 5.0
BACKLOG = 1024

LOCK = "lock"  # the name by which the guard holds it

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def serve(
    settings: Settings,
    port: int,
    listener: socket.socket | None = None,
    link: Link | None = None,
) -> None:
    """Run the process on `port` until TERM or INT; SettingsError or LedgerError if it can't.

    `listener` is the port's listening socket where a guard holds it; it is made otherwise. With a
    `link` to the guard jobs outlive the process, and HUP makes it leave them to the next one.
    """
    state = StateDir(settings.state.dir)
    state.create()
    log_listener = logs.start(state.log / f"{port}.log", settings.log.level)
    stopping, leaving = _events()
    soft_limit = descriptors.raise_limit()
    try:
        shares = _share_out(settings.jobs.running)
        peers = _peers(state, port, settings, link)
        metrics = Metrics(state.metrics, port)
        ledger = SqliteLedger(state.ledger, metrics.commit.observe)
        background = Background()
        cgroups = Cgroups(settings.jobs.cgroup) if settings.jobs.cgroup else None
        runner = Runner(
            ledger,
            peers,
            state.journals,
            settings.jobs,
            str(port),
            background,
            slots=Slots(shares.jobs),
            inherited=Inherited(
                int(settings.jobs.umask, 8), soft_limit, cgroups.of(str(port)) if cgroups else None
            ),
            link=link if settings.jobs.survive else None,
            cgroups=cgroups,
            on_end=metrics.job_ended,
        )
        retention = Retention(
            ledger, state.journals, state.run / "retention.lock", settings.retention
        )
        app = make_app(ledger, runner, metrics, settings, state.token())
        try:
            await runner.start()
            front = _server(app, [listener] if listener else _tcp_sockets(port), shares.clients)
            inner = _server(app, [_unix_socket(state, port)], shares.peers)
            background.start("the look at the ledger", app.readiness.watch)
            background.start("the watch of clients", front.watch)
            background.start("the watch of peers", inner.watch)
            background.start("retention", retention.run)
            background.start("the measure of the loop's lag", metrics.watch_loop)
            log.info("ready on port %d", port)
            await _first(stopping, leaving)
            if app.runner.can_leave and not stopping.is_set():
                log.info("leaving")
                await _leave(app, front, inner)
                state.socket(port).unlink(missing_ok=True)
                await background.stop()
                peers.leave()
                metrics.leave()
                runner.let_go()
                await _answer(app, front, inner, stopping)
            else:
                log.info("draining")
                await _drain(app, front, inner)
                await background.stop()
        finally:
            runner.fail()  # of no effect where all has ended, or was left
            ledger.close()
            peers.close()
            if not runner.has_left:  # then they are the next process's
                state.socket(port).unlink(missing_ok=True)
    finally:
        log.info("stopped")
        log_listener.stop()


async def _drain(app: App, front: Server, inner: Server) -> None:
    """Stop accepting at once; jobs end, answers are sent, nginx lets go of its connections."""
    runner = app.runner
    draining = asyncio.create_task(runner.drain(app.squall.jobs.drain))
    front.stop()
    for stream in list(app.streams):
        stream.stop()
    await draining
    for server in (front, inner):
        server.stop()
    await front.wait_empty(LINGER_S)
    for server in (front, inner):
        await server.close_all_connections()


async def _leave(app: App, front: Server, inner: Server) -> None:
    """Stop accepting; let go of the jobs. Who follows something is cut off, and comes back."""
    front.stop()
    for stream in list(app.streams):
        stream.stop()
    await app.runner.leave(app.squall.jobs.drain)
    inner.stop()


async def _answer(app: App, front: Server, inner: Server, stopping: asyncio.Event) -> None:
    """Answer those who wait for jobs that run elsewhere by now, until told to stop."""
    answering = asyncio.create_task(app.runner.answer_all())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([answering, stopped], return_when=asyncio.FIRST_COMPLETED)
    app.runner.waiters.release()
    await answering
    stopped.cancel()
    await front.wait_empty(LINGER_S)
    for server in (front, inner):
        await server.close_all_connections()


def _peers(state: StateDir, port: int, settings: Settings, link: Link | None) -> Peers:
    """Join the others; the guard holds our lock for as long as it holds anything else of ours."""
    if link is None:
        return Peers(state, port, settings.ports)
    held = link.take(LOCK).get(LOCK)
    lock = None if held is None else held.descriptors.get(0)
    peers = Peers(state, port, settings.ports, lock=lock, is_guarded=True)
    if lock is None and peers.lock is not None:
        link.store(LOCK, 0, b"", [peers.lock])
    return peers


def _server(app: App, sockets: list[socket.socket], connections: int) -> Server:
    http = app.squall.http
    server = Server(
        app,
        connections=connections,
        max_body_size=http.body_bytes,
        body_timeout=http.body_seconds,
    )
    server.add_sockets(sockets)
    return server


def _tcp_sockets(port: int) -> list[socket.socket]:
    try:
        return bind_sockets(port, "127.0.0.1", backlog=BACKLOG)
    except OSError as exc:
        raise SettingsError(f"port {port} of 127.0.0.1 cannot be used: {exc.strerror}") from exc


def _unix_socket(state: StateDir, port: int) -> socket.socket:
    return bind_unix_socket(str(state.socket(port)), mode=0o600, backlog=BACKLOG)


def _events() -> tuple[asyncio.Event, asyncio.Event]:
    """Return what is set by TERM or INT, and by HUP."""
    stopping, leaving = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, leaving.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return stopping, leaving


async def _first(*events: asyncio.Event) -> None:
    """Return when one of them is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def _share_out(wanted: int) -> Shares:
    shares = descriptors.share_out(wanted)
    found = f"with {shares.limit} descriptors at most {shares.jobs} jobs run here at once"
    if shares.jobs < wanted:
        log.warning("%s: jobs.running is %d; raise the hard limit (LimitNOFILE=)", found, wanted)
    else:
        log.info("%s", found)
    return shares
