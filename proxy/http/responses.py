"""Responses out of bytes, without I/O, one expected at a time; hop-by-hop headers are dropped on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.base.errors import FramingError
from proxy.http.head_writer import tokens
from proxy.http.httptools_adapter import MalformedError, ResponseScanner, UpgradePause
from proxy.http.limits import READ
from proxy.http.stream import BodyStream
from proxy.model.message import Headers, Response, Streaming

_LENGTH, _CODING, _CONNECTION, _OTHER_HOP = 1, 2, 3, 4
_KINDS: Final = {
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
    b"keep-alive": _OTHER_HOP,
    b"proxy-connection": _OTHER_HOP,
    b"te": _OTHER_HOP,
    b"trailer": _OTHER_HOP,
    b"upgrade": _OTHER_HOP,
}
_PLAIN: Final = frozenset({b"keep-alive", b"close"})  # values of Connection that do not name a header
_HEAD_LIMIT: Final = 1 << 20


class ResponseParser:
    """The responses of one server connection, one expected at a time.

    After each `feed`: `response` is the answer once it can be handed over (whole, or with a stream as its body), and
    `complete` is True once its last byte has come. `reusable`: the connection may carry another request then.
    """

    def __init__(self, buffer_body: int, *, resume: Callable[[], None], abandon: Callable[[], None]) -> None:
        self._buffer_body = buffer_body
        self._resume = resume
        self._abandon = abandon
        self._renew()
        self._headers: Headers = []
        self._reason = b""
        self._pieces: list[bytes] = []
        self._size = 0
        self._bulk = 0
        self._head_request = False
        self._upgrade = False
        self._until_close = False
        self._interim = False
        self._active = False
        self._streaming = Streaming.LARGE
        self._open_ended = False  # the answer has no Content-Length
        self.response: Response | None = None
        self.stream: BodyStream | None = None
        self.complete = False
        self.reusable = True
        self.begun = False  # the head of the final answer has come
        self.rest: bytes | None = None  # after 101: what came after the head

    def _renew(self) -> None:
        self._http = ResponseScanner(self)
        self._feed = self._http.feed_data

    def expect(self, *, head: bool, upgrade: bool = False, streaming: Streaming = Streaming.LARGE) -> None:
        """Expect the answer to a request. head: its method was HEAD, so the answer has no body.

        upgrade: it requested one, so that 101 is an answer. streaming: which answers become a stream immediately.
        """
        self._streaming = streaming
        self._head_request = head
        self._upgrade = upgrade
        self._active = True
        self.response = self.stream = None
        self.complete = self.begun = False
        self._bulk = 0

    def feed(self, data: bytes) -> None:
        """Take bytes. Raise FramingError if they are not an answer."""
        if not self.begun:
            self._bulk += len(data)
            if self._bulk > _HEAD_LIMIT + READ:
                raise FramingError("the head of the answer is too large")
        try:
            self._feed(data)
        except UpgradePause as pause:
            self.rest = bytes(data[pause.args[0] :])
        except MalformedError as error:
            if not self.complete:
                raise FramingError(f"malformed answer: {error.__context__ or error}") from error
            self.reusable = False
        if self._head_request and self.begun and not self.complete:
            self._renew()  # llhttp still waits for the body that a HEAD does not get
            self._finish()
        if self._streaming and self.begun and not self.complete and self.stream is None:
            self._hand_over()

    def _hand_over(self) -> None:
        """Make a stream of an answer that is not complete, if its request wants that."""
        response = self.response
        if response is not None and response.status != 101 and (self._open_ended or self._streaming is Streaming.ALL):
            self._begin_stream(response)

    def eof(self) -> bool:
        """Take note that the server has closed its side. Return True if that completes the answer."""
        if self.begun and self._until_close and not self.complete:
            self._finish()
        return self.complete

    def _finish(self) -> None:
        self.complete = True
        self._active = False
        if self.stream is not None:
            self.stream.end()
        elif self.response is not None and self._pieces:
            self.response.body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = []

    def on_message_begin(self) -> None:
        if not self._active:
            self.reusable = False
            raise FramingError("an answer without a request")
        self._reason = b""
        if self._headers:
            self._headers = []  # trailers of the answer before

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, []
        http = self._http
        status = http.get_status_code()
        self._interim = status < 200 and status != 101
        if self._interim:
            return
        if status == 101 and not (self._upgrade and http.should_upgrade()):
            raise FramingError("the server switched protocols without a request")
        kept: Headers = []
        connection: list[bytes] = []
        length = -1
        chunked = False
        for pair in headers:
            kind = _KINDS.get(pair[0].lower())
            if kind is None:
                kept.append(pair)
            elif kind == _LENGTH:
                length = int(pair[1])
                kept.append(pair)
            elif kind == _CODING:
                if pair[1].lower() != b"chunked" or chunked:
                    raise FramingError("the answer has a transfer coding other than chunked")
                chunked = True
            elif kind == _CONNECTION:
                connection.append(pair[1])
            elif status == 101:
                kept.append(pair)
        self._judge(connection, status)
        if connection and (len(connection) > 1 or connection[0].lower() not in _PLAIN):
            named = tokens(connection) - {b"upgrade"}
            kept = [pair for pair in kept if pair[0].lower() not in named]
        bodiless = self._head_request or status in {101, 204, 304}
        self._until_close = not bodiless and not chunked and length < 0
        self._open_ended = length < 0
        self._size = 0
        self.begun = True
        self.response = Response(status, kept, b"", self._reason)
        if not bodiless and length > self._buffer_body:
            self._begin_stream(self.response)

    def _judge(self, connection: list[bytes], status: int) -> None:
        """Return True if the connection can carry another request after this answer."""
        if self._head_request and status != 101:
            said = tokens(connection)
            if self._http.get_http_version() == "1.1":
                self.reusable = b"close" not in said
            else:
                self.reusable = b"keep-alive" in said
        else:
            self.reusable = self._http.should_keep_alive() and status != 101

    def _begin_stream(self, response: Response) -> None:
        self.stream = BodyStream(self._resume, self._abandon)
        for piece in self._pieces:
            self.stream.feed(piece)
        self._pieces = []
        response.body = self.stream

    def on_body(self, piece: bytes) -> None:
        if self._head_request:
            self.reusable = False
            return
        if self.stream is not None:
            self.stream.feed(piece)
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._buffer_body and self.response is not None:
            self._begin_stream(self.response)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif self._active:
            self._finish()
