"""HTTP/1.1 messages out of bytes, without I/O: the only module that imports httptools (llhttp, strict).

llhttp refuses what smuggling is made of: both framings, repeated or signed lengths, folded lines, a lone LF or CR, bad
chunks. What it lets pass and a proxy must not is refused here: other transfer codings than `chunked`, chunked in
HTTP/1.0, versions other than 1.0 and 1.1, missing or repeated Host, CONNECT, fragments. After an error a parser is
dead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httptools

from proxy.errors import FramingError
from proxy.http.limits import Limits
from proxy.http.render import tokens
from proxy.http.stream import BodyStream
from proxy.wire.message import Headers, Request, Response

IDLE, HEAD, BODY = 0, 1, 2  # where in a message a parser stands
_HOST, _LENGTH, _CODING, _EXPECT, _CONNECTION, _OTHER_HOP = 1, 2, 3, 4, 5, 6
_REQUEST_KINDS: Final = {
    b"host": _HOST,
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"expect": _EXPECT,
}
_RESPONSE_KINDS: Final = {
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
    b"keep-alive": _OTHER_HOP,
    b"proxy-connection": _OTHER_HOP,
    b"te": _OTHER_HOP,
    b"trailer": _OTHER_HOP,
    b"upgrade": _OTHER_HOP,
}
_METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
_SLACK: Final = 256 << 10  # one read of a socket: heads are measured exactly only above it


@dataclass(slots=True)
class Incoming:
    """One request as it came, and what the connection must know of it.

    stream: the body where it is larger than `buffer_body`. upgrade: asks to leave HTTP/1.1 and has no body.
    expects: the client waits for `100 Continue`.
    """

    request: Request
    keep_alive: bool
    stream: BodyStream | None = None
    upgrade: bool = False
    expects: bool = False


class RequestParser:
    """Requests out of one client's bytes.

    emit: called once a request, when it is whole, or when its head is where the body streams.
    resume, abandon: see BodyStream.
    """

    def __init__(
        self,
        limits: Limits,
        emit: Callable[[Incoming], None],
        *,
        resume: Callable[[], None],
        abandon: Callable[[], None],
        peer: str = "",
    ) -> None:
        self._limits = limits
        self._emit = emit
        self._resume = resume
        self._abandon = abandon
        self._peer = peer
        self._http = httptools.HttpRequestParser(self)
        self._feed = self._http.feed_data
        self.state = IDLE
        self._target = b""
        self._headers: Headers = []
        self._pieces: list[bytes] = []
        self._size = 0
        self._chunked = False
        self._chunk = 0  # bytes of the read that is being parsed
        self._bulk = 0  # upper bound of a head so far, or of what stands between two pieces of a chunked body
        self._incoming: Incoming | None = None
        self._body_behind: int | None = None  # length of a body that llhttp skips behind an upgrade; -1: chunked
        self._muted = False
        self.held: bytearray | None = None  # what came behind an upgrade request, until that is decided
        self.finished = False  # no request can follow: what still comes is nobody's

    @property
    def awaiting(self) -> Incoming | None:
        """The request whose head is complete and whose body is not."""
        return self._incoming if self.state == BODY else None

    def feed(self, data: bytes) -> None:
        """Takes bytes; calls `emit` for each request in them. Raises FramingError with the status to answer."""
        if self.finished:
            return
        if self.held is not None:
            self.held += data
            return
        self._chunk = len(data)
        if self.state:
            self._bulk += self._chunk
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade as pause:
            self._behind_upgrade(bytes(data[pause.args[0] :]))
            return
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, FramingError):
                raise cause from None
            if self.finished:
                return
            raise FramingError(f"malformed request: {error}") from error
        if self.state and self._bulk > self._limits.head + _SLACK and (self.state == HEAD or self._chunked):
            raise FramingError("the head of the request, or of a chunk, is too large", 431)

    def decline(self) -> None:
        """The upgrade is not made: what came behind the request is HTTP again. Raises FramingError as `feed`."""
        held, self.held = self.held, None
        if held:
            self.feed(bytes(held))

    def surrender(self) -> bytes:
        """The upgrade is made: the bytes that came behind the request."""
        held, self.held = self.held, None
        self.finished = True
        return bytes(held or b"")

    def fail(self, error: Exception) -> None:
        """The client is gone or broke the framing: a body that streams ends with the error."""
        incoming = self._incoming
        self.finished = True
        if incoming is not None and incoming.stream is not None:
            incoming.keep_alive = False
            incoming.stream.fail(error)

    def _behind_upgrade(self, rest: bytes) -> None:
        length, self._body_behind = self._body_behind, None
        if length is None:
            if self._incoming is None and not self.finished:
                self.held = bytearray(rest)
            return
        # llhttp takes a request with Upgrade for one without a body. It has one, so the upgrade is not on offer and
        # a new parser reads the body, and what follows, behind a head of our own with the same framing.
        self._http = httptools.HttpRequestParser(self)
        self._feed = self._http.feed_data
        self._muted = True
        framing = b"transfer-encoding: chunked" if length < 0 else b"content-length: %d" % length
        self._feed(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        if rest:
            self.feed(rest)

    # what httptools calls; an error raised here comes out of feed_data as the context of its own

    def on_message_begin(self) -> None:
        if self.finished:
            raise FramingError("bytes behind the last request")
        self.state = HEAD
        self._bulk = self._chunk

    def on_url(self, url: bytes) -> None:
        self._target = self._target + url if self._target else url
        if len(self._target) > self._limits.url:
            raise FramingError("the URL is too long", 414)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, []  # trailers go to a list that nobody reads
        target, self._target = self._target, b""
        self.state = BODY
        bulk, self._bulk = self._bulk, 0
        if self._muted:
            self._muted = False
            return
        limits = self._limits
        length = hosts = 0
        chunked = expects = False
        for name, value in headers:
            kind = _REQUEST_KINDS.get(name.lower())
            if kind is None:
                continue
            if kind == _HOST:
                hosts += 1
            elif kind == _LENGTH:
                length = int(value)
            elif kind == _CODING:
                if value.lower() != b"chunked" or chunked:
                    raise FramingError("transfer codings other than chunked are not understood", 501)
                chunked = True
            elif value.lower() == b"100-continue":
                expects = True
            else:
                raise FramingError("this expectation cannot be met", 417)
        if bulk > limits.head and _head_size(target, headers) > limits.head:
            raise FramingError("the head of the request is too large", 431)
        if len(headers) > limits.headers:
            raise FramingError("the request has too many headers", 431)
        http = self._http
        version = http.get_http_version()
        if version == "1.1":
            if hosts != 1:
                raise FramingError("a request needs one Host header")
        elif version != "1.0":
            raise FramingError("HTTP versions other than 1.0 and 1.1 are not spoken here", 505)
        elif chunked or hosts > 1:
            raise FramingError("HTTP/1.0 has neither transfer codings nor several hosts")
        verb = http.get_method()
        if verb == b"CONNECT":
            raise FramingError("method not supported", 405)
        if target[0] != 47 or b"#" in target:
            target = _origin_form(target)
        if length > limits.body:
            raise FramingError("the body of the request is too large", 413)
        method = _METHODS.get(verb) or verb.decode()
        self._chunked = chunked
        self._size = 0
        incoming = self._incoming = Incoming(
            Request(method, target, headers, b"", version, self._peer),
            http.should_keep_alive(),
            expects=expects and version == "1.1" and (chunked or length > 0),
        )
        if http.should_upgrade():
            if chunked or length:
                self._body_behind = -1 if chunked else length
            else:
                incoming.upgrade = incoming.keep_alive
        if length > limits.buffer_body:
            self._begin_stream(incoming)

    def _begin_stream(self, incoming: Incoming) -> None:
        incoming.stream = BodyStream(self._resume, self._abandon)
        incoming.request.body = incoming.stream
        for piece in self._pieces:
            incoming.stream.feed(piece)
        self._pieces.clear()
        self._emit(incoming)

    def on_body(self, piece: bytes) -> None:
        incoming = self._incoming
        if incoming is None:
            raise FramingError("a body without a request")
        self._bulk = 0
        incoming.expects = False  # it does not wait any more
        if self._chunked:
            self._size += len(piece)
            if self._size > self._limits.body:
                raise FramingError("the body of the request is too large", 413)
        stream = incoming.stream
        if stream is not None:
            stream.feed(piece)
            return
        self._pieces.append(piece)
        if self._chunked and self._size > self._limits.buffer_body:
            self._begin_stream(incoming)

    def on_message_complete(self) -> None:
        incoming = self._incoming
        if incoming is None or self._body_behind is not None:
            return
        self._incoming = None
        self.state = IDLE
        self._chunked = False
        if self._headers:
            self._headers = []
        if not incoming.keep_alive:
            self.finished = True
        stream = incoming.stream
        if stream is not None:
            stream.end()
            return
        pieces = self._pieces
        if pieces:
            incoming.request.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
        self._emit(incoming)


def _head_size(target: bytes, headers: Headers) -> int:
    """Bytes of a head, but for the method and the version."""
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)


def _origin_form(target: bytes) -> bytes:
    """The path and query of an absolute-form target; `*` stays. Raises FramingError for anything else."""
    if target == b"*":
        return target
    if b"#" in target:
        raise FramingError("a request target has no fragment")
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() not in {b"http", b"https"}:
        raise FramingError("the request target is neither a path nor a URL")
    for position, byte in enumerate(rest):
        if byte == 47:
            return rest[position:]
        if byte == 63:
            return b"/" + rest[position:]
    return b"/"


class ResponseParser:
    """The responses of one server connection, one expected at a time.

    After each `feed`: `response` is the answer once it can be handed over (whole, or with a stream as its body), and
    `complete` says that its last byte is here. `reusable`: the connection may carry another request then.
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
        self._until_close = False
        self._interim = False
        self._active = False
        self.response: Response | None = None
        self.stream: BodyStream | None = None
        self.complete = False
        self.reusable = True
        self.begun = False  # the head of the final answer is here
        self.rest: bytes | None = None  # after 101: what came behind the head

    def _renew(self) -> None:
        self._http = httptools.HttpResponseParser(self)
        self._feed = self._http.feed_data

    def expect(self, head: bool) -> None:
        """A request has been sent; `head`: its method was HEAD, so the answer has no body whatever it says."""
        self._head_request = head
        self._active = True
        self.response = self.stream = None
        self.complete = self.begun = False
        self._bulk = 0

    def feed(self, data: bytes) -> None:
        """Takes bytes. Raises FramingError where they are no answer."""
        if not self.begun:
            self._bulk += len(data)
            if self._bulk > (1 << 20) + _SLACK:
                raise FramingError("the head of the answer is too large")
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade as pause:
            self.rest = bytes(data[pause.args[0] :])
        except httptools.HttpParserError as error:
            if not self.complete:
                raise FramingError(f"malformed answer: {error.__context__ or error}") from error
            self.reusable = False
        if self._head_request and self.begun and not self.complete:
            self._renew()  # llhttp still waits for the body that a HEAD does not get
            self._finish()

    def eof(self) -> bool:
        """The server has closed its side; whether that completes the answer."""
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
            raise FramingError("an answer that nobody asked for")
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
        kept: Headers = []
        connection: list[bytes] = []
        length = -1
        chunked = False
        for pair in headers:
            kind = _RESPONSE_KINDS.get(pair[0].lower())
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
        if connection and (named := tokens(connection) - {b"close", b"keep-alive", b"upgrade"}):
            kept = [pair for pair in kept if pair[0].lower() not in named]
        bodiless = self._head_request or status in {101, 204, 304}
        self._until_close = not bodiless and not chunked and length < 0
        self._size = 0
        self.begun = True
        self.response = Response(status, kept, b"", self._reason)
        if not bodiless and length > self._buffer_body:
            self._begin_stream(self.response)

    def _judge(self, connection: list[bytes], status: int) -> None:
        """Whether the connection can carry another request after this answer."""
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
