"""Heads of HTTP/2 to requests, and responses to heads. Pure.

The framing layer has checked what makes a stream malformed (pseudo-headers, hop-by-hop headers, upper case, Host and
`:authority` that differ). What is checked here would do harm once the request goes on as HTTP/1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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
_OWN: Final = HOP_BY_HOP | {b"content-length"}


@dataclass(frozen=True, slots=True)
class Head:
    """What a request's head says. length: the declared bytes of its body, None where it declares none.

    expects: the client waits for an interim answer before it sends the body.
    """

    method: str
    target: bytes
    headers: Headers
    length: int | None
    expects: bool


def read_head(fields: Iterable[tuple[bytes, bytes]], limits: HttpLimits) -> Head:
    """The head of a request out of its fields. Raises FramingError with the status to answer."""
    method = authority = target = b""
    headers: Headers = []
    length: int | None = None
    expects = hosted = False
    for name, value in fields:
        if name[:1] == b":":
            if name == b":method":
                method = value
            elif name == b":path":
                target = value
            elif name == b":authority":
                authority = value
            elif name == b":scheme" and value.lower() not in (b"http", b"https"):
                raise FramingError("the scheme is neither http nor https")
            continue
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise FramingError("malformed request: a header holds what headers cannot hold")
        if name == b"content-length":
            if length is not None or not value.isdigit() or len(value) > 18:
                raise FramingError("malformed request: Content-Length is no single number")
            length = int(value)
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise FramingError("this expectation cannot be met", 417)
            expects = True
            continue
        elif name == b"host":
            hosted = True
        headers.append((name, value))
    if authority and not hosted:
        if not _AUTHORITY.fullmatch(authority):
            raise FramingError("malformed request: the authority is none")
        headers.insert(0, (b"host", authority))
    if method == b"CONNECT":
        raise FramingError("method not supported", 405)
    if not method.isalpha() or not method.isupper() or len(method) > 32:
        raise FramingError("malformed request: the method is none")
    if len(target) > limits.url:
        raise FramingError("the URL is too long", 414)
    if not _TARGET.fullmatch(target):
        raise FramingError("malformed request: the path is none")
    if len(headers) > limits.headers:
        raise FramingError("the request has too many headers", 431)
    if length is not None and length > limits.body:
        raise FramingError("the body of the request is too large", 413)
    return Head(method.decode(), target, headers, length, expects and length != 0)


def answer_fields(response: Response, length: int | None) -> Headers:
    """The fields of a response: names in lower case, `content-length` where one is known.

    Raises FramingError where a header holds what it cannot hold.
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
