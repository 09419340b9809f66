"""Heads of messages as bytes, and which headers go through a proxy. Pure.

Hop-by-hop headers (RFC 9110 section 7.6.1, and those that Connection names) belong to one connection and are dropped
in both directions; framing is always written from what the body really is. A name or value with a line break is never
sent: the line breaks of a head are counted before it is returned.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from proxy.base.errors import FramingError
from proxy.model.message import Headers

HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
# the sender of a response sets these itself
_OWN_RESPONSE: Final = HOP_BY_HOP | {b"content-length"}
# the sender of a request sets these itself; Expect is answered by the listener
_OWN_REQUEST: Final = HOP_BY_HOP | {b"content-length", b"expect"}
_OWN_REQUEST_AND_HOST: Final = _OWN_REQUEST | {b"host"}
_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_lines: dict[tuple[int, bytes], bytes] = {}


def status_line(status: int, reason: bytes) -> bytes:
    """Return `HTTP/1.1 200 OK\\r\\n`, with the usual phrase if the reason is empty."""
    line = _lines.get((status, reason))
    if line is None:
        line = b"HTTP/1.1 %d %b\r\n" % (status, reason or _PHRASES.get(status, b"Unknown"))
        if len(_lines) < 512:  # reasons come from servers: the cache is bounded
            _lines[status, reason] = line
    return line


def tokens(values: Iterable[bytes]) -> frozenset[bytes]:
    """Return the lower-case elements of a list header that may have come in several lines."""
    return frozenset(token for value in values for item in value.split(b",") if (token := item.strip().lower()))


def response_head(
    status: int,
    reason: bytes,
    headers: Headers,
    *,
    length: int | None = None,
    chunked: bool = False,
    connection: bytes = b"",
    upgrade: bool = False,
) -> bytes:
    """Return the head of a response. length: Content-Length, None: none. connection: value of Connection, empty: none.

    Raise FramingError if a header would break the head.
    """
    parts = [status_line(status, reason)]
    lines = 2
    own = _OWN_RESPONSE - {b"upgrade"} if upgrade else _OWN_RESPONSE
    for name, value in headers:
        if name.lower() not in own:
            parts += (name, b": ", value, b"\r\n")
            lines += 1
    if length is not None:
        parts.append(b"content-length: %d\r\n" % length)
        lines += 1
    if chunked:
        parts.append(b"transfer-encoding: chunked\r\n")
        lines += 1
    if connection:
        parts += (b"connection: ", connection, b"\r\n")
        lines += 1
    parts.append(b"\r\n")
    head = b"".join(parts)
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise FramingError("a header of the response holds a line break", 500)
    return head


def request_head(
    method: str,
    target: bytes,
    headers: Headers,
    *,
    host: bytes | None,
    length: int | None,
    chunked: bool = False,
    upgrade: bool = False,
) -> bytes:
    """Return the head of a request to the next server. host: None keeps the client's. length: None if there is no body.

    Raise FramingError if target or headers would break the head.
    """
    own = _OWN_REQUEST if host is None else _OWN_REQUEST_AND_HOST
    if upgrade:
        own = own - {b"upgrade"}
    parts = [method.encode(), b" ", target, b" HTTP/1.1\r\n"]
    lines = 2
    if host is not None:
        parts += (b"host: ", host, b"\r\n")
        lines += 1
    named = False
    for name, value in headers:
        lower = name.lower()
        if lower not in own:
            parts += (name, b": ", value, b"\r\n")
            lines += 1
        elif lower == b"connection":
            named = named or value.lower() not in {b"keep-alive", b"close"}
    if named and (extra := _named(headers)):
        kept = [pair for pair in headers if pair[0].lower() not in extra]
        return request_head(method, target, kept, host=host, length=length, chunked=chunked, upgrade=upgrade)
    if chunked:
        parts.append(b"transfer-encoding: chunked\r\n")
        lines += 1
    elif length or (length is not None and method in _BODY_METHODS):
        parts.append(b"content-length: %d\r\n" % length)
        lines += 1
    if upgrade:
        parts.append(b"connection: upgrade\r\n")
        lines += 1
    parts.append(b"\r\n")
    head = b"".join(parts)
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b" " in target:
        raise FramingError("the target or a header of the request holds a blank or a line break")
    return head


def _named(headers: Headers) -> frozenset[bytes]:
    """Return the headers that Connection names, and Connection itself with them; empty if it names none."""
    found = tokens(value for name, value in headers if name.lower() == b"connection") - {
        b"close",
        b"keep-alive",
        b"upgrade",
    }
    return found | {b"connection"} if found else found
