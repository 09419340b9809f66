"""Responses out of bytes: their end, and whether their connection can be used again."""

from __future__ import annotations

import pytest

from proxy.base.errors import FramingError
from proxy.http.responses import ResponseParser
from tests.unit.http.support import nothing


def parser(*, head: bool = False, buffer_body: int = 100, upgrade: bool = False) -> ResponseParser:
    made = ResponseParser(buffer_body, resume=nothing, abandon=nothing)
    made.expect(head=head, upgrade=upgrade)
    return made


def test_hop_by_hop_headers_are_dropped_with_those_that_connection_names() -> None:
    got = parser()
    got.feed(
        b"HTTP/1.1 200 Sure\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\nConnection: Keep-Alive, X-Secret\r\nX-Secret: s\r\n"
        b"Trailer: x\r\nContent-Length: 2\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\nok"
    )
    assert got.response is not None
    assert got.response.headers == [
        (b"X-A", b"1"),
        (b"Content-Length", b"2"),
        (b"Set-Cookie", b"a"),
        (b"set-cookie", b"b"),
    ]
    assert (got.response.status, got.response.reason, got.response.body) == (200, b"Sure", b"ok")
    assert got.complete
    assert got.reusable


@pytest.mark.parametrize(
    ("raw", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\njunk", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", True),
    ],
)
def test_whether_the_connection_can_be_used_again(raw: bytes, reusable: bool) -> None:
    got = parser()
    got.feed(raw)
    assert got.complete
    assert got.reusable is reusable


@pytest.mark.parametrize(
    ("raw", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", False),
    ],
)
def test_an_answer_to_head_ends_with_its_head(raw: bytes, reusable: bool) -> None:
    got = parser(head=True)
    got.feed(raw)
    assert got.complete
    assert got.reusable is reusable
    assert got.response is not None
    assert got.response.body == b""
    got.expect(head=False)
    got.feed(b"HTTP/1.1 201 OK\r\nContent-Length: 1\r\n\r\nx")
    assert got.response.status == 201


def test_interim_answers_are_skipped() -> None:
    got = parser()
    got.feed(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 103 Hints\r\nLink: z\r\n\r\n")
    assert not got.complete
    got.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    assert got.response is not None
    assert got.response.headers == [(b"Content-Length", b"1")]


def test_an_answer_may_end_with_the_connection() -> None:
    got = parser()
    got.feed(b"HTTP/1.1 200 OK\r\n\r\nabc")
    got.feed(b"def")
    assert not got.complete
    assert got.eof()
    assert got.response is not None
    assert got.response.body == b"abcdef"
    assert not got.reusable


def test_a_cut_answer_is_no_answer() -> None:
    got = parser()
    got.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    assert not got.eof()


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 101 Switching\r\n\r\nx",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nx",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_400_000,
    ],
)
def test_what_is_no_answer_is_an_error(raw: bytes) -> None:
    with pytest.raises(FramingError):
        parser().feed(raw)


async def test_a_large_answer_streams() -> None:
    got = parser(buffer_body=4)
    got.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab")
    assert got.stream is not None
    assert got.response is not None
    assert not isinstance(got.response.body, bytes)
    got.feed(b"cdef")
    assert b"".join([piece async for piece in got.response.body]) == b"abcdef"


def test_trailers_stay_out_of_the_next_answer() -> None:
    got = parser()
    got.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: t\r\n\r\n")
    got.expect(head=False)
    got.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert got.response is not None
    assert got.response.headers == [(b"Content-Length", b"0")]


def test_an_upgrade_keeps_what_came_behind_it() -> None:
    got = parser(upgrade=True)
    got.feed(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nraw")
    assert got.rest == b"raw"
    assert got.response is not None
    assert got.response.headers == [(b"Upgrade", b"echo")]
    assert not got.reusable
