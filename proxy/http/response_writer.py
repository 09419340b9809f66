"""Answers to clients as bytes: framing and Connection are written here, all other headers by the handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from proxy.base.errors import FramingError
from proxy.http.error_responses import error_response, failure
from proxy.http.head_writer import response_head
from proxy.http.stream import Flow
from proxy.model.message import Request, Response


def whole(request: Request, response: Response, body: bytes, *, keep: bool) -> bytes:
    """Return a response with a whole body, for one write. A header that would break the head becomes a 500."""
    status = response.status
    length: int | None = len(body)
    if request.method == "HEAD" or status in {204, 304}:
        length, body = bare(response, body), b""
    connection = _connection(request, keep=keep)
    try:
        head = response_head(status, response.reason, response.headers, length=length, connection=connection)
    except FramingError as error:
        return whole(request, *_with_body(failure(error, request.method)), keep=keep)
    return head + body if body else head


def refusal(error: FramingError) -> bytes:
    """Return the answer to broken framing; the connection ends with it."""
    response, body = _with_body(error_response(error.status, error.status, str(error)))
    return response_head(response.status, b"", response.headers, length=len(body), connection=b"close") + body


async def write_pieces(
    transport: asyncio.WriteTransport,
    flow: Flow,
    request: Request,
    response: Response,
    body: AsyncIterator[bytes],
    *,
    keep: bool,
) -> bool:
    """Send a response whose body streams, with back-pressure. Return True if the connection can continue.

    The handler's Content-Length is kept and enforced; without one the body is chunked, or ends with the connection for
    a client of HTTP/1.0. Raise what the body raises, FramingError if it breaks its length, and ConnectionResetError if
    the client is gone.
    """
    left = declared(response)
    empty = request.method == "HEAD" or response.status in {204, 304}
    chunked = left is None and request.version == "1.1" and not empty
    if left is None and not chunked and not empty:
        keep = False
    data = response_head(
        response.status,
        response.reason,
        response.headers,
        length=left if response.status != 204 else None,
        chunked=chunked,
        connection=_connection(request, keep=keep),
    )
    # immediately: the first event of a stream may be minutes away
    transport.write(data)
    if empty:
        return keep
    async for piece in body:
        if not piece:
            continue
        if left is not None:
            left -= len(piece)
            if left < 0:
                raise FramingError("the body is longer than its Content-Length", 500)
        transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        await flow.drained()
    if left:
        raise FramingError("the body is shorter than its Content-Length", 500)
    if chunked:
        transport.write(b"0\r\n\r\n")
    return keep


def _connection(request: Request, *, keep: bool) -> bytes:
    """Return the value of the Connection header; empty if the version implies it."""
    if not keep:
        return b"close"
    return b"" if request.version == "1.1" else b"keep-alive"


def bare(response: Response, body: bytes) -> int | None:
    """Return the Content-Length of an answer without its body, to HEAD, or as 204 or 304; None: it has none."""
    if response.status == 204:
        return None
    return declared(response) if not body or response.status == 304 else len(body)


def declared(response: Response) -> int | None:
    """Return the Content-Length that a handler gave, for a stream or for an answer without its body."""
    value = response.header(b"content-length")
    return int(value) if value is not None and value.isdigit() else None


def _with_body(response: Response) -> tuple[Response, bytes]:
    body = response.body
    return response, body if isinstance(body, bytes) else b""
