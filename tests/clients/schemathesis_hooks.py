"""What the OpenAPI document cannot say, for schemathesis (SCHEMATHESIS_HOOKS)."""

import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """Change requests that are well-formed, and are refused all the same."""
    headers, query = case.headers or {}, case.query or {}
    if 0 < len(headers.get("Idempotency-Key", "")) < 256:
        headers["Idempotency-Key"] = uuid.uuid4().hex  # another body with the same key is refused
    if str(query.get("follow")).lower() != "true":
        query.pop("lossless", None)  # only where it is followed
    case.body = as_written(case.body)


def as_written(body):
    """Write whole numbers as such: for JSON Schema 5.0 is an integer, for squall it is not."""
    if isinstance(body, float) and body.is_integer() and abs(body) < 2**53:
        return int(body)
    if isinstance(body, list):
        return [as_written(item) for item in body]
    if isinstance(body, dict):
        return {key: as_written(value) for key, value in body.items()}
    return body
