"""One client over HTTP/2: many requests at a time, each answered by its own task.

The protocol's callbacks turn frames into exchanges; one task owns the tasks of all of them. As over HTTP/1.1, if a
client leaves, or resets a stream, its answer is dropped, but the handler finishes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, cast

from proxy.base.errors import FramingError
from proxy.http import h2_adapter
from proxy.http.error_responses import failure
from proxy.http.h2_adapter import CONNECTION_WINDOW, ErrorCodes, Event
from proxy.http.http2_head import read_head
from proxy.http.http2_sender import Answers
from proxy.http.http2_stream import AbuseBudget, Exchange
from proxy.http.limits import READ
from proxy.http.listener_state import ListenerState
from proxy.http.stream import Flow
from proxy.model.message import Request

_RESET: Final = "the client has reset the stream"


class Http2Connection(asyncio.Protocol):
    """The protocol and the task of one client."""

    task: asyncio.Task[None]
    transport: asyncio.Transport

    def __init__(self, listener: ListenerState) -> None:
        self._listener = listener
        self._flow = Flow()
        self._session = h2_adapter.session(listener.limits)
        self._budget = AbuseBudget()
        self._exchanges: dict[int, Exchange] = {}
        self._begun: deque[Exchange] = deque()
        self._hungry: deque[Exchange] = deque()  # bodies that wait for a lease
        self._room = max(listener.limits.held, listener.limits.buffer_body)  # bytes for further leases
        self._reset: frozenset[int] = frozenset()  # streams that this read ends
        self._waiter: asyncio.Future[None] | None = None
        self._uncredited = 0
        self._unfinished = 0  # bytes of a frame, or of a head in several, whose end has not come
        self._unfinished_since = 0
        self._last = 0  # the last stream that is answered
        self._closing = False  # no further stream is accepted
        self._dead = False  # nothing is read or written any more
        self._reading = True
        self._stamp = listener.ticks
        self._full_since = 0

    # ---- callbacks of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._answers = Answers(self._session, self.transport, self._flow, self._listener, self._budget)
        self._answers.flush()
        self._listener.connections.add(self)
        self._loop = asyncio.get_running_loop()
        self.task = self._loop.create_task(self._serve())
        self.task.add_done_callback(self._forget)

    def data_received(self, data: bytes) -> None:
        if self._dead:
            return
        try:
            events = self._session.receive_data(data)
        except h2_adapter.BrokenError:  # the GOAWAY with the reason is among what is to be sent
            self._die("the client broke HTTP/2")
            return
        if events:
            self._unfinished = 0
            self._foresee(events)
            for event in events:
                self._take(event)
        else:
            self._incomplete(len(data))
        if self._budget.exhausted:
            self._session.close_connection(ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=self._last)
            self._die("the client asks too much of the connection")
            return
        self._answers.flush()

    def eof_received(self) -> None:
        """Close the transport of a client that ended its side: it can open no window, so it takes no answers."""

    def connection_lost(self, _exc: Exception | None) -> None:
        self._flow.close()
        self._die("the client is gone")
        if self.task.done():
            self._listener.connections.discard(self)

    def pause_writing(self) -> None:
        """Read no frame while the client takes none: answers to pings would pile up."""
        self._full_since = self._listener.ticks
        self._flow.pause()
        if self._reading and not self.transport.is_closing():
            self._reading = False
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._flow.resume()
        if not self._reading and not self.transport.is_closing():
            self._reading = True
            self.transport.resume_reading()

    # ---- what the listener calls

    def drain(self) -> None:
        """Accept no further stream: the client gets GOAWAY, and streams under way are answered."""
        self._send_goaway()
        self._wake()

    def enforce_timeouts(self, ticks: int) -> None:
        """Enforce the time limits, at each tick of the listener."""
        limits = self._listener.limits
        self._budget.earn(AbuseBudget.A_SECOND * limits.tick)
        if self._flow.paused:
            if (ticks - self._full_since) * limits.tick > limits.stall:
                self.transport.abort()
        elif self._unfinished and (ticks - self._unfinished_since) * limits.tick > limits.head_time:
            self._die("the end of a frame does not come")
        elif not self._exchanges:
            if (ticks - self._stamp) * limits.tick > limits.idle:
                self.drain()
        else:
            for exchange in list(self._exchanges.values()):
                if (ticks - exchange.stamp) * limits.tick > limits.stall:
                    self._late(exchange)
            self._answers.flush()

    # ---- frames to exchanges

    def _take(self, event: Event) -> None:
        match event:
            case h2_adapter.DataReceived():
                self._body(event)
            case h2_adapter.RequestReceived():
                self._head(event)
            case h2_adapter.StreamEnded():
                self._body_ended(event.stream_id)
            case h2_adapter.StreamReset():
                self._budget.spend(AbuseBudget.RESET)
                exchange = self._exchanges.get(event.stream_id)
                if exchange is not None:
                    self._drop(exchange, _RESET)
            case h2_adapter.WindowUpdated(stream_id=number) if number:
                self._budget.spend()
                exchange = self._exchanges.get(number)
                if exchange is not None:
                    self._taken(exchange)
            case h2_adapter.WindowUpdated() | h2_adapter.RemoteSettingsChanged():
                self._budget.spend()
                for exchange in self._exchanges.values():
                    self._taken(exchange)
            case h2_adapter.TrailersReceived():
                pass  # not used
            case h2_adapter.ConnectionTerminated():
                self._closing = True
                self._wake()
            case _:
                self._budget.spend()

    def _body_ended(self, number: int) -> None:
        exchange = self._exchanges.get(number)
        if exchange is not None and not exchange.gone:
            self._whole(exchange)

    def _foresee(self, events: Sequence[Event]) -> None:
        """Note which streams the last frames of a read have ended: the first frames must not use them any more."""
        self._reset = frozenset(event.stream_id for event in events if isinstance(event, h2_adapter.StreamReset))
        for number in self._reset:
            exchange = self._exchanges.get(number)
            if exchange is not None:
                exchange.leave(FramingError(_RESET))
        if any(isinstance(event, h2_adapter.ConnectionTerminated) for event in events):
            h2_adapter.allow_answers_after_goaway(self._session)

    def _incomplete(self, size: int) -> None:
        """Bound in time and size what the framing layer holds of an unfinished frame."""
        if not self._unfinished:
            self._unfinished_since = self._listener.ticks
        self._unfinished += size
        if self._unfinished > self._listener.limits.head + READ:
            self._die("a frame is too large")

    def _head(self, event: h2_adapter.RequestReceived) -> None:
        number, limits = event.stream_id, self._listener.limits
        self._stamp = self._listener.ticks
        self._budget.earn(2)
        if number in self._reset:  # reset before it began
            return
        if self._closing or len(self._exchanges) >= limits.streams:
            # those that were reset count as long as their handlers are at work
            self._session.reset_stream(number, ErrorCodes.REFUSED_STREAM)
            return
        try:
            head = read_head(event.headers, limits)
        except FramingError as error:
            self._answers.refuse(number, error, whole=event.stream_ended is not None)
            return
        request = Request(head.method, head.target, head.headers, b"", "2", self._peer)
        exchange = Exchange(number, request, head.length, limits, begin=self._begin, grant=self._grant)
        exchange.stamp = self._listener.ticks
        self._last = number
        self._exchanges[number] = exchange
        if event.stream_ended is None:
            if head.expects:
                self._session.send_headers(number, [(b":status", b"100")])
            if exchange.stream is not None:
                exchange.start()

    def _body(self, event: h2_adapter.DataReceived) -> None:
        counted = event.flow_controlled_length
        self._uncredited += counted
        if self._uncredited >= CONNECTION_WINDOW // 4:
            self._session.increment_flow_control_window(self._uncredited)
            self._uncredited = 0
        if event.data:
            self._budget.earn()
        elif event.stream_ended is None:
            self._budget.spend()
        exchange = self._exchanges.get(event.stream_id)
        if exchange is None or exchange.gone:
            return
        exchange.stamp = self._listener.ticks
        exchange.feed(event.data, counted)
        if event.stream_ended is None:
            self._grant(exchange)

    def _whole(self, exchange: Exchange) -> None:
        if exchange.complete:
            exchange.end()
        else:
            self._answers.refuse(exchange.number, FramingError("the body breaks its Content-Length"), whole=True)
            self._drop(exchange, "the body breaks its Content-Length")

    def _taken(self, exchange: Exchange) -> None:
        exchange.stamp = self._listener.ticks
        exchange.wake()

    def _begin(self, exchange: Exchange) -> None:
        self._begun.append(exchange)
        self._wake()

    def _grant(self, exchange: Exchange) -> None:
        """Let the client send more of a body if there is room for it."""
        if self._dead:
            return
        if exchange.wants_lease and exchange not in self._hungry:
            self._hungry.append(exchange)
            self._lease()
        credit = exchange.credit()
        if credit:
            self._session.increment_flow_control_window(credit, exchange.number)
            self._answers.flush()

    def _lease(self) -> None:
        while self._hungry and (not self._hungry[0].wants_lease or self._hungry[0].need <= self._room):
            exchange = self._hungry.popleft()
            if exchange.wants_lease:
                self._room -= exchange.need
                exchange.leased = True
                self._grant(exchange)

    # ---- ends of streams and of the connection

    def _late(self, exchange: Exchange) -> None:
        """Handle a stream on which nothing was received, or sent, within its time limit."""
        error = FramingError("the body of the request does not come", 408)
        if exchange.gone or exchange.wants_lease:  # its client may not send more
            return
        if exchange.due and exchange.begun and exchange.request.relayed:  # the service decides how long it waits
            return
        if exchange.due and exchange.begun:
            exchange.fail(error)
        elif exchange.due:
            self._answers.refuse(exchange.number, error, whole=False)
            self._drop(exchange, str(error))
        elif exchange.blocked:
            self._answers.reset(exchange, ErrorCodes.CANCEL)
            self._drop(exchange, "the client does not take its answer")

    def _drop(self, exchange: Exchange, why: str) -> None:
        """Drop the answer of a stream. A handler that has begun continues to its end (I3), unless it relays."""
        exchange.leave(FramingError(why))
        if exchange.request.relayed and exchange.task is not None:
            exchange.task.cancel()
        if not exchange.begun:
            self._finish(exchange)

    def _finish(self, exchange: Exchange) -> None:
        if self._exchanges.pop(exchange.number, None) is None:
            return
        self._stamp = self._listener.ticks
        if exchange.leased:
            self._room += exchange.need
            self._lease()
        if self._closing:
            self._wake()

    def _send_goaway(self) -> None:
        """Send GOAWAY, so that the client sends its further requests elsewhere."""
        if not self._closing:
            self._closing = True
            self._answers.flush()
            if not self.transport.is_closing():
                self.transport.write(h2_adapter.goaway_frame(self._last))

    def _die(self, why: str) -> None:
        self._answers.flush()
        self._dead = self._closing = True
        for exchange in list(self._exchanges.values()):
            self._drop(exchange, why)
        if not self.transport.is_closing():
            self.transport.close()
        self._wake()

    # ---- the tasks

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                while self._begun:
                    exchange = self._begun.popleft()
                    exchange.task = group.create_task(self._answer(exchange))
                if self._closing and not self._exchanges:
                    break
                self._waiter = self._loop.create_future()
                await self._waiter
        if not self.transport.is_closing():
            self.transport.close()

    async def _answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        request = exchange.request
        try:
            try:
                response = await self._listener.handler(request)
            except BaseException as error:
                if not isinstance(error, Exception):
                    raise
                response = failure(error, request.method)
            if response.status < 200:  # upgrades are not offered here
                response = failure(RuntimeError("an answer below 200"), request.method)
            await self._answers.send(exchange, response)
        finally:
            if exchange.stream is not None:
                await exchange.stream.aclose()
            if not exchange.ended:  # what still comes of the request is dropped
                self._answers.reset(exchange, ErrorCodes.NO_ERROR)
            self._finish(exchange)
            self._answers.flush()

    def _forget(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            self.transport.abort()
        if self._flow.lost:
            self._listener.connections.discard(self)
