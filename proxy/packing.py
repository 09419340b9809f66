"""Answers in VelocyPack, for clients that ask for them (`Accept`), of what the proxy itself must read or makes.

The origin is asked in JSON, so that an answer says what was written, can be compared, or come from PostgreSQL; the
client has it in VelocyPack, errors included. What only passes through is the origin's own, byte for byte.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from proxy.errors import ArangoError
from proxy.operations import Operation
from proxy.wire.message import Request, Response
from proxy.wire.velocypack import CONTENT_TYPE
from proxy.wire.velocypack_writer import of_json

_AT_ONCE: Final = 64 << 10  # bytes that are written anew between two other requests; more by a thread
_JSON: Final = b"application/json"


def wanted(operation: Operation) -> bool:
    """Whether the client asks for VelocyPack."""
    return "velocypack" in operation.headers.get("accept", "")


def in_json(request: Request) -> Request:
    """The same request for an answer in JSON, in no encoding."""
    headers = [pair for pair in request.headers if pair[0].lower() not in (b"accept", b"accept-encoding")]
    return replace(request, headers=[*headers, (b"accept", _JSON)])


async def packed(response: Response) -> Response:
    """The answer in VelocyPack; as it is where it is no JSON, or streams."""
    body, kind = response.body, response.header(b"content-type") or b""
    if not isinstance(body, bytes) or not body or not kind.startswith(_JSON):
        return response
    try:
        written = of_json(body) if len(body) <= _AT_ONCE else await asyncio.to_thread(of_json, body)
    except ArangoError:  # text that is no UTF-8, of servers that let it in
        return response
    own = (b"content-type", b"content-length")
    headers = [pair for pair in response.headers if pair[0].lower() not in own]
    return replace(response, headers=[*headers, (b"content-type", CONTENT_TYPE.encode())], body=written)
