"""Content-Encoding of requests (protocol page, section 8)."""

from __future__ import annotations

import gzip
import zlib

import pytest

from proxy.base.errors import ArangoError, Unsupported
from proxy.wire.encoding import Decoder, decoded, encoded, without

PLAIN = b'{"a":1}' * 1000


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PLAIN)),
        (" GZIP ", gzip.compress(PLAIN)),
        ("gzip", gzip.compress(PLAIN[:7]) + gzip.compress(PLAIN[7:])),
        ("deflate", zlib.compress(PLAIN)),
        ("identity", PLAIN),
        ("br", PLAIN),  # means nothing to ArangoDB
        ("gzip, gzip", PLAIN),
    ],
    ids=["gzip", "blanks and case", "two members", "deflate", "identity", "unknown", "a list"],
)
def test_what_arangodb_decodes(encoding: str, body: bytes) -> None:
    assert decoded(body, encoding, len(PLAIN)) == PLAIN
    assert decoded(b"", encoding, 0) == b""


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"nonsense"),
        ("gzip", gzip.compress(PLAIN)[:-1]),
        ("gzip", gzip.compress(PLAIN)[:-5] + b"\x00\x00\x00\x00\x01"),
        ("gzip", gzip.compress(PLAIN) + b"x"),
        ("gzip", zlib.compress(PLAIN)),
        ("gzip", gzip.compress(b"") * 65),
        ("deflate", zlib.compress(PLAIN) + b"x"),
        ("deflate", zlib.compress(PLAIN)[2:]),
    ],
    ids=["nonsense", "cut", "length", "behind", "zlib as gzip", "65 members", "behind deflate", "no head"],
)
def test_what_is_broken_is_a_bad_parameter(encoding: str, body: bytes) -> None:
    with pytest.raises(ArangoError) as caught:
        decoded(body, encoding, 1 << 20)
    assert (caught.value.status, caught.value.number) == (400, 10)


def test_a_bomb_is_not_unpacked_beyond_its_limit() -> None:
    bomb = gzip.compress(b"\x00" * (50 << 20))
    for body in (bomb, gzip.compress(b"x") * 30):
        with pytest.raises(ArangoError) as caught:
            decoded(body, "gzip", 20)
        assert caught.value.status == 413


def test_what_is_known_and_not_built_is_named() -> None:
    with pytest.raises(Unsupported, match="x-arango-lz4"):
        decoded(b"\x01", "x-arango-lz4", 10)


def test_which_encodings_must_be_undone() -> None:
    assert [encoded(name) for name in ("gzip", "Deflate", "x-arango-lz4")] == [True] * 3
    assert [encoded(name) for name in (None, "", "identity", "br")] == [False] * 4
    headers = [(b"Content-Encoding", b"gzip"), (b"content-length", b"1"), (b"a", b"b")]
    assert without(headers) == [(b"a", b"b")]


@pytest.mark.parametrize("size", [1, 3, 100, 10_000])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PLAIN) + gzip.compress(b"") + gzip.compress(PLAIN)),
        ("deflate", zlib.compress(PLAIN + PLAIN)),
        ("identity", PLAIN + PLAIN),
    ],
)
def test_a_body_may_come_in_pieces(encoding: str, body: bytes, size: int) -> None:
    """No result is longer than asked for, whatever a piece unpacks to."""
    decoder = Decoder(encoding, 2 * len(PLAIN), chunk=200)
    parts = [part for at in range(0, len(body), size) for part in decoder.feed(body[at : at + size])]
    decoder.end()
    assert b"".join(parts) == PLAIN + PLAIN
    assert encoding == "identity" or max(map(len, parts)) <= 200
    unfinished = Decoder("gzip", 1 << 20)
    assert list(unfinished.feed(gzip.compress(PLAIN)[:-1])) == [PLAIN]
    with pytest.raises(ArangoError):
        unfinished.end()
