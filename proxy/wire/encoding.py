"""Content-Encoding of requests, as ArangoDB 3.12 reads it (protocol page, section 8). Pure; of a bounded size.

`gzip` and `deflate` (a zlib stream) are decoded. `x-arango-lz4`, which servers of a cluster use among themselves and no
driver does, is known and not built. Any other name means nothing to ArangoDB: the body is taken as it is.
"""

from __future__ import annotations

import zlib
from typing import Final

from proxy.base.errors import ArangoError, Unsupported
from proxy.model.message import Headers

_MEMBERS: Final = 64  # each costs a copy of all that follows it
_WINDOWS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def encoded(encoding: str | None) -> bool:
    """Return True if a body under this Content-Encoding must be decoded before it can be read."""
    return encoding is not None and encoding.strip().lower() in (*_WINDOWS, "x-arango-lz4")


def decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the body without its encoding; unchanged if the encoding is not one of ArangoDB's.

    Raise ArangoError: 10 if it is broken, or in more than 64 members, 413 if it would be longer than `limit`
    bytes; Unsupported.
    """
    name = encoding.strip().lower()
    if name == "x-arango-lz4":
        raise Unsupported(f"Content-Encoding {name}")
    window = _WINDOWS.get(name)
    if window is None or not body:
        return body
    broken = f"a decoding error occurred while handling Content-Encoding: {name}"
    parts: list[bytes] = []
    left = limit
    while body:  # gzip may come in several members
        if len(parts) == _MEMBERS:
            raise ArangoError(10, broken, status=400)
        machine = zlib.decompressobj(window)
        try:
            part = machine.decompress(body, left + 1)
        except zlib.error as error:
            raise ArangoError(10, broken, status=400) from error
        left -= len(part)
        if left < 0:
            raise ArangoError(413)
        if not machine.eof or (machine.unused_data and name != "gzip"):
            raise ArangoError(10, broken, status=400)
        parts.append(part)
        body = machine.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def without(headers: Headers) -> Headers:
    """Return the headers of the decoded request: without the encoding, and the length of what was encoded."""
    return [pair for pair in headers if pair[0].lower() not in (b"content-encoding", b"content-length")]
