"""A connection until its first bytes say which protocol it speaks: HTTP/1.1, or HTTP/2 with prior knowledge.

HTTP/2 begins with a preface (RFC 9113, section 3.4) that no HTTP/1.1 request can begin with. Once that is decided the
transport belongs to the protocol chosen, so that no request of either pays for the question.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from proxy.http.connection import Connection
from proxy.http.http2 import Http2Connection
from proxy.http.listener_state import ListenerState

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class ProtocolSniffer(asyncio.Protocol):
    """The protocol of a client that has not sent enough yet."""

    task: None = None
    transport: asyncio.Transport

    def __init__(self, hub: ListenerState) -> None:
        self._hub = hub
        self._held = b""
        self._stamp = hub.ticks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        crowded = len(self._hub.connections) >= self._hub.limits.connections
        self._hub.connections.add(self)
        if crowded:
            self._become(Connection(self._hub))  # it says so, in the only way that every client understands

    def data_received(self, data: bytes) -> None:
        held = self._held + data if self._held else data
        if held[:1] != b"P" or not held.startswith(PREFACE[: len(held)]):
            self._become(Connection(self._hub), held)
        elif len(held) >= len(PREFACE):
            self._become(Http2Connection(self._hub), held)
        else:
            if not self._held:
                self._stamp = self._hub.ticks
            self._held = held

    def _become(self, protocol: Connection | Http2Connection, data: bytes = b"") -> None:
        self._hub.connections.discard(self)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        if data:
            protocol.data_received(data)

    def eof_received(self) -> None:
        """Nothing was asked, or half a method: the transport closes."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.connections.discard(self)

    def look(self, ticks: int) -> None:
        limits = self._hub.limits
        if (ticks - self._stamp) * limits.tick > (limits.head_time if self._held else limits.idle):
            self.transport.close()

    def drain(self) -> None:
        self.transport.close()
