"""Bodies of requests, piece by piece: from memory, from disk, or while the answer has begun already."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import IO, Any, Self

from proxy.base.errors import UpstreamOutcomeUnknown
from proxy.http.server_connection import ServerConnection
from proxy.model.message import Response

_PIECE = 64 << 10


async def send_both_ways(
    connection: ServerConnection,
    future: asyncio.Future[Response],
    body: AsyncIterator[bytes],
    length: int | None,
) -> Response:
    """Send the body while the answer may have begun; the answer's stream owns what is left of the sending."""
    sending = asyncio.create_task(
        send_body(connection, body, length, stop=connection.transport.is_closing), name="body of a request"
    )
    sending.add_done_callback(lambda task: connection.abort() if task.cancelled() or task.exception() else None)
    try:
        waited: list[asyncio.Future[Any]] = [sending, future]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            await sending
        response = await future
    except BaseException:
        await _ended(sending)
        raise
    if sending.done() or isinstance(response.body, bytes):
        await _ended(sending)
        return response
    response.body = _WhileSending(response.body, sending)
    response.duplex = True
    return response


async def send_body(
    connection: ServerConnection,
    body: AsyncIterator[bytes],
    length: int | None,
    *,
    stop: Callable[[], bool],
) -> None:
    """Send the pieces of a body until its end, or until `stop` returns True: the server no longer reads them."""
    left = length
    async for piece in body:
        if stop():
            return
        if left is not None:
            left -= len(piece)
            if left < 0:
                raise UpstreamOutcomeUnknown(
                    f"{connection.name}: the body of the request is longer than its Content-Length"
                )
        if piece:
            connection.write(piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
        while connection.flow.paused and not connection.flow.lost and not stop():
            await connection.flow.wait_once()
        connection.deadline = math.inf  # the time limit of the client's next piece is the listener's
    if stop():
        return
    if left:
        raise UpstreamOutcomeUnknown(f"{connection.name}: the body of the request is shorter than its Content-Length")
    if length is None:
        connection.write(b"0\r\n\r\n")
    connection.sent()


async def _ended(sending: asyncio.Task[None]) -> None:
    """End a task that sends. If it failed, the connection was cut, and the failure is reported there."""
    sending.cancel()
    await asyncio.wait({sending})
    if not sending.cancelled():
        sending.exception()


class _WhileSending(AsyncIterator[bytes]):
    """The body of an answer whose request is still being sent. Closing it ends the sending."""

    def __init__(self, body: AsyncIterator[bytes], sending: asyncio.Task[None]) -> None:
        self._body = body
        self._sending = sending

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._body)

    async def aclose(self) -> None:
        close = getattr(self._body, "aclose", None)
        if close is not None:
            await close()
        await _ended(self._sending)


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


async def replay(store: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := store.read(_PIECE):
        yield piece
