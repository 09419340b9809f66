"""Bytes for a listener: requests framed well and badly, cut, doubled, mixed with arbitrary bytes."""

from __future__ import annotations

from hpack import Encoder
from hypothesis import strategies as st

from tests.fuzz.requests import requests
from tests.unit.http.test_requests import SMUGGLING, TOO_LARGE

Whole = tuple[str, bytes, list[tuple[bytes, bytes]], bytes]


def framed(request: Whole, *, chunk: int = 0, keep: bool = True) -> bytes:
    """Return a complete request with correct framing; chunk: the size of its chunks, 0 for Content-Length."""
    method, target, headers, body = request
    lines = [(b"Host", b"a"), *headers]
    if not keep:
        lines.append((b"Connection", b"close"))
    if chunk:
        lines.append((b"Transfer-Encoding", b"chunked"))
        pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif body or method in ("POST", "PUT", "PATCH"):
        lines.append((b"Content-Length", b"%d" % len(body)))
    head = b"".join(b"%b: %b\r\n" % line for line in lines)
    return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method.encode(), target, head, body)


INSERTS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b" ",
    b"\t",
    b":",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"\xff",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding: identity\r\n",
    b"\r\n folded: x",
    b"Host: b\r\n",
    b"0\r\n\r\n",
    b"5;ext=1\r\nabcde\r\n",
    b"ffffffffffffffff\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade\r\n",
    b"Connection: close\r\n",
    b"HTTP/1.0",
    b"HTTP/9.9",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\n",
    b"A" * 9000,
    b"%",
    b"%00",
    b"%ff",
    b"?",
    b"#",
    b"/" * 50,
    b"X: y\r\n" * 300,
    b"-1",
    b"99999999999999999999",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a request with bytes removed, inserted, doubled or changed, perhaps cut."""
    data = bytearray(framed(draw(requests()), chunk=draw(st.sampled_from([0, 0, 1, 7]))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data))))
        change = draw(st.integers(0, 5))
        if change == 0:
            data[at:at] = draw(st.sampled_from(INSERTS))
        elif change == 1:
            del data[at : at + draw(st.integers(1, 20))]
        elif change == 2:
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
        elif change == 3:
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif change == 4:
            data = bytearray(
                bytes(data).replace(b"\r\n", draw(st.sampled_from([b"\n", b"\r", b"\r\n\r\n", b"\r\n "])), 1)
            )
        else:
            del data[at:]
    return bytes(data)


hostile = st.one_of(
    mutated(),
    mutated(),
    st.sampled_from([*SMUGGLING.values(), *(raw for raw, _ in TOO_LARGE.values())]),
    st.binary(max_size=60),
)


def splits(data: bytes, cuts: list[int]) -> list[bytes]:
    """Split the bytes into pieces."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


# HTTP/2

_PSEUDO = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/_api/version")]
_FIELDS = [
    (":path", "/ x"),
    (":method", "POST"),
    (":status", "200"),
    ("content-length", "5"),
    ("content-length", "-1"),
    ("transfer-encoding", "chunked"),
    ("connection", "close"),
    ("te", "gzip"),
    ("Upper", "x"),
    ("a b", "c"),
    ("x", "a\r\nb"),
    ("cookie", "a=b"),
    ("host", "b"),
    ("expect", "100-continue"),
    ("", ""),
    ("x", "\x00"),
    ("x", "y" * 500),
    ("\xff", "\xff"),
]


def raw_frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Encode a frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@st.composite
def _head(draw: st.DrawFn) -> bytes:
    fields = [*_PSEUDO[draw(st.integers(0, 2)) :], *draw(st.lists(st.sampled_from(_FIELDS), max_size=3))]
    method, target, _, _ = draw(requests())
    if draw(st.booleans()):
        fields = [(":method", method), *_PSEUDO[1:3], (":path", target.decode("latin-1"))]
    return bytes(Encoder().encode(fields))


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Return invalid HTTP/2: the preface, then frames of every kind on few streams, perhaps cut."""
    data = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + raw_frame(4, 0, 0, b"")
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from([0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 200]))
        stream = draw(st.sampled_from([0, 1, 1, 1, 3, 5, 7, 2, 2**31 - 1]))
        payload = draw(_head()) if kind in (1, 9) else draw(st.sampled_from(_PAYLOADS) | st.binary(max_size=20))
        data += raw_frame(kind, draw(st.sampled_from([0, 1, 4, 5, 5, 8, 0x20, 0xFF])), stream, payload)
    if draw(st.integers(0, 4)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return data


_PAYLOADS = [
    b"",
    b"12345678",
    b"\x00\x00\x00\x08",
    b"\x00\x00\x00\x00",
    b"\x7f\xff\xff\xff",
    b"\x00\x04\x7f\xff\xff\xff",
    b"\x00\x04\x00\x00\x00\x00",
    b"\x00\x05\x00\x00\x00\x01",
    b"\x00\x03\x00\x00\x00\x00",
    b"x" * 17_000,
    b"hello",
]
