"""adnanh/webhook: a Go program that runs a command for each request and keeps nothing of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import front
from bench.needs import program
from bench.peers import Peer
from bench.place import Place, free_ports, is_open, wait_until
from bench.wrk import Request

TOKEN = "a-token-as-long-as-the-one-of-squall-is-here"


@contextmanager
def ready(place: Place) -> Iterator[dict[str, Request]]:
    """Have it run behind nginx; the request for each command."""
    (port,) = free_ports()
    hooks = place.directory("webhook") / "hooks.json"
    hooks.write_text(json.dumps([_hook("true"), _hook("echo", "hello")]))
    arguments = ["-hooks", str(hooks), "-ip", "127.0.0.1", "-port", str(port)]
    with place.running("webhook", *arguments):
        wait_until(lambda: is_open(port), "webhook")
        with front.before(place, f"127.0.0.1:{port}") as url:
            yield {
                name: Request(f"{url}/hooks/{name}", "POST", {"X-Token": TOKEN}, "")
                for name in ("true", "echo")
            }


def _hook(name: str, *arguments: str) -> dict[str, Any]:
    token = {"source": "header", "name": "X-Token"}
    return {
        "id": name,
        "execute-command": f"/bin/{name}",
        "pass-arguments-to-command": [{"source": "string", "name": word} for word in arguments],
        "include-command-output-in-response": True,
        "trigger-rule": {"match": {"type": "value", "value": TOKEN, "parameter": token}},
    }


WEBHOOK = Peer("webhook", (program("webhook"), program("nginx", "nginx-light")), ready)
