"""Bodies as streams with back-pressure, and the write side's flow control. Both protocols, of either side, use them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Self

from proxy.http.limits import LOW_WATER


class BodyStream(AsyncIterator[bytes]):
    """The pieces of one body: a protocol feeds them, one consumer iterates.

    `resume` is called whenever the consumer has taken the waiting bytes down to the low-water mark, `abandon` when it
    closes the stream before its end. Iterating raises the error that the protocol gave to `fail`.
    """

    __slots__ = ("_abandon", "_error", "_pieces", "_resume", "_waiter", "closed", "ended", "size")

    def __init__(self, resume: Callable[[], None], abandon: Callable[[], None]) -> None:
        self._resume = resume
        self._abandon = abandon
        self._pieces: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self.size = 0
        self.ended = False  # the protocol has fed the last piece
        self.closed = False  # the consumer wants no more: pieces are dropped

    @property
    def starving(self) -> bool:
        """True if the consumer waits for a piece."""
        return self._waiter is not None

    def feed(self, piece: bytes) -> None:
        if not self.closed:
            self._pieces.append(piece)
            self.size += len(piece)
            self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """End the body with an error, after what has been fed."""
        if not self.ended:
            self._error = error
            self.end()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.ended or self.closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        piece = self._pieces.popleft()
        before, self.size = self.size, self.size - len(piece)
        if self.size <= LOW_WATER < before or not self._pieces:
            self._resume()
        return piece

    async def aclose(self) -> None:
        """Drop the rest of the body. Closing twice has no further effect."""
        if self.closed:
            return
        self.closed = True
        self._pieces.clear()
        self.size = 0
        self._wake()
        if not self.ended:
            self._abandon()


class Flow:
    """The write side of one transport: whether its buffer is full, and waiting until it is not."""

    __slots__ = ("_waiters", "lost", "paused")

    def __init__(self) -> None:
        self.paused = False
        self.lost = False
        self._waiters: list[asyncio.Future[None]] = []

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self.release()

    def close(self) -> None:
        """Take note that the connection is lost: waiting senders get ConnectionResetError."""
        self.lost = True
        self.release()

    def release(self) -> None:
        """Wake all that wait, to check again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_once(self) -> None:
        """Wait once while the buffer is full, until it is not, the connection is lost, or `release` is called."""
        if self.paused and not self.lost:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def drained(self) -> None:
        """Wait while the buffer is full. Raise ConnectionResetError if the connection is lost."""
        await self.wait_once()
        if self.lost:
            raise ConnectionResetError("the connection is gone")
