"""One server: requests over a pool of keep-alive connections.

What is retried, and nothing else: a request of which nothing was sent; and, if the caller states that sending it twice
has the effect of once (`idempotent`), a request on a connection that had idled and that the server closed before a byte
of the answer. Everything else that was sent and has no complete answer raises UpstreamOutcomeUnknown.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from proxy.base.errors import ConfigurationError, UpstreamOutcomeUnknown, UpstreamUnavailable
from proxy.http.connection_pool import ConnectionPool
from proxy.http.head_writer import request_head
from proxy.http.request_sender import in_pieces, replay, send_body, send_both_ways
from proxy.model.message import Request, Response

_WHOLE = 1 << 20  # bytes of a body that are sent by one write


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
            raise ConfigurationError(f"{url.rpartition('@')[2]!r} is not an http:// or https:// URL of a server")
        secure = parts.scheme == "https"
        self._prefix = parts.path.rstrip("/").encode()
        self.name = parts.netloc.rpartition("@")[2]
        self._host = None if preserve_host else self.name.encode()
        self._request_timeout = request_timeout
        self._buffer_body = buffer_body
        self._chunked = chunked
        self._duplex = duplex
        self._spool = spool
        self._pool = ConnectionPool(
            self.name,
            (parts.hostname, parts.port or (443 if secure else 80)),
            tls=(tls or ssl.create_default_context()) if secure else None,
            limit=connections,
            connect_timeout=connect_timeout,
            request_timeout=request_timeout,
            queue_timeout=request_timeout if queue_timeout is None else queue_timeout,
            idle_timeout=idle_timeout,
            buffer_body=buffer_body,
        )

    @property
    def idle(self) -> int:
        """Connections that are open and free."""
        return len(self._pool.idle)

    @property
    def open(self) -> int:
        """Connections that are open, tunnels left out."""
        return len(self._pool.open)

    async def request(self, request: Request, *, idempotent: bool = False) -> Response:
        """Send the request and return the answer, its hop-by-hop headers dropped.

        Raise UpstreamUnavailable (nothing was sent) or UpstreamOutcomeUnknown. If the awaiting task is cancelled, the
        connection is closed and its answer is dropped.
        """
        body = request.body
        if not isinstance(body, bytes):
            return await self._send_stream(request, body)
        if len(body) > _WHOLE and not idempotent:  # what may be sent again is sent whole
            return await self._stream(request, in_pieces(body), len(body))
        pool, data = self._pool, self._head(request, len(body))
        if body:
            data += body
        while True:
            connection = pool.idle.pop() if pool.idle else await pool.acquire()
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
            return await self._stream(request, replay(store), length)

    async def _stream(self, request: Request, body: AsyncIterator[bytes], length: int | None) -> Response:
        """Send head and pieces with back-pressure."""
        data = self._head(request, length)
        connection = await self._pool.acquire()
        connection.sending = True
        future = connection.start(data, request, self._request_timeout)
        try:
            if self._duplex:
                return await send_both_ways(connection, future, body, length)
            await send_body(connection, body, length, stop=future.done)
            return await future
        except BaseException:
            # whatever failed, the client's stream included: half a request must not stay on a connection
            connection.abort()
            if not future.cancel() and not future.cancelled():
                future.exception()
            raise

    async def close(self) -> None:
        """Close every connection, tunnels included; what is under way ends with UpstreamOutcomeUnknown."""
        await self._pool.close()
