"""What the tests of HTTP/2 share."""

from __future__ import annotations

from proxy.model.message import Request, Response


async def echo(request: Request) -> Response:
    body = request.body
    whole = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
    return Response(200, [(b"X-Said", request.method.encode() + b" " + request.target)], whole)
