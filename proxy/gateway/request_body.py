"""Bodies that must be read: collected and decoded, within bounds of memory.

The listener hands over a body of at most `buffer_body` bytes whole, and a larger one as a stream. What only passes
through is forwarded as it came. A write or a query is collected first, up to `each` bytes, and of all connections at
most `together` bytes at a time: further ones wait, and so do their clients, since their sockets are not read meanwhile.
A body that is larger still is forwarded unread, as a stream; what it may have written becomes unverified (I10).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from proxy.base.errors import ArangoError
from proxy.base.waits import timed_wait
from proxy.model.endpoint import Effect, Read
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.model.stages import Snapshot, Stage
from proxy.wire.encoding import decoded, encoded, without

TOO_LARGE: Final = "body too large"
_COPIED: Final = 4 << 20  # bytes: a longer body is joined in a thread, since that takes milliseconds
_AT_ONCE: Final = 256 << 10  # bytes: a longer body is decoded in a thread


def must_read_body(operation: Operation, snapshot: Snapshot) -> bool:
    """Return True if the mirror or the shadow must read this request's body."""
    if operation.effect is Effect.PASSTHROUGH and operation.endpoint.read is not Read.QUERY_LIKE:
        return False
    if operation.effect is Effect.WRITE and operation.qualified is not None:
        return snapshot.policy(operation.qualified).capture
    return snapshot.database_has(operation.database, Stage.MIRROR)


class Bodies:
    """One for each dispatcher. wait: seconds that a large body may wait for memory."""

    def __init__(self, each: int, together: int, wait: float) -> None:
        self._each = each
        self._room = ByteSemaphore(max(together, each))
        self._wait = wait

    async def opened(self, request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        """Call `handle` with the request, its body as bytes without encoding if that is possible.

        Raise ArangoError (503) if no memory becomes free in time, and what reading the body raises.
        """
        if isinstance(request.body, bytes):
            return await handle(await self._plain(request, request.body))
        declared = request.header(b"content-length")
        length = int(declared) if declared is not None and declared.isdigit() else self._each
        if length > self._each:
            return await handle(request)
        async with self._room.taken(length, self._wait):
            body = await self._together(request.body)
            if isinstance(body, bytes):
                request.body = body
                return await handle(await self._plain(request, body))
            request.body = body
            return await handle(request)

    async def _together(self, stream: AsyncIterator[bytes]) -> bytes | AsyncIterator[bytes]:
        """Return the whole body; or, if it is too large, all of it as a stream again."""
        pieces: list[bytes] = []
        size = 0
        async for piece in stream:
            pieces.append(piece)
            size += len(piece)
            if size > self._each:
                return _chain(pieces, stream)
        if size > _COPIED:
            return await asyncio.to_thread(b"".join, pieces)
        return b"".join(pieces)

    async def _plain(self, request: Request, body: bytes) -> Request:
        """Return the request without its Content-Encoding; as it came if that cannot be decoded: ArangoDB says why."""
        named = request.header(b"content-encoding")
        encoding = named.decode("latin-1") if named is not None else ""
        if not encoded(encoding):
            return request
        try:
            if len(body) > _AT_ONCE:
                plain = await asyncio.to_thread(decoded, body, encoding, self._each)
            else:
                plain = decoded(body, encoding, self._each)
        except ArangoError:
            return request
        return Request(request.method, request.target, without(request.headers), plain, request.version, request.peer)


async def _chain(pieces: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while pieces:
        yield pieces.pop(0)
    async for piece in rest:
        yield piece


class ByteSemaphore:
    """At most `size` bytes of memory, given out in the order of requests."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def taken(self, size: int, seconds: float) -> AsyncIterator[None]:
        """Hold that many bytes, at most all, while the block runs. Raise ArangoError (503) after `seconds`."""
        await self._take(size, seconds)
        try:
            yield
        finally:
            self._give(size)

    @timed_wait("memory")
    async def _take(self, size: int, seconds: float) -> None:
        if not self._waiters and size <= self._free:
            self._free -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((size, turn))
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._give(size)
            else:
                with contextlib.suppress(ValueError):  # already removed, since it is cancelled
                    self._waiters.remove((size, turn))
                self._give(0)
            if isinstance(error, TimeoutError):
                raise ArangoError(503, "too many large requests at a time", status=503) from error
            raise

    def _give(self, size: int) -> None:
        self._free += size
        while self._waiters and self._waiters[0][0] <= self._free:
            needed, turn = self._waiters.popleft()
            if turn.cancelled():
                continue
            self._free -= needed
            turn.set_result(None)
