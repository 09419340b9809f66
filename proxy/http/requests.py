"""Requests out of bytes, without I/O. What llhttp accepts and a proxy must not is refused here.

That is: other transfer codings than `chunked`, chunked in HTTP/1.0, versions other than 1.0 and 1.1, missing or
repeated Host, CONNECT, fragments in the target. After an error a parser is dead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.base.errors import FramingError
from proxy.http.httptools_adapter import MalformedError, RequestScanner, UpgradePause
from proxy.http.limits import READ, HttpLimits
from proxy.http.stream import BodyStream
from proxy.model.message import Headers, Request

IDLE, HEAD, BODY = 0, 1, 2  # the part of a message that a parser reads
_HOST, _LENGTH, _CODING, _EXPECT = 1, 2, 3, 4
_SLASH, _QUESTION_MARK = b"/?"
_KINDS: Final = {
    b"host": _HOST,
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"expect": _EXPECT,
}
_METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}


@dataclass(slots=True)
class Incoming:
    """One request, and what the connection must know of it.

    stream: the body if it is larger than `buffer_body`, or is handed over as it comes (at_once). upgrade: the request
    asks to leave HTTP/1.1, and has no body. expects: the client waits for `100 Continue`.
    """

    request: Request
    keep_alive: bool
    stream: BodyStream | None = None
    upgrade: bool = False
    expects: bool = False
    at_once: bool = False


class RequestParser:
    """Requests out of one client's bytes.

    emit: called once for each request, when it is whole, or with its head if the body streams.
    resume, abandon: see BodyStream.
    """

    def __init__(
        self,
        limits: HttpLimits,
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
        self._http = RequestScanner(self)
        self._feed = self._http.feed_data
        self.state = IDLE
        self._target = b""
        self._headers: Headers = []
        self._pieces: list[bytes] = []
        self._size = 0
        self._chunked = False
        self._chunk = 0  # bytes of the read that is being parsed
        self._bulk = 0  # upper bound of a head so far, or of what is between two pieces of a chunked body
        self._incoming: Incoming | None = None
        self._skipped_body: int | None = None  # length of a body that llhttp skips after an upgrade; -1: chunked
        self._muted = False
        self._failure: Exception | None = None
        self.held: bytearray | None = None  # what came after an upgrade request, until that is decided
        self.finished = False  # no request can follow: what still comes is dropped

    @property
    def awaiting(self) -> Incoming | None:
        """The request whose head is complete and whose body is not."""
        return self._incoming if self.state == BODY else None

    def feed(self, data: bytes) -> None:
        """Take bytes; call `emit` for each request in them. Raise FramingError with the status to answer."""
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
        except UpgradePause as pause:
            self._after_upgrade(bytes(data[pause.args[0] :]))
            return
        except MalformedError as error:
            cause = error.__context__
            if isinstance(cause, FramingError):
                raise cause from None
            if self.finished:
                return
            raise FramingError(f"malformed request: {error}") from error
        incoming = self._incoming
        if incoming is not None and incoming.stream is None and incoming.at_once and self._skipped_body is None:
            self._begin_stream(incoming)
        if self.state and self._bulk > self._limits.head + READ and (self.state == HEAD or self._chunked):
            raise FramingError("the head of the request, or of a chunk, is too large", 431)

    def decline(self) -> None:
        """Continue without the upgrade: what came after the request is HTTP again. Raise FramingError as `feed`."""
        held, self.held = self.held, None
        if held:
            self.feed(bytes(held))
        if self._failure is not None:
            self.fail(self._failure)

    def take_rest(self) -> bytes:
        """Return the bytes that came after the request of an upgrade that is made."""
        held, self.held = self.held, None
        self.finished = True
        return bytes(held or b"")

    def fail(self, error: Exception) -> None:
        """End the body that streams, if there is one, with the error: the client left or broke the framing."""
        if self.held is not None:
            self._failure = error  # what came before it may still be requests
            return
        incoming = self._incoming
        self.finished = True
        if incoming is not None and incoming.stream is not None:
            incoming.keep_alive = False
            incoming.stream.fail(error)

    def _after_upgrade(self, rest: bytes) -> None:
        length, self._skipped_body = self._skipped_body, None
        if length is None:
            if self._incoming is None and not self.finished:
                self.held = bytearray(rest)
            return
        # llhttp takes a request with Upgrade for one without a body. It has one, so no upgrade is offered, and a new
        # parser reads the body, and what follows, after a made-up head with the same framing.
        self._http = RequestScanner(self)
        self._feed = self._http.feed_data
        self._muted = True
        framing = b"transfer-encoding: chunked" if length < 0 else b"content-length: %d" % length
        self._feed(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        if rest:
            self.feed(rest)

    # ---- what the scanner calls; an error raised here comes out of feed_data as the context of its own error

    def on_message_begin(self) -> None:
        if self.finished:
            raise FramingError("bytes after the last request")
        self.state = HEAD
        self._bulk = self._chunk

    def on_url(self, url: bytes) -> None:
        self._target = self._target + url if self._target else url
        if len(self._target) > self._limits.url:
            raise FramingError("the URL is too long", 414)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, []  # trailers are collected and dropped
        target, self._target = self._target, b""
        self.state = BODY
        bulk, self._bulk = self._bulk, 0
        if self._muted:
            self._muted = False
            return
        limits, http = self._limits, self._http
        hosts, length, chunked, expects = _framing(headers)
        if bulk > limits.head and _head_size(target, headers) > limits.head:
            raise FramingError("the head of the request is too large", 431)
        if len(headers) > limits.headers:
            raise FramingError("the request has too many headers", 431)
        version, verb = http.get_http_version(), http.get_method()
        _check_version(version, hosts, chunked=chunked)
        if verb == b"CONNECT":
            raise FramingError("method not supported", 405)
        if target[0] != _SLASH or b"#" in target:
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
            at_once=(chunked or length > 0) and limits.streams_at_once(target),
        )
        if http.should_upgrade():
            if chunked or length:
                self._skipped_body = -1 if chunked else length
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
        incoming.expects = False  # it no longer waits
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
        if incoming is None or self._skipped_body is not None:
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


def _framing(headers: Headers) -> tuple[int, int, bool, bool]:
    """Return how many Host headers there are, the declared length, and whether the body is chunked, and waited for.

    Raise FramingError for what is not understood.
    """
    length = hosts = 0
    chunked = expects = False
    for name, value in headers:
        kind = _KINDS.get(name.lower())
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
    return hosts, length, chunked, expects


def _check_version(version: str, hosts: int, *, chunked: bool) -> None:
    if version == "1.1":
        if hosts != 1:
            raise FramingError("a request needs one Host header")
    elif version != "1.0":
        raise FramingError("HTTP versions other than 1.0 and 1.1 are not supported", 505)
    elif chunked or hosts > 1:
        raise FramingError("HTTP/1.0 has neither transfer codings nor several hosts")


def _head_size(target: bytes, headers: Headers) -> int:
    """Return the bytes of a head without method and version."""
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)


def _origin_form(target: bytes) -> bytes:
    """Return path and query of an absolute-form target; `*` stays. Raise FramingError for anything else."""
    if target == b"*":
        return target
    if b"#" in target:
        raise FramingError("a request target has no fragment")
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() not in {b"http", b"https"}:
        raise FramingError("the request target is neither a path nor a URL")
    for position, byte in enumerate(rest):
        if byte == _SLASH:
            return rest[position:]
        if byte == _QUESTION_MARK:
            return b"/" + rest[position:]
    return b"/"
