"""Any split of a byte stream into pieces gives the same requests, and the same answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http.limits import HttpLimits
from proxy.http.requests import Incoming, RequestParser
from proxy.http.responses import ResponseParser
from tests.unit.http.support import nothing

LIMITS = HttpLimits(buffer_body=16)
names = st.from_regex(rb"X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,8}", fullmatch=True)
values = st.from_regex(rb"[!-~\x80-\xff]([ -~\x80-\xff]{0,10}[!-~\x80-\xff])?", fullmatch=True)
headers = st.lists(st.tuples(names, values), max_size=4)
bodies = st.binary(max_size=40)
targets = st.from_regex(rb"/[A-Za-z0-9_/?&=%.-]{0,20}", fullmatch=True)


def chunks(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, tuple[str, bytes, list[tuple[bytes, bytes]], bytes]]:
    """Return a request as bytes, and what it contains."""
    method, target, extra = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE"])), draw(targets), draw(headers)
    body, framing = draw(bodies), draw(st.integers(0, 3))
    lines = [(b"Host", b"a"), *extra]
    if framing:
        lines.append((b"Transfer-Encoding", b"chunked"))
        wire = chunks(body, framing * 7)
    else:
        lines.append((b"Content-Length", b"%d" % len(body)))
        wire = body
    head = b"".join(b"%b: %b\r\n" % line for line in lines)
    return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method.encode(), target, head, wire), (method, target, lines, body)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def drain(body: bytes | AsyncIterator[bytes]) -> bytes:
    """Return the body, also of a stream that has ended: all its pieces are there."""
    if isinstance(body, bytes):
        return body
    with asyncio.Runner() as runner:
        return runner.run(join(body))


async def join(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


@settings(max_examples=150, deadline=None)
@given(st.lists(messages(), min_size=1, max_size=4), st.lists(st.integers(0, 2000), max_size=12))
def test_request_parsing_does_not_depend_on_how_bytes_are_split(
    sent: list[tuple[bytes, tuple[str, bytes, list[tuple[bytes, bytes]], bytes]]], cuts: list[int]
) -> None:
    found: list[Incoming] = []
    parser = RequestParser(LIMITS, found.append, resume=nothing, abandon=nothing)
    for piece in split(b"".join(raw for raw, _ in sent), cuts):
        parser.feed(piece)
    requests = [item.request for item in found]
    parsed = [(request.method, request.target, request.headers, drain(request.body)) for request in requests]
    assert parsed == [meaning for _, meaning in sent]


@settings(max_examples=150, deadline=None)
@given(headers, bodies, st.integers(0, 3), st.lists(st.integers(0, 2000), max_size=12))
def test_response_parsing_does_not_depend_on_how_bytes_are_split(
    extra: list[tuple[bytes, bytes]], body: bytes, framing: int, cuts: list[int]
) -> None:
    head = b"".join(b"%b: %b\r\n" % line for line in extra)
    if framing:
        wire = b"Transfer-Encoding: chunked\r\n\r\n" + chunks(body, framing * 7)
    else:
        wire = b"Content-Length: %d\r\n\r\n" % len(body) + body
    raw = b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 201 Made It\r\n" + head + wire
    parser = ResponseParser(16, resume=nothing, abandon=nothing)
    parser.expect(head=False)
    for piece in split(raw, cuts):
        parser.feed(piece)
    response = parser.response
    assert response is not None
    assert parser.complete
    assert parser.reusable
    assert (response.status, response.reason) == (201, b"Made It")
    assert [line for line in response.headers if line[0] != b"Content-Length"] == extra
    assert drain(response.body) == body
