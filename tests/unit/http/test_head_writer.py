"""Heads as bytes: headers that are forwarded, those that are written again, those that are never sent."""

from __future__ import annotations

import pytest

from proxy.base.errors import FramingError
from proxy.http.head_writer import request_head, response_head, status_line, tokens
from proxy.model.message import Headers


def head(
    method: str = "GET",
    headers: Headers | None = None,
    *,
    host: bytes | None = b"db:8529",
    length: int | None = 0,
    chunked: bool = False,
    upgrade: bool = False,
) -> bytes:
    return request_head(method, b"/x?y", headers or [], host=host, length=length, chunked=chunked, upgrade=upgrade)


def test_hop_by_hop_headers_stay_behind_and_the_rest_keeps_its_bytes() -> None:
    headers = [
        (b"Host", b"client"),
        (b"X-Odd", b"\xff  v"),
        (b"Connection", b"keep-alive, X-Private"),
        (b"x-private", b"1"),
        (b"Keep-Alive", b"5"),
        (b"TE", b"trailers"),
        (b"Trailer", b"x"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Upgrade", b"h2c"),
        (b"Proxy-Connection", b"close"),
        (b"Expect", b"100-continue"),
        (b"Content-Length", b"77"),
        (b"Cookie", b"a=b"),
    ]
    assert head("POST", headers, length=3) == (
        b"POST /x?y HTTP/1.1\r\nhost: db:8529\r\nX-Odd: \xff  v\r\nCookie: a=b\r\ncontent-length: 3\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "length", "said"),
    [
        ("GET", 0, False),
        ("DELETE", 0, False),
        ("GET", 2, True),
        ("POST", 0, True),
        ("PUT", 0, True),
        ("PATCH", 5, True),
    ],
)
def test_a_length_is_told_where_there_is_a_body_or_one_is_usual(method: str, length: int, said: bool) -> None:
    assert (b"content-length: %d\r\n" % length in head(method, length=length)) is said


def test_the_clients_host_can_be_kept() -> None:
    assert b"Host: client\r\n" in head(headers=[(b"Host", b"client")], host=None)


def test_connection_that_names_nothing_special_changes_nothing() -> None:
    headers = [(b"Connection", b"Keep-Alive, close"), (b"X", b"y")]
    assert head(headers=headers) == b"GET /x?y HTTP/1.1\r\nhost: db:8529\r\nX: y\r\n\r\n"


def test_an_upgrade_goes_on() -> None:
    headers = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    assert head(headers=headers, upgrade=True).endswith(b"Upgrade: websocket\r\nconnection: upgrade\r\n\r\n")


def test_chunks_for_servers_that_take_them() -> None:
    assert head("POST", length=None, chunked=True).endswith(b"transfer-encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("target", [b"/a b", b"/a\r\nX: y", b"/a\n"])
def test_a_target_cannot_break_the_head(target: bytes) -> None:
    with pytest.raises(FramingError):
        request_head("GET", target, [], host=b"h", length=0)


@pytest.mark.parametrize("pair", [(b"X\r\nY", b"z"), (b"X", b"y\nZ: 1"), (b"X", b"y\rz")])
def test_a_header_cannot_break_a_head(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(FramingError):
        request_head("GET", b"/", [pair], host=b"h", length=0)
    with pytest.raises(FramingError):
        response_head(200, b"", [pair], length=0)


def test_status_lines_are_remembered_but_not_without_end() -> None:
    assert status_line(200, b"") is status_line(200, b"")
    for number in range(600):
        assert status_line(200, b"r%d" % number) == b"HTTP/1.1 200 r%d\r\n" % number
    assert status_line(200, b"r599") is not status_line(200, b"r599")


def test_tokens() -> None:
    assert tokens([b"Close , X-A", b"", b",x-b"]) == {b"close", b"x-a", b"x-b"}
