"""A connection until its first bytes show its protocol: HTTP/1.1, or HTTP/2 with prior knowledge.

HTTP/2 begins with a preface (RFC 9113, section 3.4) that no HTTP/1.1 request can begin with. Once that is decided the
transport belongs to the protocol chosen, so that no request of either pays for the check.
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

    def __init__(self, listener: ListenerState) -> None:
        self._listener = listener
        self._held = b""
        self._stamp = listener.ticks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        crowded = len(self._listener.connections) >= self._listener.limits.connections
        self._listener.connections.add(self)
        if crowded:
            self._become(Connection(self._listener))  # it answers in the only protocol that every client understands

    def data_received(self, data: bytes) -> None:
        held = self._held + data if self._held else data
        if held[:1] != b"P" or not held.startswith(PREFACE[: len(held)]):
            self._become(Connection(self._listener), held)
        elif len(held) >= len(PREFACE):
            self._become(Http2Connection(self._listener), held)
        else:
            if not self._held:
                self._stamp = self._listener.ticks
            self._held = held

    def _become(self, protocol: Connection | Http2Connection, data: bytes = b"") -> None:
        self._listener.connections.discard(self)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        if data:
            protocol.data_received(data)

    def eof_received(self) -> None:
        """Nothing was requested, or half a method was sent: the transport closes."""

    def connection_lost(self, _exc: Exception | None) -> None:
        self._listener.connections.discard(self)

    def enforce_timeouts(self, ticks: int) -> None:
        limits = self._listener.limits
        if (ticks - self._stamp) * limits.tick > (limits.head_time if self._held else limits.idle):
            self.transport.close()

    def drain(self) -> None:
        self.transport.close()
