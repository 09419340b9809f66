"""One client connection: requests in order through the handler, answers in the same order, by one long-lived task.

The protocol's callbacks parse and queue; the task takes the queue one by one. If a client leaves, its answer is
dropped, but the handler finishes: a write that the origin took must be captured even if no client waits for it. A
request that is only relayed ends with its client, so that the service sees that the client has left.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import AsyncIterator
from typing import cast

from proxy.base.errors import FramingError
from proxy.http.error_responses import failure
from proxy.http.head_writer import response_head, tokens
from proxy.http.limits import HIGH_WATER, LOW_WATER
from proxy.http.listener_state import ListenerState
from proxy.http.requests import BODY, HEAD, IDLE, Incoming, RequestParser
from proxy.http.response_writer import refusal, whole, write_pieces
from proxy.http.stream import Flow
from proxy.http.tunnel import ConnectionTunnel
from proxy.model.message import Request, Response

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Input(enum.Enum):
    """The handling of the client's bytes. Only ever changes downward."""

    PARSED = enum.auto()
    DISCARDED = enum.auto()  # the framing is lost, or a body is not wanted: the connection ends with its answers
    ENDED = enum.auto()  # the client will send nothing more


class Output(enum.Enum):
    """The present work of the task."""

    WAITING = enum.auto()  # for a request
    ANSWERING = enum.auto()  # a handler is at work
    LINGERING = enum.auto()  # the last answer is out: the client has time to read it while it may still be sending


