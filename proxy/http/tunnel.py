"""Raw bytes in both directions after an upgrade: a tunnel for each connection, and the relay between two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.http.limits import HIGH_WATER
from proxy.http.stream import BodyStream, Flow
from proxy.model.message import Tunnel


class ConnectionTunnel(Tunnel):
    """The tunnel over one connection: its protocol feeds it; reading pauses while nothing is received."""

    def __init__(self, transport: asyncio.Transport, flow: Flow, closed: Callable[[], None]) -> None:
        self._transport = transport
        self._flow = flow
        self._closed = closed
        self._reading = True
        self._stream = BodyStream(self._resume, self.close)

    def feed(self, data: bytes) -> None:
        """Take bytes that came from the peer."""
        self._stream.feed(data)
        if self._reading and self._stream.size > HIGH_WATER:
            self._reading = False
            self._transport.pause_reading()

    def end(self) -> None:
        """Take note that the peer has sent its last byte."""
        self._stream.end()

    def _resume(self) -> None:
        if not self._reading:
            self._reading = True
            if not self._transport.is_closing():
                self._transport.resume_reading()

    async def receive(self) -> bytes:
        async for piece in self._stream:
            return piece
        return b""

    async def send(self, data: bytes) -> None:
        """Write with back-pressure. Raise ConnectionResetError if the peer is gone."""
        if not self._flow.lost:
            self._transport.write(data)
        await self._flow.drained()

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.close()
        self._stream.end()
        self._closed()


async def relay(one: Tunnel, other: Tunnel) -> None:
    """Carry bytes in both directions until either side ends or breaks; then close both, with all that was written."""

    async def carry(source: Tunnel, sink: Tunnel) -> None:
        try:
            while data := await source.receive():
                await sink.send(data)
        except ConnectionResetError:
            pass  # an end like any other
        finally:
            source.close()
            sink.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(carry(one, other))
        group.create_task(carry(other, one))
