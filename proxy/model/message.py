"""HTTP messages as values: the request that the listener passes to a handler, and its response. No I/O, no sockets.

The handler interface is one coroutine function: `async def handle(request: Request) -> Response`. The listener calls
it once for each request, in order on each connection; tests call it directly.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum

Headers = list[tuple[bytes, bytes]]  # names as received (compare in lower case), values without surrounding blanks


def header(headers: Headers, name: bytes) -> bytes | None:
    """Return the first value of that (lower-case) name."""
    size = len(name)
    for key, value in headers:
        if len(key) == size and key.lower() == name:  # comparing lengths first takes half the time
            return value
    return None


class Streaming(IntEnum):
    """Which answers are passed on as a stream while they are still being received."""

    LARGE = 0  # those larger than the pool's `buffer_body`
    OPEN_ENDED = 1  # also those without Content-Length: event streams, token streams
    ALL = 2  # each that the first read does not complete


@dataclass(slots=True)
class Request:
    """One request. `target` is the raw path and query; `body` is bytes, or a stream if it is large."""

    method: str
    target: bytes
    headers: Headers = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""
    version: str = "1.1"
    peer: str = ""
    # set if the client requested an upgrade and nothing else: the bytes of the connection after it
    tunnel: Tunnel | None = None
    # set by a handler before it sends the request upstream: which answers it wants as a stream
    streaming: Streaming = Streaming.LARGE
    # set by a handler that only passes the request on: it is cancelled when its client leaves, and its body has no
    # time limit
    relayed: bool = False

    def header(self, name: bytes) -> bytes | None:
        return header(self.headers, name)

    def credentials(self) -> Headers:
        """Return the Authorization header alone, for a request that the proxy makes on behalf of this client."""
        return [pair for pair in self.headers if pair[0].lower() == b"authorization"]


@dataclass(slots=True)
class Response:
    """One response. The listener adds framing (Content-Length or chunked) and Connection; nothing else."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""
    reason: bytes = b""
    # the request's body is still being read while this answer is sent: the listener keeps it open until the end
    duplex: bool = False
    # called with the client's tunnel after a 101 has been written
    upgrade: Callable[[Tunnel], Awaitable[None]] | None = None

    def header(self, name: bytes) -> bytes | None:
        return header(self.headers, name)


class Tunnel:
    """Raw bytes both ways, after an upgrade. The listener and the upstream pool implement it."""

    async def receive(self) -> bytes:
        """Return the next bytes; empty at the end of the stream."""
        raise NotImplementedError

    async def send(self, data: bytes) -> None:
        """Write with backpressure."""
        raise NotImplementedError

    def close(self) -> None:
        """Close both directions."""
        raise NotImplementedError


Handler = Callable[[Request], Awaitable[Response]]
