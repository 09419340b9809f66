"""An origin without pauses: `python -m bench.calm PORT URL`, in front of the development server at that URL.

It answers other clients' reads from memory, and also a query marked `burns`, so that a pause seen by clients is the
proxy's. Everything else is forwarded to the development server.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from proxy.http import Listener, Upstream
from proxy.model.message import Request, Response

QUIET = b"/_api/document/burn/calm"
_EMPTY = b'{"result":[],"hasMore":false,"cached":false,"extra":{"warnings":[],"stats":{}},"error":false,"code":201}'
_JSON = (b"Content-Type", b"application/json; charset=utf-8")


async def serve(port: int, origin: str) -> None:
    """Serve until the process is ended."""
    upstream = Upstream(origin)
    answers: list[Response] = []

    async def handle(request: Request) -> Response:
        if request.method == "GET" and request.target.endswith(QUIET):
            if not answers:
                found = await upstream.request(request)
                if found.status != 200:
                    return found
                answers.append(found)
            return Response(200, list(answers[0].headers), answers[0].body)
        if request.target.endswith(b"/_api/cursor") and isinstance(request.body, bytes) and b"burns" in request.body:
            return Response(201, [_JSON], _EMPTY)
        return await upstream.request(request)

    listener = Listener(handle, port=port)
    await listener.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), sys.argv[2]))
