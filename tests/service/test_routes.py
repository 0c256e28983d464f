"""What must be true of every route, taken from the table of routes itself."""

from __future__ import annotations

import pytest

from service.web.handler import Handler, NoRoute
from service.web.routes import ROUTES

ID = "01a1fbfb-43ed-7000-a63e-87eb0967494d"
PUBLIC = {"/livez", "/readyz"}


def paths():
    """Return each route's handler with a path that matches it, and its name in the contract."""
    for pattern, handler, *_ in ROUTES:
        if handler is NoRoute or not issubclass(handler, Handler):
            continue
        for stream in ("stdout", "stderr") if "stdout" in pattern else ("",):
            named = pattern.replace("(?P<id>[^/]+)", "{id}").replace("\\", "")
            named = named.replace("(?P<stream>stdout|stderr)", stream)
            if named.startswith(("/v1", "/livez", "/readyz", "/metrics", "/openapi")):
                yield handler, named.replace("{id}", ID), named


CASES = [
    pytest.param(method, path, named, id=f"{method} {named}")
    for handler, path, named in paths()
    for method in handler.methods()
]


@pytest.mark.parametrize(("method", "path", "named"), CASES)
def test_every_route_wants_the_token_and_our_host(service, method, path, named):
    body = b"{}" if method == "POST" else None
    refused = service.ask(method, path, body, token="wrong")
    assert refused.status == (200 if path in PUBLIC else 401)
    assert service.ask(method, path, body, headers={"Host": "evil.example"}).status == 403
    assert service.ask(method, path, body, headers={"Origin": "http://evil"}).status == 403


@pytest.mark.parametrize(("method", "path", "named"), CASES)
def test_every_route_is_in_the_openapi_document(service, method, path, named):
    document = service.ask("GET", "/openapi.json").json
    operation = document["paths"][named][method.lower()]
    assert operation["operationId"] and operation["summary"]
    statuses = operation["responses"].keys()
    assert {"400", "403", "405", "413", "503"} <= statuses
    assert ("401" in statuses) == (path not in PUBLIC)
    assert ("404" in statuses) >= ("{id}" in named)
    assert {"415", "422"} <= statuses or method != "POST" or path.endswith(("/cancel", "/stdin"))


def test_every_reference_of_the_openapi_document_leads_somewhere(service):
    document = service.ask("GET", "/openapi.json").json
    assert document["openapi"].startswith("3.1")

    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                target = document
                for key in node["$ref"].removeprefix("#/").split("/"):
                    target = target[key]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    spec = document["components"]["schemas"]["Spec"]
    assert spec["required"] == ["args"] and spec["additionalProperties"] is False
