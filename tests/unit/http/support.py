"""A transport that records, and shortcuts to parse and to talk to one connection without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from proxy.http.connection import Connection
from proxy.http.limits import HttpLimits
from proxy.http.listener_state import ListenerState
from proxy.http.requests import Incoming, RequestParser
from proxy.model.message import Handler


class FakeTransport(asyncio.Transport):
    """Records what a protocol does to its transport."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711)})
        self.out = bytearray()
        self.writes: list[bytes] = []
        self.reading = True
        self.closing = False
        self.aborted = False
        self.eof = False
        self.protocol: asyncio.Protocol | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing, "a write on a closing transport"
        self.writes.append(bytes(data))
        self.out += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            if self.protocol is not None:
                asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()


class Talk:
    """One connection on a fake transport."""

    def __init__(self, handler: Handler, limits: HttpLimits | None = None) -> None:
        self.listener = ListenerState(handler, limits or HttpLimits())
        self.transport = FakeTransport()
        self.connection = Connection(self.listener)
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)

    async def say(self, *pieces: bytes) -> bytes:
        """Feeds bytes, lets everything run that can, and returns all that was written so far."""
        for piece in pieces:
            self.connection.data_received(piece)
        return await self.settle()

    async def settle(self) -> bytes:
        for _ in range(20):
            await asyncio.sleep(0)
        return bytes(self.transport.out)

    async def end(self) -> None:
        """Ends the connection as its listener would, and waits for its task."""
        self.transport.close()
        await self.settle()
        self.connection.task.cancel()
        await asyncio.wait([self.connection.task])


def parsed(pieces: Iterable[bytes], limits: HttpLimits | None = None) -> list[Incoming]:
    """All requests in the pieces, streamed bodies left as streams."""
    found: list[Incoming] = []
    parser = RequestParser(limits or HttpLimits(), found.append, resume=nothing, abandon=nothing)
    for piece in pieces:
        parser.feed(piece)
    return found


def nothing() -> None:
    """A callback that nobody needs."""


async def body_of(incoming: Incoming) -> bytes:
    """The whole body, streamed or not."""
    body = incoming.request.body
    if isinstance(body, bytes):
        return body
    return b"".join([piece async for piece in body])
