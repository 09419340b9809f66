"""The connections of a pool: free ones are used again, and requests wait in order while all are in use."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from proxy.base.errors import UpstreamUnavailable
from proxy.http.server_connection import ServerConnection


class ConnectionPool:
    """Connections to one address. name: of the server, in messages.

    limit: their greatest number; further requests wait for `queue_timeout` seconds at most. tls: for https.
    """

    def __init__(
        self,
        name: str,
        address: tuple[str, int],
        *,
        tls: ssl.SSLContext | None,
        limit: int,
        connect_timeout: float,
        request_timeout: float,
        queue_timeout: float,
        idle_timeout: float,
        buffer_body: int,
    ) -> None:
        self.name = name
        self._address = address
        self._tls = tls
        self._limit = limit
        self._connect_timeout = connect_timeout
        self._request_timeout = request_timeout
        self._queue_timeout = queue_timeout
        self._idle_timeout = idle_timeout
        self._buffer_body = buffer_body
        self.idle: list[ServerConnection] = []  # free, the latest used last
        self.open: set[ServerConnection] = set()  # tunnels left out
        self._tunnels: set[ServerConnection] = set()
        self._connecting = 0
        self._waiters: deque[asyncio.Future[ServerConnection | None]] = deque()
        self._clock: asyncio.TimerHandle | None = None
        self._closed = False

    async def acquire(self) -> ServerConnection:
        """Return a free connection, a new one, or the next that is released. Raise UpstreamUnavailable."""
        deadline = asyncio.get_running_loop().time() + self._queue_timeout
        while True:
            if self._closed:
                raise UpstreamUnavailable(f"{self.name}: the pool is closed")
            while self.idle:
                connection = self.idle.pop()
                if connection.usable:
                    return connection
            if len(self.open) + self._connecting < self._limit:
                return await self._connect()
            granted = await self._wait(deadline)
            if granted is not None and granted.usable:
                return granted

    async def _wait(self, deadline: float) -> ServerConnection | None:
        """Wait in the queue; None: there is room for a new connection."""
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
        """Pass on what a waiter was granted in the moment in which it gave up."""
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
            raise UpstreamUnavailable(f"{self.name}: {'the pool is closed' if self._closed else 'closed immediately'}")
        self.open.add(connection)
        if self._clock is None:
            self._tick()
        return connection

    def _grant_room(self) -> None:
        """Let the next waiter open a connection, if one may be opened."""
        if len(self.open) + self._connecting < self._limit:
            while self._waiters:
                waiter = self._waiters.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return

    def release(self, connection: ServerConnection) -> None:
        """Take a connection that is free: it goes to the first waiter, else on top of the idle ones."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        connection.idle_since = asyncio.get_running_loop().time()
        self.idle.append(connection)

    def forget(self, connection: ServerConnection) -> None:
        """Drop a connection that is closed or has become a tunnel, which calls this."""
        if connection in self.open:
            self.open.discard(connection)
            if connection in self.idle:
                self.idle.remove(connection)
            if connection.usable:
                self._tunnels.add(connection)
            self._grant_room()
        else:
            self._tunnels.discard(connection)

    def _tick(self) -> None:
        """Enforce the time limits: one timer for all connections, while there are any."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self.open):
            if now > connection.deadline:
                connection.give_up(f"no answer within {self._request_timeout:g} s")
        for connection in [idle for idle in self.idle if now - idle.idle_since > self._idle_timeout]:
            self.idle.remove(connection)
            connection.abort()
        if self.open:
            period = min(1.0, max(0.01, min(self._request_timeout, self._idle_timeout) / 4))
            self._clock = loop.call_later(period, self._tick)
        else:
            self._clock = None

    async def close(self) -> None:
        """Close every connection, tunnels included; requests under way end with UpstreamOutcomeUnknown."""
        self._closed = True
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        for connection in [*self.open, *self._tunnels]:
            connection.give_up("the pool was closed")
        self.idle.clear()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
        while self.open or self._tunnels:
            await asyncio.sleep(0)
