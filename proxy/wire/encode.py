"""Outcome -> Response, with the headers that ArangoDB 3.12 puts on every answer; errors in ArangoDB's shape."""

from __future__ import annotations

from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.model.json_values import dump
from proxy.model.message import Headers, Response
from proxy.model.operations import Outcome

# on every answer, as recorded from a 3.12 server; framing and Connection are the listener's
_USUAL: Final[Headers] = [
    (b"server", b"ArangoDB"),
    (b"cache-control", b"no-cache, no-store, must-revalidate, pre-check=0, post-check=0, max-age=0, s-maxage=0"),
    (b"content-security-policy", b"frame-ancestors 'self'; form-action 'self';"),
    (b"expires", b"0"),
    (b"pragma", b"no-cache"),
    (b"strict-transport-security", b"max-age=31536000 ; includeSubDomains"),
    (b"x-arango-queue-time-seconds", b"0.000000"),
    (b"x-content-type-options", b"nosniff"),
]
_JSON: Final[Headers] = [*_USUAL, (b"content-type", b"application/json")]


def encode(outcome: Outcome) -> Response:
    """Return the response of an outcome: ArangoDB's usual headers, the outcome's own, its body or stream."""
    content_type = outcome.content_type
    if content_type == b"application/json":
        headers = [*_JSON, *outcome.headers]
    else:
        headers = [*_USUAL, (b"content-type", content_type), *outcome.headers]
    return Response(outcome.status, headers, outcome.body if outcome.stream is None else outcome.stream)


def json_outcome(status: int, value: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Outcome:
    """Return an outcome whose body is a JSON value, printed as ArangoDB prints it."""
    return Outcome(status, dump(value), headers)


def error_body(number: int, message: str, status: int) -> dict[str, Any]:
    """Return ArangoDB's error object, its attributes in ArangoDB's order."""
    return {"code": status, "error": True, "errorMessage": message, "errorNum": number}


def error_outcome(error: ArangoError, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Outcome:
    """Return the answer in ArangoDB's error shape."""
    return json_outcome(error.status, error_body(error.number, error.message, error.status), headers)
