"""Answers in VelocyPack, for clients that accept them, if the proxy must read or makes the answer.

The origin is asked in JSON, so that its answer shows what was written, can be compared, or come from PostgreSQL; the
client gets it in VelocyPack, errors included. What only passes through is the origin's answer, byte for byte.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy.base.errors import ArangoError, IsolationError
from proxy.base.spool import SpooledAnswer
from proxy.gateway.packed_stream import packed_answer
from proxy.isolation import Lane
from proxy.model.message import Headers, Request, Response
from proxy.model.operations import Operation
from proxy.wire.velocypack import CONTENT_TYPE
from proxy.wire.velocypack_writer import of_json

_SECONDS: Final = 20.0  # time of a worker to convert an answer
_JSON: Final = b"application/json"
_PACKED: Final[Headers] = [(b"content-type", CONTENT_TYPE.encode())]


def wanted(operation: Operation) -> bool:
    """Return True if the client accepts VelocyPack."""
    return "velocypack" in operation.headers.get("accept", "")


def in_json(request: Request) -> Request:
    """Return the same request for an answer in JSON, without encoding."""
    headers = [pair for pair in request.headers if pair[0].lower() not in (b"accept", b"accept-encoding")]
    return replace(request, headers=[*headers, (b"accept", _JSON)])


async def packed(response: Response, lane: Lane | None = None) -> Response:
    """Return the answer in VelocyPack; unchanged if it is not JSON, or a stream that is not on disk.

    lane: workers for large ones.
    """
    body, kind = response.body, response.header(b"content-type") or b""
    if not isinstance(body, bytes | SpooledAnswer) or not body or not kind.startswith(_JSON):
        return response
    try:
        if isinstance(body, SpooledAnswer):
            found = await packed_answer(body)
            headers = [*_others(response), *_PACKED, (b"content-length", b"%d" % found.size)]
            return replace(response, headers=headers, body=found)
        if lane is None:
            written = of_json(body)
        else:
            written = await lane.run_if_large(of_json, body, size=len(body), seconds=_SECONDS)
    except (ArangoError, IsolationError):  # text that is not UTF-8, which old servers store; or too much
        return response
    return replace(response, headers=[*_others(response), *_PACKED], body=written)


def _others(response: Response) -> Headers:
    own = (b"content-type", b"content-length")
    return [pair for pair in response.headers if pair[0].lower() not in own]
