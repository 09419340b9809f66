"""The sending side of an HTTP/2 connection: answers as frames, no faster than the client takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from proxy.base.errors import FramingError
from proxy.http.error_responses import error_response, failure
from proxy.http.h2_adapter import ErrorCodes, H2Connection
from proxy.http.http2_head import answer_fields
from proxy.http.http2_stream import AbuseBudget, Exchange
from proxy.http.listener_state import ListenerState
from proxy.http.response_writer import bare, declared
from proxy.http.stream import Flow
from proxy.model.message import Headers, Response

_BATCH: Final = 64 << 10  # bytes of frames in one write


class Answers:
    """The answers that one connection sends on its streams."""

    def __init__(
        self,
        session: H2Connection,
        transport: asyncio.Transport,
        flow: Flow,
        listener: ListenerState,
        budget: AbuseBudget,
    ) -> None:
        self._session = session
        self._transport = transport
        self._flow = flow
        self._listener = listener
        self._budget = budget

    def flush(self) -> None:
        """Write everything that is to be sent to the transport."""
        data = self._session.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def reset(self, exchange: Exchange, code: ErrorCodes) -> None:
        """End a stream immediately, unless it has ended."""
        if not exchange.gone:
            self._session.reset_stream(exchange.number, code)

    def refuse(self, number: int, error: FramingError, *, whole: bool) -> None:
        """Answer a malformed request in ArangoDB's error shape; what may still come of it is dropped."""
        response = error_response(error.status, error.status, str(error))
        body = response.body if isinstance(response.body, bytes) else b""
        fits = len(body) <= min(self._session.local_flow_control_window(number), self._session.max_outbound_frame_size)
        self._session.send_headers(number, answer_fields(response, len(body)), end_stream=False)
        if fits:
            self._session.send_data(number, body, end_stream=True)
        if not whole or not fits:
            self._session.reset_stream(number, ErrorCodes.NO_ERROR)

    async def send(self, exchange: Exchange, response: Response) -> None:
        """Send one answer to its end, or as far as the client wants it."""
        body, request = response.body, exchange.request
        if not isinstance(body, bytes):
            await self._stream(exchange, response, body)
            return
        length: int | None = len(body)
        if request.method == "HEAD" or response.status in {204, 304}:
            length, body = bare(response, body), b""
        try:
            fields = answer_fields(response, length)
        except FramingError as error:
            response = failure(error, request.method)
            body = response.body if isinstance(response.body, bytes) and request.method != "HEAD" else b""
            fields = answer_fields(response, len(body))
        if self._head(exchange, fields, end=not body) and body:
            try:
                await self._data(exchange, body, end=True)
            except ConnectionResetError:
                pass  # the client left: its answer is dropped

    async def _stream(self, exchange: Exchange, response: Response, body: AsyncIterator[bytes]) -> None:
        try:
            await self._pieces(exchange, response, body)
        except BaseException as error:
            # the head is sent: only a reset shows the client that this is not all
            self.reset(exchange, ErrorCodes.INTERNAL_ERROR)
            exchange.gone = True
            if not isinstance(error, Exception):
                raise
            if not isinstance(error, ConnectionResetError):
                failure(error, exchange.request.method)
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    async def _pieces(self, exchange: Exchange, response: Response, body: AsyncIterator[bytes]) -> None:
        """Send a body that comes in pieces. Raise what it raises, and FramingError if it breaks its length."""
        left = declared(response)
        empty = exchange.request.method == "HEAD" or response.status in {204, 304}
        fields = answer_fields(response, left if response.status != 204 else None)
        if not self._head(exchange, fields, end=empty) or empty:
            return
        async for piece in body:
            if left is not None:
                left -= len(piece)
                if left < 0:
                    raise FramingError("the body is longer than its Content-Length", 500)
            if piece:
                await self._data(exchange, piece)
        if left:
            raise FramingError("the body is shorter than its Content-Length", 500)
        await self._data(exchange, b"", end=True)

    def _head(self, exchange: Exchange, fields: Headers, *, end: bool) -> bool:
        """Send the head of an answer. Return False if no client waits for it."""
        if exchange.gone:
            return False
        self._session.send_headers(exchange.number, fields, end_stream=end)
        self.flush()
        return True

    async def _data(self, exchange: Exchange, data: bytes, *, end: bool = False) -> None:
        """Send a part of a body. Raise ConnectionResetError if the client no longer takes it."""
        session, number = self._session, exchange.number
        view, unsent = memoryview(data), 0
        while True:
            if exchange.gone:
                raise ConnectionResetError("the client dropped its answer")
            room = min(session.local_flow_control_window(number), session.max_outbound_frame_size)
            if view and room <= 0:
                self.flush()
                unsent = 0
                exchange.stamp = self._listener.ticks
                await exchange.room()
                continue
            piece, view = view[:room], view[room:]
            session.send_data(number, piece, end_stream=end and not view)
            self._budget.earn(2)
            unsent += len(piece)
            if not view or unsent > _BATCH:
                self.flush()
                unsent = 0
                if self._flow.paused:
                    await self._flow.drained()
            if not view:
                return
