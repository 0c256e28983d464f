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
from service.ledger.sqlite import SqliteLedger
from service.metrics import Metrics
from service.peers.notices import Peers
from service.running.cgroups import Cgroups
from service.running.retention import Retention
from service.running.run import Inherited
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


async def serve(settings: Settings, port: int, listener: socket.socket | None = None) -> None:
    """Run the process on `port` until TERM or INT; SettingsError or LedgerError if it can't.

    `listener` is the port's listening socket where a guard holds it; it is made otherwise.
    """
    state = StateDir(settings.state.dir)
    state.create()
    log_listener = logs.start(state.log / f"{port}.log", settings.log.level)
    stopping = _stop_signal()
    soft_limit = descriptors.raise_limit()
    try:
        shares = _share_out(settings.jobs.running)
        peers = Peers(state, port, settings.ports)
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
            await stopping.wait()
            log.info("draining")
            await _drain(app, front, inner)
            await background.stop()
        finally:
            ledger.close()
            peers.close()
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


def _stop_signal() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def _share_out(wanted: int) -> Shares:
    shares = descriptors.share_out(wanted)
    found = f"with {shares.limit} descriptors at most {shares.jobs} jobs run here at once"
    if shares.jobs < wanted:
        log.warning("%s: jobs.running is %d; raise the hard limit (LimitNOFILE=)", found, wanted)
    else:
        log.info("%s", found)
    return shares
