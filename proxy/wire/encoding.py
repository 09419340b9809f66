"""Content-Encoding of requests, as ArangoDB 3.12 reads it (protocol page, section 8). Pure; of a bounded size.

`gzip` and `deflate` (a zlib stream) are decoded. `x-arango-lz4`, which servers of a cluster use among themselves and no
driver does, is known and not built. Any other name means nothing to ArangoDB: the body is taken as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from proxy.base.errors import ArangoError, Unsupported
from proxy.model.message import Headers

_MEMBERS: Final = 64
_CHUNK: Final = 256 << 10  # bytes
_WINDOWS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def encoded(encoding: str | None) -> bool:
    """Return True if a body under this Content-Encoding must be decoded before it can be read."""
    return encoding is not None and encoding.strip().lower() in (*_WINDOWS, "x-arango-lz4")


def decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the body without its encoding; unchanged if the encoding is not one of ArangoDB's.

    Raise as `Decoder`.
    """
    decoder = Decoder(encoding, limit, chunk=limit + 1)
    parts = list(decoder.feed(body))
    decoder.end()
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Decoder:
    """Removes the encoding of a body that comes in pieces, unless it is not one of ArangoDB's.

    chunk: bytes of a result. Each method may raise ArangoError: 10 if the body is broken, or in more than 64 members,
    413 if it would be longer than `limit` bytes. Raise Unsupported.
    """

    def __init__(self, encoding: str, limit: int, *, chunk: int = _CHUNK) -> None:
        self._name = encoding.strip().lower()
        if self._name == "x-arango-lz4":
            raise Unsupported(f"Content-Encoding {self._name}")
        self._window = _WINDOWS.get(self._name)
        self._left = limit
        self._chunk = chunk
        self._member: zlib._Decompress | None = None
        self._members = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield what the next piece of the body has."""
        if self._window is None:
            yield piece
            return
        more = bool(piece)
        while more:
            member = self._member or self._next_member(self._window)
            most = min(self._chunk, self._left + 1)
            try:
                part = member.decompress(piece, most)
            except zlib.error as error:
                raise self._broken() from error
            self._left -= len(part)
            if self._left < 0:
                raise ArangoError(413)
            yield part
            if member.eof:
                self._member = None
                piece = member.unused_data
                more = bool(piece)
            else:
                piece = member.unconsumed_tail
                more = bool(piece) or len(part) == most

    def end(self) -> None:
        """Check that the body is complete."""
        if self._member is not None:
            raise self._broken()

    def _next_member(self, window: int) -> zlib._Decompress:
        """Begin the next member: gzip may come in several."""
        if self._members == (_MEMBERS if self._name == "gzip" else 1):  # each costs a copy of all that follows it
            raise self._broken()
        self._members += 1
        self._member = zlib.decompressobj(window)
        return self._member

    def _broken(self) -> ArangoError:
        return ArangoError(10, f"a decoding error occurred while handling Content-Encoding: {self._name}", status=400)


def without(headers: Headers) -> Headers:
    """Return the headers of the decoded request: without the encoding, and the length of what was encoded."""
    return [pair for pair in headers if pair[0].lower() not in (b"content-encoding", b"content-length")]
