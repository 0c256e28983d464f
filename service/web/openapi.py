"""The contract as OpenAPI 3.1, its schemas made from the very types that requests are read into."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

import service
from service.errors import Problem
from service.jobs import ID_PATTERN, LABELS_MAX, Job, Spec, described
from service.web.handler import Handler
from service.web.jobs import BATCH_MAX, Signal
from service.web.problems import MEDIA_TYPE
from service.web.query import LIMIT_DEFAULT, LIMIT_MAX, SEQ_MAX, STATES, TEXT_MAX

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
    for stream in ("text", "base64"):  # null is as good as nothing, which is not to be told
        schemas["Stdin"]["properties"][stream] |= {"type": "string"}
        del schemas["Stdin"]["properties"][stream]["anyOf"]
        del schemas["Stdin"]["properties"][stream]["default"]
    schemas["Stdin"] |= {"minProperties": 1, "maxProperties": 1}
    changes = {key: value for key, value in schemas["Spec"].items() if key != "required"}
    schemas["Changes"] = changes | {"title": "Changes", "description": "Fields to change."}
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
                parameters=[_PREFER, _KEY, _OUTPUT],
                body={"oneOf": [_ref("Spec"), _array(_ref("Spec"), maxItems=BATCH_MAX)]},
                answers={
                    "202": _accepted(_array({"oneOf": [_ref("Job"), _ref("Problem")]})),
                    "200": _accepted(_array(_ref("Job"))),
                },
                problems=["409", "415", "422"],
            ),
            "get": _operation(
                "list",
                "List jobs, newest first",
                parameters=[
                    _query("state", _array({"enum": list(STATES)})),
                    _query("label", _array(_LABEL, maxItems=LABELS_MAX)),
                    _query("since", _time("accepted then or later")),
                    _query("until", _time("accepted before then")),
                    _query("q", _text("text in the arguments joined by blanks", TEXT_MAX)),
                    _query("limit", _number(1, LIMIT_MAX) | {"default": LIMIT_DEFAULT}),
                    _query("cursor", {"type": "string", "pattern": f"^{ID_PATTERN}$"}),
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
                parameters=[_PREFER, _OUTPUT],
                answers={"200": _json(_ref("Job")), "202": _json(_ref("Job"))},
                problems=["404", "422"],
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
                parameters=[_PREFER, _KEY, _OUTPUT],
                body=_ref("Changes"),
                body_required=False,
                answers={"202": _accepted(), "200": _accepted()},
                problems=["404", "409", "415", "422"],
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
                parameters=[_FOLLOW, _LOSSLESS, _AFTER, _LAST_EVENT_ID],
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
                    _query("offset", _number(0, SEQ_MAX)),
                    _query("close", {"type": "boolean"}),
                ],
                body=_BYTES,
                body_required=False,
                media_type="application/octet-stream",
                answers={"204": {"description": "written"}},
                problems=["404", "409", "422"],
            ),
        },
        "/v1/events": {
            "get": _operation(
                "events",
                "Every change of state of any job, as server-sent events `state`",
                parameters=[_AFTER, _LAST_EVENT_ID],
                answers={"200": _content({"type": "string"}, "text/event-stream")},
                problems=["422"],
            ),
        },
        "/metrics": {
            "get": _operation(
                "metrics",
                "Prometheus text, of all processes together",
                answers={"200": _content({"type": "string"}, "text/plain")},
            ),
        },
        "/openapi.json": {
            "get": _operation(
                "openapi", "This document", answers={"200": _json({"type": "object"})}
            ),
        },
        "/livez": {"get": _public("livez", "The process is alive")},
        "/readyz": {"get": _public("readyz", "The process takes work")},
    }


def _stream(stream: str) -> Node:
    content = _content(_BYTES, "application/octet-stream")
    told = {"description": "the answer's headers"}
    more: Node = {
        "parameters": [_FOLLOW, _LOSSLESS, _header("Range")],
        "problems": ["404", "416", "422"],
    }
    kept = f"The bytes of {stream} kept so far"
    return {
        "parameters": [_ID],
        "get": _operation(stream, kept, answers={"200": content, "206": content}, **more),
        "head": _operation(
            f"{stream}_head", f"{kept}: how many", answers={"200": told, "206": told}, **more
        ),
    }


def _operation(
    id: str,
    summary: str,
    *,
    answers: Node,
    problems: Iterable[str] = (),
    parameters: list[Node] | None = None,
    body: Node | None = None,
    body_required: bool = True,
    media_type: str = "application/json",
) -> Node:
    node: Node = {
        "operationId": id,
        "summary": summary,
        "responses": answers | _problems("401", *_ANY, *problems),
    }
    if parameters:
        node["parameters"] = parameters
    if body:
        node["requestBody"] = {"required": body_required, "content": {media_type: {"schema": body}}}
    return node


def _public(id: str, summary: str) -> Node:
    return {
        "operationId": id,
        "summary": summary,
        "security": [],
        "responses": {"200": _json({"type": "object"})} | _problems(*_ANY),
    }


def _problems(*statuses: str) -> Node:
    problem = _content(_ref("Problem"), MEDIA_TYPE)
    return {
        status: problem
        | {"description": HTTPStatus(int(status)).phrase}
        | ({"headers": _HEADERS[status]} if status in _HEADERS else {})
        for status in sorted(statuses)
    }


def _accepted(*more: Node) -> Node:
    """Return an answer that is a job, or one of `more`."""
    location = {"Location": {"description": "the job's path", "schema": {"type": "string"}}}
    return _json({"oneOf": [_ref("Job"), *more]} if more else _ref("Job")) | {"headers": location}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def _array(items: Node, **more: int) -> Node:
    return {"type": "array", "items": items, **more}


def _number(least: int, most: int) -> Node:
    return {"type": "integer", "minimum": least, "maximum": most}


def _text(description: str, most: int) -> Node:
    return {"type": "string", "maxLength": most, "description": description}


def _json(schema: Node) -> Node:
    return _content(schema, "application/json")


def _content(schema: Node, *media_types: str) -> Node:
    content = {media_type: {"schema": schema} for media_type in media_types}
    return {"description": "the answer", "content": content}


def _time(description: str) -> Node:
    return {"type": "string", "format": "date-time", "description": description}


def _query(name: str, schema: Node) -> Node:
    return {"name": name, "in": "query", "schema": schema}


def _header(name: str, description: str = "", **schema: Any) -> Node:
    schema = {"type": "string", **schema}
    return {"name": name, "in": "header", "description": description, "schema": schema}


_ID: Node = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_BYTES: Node = {"type": "string", "format": "binary"}
_PREFER = _header("Prefer", "wait=SECONDS (RFC 7240)")
_KEY = _header("Idempotency-Key", "the same key and body: the same job", minLength=1, maxLength=255)
_LAST_EVENT_ID = _header("Last-Event-ID", "go on after this event", pattern="^[0-9]{0,15}$")
_AFTER = _query("after", _number(0, SEQ_MAX))
_OUTPUT = _query("output", {"type": "boolean"})
_FOLLOW = _query("follow", {"type": "boolean"})
_LOSSLESS = _query("lossless", {"type": "boolean", "description": "only with follow=true"})
_LABEL: Node = {"type": "string", "description": "KEY:VALUE", "pattern": "^[^:]+:"}
_PAGE: Node = {
    "type": "object",
    "required": ["jobs", "next_cursor"],
    "properties": {"jobs": _array(_ref("Job")), "next_cursor": {"type": ["string", "null"]}},
}

# What any route may answer, whatever it does, and the headers that go with a status.
_ANY = ("400", "403", "405", "413", "503")
_STRING: Node = {"schema": {"type": "string"}}
_HEADERS: dict[str, Node] = {
    "401": {"WWW-Authenticate": _STRING},
    "405": {"Allow": _STRING},
    "416": {"Content-Range": _STRING},
    "503": {"Retry-After": {"schema": {"type": "integer"}}},
}
