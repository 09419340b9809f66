"""One HTTP/2 client (h2, the client's side) against one connection on a fake transport."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

from proxy.http.limits import HttpLimits
from proxy.http.listener_state import ListenerState
from proxy.http.protocol_sniffer import ProtocolSniffer
from proxy.model.message import Handler
from tests.unit.http.support import FakeTransport

Fields = list[tuple[str, str]]


@dataclass
class Answer:
    """What came on one stream. reset: the error code, None where there was none."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None
    interim: list[int] = field(default_factory=list)


class Switching(FakeTransport):
    """Takes another protocol, as real transports do."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol


def fields(method: str = "GET", path: str = "/x", *extra: tuple[str, str]) -> Fields:
    return [(":method", method), (":scheme", "http"), (":authority", "a"), (":path", path), *extra]


class Talk2:
    """A client and a connection; `say` brings what the client wants to say over, and what comes back to the client.

    lax: the client does not check what it sends.
    """

    def __init__(
        self, handler: Handler, limits: HttpLimits | None = None, *, lax: bool = False, greet: bool = True
    ) -> None:
        self.listener = ListenerState(handler, limits or HttpLimits())
        self.transport = Switching()
        opening = ProtocolSniffer(self.listener)
        self.transport.protocol = opening
        opening.connection_made(self.transport)
        self.client = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding="utf-8",
                validate_outbound_headers=not lax,
                normalize_outbound_headers=not lax,
            )
        )
        self.answers: dict[int, Answer] = {}
        self.goaway: ConnectionTerminated | None = None
        self._seen = 0
        self.acknowledge = True  # the client takes bodies as they come
        if greet:
            self.client.initiate_connection()

    def feed(self, data: bytes) -> None:
        assert self.transport.protocol is not None
        if not self.transport.closing:
            self.transport.protocol.data_received(data)

    async def say(self, raw: bytes = b"") -> None:
        """Everything that the client and the server have to tell each other, until both are silent."""
        self.feed(self.client.data_to_send() + raw)
        for _ in range(40):
            await asyncio.sleep(0)
            if self._hear():
                self.feed(self.client.data_to_send())

    def _hear(self) -> bool:
        news = bytes(self.transport.out[self._seen :])
        self._seen += len(news)
        for event in self.client.receive_data(news) if news else []:
            self._take(event)
        return bool(self.client._data_to_send)

    def _take(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self.goaway = event
        if isinstance(
            event, ResponseReceived | InformationalResponseReceived | DataReceived | StreamEnded | StreamReset
        ):
            answer = self.answers.setdefault(event.stream_id, Answer())
            if isinstance(event, ResponseReceived):
                answer.headers = {str(name): str(value) for name, value in event.headers}
                answer.status = int(answer.headers.pop(":status"))
            elif isinstance(event, InformationalResponseReceived):
                answer.interim += [int(value) for name, value in event.headers if str(name) == ":status"]
            elif isinstance(event, DataReceived):
                answer.body += event.data
                if self.acknowledge:
                    self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                answer.ended = True
            else:
                answer.reset = int(event.error_code)

    def begin(self, head: Fields, *, end: bool = True) -> int:
        """A request's head; its stream."""
        number = self.client.get_next_available_stream_id()
        self.client.send_headers(number, head, end_stream=end)
        self.answers[number] = Answer()
        return number

    def upload(self, number: int, data: bytes, *, end: bool = True) -> bytes:
        """As much of a body as may be sent now, by frames; the rest of it."""
        while data:
            room = min(self.client.local_flow_control_window(number), self.client.max_outbound_frame_size)
            if room <= 0:
                return data
            piece, data = data[:room], data[room:]
            self.client.send_data(number, piece, end_stream=end and not data)
        return b""

    async def ask(self, head: Fields, body: bytes = b"") -> Answer:
        """One request and its answer."""
        number = self.begin(head, end=not body)
        while body:
            before = body
            body = self.upload(number, body)
            await self.say()
            assert len(body) < len(before) or self.client.local_flow_control_window(number) > 0, "the window stays shut"
        await self.say()
        return self.answers[number]

    async def end(self) -> None:
        """Ends the connection as its client would, and waits for its task."""
        self.transport.close()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not self.listener.connections
