"""The listener: accepts clients, watches their clocks, drains them. HTTP/1.1 and HTTP/2, with or without TLS."""

from __future__ import annotations

import asyncio
import ssl

from proxy.http.limits import HttpLimits
from proxy.http.listener_state import ListenerState
from proxy.http.protocol_sniffer import ProtocolSniffer
from proxy.model.message import Handler


class Listener:
    """Serves `handler` on one address. `port` 0 takes a free one; read it from `.port` after `start`.

    The handler is called once for each request, in order on each connection, and is never cancelled because a client
    left.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: HttpLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._tls = tls
        self._state = ListenerState(handler, limits or HttpLimits(), tls is not None)
        self._server: asyncio.Server | None = None
        self._clock: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """Clients connected now."""
        return len(self._state.connections)

    async def start(self) -> None:
        """Bind and accept. Raise OSError if the address is not available."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ProtocolSniffer(self._state),
            self.host,
            self.port,
            ssl=self._tls,
            ssl_handshake_timeout=self._state.limits.head_time if self._tls else None,
            backlog=1024,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._tick()

    def _tick(self) -> None:
        state = self._state
        state.ticks += 1
        for connection in list(state.connections):
            connection.enforce_timeouts(state.ticks)
        self._clock = asyncio.get_running_loop().call_later(state.limits.tick, self._tick)

    async def close(self, grace: float = 10.0) -> None:
        """Stop accepting, wait at most `grace` seconds for requests under way, then cut what is left."""
        if self._server is None:
            return
        server, self._server = self._server, None
        # a connection that was accepted a moment ago gets its transport in the loop's next turn: asyncio up to 3.11
        # leaks it if the server is closed before that
        loop = asyncio.get_running_loop()
        for listening in server.sockets:
            loop.remove_reader(listening.fileno())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        server.close()
        state = self._state
        state.draining = True
        for connection in list(state.connections):
            connection.drain()
        tasks = {task for connection in state.connections if (task := connection.task) is not None and not task.done()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        deadline = loop.time() + 1.0
        while state.connections:  # what was written last is flushed; a client that does not read is cut
            if loop.time() > deadline:
                for connection in state.connections:
                    connection.transport.abort()
            await asyncio.sleep(0.005)
        if self._clock is not None:
            self._clock.cancel()
        await server.wait_closed()
