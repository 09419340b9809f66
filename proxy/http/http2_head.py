"""Heads of HTTP/2 to requests, and responses to heads. Pure.

The framing layer has checked what makes a stream malformed (pseudo-headers, hop-by-hop headers, upper case, Host and
`:authority` that differ). What is checked here would do harm when the request is forwarded as HTTP/1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from proxy.base.errors import FramingError
from proxy.http.head_writer import HOP_BY_HOP
from proxy.http.limits import HttpLimits
from proxy.model.message import Headers, Response

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE: Final = re.compile(rb"[\t -~\x80-\xff]*")
_TARGET: Final = re.compile(rb"(?:/[!\"$-~\x80-\xff]*|\*)")
_AUTHORITY: Final = re.compile(rb"[!\"$-.0-~]+")
_DIGITS: Final = 18  # of a length
_METHOD: Final = 32  # characters
_OWN: Final = HOP_BY_HOP | {b"content-length"}


@dataclass(frozen=True, slots=True)
class Http2Head:
    """The head of a request. length: the declared bytes of its body; None if it declares none.

    expects: the client waits for an interim answer before it sends the body.
    """

    method: str
    target: bytes
    headers: Headers
    length: int | None
    expects: bool


def read_head(fields: Iterable[tuple[bytes, bytes]], limits: HttpLimits) -> Http2Head:
    """Return the head of a request out of its fields. Raise FramingError with the status to answer."""
    pseudo: dict[bytes, bytes] = {}
    headers: Headers = []
    for name, value in fields:
        if name[:1] == b":":
            pseudo[name] = value
        elif not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise FramingError("malformed request: a header holds what headers cannot hold")
        else:
            headers.append((name, value))
    length = _declared_length(headers)
    expects = _expectation(headers)
    headers = [pair for pair in headers if pair[0] != b"expect"]
    _add_host(headers, pseudo.get(b":authority", b""))
    _check_pseudo(pseudo, limits)
    if len(headers) > limits.headers:
        raise FramingError("the request has too many headers", 431)
    if length is not None and length > limits.body:
        raise FramingError("the body of the request is too large", 413)
    return Http2Head(pseudo[b":method"].decode(), pseudo[b":path"], headers, length, expects and length != 0)


def _declared_length(headers: Headers) -> int | None:
    values = [value for name, value in headers if name == b"content-length"]
    if not values:
        return None
    if len(values) > 1 or not values[0].isdigit() or len(values[0]) > _DIGITS:
        raise FramingError("malformed request: Content-Length is not a single number")
    return int(values[0])


def _expectation(headers: Headers) -> bool:
    """Return True if the client waits for an interim answer; no other expectation can be met."""
    values = [value for name, value in headers if name == b"expect"]
    if any(value.lower() != b"100-continue" for value in values):
        raise FramingError("this expectation cannot be met", 417)
    return bool(values)


def _add_host(headers: Headers, authority: bytes) -> None:
    """Put the authority first as the Host header of HTTP/1.1, unless the request has one."""
    if not authority or any(name == b"host" for name, _ in headers):
        return
    if not _AUTHORITY.fullmatch(authority):
        raise FramingError("malformed request: the authority is invalid")
    headers.insert(0, (b"host", authority))


def _check_pseudo(pseudo: Mapping[bytes, bytes], limits: HttpLimits) -> None:
    """Check what becomes the request line."""
    method, target = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    if pseudo.get(b":scheme", b"http").lower() not in (b"http", b"https"):
        raise FramingError("the scheme is neither http nor https")
    if method == b"CONNECT":
        raise FramingError("method not supported", 405)
    if not method.isalpha() or not method.isupper() or len(method) > _METHOD:
        raise FramingError("malformed request: the method is invalid")
    if len(target) > limits.url:
        raise FramingError("the URL is too long", 414)
    if not _TARGET.fullmatch(target):
        raise FramingError("malformed request: the path is invalid")


def answer_fields(response: Response, length: int | None) -> Headers:
    """Return the fields of a response: names in lower case, `content-length` if it is known.

    Raise FramingError if a header holds what headers cannot hold.
    """
    fields: Headers = [(b":status", b"%d" % response.status)]
    for name, value in response.headers:
        lower = name.lower()
        if lower in _OWN:
            continue
        if not _NAME.fullmatch(lower) or not _VALUE.fullmatch(value):
            raise FramingError("a header of the response holds a line break", 500)
        fields.append((lower, value.strip(b" \t")))
    if length is not None:
        fields.append((b"content-length", b"%d" % length))
    return fields
