"""Bodies of requests and answers: read whole, read up to a bound, and asked for so that they can be read."""

from __future__ import annotations

from collections.abc import AsyncIterator

from proxy.base.errors import ArangoError
from proxy.model.message import Request, Response


async def collect(parts: bytes | AsyncIterator[bytes], limit: int | None = None) -> bytes:
    """Return a body as a whole, streamed or not. Raise ArangoError(413) above the limit."""
    if isinstance(parts, bytes):
        return parts
    collected = bytearray()
    async for part in parts:
        collected += part
        if limit is not None and len(collected) > limit:
            raise ArangoError(413)
    return bytes(collected)


async def collect_up_to(response: Response, limit: int) -> bytes | None:
    """Return the body of an answer; None if it is longer than the limit, and then it stays a stream."""
    stream = response.body
    if isinstance(stream, bytes):
        return stream
    pieces: list[bytes] = []
    size = 0
    async for piece in stream:
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            response.body = _joined(pieces, stream)
            return None
    response.body = b"".join(pieces)
    return response.body


async def _joined(pieces: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while pieces:
        yield pieces.pop(0)
    async for piece in rest:
        yield piece


def readable(request: Request) -> Request:
    """Return the request without Accept-Encoding, since the answer must be read here."""
    headers = [pair for pair in request.headers if pair[0].lower() != b"accept-encoding"]
    return Request(request.method, request.target, headers, request.body, request.version, request.peer)


def with_body(request: Request, body: bytes) -> Request:
    """Return the request with another body and a readable answer: no Accept-Encoding, no length of the old body."""
    own = (b"accept-encoding", b"content-length", b"transfer-encoding", b"expect")
    headers = [pair for pair in request.headers if pair[0].lower() not in own]
    return Request(request.method, request.target, headers, body, request.version, request.peer)