class Connection(asyncio.Protocol):
    """The protocol and the task of one client."""

    task: asyncio.Task[None]
    transport: asyncio.Transport

    def __init__(self, listener: ListenerState) -> None:
        self._listener = listener
        self._flow = Flow()
        self._queue: deque[Incoming | FramingError] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._tunnel: ConnectionTunnel | None = None
        self._input = Input.PARSED
        self._output = Output.WAITING
        self._current: Request | None = None  # the request that a handler answers
        self._reading = True
        self._stamp = listener.ticks
        self._full_since = 0

    # ---- callbacks of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        listener = self._listener
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        peer = transport.get_extra_info("peername")
        self._parser = RequestParser(
            listener.limits, self._emit, resume=self._regulate, abandon=self._abandon, peer=str(peer[0]) if peer else ""
        )
        crowded = len(listener.connections) >= listener.limits.connections
        listener.connections.add(self)
        if crowded:
            self._queue.append(FramingError("too many connections", 503))
            self._discard()
        self._loop = asyncio.get_running_loop()
        self.task = self._loop.create_task(self._serve())
        self.task.add_done_callback(self._forget)

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.feed(data)
            return
        if self._input is Input.DISCARDED:
            return
        parser = self._parser
        if parser.state != HEAD:
            self._stamp = self._listener.ticks
        try:
            parser.feed(data)
        except FramingError as error:
            self._broken(error)
        if parser.state == BODY:
            self._continue()
            self._regulate()
        elif len(self._queue) > 1 or parser.held:
            self._regulate()

    def eof_received(self) -> bool:
        self._end("the client closed the connection in the middle of a message")
        return not self._listener.tls and (
            self._output is Output.ANSWERING or bool(self._queue) or self._tunnel is not None
        )

    def connection_lost(self, _exc: Exception | None) -> None:
        self._flow.close()
        self._end("the client is gone")
        if self.task.done():
            self._listener.connections.discard(self)

    def pause_writing(self) -> None:
        self._full_since = self._listener.ticks
        self._flow.pause()

    def resume_writing(self) -> None:
        self._flow.resume()

    # ---- what the listener calls

    def drain(self) -> None:
        """Accept no further request: close immediately if nothing is under way."""
        if self._output is Output.LINGERING:
            self.transport.abort()
        self._wake()

    def enforce_timeouts(self, ticks: int) -> None:
        """Enforce the time limits, at each tick of the listener."""
        limits, parser = self._listener.limits, self._parser
        age = (ticks - self._stamp) * limits.tick
        if self._output is Output.LINGERING:
            if age > limits.linger:
                self.transport.abort()
        elif self._flow.paused:
            if (ticks - self._full_since) * limits.tick > limits.stall and self._tunnel is None:
                self.transport.abort()
        elif self._output is Output.ANSWERING or self._queue:
            awaiting = parser.awaiting
            stream = awaiting.stream if awaiting is not None else None
            relayed = self._current is not None and self._current.relayed  # the service decides how long it waits
            if stream is not None and stream.starving and not relayed and age > limits.stall:
                self._broken(FramingError("the body of the request does not come", 408))
        elif parser.state == IDLE:
            if age > limits.idle:
                self._end("idle")
                self.transport.close()
        elif age > (limits.head_time if parser.state == HEAD else limits.stall):
            self._broken(FramingError("the request does not come", 408))

    # ---- between callbacks and task

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _emit(self, incoming: Incoming) -> None:
        self._queue.append(incoming)
        self._wake()

    def _broken(self, error: FramingError) -> None:
        """Read nothing further, since the framing is lost, and answer the error in its turn."""
        self._discard()
        awaiting = self._parser.awaiting
        self._parser.fail(error)
        if awaiting is None or awaiting.stream is None:
            self._queue.append(error)
        self._wake()

    def _end(self, why: str) -> None:
        self._input = Input.ENDED
        self._parser.fail(FramingError(why))
        if self._tunnel is not None:
            self._tunnel.end()
        elif self._current is not None and self._current.relayed:
            self.task.cancel()
        self._wake()

    def _abandon(self) -> None:
        """Drop the rest of a request's body, which its handler does not want: the connection ends with the answer."""
        self._discard()
        self._parser.finished = True
        self._regulate()

    def _discard(self) -> None:
        if self._input is Input.PARSED:
            self._input = Input.DISCARDED

    def _continue(self) -> None:
        """Send `100 Continue` once the request is the next to be answered."""
        awaiting = self._parser.awaiting
        if awaiting is None or not awaiting.expects or self._input is Input.DISCARDED:
            return
        if self._output is not Output.ANSWERING and not self._queue:
            awaiting.expects = False
            self.transport.write(_CONTINUE)

    def _regulate(self) -> None:
        """Read while there is room: for requests ahead, their bodies, and the pieces of a stream."""
        if self.transport.is_closing():
            return
        full = self._input is not Input.DISCARDED and self._full(HIGH_WATER if self._reading else LOW_WATER)
        if full and self._reading:
            self._reading = False
            self.transport.pause_reading()
        elif not full and not self._reading:
            self._reading = True
            self._stamp = self._listener.ticks
            self.transport.resume_reading()

    def _full(self, mark: int) -> bool:
        limits, awaiting, held = self._listener.limits, self._parser.awaiting, self._parser.held
        if len(self._queue) >= limits.pipeline or self._waiting_bytes() > mark + limits.buffer_body:
            return True
        if awaiting is not None and awaiting.stream is not None and awaiting.stream.size > mark:
            return True
        return held is not None and len(held) > mark

    def _waiting_bytes(self) -> int:
        return sum(
            len(item.request.body)
            for item in self._queue
            if isinstance(item, Incoming) and isinstance(item.request.body, bytes)
        )

    # ---- the task
    async def _serve(self) -> None:
        queue, listener = self._queue, self._listener
        while True:
            if not queue:
                if self._input is not Input.PARSED or self._parser.finished:
                    break
                if listener.draining and self._parser.state == IDLE:
                    break
                self._stamp = listener.ticks
                self._continue()
                self._waiter = self._loop.create_future()
                await self._waiter
                continue
            incoming = queue.popleft()
            if not self._reading:
                self._regulate()
            if isinstance(incoming, FramingError):
                self._refuse(incoming)
                break
            if self._flow.lost:
                break
            self._output = Output.ANSWERING
            keep = await self._answer(incoming)
            self._output, self._current = Output.WAITING, None
            if not keep:
                break
            if self._flow.paused:
                await self._drained()
        self._close()

    async def _drained(self) -> None:
        try:
            await self._flow.drained()
        except ConnectionResetError:
            pass  # the loop notices that the client is gone

    async def _answer(self, incoming: Incoming) -> bool:
        """Answer one request. Return True if the connection continues."""
        request = self._current = incoming.request
        stream = incoming.stream
        if incoming.upgrade and b"h2c" not in tokens(v for n, v in request.headers if n.lower() == b"upgrade"):
            # HTTP/2 within a tunnel would be requests that are neither routed nor journaled nor compared
            request.tunnel = ConnectionTunnel(self.transport, self._flow, self._wake)
        if incoming.expects and stream is not None:
            incoming.expects = False
            self.transport.write(_CONTINUE)
        try:
            response = await self._listener.handler(request)
        except BaseException as error:
            if not isinstance(error, Exception):
                raise
            response = failure(error, request.method)
        if stream is not None and not stream.ended:
            if not response.duplex:
                await stream.aclose()
            incoming.keep_alive = False
        if response.status < 200:
            if response.status == 101 and response.upgrade is not None and incoming.upgrade:
                return await self._switch(incoming, response)
            response = failure(RuntimeError("an answer below 200"), request.method)
        keep = incoming.keep_alive and not (self._listener.draining and not self._queue)
        if incoming.upgrade:
            self._decline()
        body = response.body
        if isinstance(body, bytes):
            if not self._flow.lost:
                self.transport.write(whole(request, response, body, keep=keep))
            return keep
        return await self._stream(incoming, response, body, keep=keep)

    async def _stream(self, incoming: Incoming, response: Response, body: AsyncIterator[bytes], *, keep: bool) -> bool:
        """Send a response whose body comes in pieces. Return True if the connection continues."""
        try:
            return await write_pieces(self.transport, self._flow, incoming.request, response, body, keep=keep)
        except BaseException as error:
            # the head is sent: only cutting the connection shows the client that this is not all
            self.transport.abort()
            if not isinstance(error, Exception):
                raise
            if not isinstance(error, ConnectionResetError):
                failure(error, incoming.request.method)
            return False
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()
            if incoming.stream is not None:
                await incoming.stream.aclose()

    def _decline(self) -> None:
        """Continue without the upgrade: what the client sent after it is HTTP."""
        try:
            self._parser.decline()
        except FramingError as error:
            self._broken(error)
        self._regulate()

    async def _switch(self, incoming: Incoming, response: Response) -> bool:
        """Answer 101: from here on the connection's bytes belong to the tunnel."""
        tunnel = incoming.request.tunnel
        assert isinstance(tunnel, ConnectionTunnel)
        assert response.upgrade is not None
        rest = self._parser.take_rest()
        self._tunnel = tunnel
        if not self._flow.lost:
            self.transport.write(
                response_head(101, response.reason, response.headers, connection=b"upgrade", upgrade=True)
            )
        if rest:
            tunnel.feed(rest)
        if self._input is Input.ENDED:
            tunnel.end()
        self._regulate()
        try:
            await response.upgrade(tunnel)
        except BaseException as error:
            if not isinstance(error, Exception):
                raise
            failure(error, incoming.request.method)
        finally:
            tunnel.close()
        return False

    def _refuse(self, error: FramingError) -> None:
        if not self._flow.lost:
            self.transport.write(refusal(error))

    def _close(self) -> None:
        """End the connection; if the client may still be sending, only after it had time to read the answer."""
        transport = self.transport
        if transport.is_closing():
            return
        if self._input is Input.DISCARDED and not self._listener.draining and transport.can_write_eof():
            self._output = Output.LINGERING
            self._stamp = self._listener.ticks
            self._regulate()
            transport.write_eof()
        else:
            transport.close()

    def _forget(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            self.transport.abort()
        if self._flow.lost:
            self._listener.connections.discard(self)
