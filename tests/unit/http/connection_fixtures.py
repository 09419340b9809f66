"""What the tests of an HTTP/1.1 connection share."""

from __future__ import annotations

import asyncio

from proxy.model.message import Request, Response

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n"


async def echo(request: Request) -> Response:
    """Says the target and the body again."""
    body = request.body
    if not isinstance(body, bytes):
        body = b"".join([piece async for piece in body])
    return Response(200, [(b"X-Peer", request.peer.encode())], request.target + b" " + body)


class Gate:
    """A handler whose answers the test lets go, one by one."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.done: list[bytes] = []
        self.answers: asyncio.Queue[Response] = asyncio.Queue()

    async def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        response = await self.answers.get()
        self.done.append(request.target)
        return response

    def answer(self, body: bytes = b"ok") -> None:
        self.answers.put_nowait(Response(200, [], body))
