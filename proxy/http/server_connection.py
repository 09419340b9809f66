"""One connection to a server behind the proxy: one request at a time, its answer by one future.

A connection itself reports when it can be used again, in the callback that saw the answer's last byte; it delivers
only to the request that is on it.
"""

from __future__ import annotations

import asyncio
import math
from typing import Protocol, cast

from proxy.base.errors import FramingError, UpstreamOutcomeUnknown
from proxy.http.limits import HIGH_WATER, LOW_WATER
from proxy.http.responses import ResponseParser
from proxy.http.stream import Flow
from proxy.http.tunnel import ConnectionTunnel, relay
from proxy.model.message import Request, Response, Tunnel


class Pool(Protocol):
    """The part of a pool that a connection calls."""

    name: str

    def release(self, connection: ServerConnection) -> None:
        """Take back a connection that is free for another request."""

    def forget(self, connection: ServerConnection) -> None:
        """Drop a connection that carries no further request: closed, broken, or a tunnel."""


class ServerConnection(asyncio.Protocol):
    """The protocol of one connection to a server."""

    def __init__(self, pool: Pool, buffer_body: int) -> None:
        self._pool = pool
        self.flow = Flow()
        self._parser = ResponseParser(buffer_body, resume=self._resume, abandon=self.abort)
        self._future: asyncio.Future[Response] | None = None
        self._delivered = False
        self._reading = True
        self._failure: Exception | None = None
        self._tunnel: ConnectionTunnel | None = None
        self._timeout = math.inf
        self.transport: asyncio.Transport
        self.deadline = math.inf  # in the loop's time: for the answer to begin, then for its next piece
        self.idle_since = 0.0
        self.sending = False  # a streamed request body is not sent completely
        self.unanswered = False  # closed by the server before a byte of the answer
        self.silent = True  # no byte of the answer has come
        self.fresh = True  # no request has been on it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._loop = asyncio.get_running_loop()

    @property
    def name(self) -> str:
        """The server's name, in messages."""
        return self._pool.name

    @property
    def usable(self) -> bool:
        return not self.transport.is_closing()

    def start(self, data: bytes, request: Request, timeout: float) -> asyncio.Future[Response]:
        """Send a request (or its head). Return the future of its answer. timeout: seconds for it to begin."""
        future: asyncio.Future[Response] = self._loop.create_future()
        self._future = future
        self._delivered = False
        self.silent = True
        self._timeout = timeout
        self.deadline = self._loop.time() + timeout
        self._parser.expect(
            head=request.method == "HEAD", upgrade=request.tunnel is not None, streaming=request.streaming
        )
        self.transport.write(data)
        return future

    def write(self, piece: bytes) -> None:
        """Send a piece of a streamed request body; the time for the answer begins again."""
        self.deadline = self._loop.time() + self._timeout
        if not self.transport.is_closing():
            self.transport.write(piece)

    def sent(self) -> None:
        """Take note that a streamed request body has been written completely."""
        self.sending = False
        self.deadline = self._loop.time() + self._timeout

    def abandon(self, future: asyncio.Future[Response]) -> None:
        """Close the connection: the request's task was cancelled, and no other request may get its answer."""
        if self._future is future:
            self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        if not self.transport.is_closing():
            self.transport.abort()

    def give_up(self, why: str) -> None:
        """Cut the connection; its request fails with UpstreamOutcomeUnknown."""
        self._failure = UpstreamOutcomeUnknown(f"{self._pool.name}: {why}")
        self.abort()

    # ---- callbacks of the transport

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.feed(data)
            return
        if self._future is None:
            self.abort()  # bytes without a request
            return
        self.silent = False
        parser = self._parser
        try:
            parser.feed(data)
        except FramingError as error:
            self.give_up(str(error))
            return
        if parser.complete:
            self._complete()
        elif parser.begun:
            self.deadline = self._loop.time() + self._timeout
            stream = parser.stream
            if stream is not None:
                self._deliver()
                if stream.size > HIGH_WATER and self._reading and not stream.closed:
                    self._reading = False
                    self.deadline = math.inf
                    self.transport.pause_reading()

    def eof_received(self) -> bool:
        return self._tunnel is not None

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        self.flow.close()
        self.deadline = math.inf
        if self._tunnel is not None:
            self._tunnel.end()
            return
        future = self._future
        if future is None:
            return
        if exc is None and self._failure is None and self._parser.eof():
            self._deliver()
            self._future = None
            return
        self._future = None
        self.unanswered = self.silent and self._failure is None
        error = self._failure or UpstreamOutcomeUnknown(
            f"{self._pool.name}: the connection was closed before the whole answer came"
        )
        if not self._delivered:
            if not future.done():
                future.set_exception(error)
        elif self._parser.stream is not None:
            self._parser.stream.fail(error)

    def pause_writing(self) -> None:
        self.flow.pause()

    def resume_writing(self) -> None:
        self.flow.resume()

    # ---- the answer
    def _deliver(self) -> None:
        future, response = self._future, self._parser.response
        if self._delivered or future is None or response is None:
            return
        self._delivered = True
        if not future.done():
            future.set_result(response)
        elif self._parser.stream is not None:
            self.abort()  # cancelled: the stream has no reader
        self.flow.release()

    def _complete(self) -> None:
        """Hand over the complete answer; before that, free the connection for the next request."""
        parser = self._parser
        response = parser.response
        self.deadline = math.inf
        if parser.rest is not None and response is not None:
            self._switch(response, parser.rest)
            return
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()
        future, self._future = self._future, None
        if parser.reusable and not self.sending and not self.transport.is_closing():
            self.fresh = False
            self._pool.release(self)
        else:
            self.abort()
        if not self._delivered and future is not None:
            self._delivered = True
            if not future.done() and response is not None:
                future.set_result(response)
        self.flow.release()

    def _resume(self) -> None:
        """Read again: the consumer of a streamed answer has room."""
        stream = self._parser.stream
        if not self._reading and stream is not None and stream.size <= LOW_WATER:
            self._reading = True
            if not self.transport.is_closing():
                self.deadline = self._loop.time() + self._timeout
                self.transport.resume_reading()

    def _switch(self, response: Response, rest: bytes) -> None:
        """Handle 101: from here on the connection is a tunnel, and not part of the pool."""
        tunnel = self._tunnel = ConnectionTunnel(self.transport, self.flow, _nothing)
        if rest:
            tunnel.feed(rest)

        async def upgrade(client: Tunnel) -> None:
            await relay(client, tunnel)

        response.upgrade = upgrade
        self._pool.forget(self)
        self._deliver()
        if self._future is not None and self._future.cancelled():
            self.abort()
        self._future = None


def _nothing() -> None:
    """Do nothing when a server's tunnel closes."""
