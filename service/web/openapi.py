"""The contract as OpenAPI 3.1, its schemas made from the very types that requests are read into."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

import service
from service.errors import Problem
from service.jobs import Job, Spec, described
from service.web.handler import Handler
from service.web.jobs import Signal
from service.web.problems import MEDIA_TYPE
from service.web.query import LIMIT_DEFAULT, LIMIT_MAX, STATES, TEXT_MAX

Node = dict[str, Any]


class OpenApiHandler(Handler):
    """`/openapi.json`."""

    def get(self) -> None:
        """Answer the document."""
        self.answer(document())


@functools.cache
def document() -> bytes:
    """Return the OpenAPI document as JSON."""
    types = [Spec, Job, Signal, Problem]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    for name, told in described(Job).items():
        schemas["Job"]["properties"][name] |= {"title": told.title, "description": told.description}
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "squall",
                "version": service.__version__,
                "description": "Runs operating-system commands as jobs.",
            },
            "security": [{"token": []}],
            "paths": _paths(),
            "components": {
                "schemas": schemas,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _paths() -> Node:
    return {
        "/v1/jobs": {
            "post": _operation(
                "submit",
                "Accept one job, or a batch of up to 1,000",
                parameters=[_header("Prefer", "wait=SECONDS"), _header("Idempotency-Key"), _OUTPUT],
                body={"oneOf": [_ref("Spec"), _array(_ref("Spec"))]},
                answers={
                    "202": _json(
                        {
                            "oneOf": [
                                _ref("Job"),
                                _array({"oneOf": [_ref("Job"), _ref("Problem")]}),
                            ]
                        }
                    ),
                    "200": _json({"oneOf": [_ref("Job"), _array(_ref("Job"))]}),
                },
                problems=["413", "415", "422", "503"],
            ),
            "get": _operation(
                "list",
                "List jobs, newest first",
                parameters=[
                    _query("state", _array({"enum": list(STATES)})),
                    _query("label", _array({"type": "string", "description": "KEY:VALUE"})),
                    _query("since", _time("accepted then or later")),
                    _query("until", _time("accepted before then")),
                    _query(
                        "q",
                        {
                            "type": "string",
                            "maxLength": TEXT_MAX,
                            "description": "text in the arguments joined by blanks, case-blind",
                        },
                    ),
                    _query(
                        "limit",
                        {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": LIMIT_MAX,
                            "default": LIMIT_DEFAULT,
                        },
                    ),
                    _query("cursor", {"type": "string"}),
                ],
                answers={"200": _json(_PAGE)},
                problems=["422"],
            ),
        },
        "/v1/jobs/{id}": {
            "parameters": [_ID],
            "get": _operation(
                "get",
                "The job",
                parameters=[_header("Prefer", "wait=SECONDS"), _OUTPUT],
                answers={"200": _json(_ref("Job")), "202": _json(_ref("Job"))},
                problems=["404"],
            ),
            "delete": _operation(
                "forget",
                "Forget an ended job and its output",
                answers={"204": {"description": "forgotten"}},
                problems=["404", "409"],
            ),
        },
        "/v1/jobs/{id}/cancel": {
            "parameters": [_ID],
            "post": _operation(
                "cancel",
                "Run the stop sequence; a queued job never starts",
                answers={"202": _json(_ref("Job")), "200": _json(_ref("Job"))},
                problems=["404"],
            ),
        },
        "/v1/jobs/{id}/rerun": {
            "parameters": [_ID],
            "post": _operation(
                "rerun",
                "Accept a new job with the same spec; the body holds fields to change",
                parameters=[_header("Prefer", "wait=SECONDS"), _header("Idempotency-Key"), _OUTPUT],
                body={"type": "object", "properties": {n: {} for n in Spec.__struct_fields__}},
                body_required=False,
                answers={"202": _json(_ref("Job")), "200": _json(_ref("Job"))},
                problems=["404", "409", "413", "415", "422", "503"],
            ),
        },
        "/v1/jobs/{id}/signal": {
            "parameters": [_ID],
            "post": _operation(
                "signal",
                "Send a signal to the job's process group",
                body=_ref("Signal"),
                answers={"204": {"description": "sent"}},
                problems=["404", "409", "415", "422"],
            ),
        },
        **{f"/v1/jobs/{{id}}/{stream}": _stream(stream) for stream in ("stdout", "stderr")},
        "/v1/jobs/{id}/output": {
            "parameters": [_ID],
            "get": _operation(
                "output",
                "The journal: what the job printed, in the order it was read",
                parameters=[
                    _FOLLOW,
                    _LOSSLESS,
                    _query("after", {"type": "integer"}),
                    _header("Last-Event-ID"),
                ],
                answers={
                    "200": _content({"type": "string"}, "application/x-ndjson", "text/event-stream")
                },
                problems=["404", "422"],
            ),
        },
        "/v1/jobs/{id}/stdin": {
            "parameters": [_ID],
            "post": _operation(
                "stdin",
                "Write bytes to the open stdin of a running job",
                parameters=[
                    _query("offset", {"type": "integer"}),
                    _query("close", {"type": "boolean"}),
                ],
                body=_BYTES,
                media_type="application/octet-stream",
                answers={"204": {"description": "written"}},
                problems=["404", "409", "422"],
            ),
        },
        "/v1/events": {
            "get": _operation(
                "events",
                "Every change of state of any job, as server-sent events `state`",
                parameters=[_query("after", {"type": "integer"}), _header("Last-Event-ID")],
                answers={"200": _content({"type": "string"}, "text/event-stream")},
                problems=["422"],
            ),
        },
        "/metrics": {
            "get": _operation(
                "metrics",
                "Prometheus text, of all processes together",
                answers={"200": _content({"type": "string"}, "text/plain")},
                problems=["503"],
            ),
        },
        "/livez": {"get": _open("livez", "The process is alive")},
        "/readyz": {"get": _open("readyz", "The process takes work")},
    }


def _stream(stream: str) -> Node:
    content = _content(_BYTES, "application/octet-stream")
    return {
        "parameters": [_ID],
        "get": _operation(
            stream,
            f"The bytes of {stream} kept so far",
            parameters=[_FOLLOW, _LOSSLESS, _header("Range")],
            answers={"200": content, "206": content},
            problems=["404", "416"],
        ),
    }


def _operation(
    id: str,
    summary: str,
    *,
    answers: Node,
    problems: list[str],
    parameters: list[Node] | None = None,
    body: Node | None = None,
    body_required: bool = True,
    media_type: str = "application/json",
) -> Node:
    problem = _content(_ref("Problem"), MEDIA_TYPE)
    node: Node = {
        "operationId": id,
        "summary": summary,
        "responses": answers | dict.fromkeys(["401", "403", *problems], problem),
    }
    if parameters:
        node["parameters"] = parameters
    if body:
        node["requestBody"] = {"required": body_required, "content": {media_type: {"schema": body}}}
    return node


def _open(id: str, summary: str) -> Node:
    return {
        **_operation(id, summary, answers={"200": _json({"type": "object"})}, problems=["503"]),
        "security": [],
    }


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def _array(items: Node) -> Node:
    return {"type": "array", "items": items}


def _json(schema: Node) -> Node:
    return _content(schema, "application/json")


def _content(schema: Node, *media_types: str) -> Node:
    content = {media_type: {"schema": schema} for media_type in media_types}
    return {"description": "the answer", "content": content}


def _time(description: str) -> Node:
    return {"type": "string", "format": "date-time", "description": description}


def _query(name: str, schema: Node) -> Node:
    return {"name": name, "in": "query", "schema": schema}


def _header(name: str, description: str = "") -> Node:
    schema = {"type": "string"}
    return {"name": name, "in": "header", "description": description, "schema": schema}


_ID: Node = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_BYTES: Node = {"type": "string", "format": "binary"}
_OUTPUT = _query("output", {"type": "boolean"})
_FOLLOW = _query("follow", {"type": "boolean"})
_LOSSLESS = _query("lossless", {"type": "boolean"})
_PAGE: Node = {
    "type": "object",
    "required": ["jobs", "next_cursor"],
    "properties": {"jobs": _array(_ref("Job")), "next_cursor": {"type": ["string", "null"]}},
}
