"""Answers in VelocyPack, for clients that ask for them (`Accept`), of what the proxy itself must read or makes.

The origin is asked in JSON, so that an answer says what was written, can be compared, or come from PostgreSQL; the
client has it in VelocyPack, errors included. What only passes through is the origin's own, byte for byte.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy.base.errors import ArangoError, IsolationError
from proxy.isolation import Lane
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.wire.velocypack import CONTENT_TYPE
from proxy.wire.velocypack_writer import of_json

_SECONDS: Final = 20.0  # that a worker has to write an answer anew
_JSON: Final = b"application/json"


def wanted(operation: Operation) -> bool:
    """Whether the client asks for VelocyPack."""
    return "velocypack" in operation.headers.get("accept", "")


def in_json(request: Request) -> Request:
    """The same request for an answer in JSON, in no encoding."""
    headers = [pair for pair in request.headers if pair[0].lower() not in (b"accept", b"accept-encoding")]
    return replace(request, headers=[*headers, (b"accept", _JSON)])


async def packed(response: Response, lane: Lane | None = None) -> Response:
    """The answer in VelocyPack; as it is where it is no JSON, or streams. lane: workers for large ones."""
    body, kind = response.body, response.header(b"content-type") or b""
    if not isinstance(body, bytes) or not body or not kind.startswith(_JSON):
        return response
    try:
        if lane is None:
            written = of_json(body)
        else:
            written = await lane.beside(of_json, body, size=len(body), seconds=_SECONDS)
    except (ArangoError, IsolationError):  # text that is no UTF-8, of servers that let it in; too much of it
        return response
    own = (b"content-type", b"content-length")
    headers = [pair for pair in response.headers if pair[0].lower() not in own]
    return replace(response, headers=[*headers, (b"content-type", CONTENT_TYPE.encode())], body=written)
