"""Behaviour of a connection for correct clients, at the development server and at the proxy (protocol page, 8)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.fuzz.servers import TIMEOUT, FuzzServers, answers, mark, talk

MARK = b"/_db/own/_api/document/marks/m1"


@pytest.fixture(params=["development", "proxy"])
def port(servers: FuzzServers, request: pytest.FixtureRequest) -> Iterator[int]:
    yield servers.ports[request.param]
    servers.check()


def get(version: bytes = b"1.1", *lines: bytes, method: bytes = b"GET", target: bytes = MARK) -> bytes:
    head = b"".join(line + b"\r\n" for line in (b"Host: a", *lines))
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version, head)


def read_answer(connection: socket.socket) -> bytes:
    """Read one complete answer with Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def test_keep_alive_is_the_rule_in_http_1_1(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        for _ in range(5):
            connection.sendall(get())
            head = read_answer(connection).partition(b"\r\n\r\n")[0].lower()
            assert head.startswith(b"http/1.1 200 ")
            assert b"connection: close" not in head


def test_pipelined_requests_are_answered_in_their_order(port: int) -> None:
    found = answers(talk(port, b"".join(mark(number) for number in (3, 1, 4, 1, 5, 2, 6))))
    assert [json.loads(answer.body)["mark"] for answer in found] == [
        f"<<{number}>>" for number in (3, 1, 4, 1, 5, 2, 6)
    ]


def test_head_states_the_length_and_sends_no_body(port: int) -> None:
    whole = talk(port, get())
    alone = talk(port, get(method=b"HEAD") + get())
    head, _, rest = alone.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(whole.partition(b"\r\n\r\n")[2]) in head.lower()
    assert rest.startswith(b"HTTP/1.1 200 ")


def test_expect_100_continue_is_answered(port: int) -> None:
    document = b'{"_key":"continued"}'
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        length = b"Content-Length: %d" % len(document)
        connection.sendall(get(b"1.1", b"Expect: 100-continue", length, method=b"POST", target=b"/_api/document/c"))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(document)
        assert read_answer(connection).startswith((b"HTTP/1.1 201 ", b"HTTP/1.1 202 ", b"HTTP/1.1 409 "))


def test_http_1_0_closes_unless_it_is_asked_to_keep_alive(port: int) -> None:
    closing = talk(port, get(b"1.0") + get(b"1.0"))
    assert closing.count(b"HTTP/1.1 200 ") == 1
    keeping = talk(port, get(b"1.0", b"Connection: keep-alive") + get(b"1.0"))
    assert keeping.count(b"HTTP/1.1 200 ") == 2
    assert b"connection: keep-alive" in keeping.lower()


def test_connection_close_is_the_last_request(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        connection.sendall(get(b"1.1", b"Connection: close") + get())
        data = b""
        while part := connection.recv(65536):  # it closes though the client does not
            data += part
    assert data.count(b"HTTP/1.1 200 ") == 1
    assert b"connection: close" in data.lower()


def test_only_the_proxy_accepts_a_chunked_body(port: int, servers: FuzzServers) -> None:
    """ArangoDB refuses one (501, errorNum 9), as the development server does; the proxy forwards it with a length."""
    chunks = b'5\r\n{"_ke\r\n8\r\ny":"k9"}\r\n0\r\n\r\n'
    chunked = get(b"1.1", b"Transfer-Encoding: chunked", method=b"POST", target=b"/_api/document/c") + chunks
    (answer,) = answers(talk(port, chunked))
    assert answer.status in ((501,) if port == servers.ports["development"] else (201, 202, 409))


@pytest.mark.parametrize("protocol", [b"h2c", b"vst/1.1", b"websocket"])
def test_an_upgrade_is_ignored_on_database_paths(port: int, protocol: bytes) -> None:
    """Writes within a tunnel would bypass the journal (I10); the request itself is answered."""
    upgrade = get(b"1.1", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol, b"HTTP2-Settings: AAAA")
    found = answers(talk(port, upgrade + mark(2)))
    assert [json.loads(answer.body)["mark"] for answer in found] == ["<<1>>", "<<2>>"]


GIANTS = {
    "a URL": (get(target=b"/_api/" + b"u" * 17_000), 414),
    "a head": (get(b"1.1", b"X: " + b"x" * 2_000_000), 431),
    "a thousand headers more": (get(b"1.1", *[b"X: y"] * 3000), 431),
    "a body, declared": (get(b"1.1", b"Content-Length: 3000000000", method=b"POST", target=b"/_api/document/c"), 413),
    "a body, in chunks": (
        get(b"1.1", b"Transfer-Encoding: chunked", method=b"POST", target=b"/_api/document/c")
        + (b"20000\r\n" + b" " * 0x20000 + b"\r\n") * 24,
        413,
    ),
}


@pytest.mark.parametrize(("raw", "status"), GIANTS.values(), ids=GIANTS)
def test_oversized_requests_are_refused_by_the_limit_that_they_exceed(
    port: int, servers: FuzzServers, raw: bytes, status: int
) -> None:
    """The request before them is still answered. The development server accepts no chunks, as ArangoDB."""
    first, second = answers(talk(port, mark(1) + raw))
    assert json.loads(first.body)["mark"] == "<<1>>"
    unchunked = b"chunked" in raw and port == servers.ports["development"]
    assert (second.status, json.loads(second.body)["errorNum"]) == ((501, 9) if unchunked else (status, status))


ODD_BODIES = {
    "deep nesting": b'{"a":' * 300 + b"1" + b"}" * 300,
    "nesting beyond every stack": b"[" * 50_000,
    "bad UTF-8": b'{"a":"\xff"}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "an attribute that comes twice": b'{"a":1,"a":2}',
    "a number beyond all": b'{"a":1e999}',
    "no JSON": b"{nonsense",
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
def test_invalid_json_is_error_600(port: int, body: bytes) -> None:
    length = b"Content-Length: %d" % len(body)
    raw = get(b"1.1", length, method=b"POST", target=b"/_api/document/c") + body
    odd, after = answers(talk(port, raw + mark(4)))
    assert (odd.status, json.loads(odd.body)["errorNum"]) == (400, 600)
    assert json.loads(after.body)["mark"] == "<<4>>"
