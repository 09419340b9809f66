"""A pool of keep-alive connections to one server.

What is retried, and nothing else: a request of which nothing was sent, and, where the caller says that doing it twice
is doing it once (`idempotent`), a request on a connection that had idled and that the server closed before a byte of
the answer. Everything else that was sent and not answered whole is UpstreamLost: its outcome is unknown.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import urlsplit

from proxy.base.errors import ConfigurationError, UpstreamOutcomeUnknown, UpstreamUnavailable
from proxy.http.head_writer import request_head
from proxy.http.server_connection import ServerConnection
from proxy.model.message import Request, Response

_PIECE = 64 << 10
_WHOLE = 1 << 20  # bytes of a body that are written at once


class Upstream:
    """Connections to one URL (http or https; a path in it is put before every target).

    connections: their greatest number; further requests wait for `queue_timeout` seconds at most (None: as long as
    `request_timeout`).
    connect_timeout: seconds for TCP and TLS. request_timeout: seconds for an answer to begin, and for each further
    piece. buffer_body: an answer up to this many bytes is handed over whole, a larger one as a stream (close it with
    `aclose` if it is not read to its end). idle_timeout: seconds after which a free connection is closed.
    preserve_host: sends the client's Host. chunked: the server takes chunked requests (ArangoDB does not: a body of
    unknown length is then stored, in memory and beyond `buffer_body` in a file, and sent with Content-Length).
    duplex: an answer that begins while the request's body is still being sent is handed over, and the sending continues
    (without it, an early answer ends the sending).
    spool: the folder of such files; None: that of the machine, which a container with a read-only root does not have.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 256,
        connect_timeout: float = 5.0,
        request_timeout: float = 120.0,
        queue_timeout: float | None = None,
        tls: ssl.SSLContext | None = None,
        buffer_body: int = 4 << 20,
        idle_timeout: float = 60.0,
        preserve_host: bool = False,
        chunked: bool = False,
        duplex: bool = False,
        spool: Path | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"{url!r} is no http:// or https:// URL of a server")
        secure = parts.scheme == "https"
        self._tls = (tls or ssl.create_default_context()) if secure else None
        self._address = (parts.hostname, parts.port or (443 if secure else 80))
        self._prefix = parts.path.rstrip("/").encode()
        self.name = parts.netloc.rpartition("@")[2]
        self._host = None if preserve_host else self.name.encode()
        self._limit = connections
        self._connect_timeout = connect_timeout
        self._request_timeout = request_timeout
        self._queue_timeout = request_timeout if queue_timeout is None else queue_timeout
        self._idle_timeout = idle_timeout
        self._buffer_body = buffer_body
        self._chunked = chunked
        self._duplex = duplex
        self._spool = spool
        self._idle: list[ServerConnection] = []
        self._open: set[ServerConnection] = set()
        self._tunnels: set[ServerConnection] = set()
        self._connecting = 0
        self._waiters: deque[asyncio.Future[ServerConnection | None]] = deque()
        self._clock: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def idle(self) -> int:
        """Connections that are open and free."""
        return len(self._idle)

    @property
    def open(self) -> int:
        """Connections that are open, tunnels left out."""
        return len(self._open)

    async def request(self, request: Request, *, idempotent: bool = False) -> Response:
        """Sends the request and returns the answer, its hop-by-hop headers dropped.

        Raises UpstreamUnavailable (nothing was sent) or UpstreamLost (the outcome is unknown). Where the awaiting
        task is cancelled, the connection is closed and its answer reaches nobody.
        """
        body = request.body
        if not isinstance(body, bytes):
            return await self._send_stream(request, body)
        if len(body) > _WHOLE and not idempotent:  # what may be sent again is sent as it is
            return await self._stream(request, _in_pieces(body), len(body))
        data = self._head(request, len(body))
        if body:
            data += body
        while True:
            connection = self._idle.pop() if self._idle else await self._acquire()
            if connection.transport.is_closing():
                continue
            future = connection.start(data, request, self._request_timeout)
            try:
                return await future
            except asyncio.CancelledError:
                connection.abandon(future)
                raise
            except UpstreamOutcomeUnknown:
                if not (idempotent and connection.unanswered and not connection.fresh):
                    raise

    def _head(self, request: Request, length: int | None) -> bytes:
        target = self._prefix + request.target if self._prefix else request.target
        return request_head(
            request.method,
            target,
            request.headers,
            host=self._host,
            length=length,
            chunked=length is None,
            upgrade=request.tunnel is not None,
        )

    # bodies that stream

    async def _send_stream(self, request: Request, body: AsyncIterator[bytes]) -> Response:
        declared = request.header(b"content-length")
        if declared is not None and declared.isdigit():
            return await self._stream(request, body, int(declared))
        if self._chunked:
            return await self._stream(request, body, None)
        with tempfile.SpooledTemporaryFile(
            max_size=self._buffer_body, dir=str(self._spool) if self._spool else None
        ) as store:
            length = 0
            async for piece in body:
                try:
                    store.write(piece)
                except OSError as error:  # a full disk: nothing was sent
                    raise UpstreamUnavailable(f"the body cannot be kept on disk: {error.strerror or error}") from error
                length += len(piece)
            store.seek(0)
            return await self._stream(request, _replay(store), length)

    async def _stream(self, request: Request, body: AsyncIterator[bytes], length: int | None) -> Response:
        """Send head and pieces with back-pressure."""
        data = self._head(request, length)
        connection = await self._acquire()
        connection.sending = True
        future = connection.start(data, request, self._request_timeout)
        try:
            if self._duplex:
                return await self._both_ways(connection, future, body, length)
            await self._pump(connection, body, length, stop=future.done)
            return await future
        except BaseException:
            # whatever broke, the client's stream included: half a request must not stay on a connection
            connection.abort()
            if not future.cancel() and not future.cancelled():
                future.exception()
            raise

    async def _both_ways(
        self,
        connection: ServerConnection,
        future: asyncio.Future[Response],
        body: AsyncIterator[bytes],
        length: int | None,
    ) -> Response:
        """Send the body while the answer may have begun; the answer's stream owns what is left of the sending."""
        sending = asyncio.create_task(
            self._pump(connection, body, length, stop=connection.transport.is_closing), name="body of a request"
        )
        sending.add_done_callback(lambda task: connection.abort() if task.cancelled() or task.exception() else None)
        try:
            waited: list[asyncio.Future[Any]] = [sending, future]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
            response = await future
        except BaseException:
            await _ended(sending)
            raise
        if sending.done() or isinstance(response.body, bytes):
            await _ended(sending)
            return response
        response.body = _WhileSending(response.body, sending)
        response.duplex = True
        return response

    async def _pump(
        self,
        connection: ServerConnection,
        body: AsyncIterator[bytes],
        length: int | None,
        *,
        stop: Callable[[], bool],
    ) -> None:
        """Send the pieces of a body until its end, or until `stop` says that nobody reads them any more."""
        left = length
        async for piece in body:
            if stop():
                return
            if left is not None:
                left -= len(piece)
                if left < 0:
                    raise UpstreamOutcomeUnknown(
                        f"{self.name}: the body of the request is longer than its Content-Length"
                    )
            if piece:
                connection.write(piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
            while connection.flow.paused and not connection.flow.lost and not stop():
                await connection.flow.settled()
            connection.deadline = math.inf  # the client's next piece is the listener's to wait for
        if stop():
            return
        if left:
            raise UpstreamOutcomeUnknown(f"{self.name}: the body of the request is shorter than its Content-Length")
        if length is None:
            connection.write(b"0\r\n\r\n")
        connection.sent()

    # the pool

    async def _acquire(self) -> ServerConnection:
        """A free connection, a new one, or the next that another request gives back. Raises UpstreamUnavailable."""
        deadline = asyncio.get_running_loop().time() + self._queue_timeout
        while True:
            if self._closed:
                raise UpstreamUnavailable(f"{self.name}: the pool is closed")
            while self._idle:
                connection = self._idle.pop()
                if connection.usable:
                    return connection
            if len(self._open) + self._connecting < self._limit:
                return await self._connect()
            granted = await self._wait(deadline)
            if granted is not None and granted.usable:
                return granted

    async def _wait(self, deadline: float) -> ServerConnection | None:
        """Waits in the queue; None: there is room for a new connection."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[ServerConnection | None] = loop.create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(deadline):
                return await waiter
        except TimeoutError as error:
            self._pass_on(waiter)
            raise UpstreamUnavailable(
                f"{self.name}: all {self._limit} connections were busy for {self._queue_timeout:g} s"
            ) from error
        except asyncio.CancelledError:
            self._pass_on(waiter)
            raise

    def _pass_on(self, waiter: asyncio.Future[ServerConnection | None]) -> None:
        """A waiter leaves: what it was granted in the same moment goes to the next one."""
        if waiter.done() and not waiter.cancelled():
            connection = waiter.result()
            if connection is None:
                self._grant_room()
            elif connection.usable:
                self.release(connection)

    async def _connect(self) -> ServerConnection:
        loop = asyncio.get_running_loop()
        host, port = self._address
        self._connecting += 1
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: ServerConnection(self, self._buffer_body), host, port, ssl=self._tls
                )
        except BaseException as error:
            self._connecting -= 1
            self._grant_room()
            if isinstance(error, TimeoutError):
                why = f"no connection within {self._connect_timeout:g} s"
            elif isinstance(error, OSError):
                why = error.strerror or str(error)
            else:
                raise
            raise UpstreamUnavailable(f"{self.name}: {why}") from error
        self._connecting -= 1
        if self._closed or not connection.usable:
            connection.abort()
            self._grant_room()
            raise UpstreamUnavailable(f"{self.name}: {'the pool is closed' if self._closed else 'closed at once'}")
        self._open.add(connection)
        if self._clock is None:
            self._tick()
        return connection

    def _grant_room(self) -> None:
        """Lets the next waiter open a connection, where one may be opened."""
        if len(self._open) + self._connecting < self._limit:
            while self._waiters:
                waiter = self._waiters.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return

    def release(self, connection: ServerConnection) -> None:
        """A connection calls this when it is free: it goes to the first waiter, else on top of the idle ones."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)

    def forget(self, connection: ServerConnection) -> None:
        """A connection calls this when it is closed or has become a tunnel."""
        if connection in self._open:
            self._open.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            if connection.usable:
                self._tunnels.add(connection)
            self._grant_room()
        else:
            self._tunnels.discard(connection)

    def _tick(self) -> None:
        """Enforces the time limits: one timer for all connections, while there are any."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._open):
            if now > connection.deadline:
                connection.give_up(f"no answer within {self._request_timeout:g} s")
        for connection in [idle for idle in self._idle if now - idle.idle_since > self._idle_timeout]:
            self._idle.remove(connection)
            connection.abort()
        if self._open:
            period = min(1.0, max(0.01, min(self._request_timeout, self._idle_timeout) / 4))
            self._clock = loop.call_later(period, self._tick)
        else:
            self._clock = None

    async def close(self) -> None:
        """Closes every connection, tunnels included; what is under way ends with UpstreamLost."""
        self._closed = True
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        for connection in [*self._open, *self._tunnels]:
            connection.give_up("the pool was closed")
        self._idle.clear()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
        while self._open or self._tunnels:
            await asyncio.sleep(0)


async def _ended(sending: asyncio.Task[None]) -> None:
    """End a task that sends; what broke it has cut the connection, where it is reported."""
    sending.cancel()
    await asyncio.wait({sending})
    if not sending.cancelled():
        sending.exception()


class _WhileSending(AsyncIterator[bytes]):
    """The body of an answer whose request is still being sent. Closing it ends the sending."""

    def __init__(self, body: AsyncIterator[bytes], sending: asyncio.Task[None]) -> None:
        self._body = body
        self._sending = sending

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._body)

    async def aclose(self) -> None:
        close = getattr(self._body, "aclose", None)
        if close is not None:
            await close()
        await _ended(self._sending)


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


async def _replay(store: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := store.read(_PIECE):
        yield piece
