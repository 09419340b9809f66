"""One stream of an HTTP/2 connection: its request as it comes in, and the memory that it may hold. No sockets.

A body of at most `buffer_body` bytes is collected, as over HTTP/1.1; a longer one streams. The client may send WINDOW
bytes of each body without a grant. What is granted beyond is bounded: if the body streams, by what its reader has
taken; if it is collected, by a lease of the bytes that it declares, out of `HttpLimits.held` for the whole connection.
So the oldest body is always completed, and no client makes the server hold more than streams * WINDOW + held bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from proxy.base.errors import FramingError
from proxy.http.limits import LOW_WATER, HttpLimits
from proxy.http.stream import BodyStream
from proxy.model.message import Request

WINDOW: Final = 2 * LOW_WATER  # bytes of one body that a client may send before more are granted


class Exchange:
    """One request and the sending of its answer. `begin` is called once, when the handler can have the request."""

    def __init__(
        self,
        number: int,
        request: Request,
        length: int | None,
        limits: HttpLimits,
        *,
        begin: Callable[[Exchange], None],
        grant: Callable[[Exchange], None],
    ) -> None:
        self.number = number
        self.request = request
        self._limits = limits
        self._begin = begin
        self._grant = grant
        self._length = length
        self._pieces: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._credited = WINDOW
        self._received = 0
        self._foreign = 0  # bytes that counted against the window without being body: padding
        self.stream: BodyStream | None = None
        self.stamp = 0  # the tick of the last bytes on this stream
        self.leased = False
        self.begun = False  # the handler has it
        self.ended = False  # the request's last byte is here
        self.gone = False  # the client wants no answer, or cannot get one
        self.blocked = False  # the answer waits for the client to take some of it
        self.task: asyncio.Task[None] | None = None  # the task that answers it
        if limits.streams_at_once(request.target) or (length is not None and length > limits.buffer_body):
            self._stream()

    @property
    def due(self) -> bool:
        """True if the handler waits for a part of the body."""
        return (
            not self.ended and not self.gone and (not self.begun or (self.stream is not None and self.stream.starving))
        )

    @property
    def need(self) -> int:
        """The bytes of the lease that lets the whole body come."""
        most = self._limits.buffer_body
        return most if self._length is None else min(self._length, most)

    @property
    def complete(self) -> bool:
        """True if as much has come as the head declared."""
        return self._length in (None, self._received)

    @property
    def wants_lease(self) -> bool:
        """True if its body is collected, and all has come that may be sent without a lease."""
        return not (self.leased or self.begun or self.ended or self.gone) and self._received >= WINDOW // 2

    def feed(self, data: bytes, counted: int) -> None:
        """Take a piece of the body. counted: the bytes that it counted against the window.

        A body that grows beyond the limit fails its reader with FramingError (413).
        """
        self._received += len(data)
        self._foreign += counted - len(data)
        if self._received > self._limits.body:
            if self.stream is None:
                self._stream()
                self.start()
            self.fail(FramingError("the body of the request is too large", 413))
        elif self.stream is not None:
            if data:
                self.stream.feed(data)
        elif data:
            self._pieces.append(data)
            if self._received > self._limits.buffer_body:
                self._stream()
                self.start()

    def end(self) -> None:
        """Take note that the request is complete."""
        self.ended = True
        if self.stream is not None:
            self.stream.end()
        else:
            pieces = self._pieces
            self.request.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._pieces = []
        self.start()

    def start(self) -> None:
        """Hand the request to the handler."""
        if not self.begun:
            self.begun = True
            self._begin(self)

    def fail(self, error: Exception) -> None:
        """End the body with an error for its reader: the rest will not come."""
        if self.stream is not None:
            self.stream.fail(error)

    def leave(self, error: Exception) -> None:
        """Take note that the client left, or has reset the stream."""
        self.gone = True
        self._pieces = []
        self.fail(error)
        self.wake()

    def credit(self) -> int:
        """Return the bytes that the client may be granted now, counted as granted; 0 if it has enough for a while."""
        if self.ended or self.gone:
            return 0
        held = 0 if self.leased else self._received
        if self.stream is not None:
            held = self.stream.size
        room = self._received - held + WINDOW + self._foreign - self._credited
        if room < WINDOW // 2 and not (room > 0 and held == 0 and self.stream is not None):
            return 0
        self._credited += room
        return room

    def _stream(self) -> None:
        self.stream = BodyStream(self._resume, self._abandon)
        self.request.body = self.stream
        for piece in self._pieces:
            self.stream.feed(piece)
        self._pieces = []

    def _resume(self) -> None:
        self._grant(self)

    def _abandon(self) -> None:
        """Do nothing if the handler drops the rest of the body: the answer ends the stream."""

    # the sending side

    def wake(self) -> None:
        """Wake the sending: the client can take more of the answer, or wants none."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def room(self) -> None:
        """Wait until `wake` is called."""
        self.blocked = True
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self.blocked = False


class AbuseBudget:
    """A budget for frames that cost the server work without being part of a request.

    Settings, pings, priorities, resets, empty frames, tiny window updates: each has a price. Requests, data in either
    direction, and time add to the budget. A client that has spent it gets ENHANCE_YOUR_CALM (RFC 9113, section 10.5).
    """

    BUDGET: Final = 2000.0
    A_SECOND: Final = 100.0
    RESET: Final = 10.0  # a request that is sent and reset still costs its handler (CVE-2023-44487)

    def __init__(self) -> None:
        self._left = self.BUDGET

    @property
    def exhausted(self) -> bool:
        return self._left < 0

    def spend(self, price: float = 1.0) -> None:
        self._left -= price

    def earn(self, gain: float = 1.0) -> None:
        self._left = min(self.BUDGET, self._left + gain)
