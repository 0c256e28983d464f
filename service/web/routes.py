"""The table of routes, and the application made of it."""

from __future__ import annotations

from service.jobs import ID_PATTERN
from service.ledger import Ledger
from service.metrics import Metrics
from service.running.runner import Runner
from service.settings import Settings
from service.web.events import EventsHandler
from service.web.handler import App
from service.web.health import LiveHandler, MetricsHandler, ReadyHandler
from service.web.jobs import CancelHandler, JobHandler, JobsHandler, RerunHandler, SignalHandler
from service.web.openapi import OpenApiHandler
from service.web.output import OutputHandler, StreamHandler
from service.web.page import PageHandler, WrongAddressHandler
from service.web.session import SessionHandler
from service.web.stdin import StdinHandler

# any text: what is no id is no job either, which is said as of a job that is gone
_ID = "(?P<id>[^/]+)"

ROUTES = [
    (r"/v1/jobs", JobsHandler),
    (rf"/v1/jobs/{_ID}", JobHandler),
    (rf"/v1/jobs/{_ID}/cancel", CancelHandler),
    (rf"/v1/jobs/{_ID}/rerun", RerunHandler),
    (rf"/v1/jobs/{_ID}/signal", SignalHandler),
    (rf"/v1/jobs/{_ID}/(?P<stream>stdout|stderr)", StreamHandler),
    (rf"/v1/jobs/{_ID}/output", OutputHandler),
    (rf"/v1/jobs/{_ID}/stdin", StdinHandler),
    (r"/v1/events", EventsHandler),
    (r"/livez", LiveHandler),
    (r"/readyz", ReadyHandler),
    (r"/metrics", MetricsHandler),
    (r"/openapi\.json", OpenApiHandler),
    (r"/session", SessionHandler),
    (r"/", PageHandler),
    (rf"/jobs/{ID_PATTERN}", PageHandler),
    (r"/static/(.+)", PageHandler),
    (r".*", WrongAddressHandler),
]


def make_app(
    ledger: Ledger, runner: Runner, metrics: Metrics, settings: Settings, token: str
) -> App:
    """Put the application together."""
    return App(ROUTES, ledger, runner, metrics, settings, token)
