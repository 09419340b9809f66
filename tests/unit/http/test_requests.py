"""Requests out of bytes: accepted, refused, and the end of a message."""

from __future__ import annotations

import pytest

from proxy.base.errors import FramingError
from proxy.http.limits import HttpLimits
from proxy.http.requests import BODY, HEAD, IDLE, Incoming, RequestParser
from tests.unit.http.support import body_of, nothing, parsed

HEADERS = b"Host: a\r\n"


def get(path: bytes = b"/") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HEADERS + b"\r\n"


def post(framing: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST /p HTTP/" + version + b"\r\n" + HEADERS + framing + b"\r\n\r\n" + body


def test_a_request_keeps_its_target_headers_and_body_byte_for_byte() -> None:
    raw = b"PUT /_api/x%2F?a=%C3%A9&b HTTP/1.1\r\nhOsT: a\r\nX-Odd:  \xe9 v \t\r\nContent-Length: 3\r\n\r\n\x00\xffz"
    [incoming] = parsed([raw])
    request = incoming.request
    assert (request.method, request.target, request.version) == ("PUT", b"/_api/x%2F?a=%C3%A9&b", "1.1")
    assert request.headers == [(b"hOsT", b"a"), (b"X-Odd", b"\xe9 v"), (b"Content-Length", b"3")]
    assert request.body == b"\x00\xffz"
    assert incoming.keep_alive
    assert not incoming.upgrade


def test_pipelined_requests_come_one_by_one() -> None:
    found = parsed([get(b"/1") + post(b"Content-Length: 2", b"ab") + get(b"/3")])
    assert [(item.request.target, item.request.body) for item in found] == [(b"/1", b""), (b"/p", b"ab"), (b"/3", b"")]


def test_a_chunked_body_loses_its_chunks_extensions_and_trailers() -> None:
    body = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n"
    [first, second] = parsed([post(b"Transfer-Encoding: chunked", body) + get(b"/2")])
    assert first.request.body == b"abcde"
    assert first.request.header(b"x-trailer") is None
    assert second.request.headers == [(b"Host", b"a")]


@pytest.mark.parametrize(
    ("raw", "keep"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
    ],
)
def test_whether_the_connection_goes_on(raw: bytes, keep: bool) -> None:
    [incoming] = parsed([raw])
    assert incoming.keep_alive is keep


def test_nothing_behind_the_last_request_is_a_request() -> None:
    closing = b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert len(parsed([closing + get(b"/2")])) == 1
    assert len(parsed([closing, get(b"/2")])) == 1


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        (b"http://h:1/_api/x?y", b"/_api/x?y"),
        (b"HTTP://h", b"/"),
        (b"http://h?q=/", b"/?q=/"),
    ],
)
def test_a_target_in_absolute_form_becomes_a_path(raw: bytes, target: bytes) -> None:
    [incoming] = parsed([get(raw)])
    assert incoming.request.target == target


def test_options_star_stays() -> None:
    [incoming] = parsed([b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"])
    assert incoming.request.target == b"*"


SMUGGLING = {
    "both framings": post(b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
    "both framings, turned": post(b"Transfer-Encoding: chunked\r\nContent-Length: 3", b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 3\r\nContent-Length: 4", b"abcd"),
    "the same length twice": post(b"Content-Length: 3\r\nContent-Length: 3", b"abc"),
    "a list of lengths": post(b"Content-Length: 3, 3", b"abc"),
    "a signed length": post(b"Content-Length: +3", b"abc"),
    "a negative length": post(b"Content-Length: -3", b"abc"),
    "a hexadecimal length": post(b"Content-Length: 0x3", b"abc"),
    "an empty length": post(b"Content-Length:", b"abc"),
    "a length beyond 64 bits": post(b"Content-Length: 99999999999999999999999", b"abc"),
    "a blank before the colon": post(b"Content-Length : 3", b"abc"),
    "a folded header": post(b"X: a\r\n b\r\nContent-Length: 0"),
    "a folded first header": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "lone LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "lone LF behind a header": b"GET / HTTP/1.1\r\nHost: a\n\r\n",
    "lone LF at the end of the head": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "lone CR in a value": post(b"X: a\rb\r\nContent-Length: 0"),
    "NUL in a value": post(b"X: a\x00b\r\nContent-Length: 0"),
    "another coding": post(b"Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"),
    "chunked not last": post(b"Transfer-Encoding: chunked, identity", b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
    "a coding like chunked": post(b"Transfer-Encoding: xchunked", b"0\r\n\r\n"),
    "a quoted coding": post(b'Transfer-Encoding: "chunked"', b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity", b"abc"),
    "an empty coding": post(b"Transfer-Encoding:", b"abc"),
    "a vertical tab before chunked": post(b"Transfer-Encoding: \x0bchunked", b"0\r\n\r\n"),
    "chunked in HTTP/1.0": post(b"Transfer-Encoding: chunked", b"0\r\n\r\n", version=b"1.0"),
    "a chunk without CR": post(b"Transfer-Encoding: chunked", b"3\nabc\r\n0\r\n\r\n"),
    "a chunk size with 0x": post(b"Transfer-Encoding: chunked", b"0x3\r\nabc\r\n0\r\n\r\n"),
    "a chunk size with a blank": post(b"Transfer-Encoding: chunked", b"3 \r\nabc\r\n0\r\n\r\n"),
    "a chunk longer than its size": post(b"Transfer-Encoding: chunked", b"3\r\nabcX\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": post(b"Transfer-Encoding: chunked", b"fffffffffffffffff\r\nabc"),
    "a length in a trailer": post(b"Transfer-Encoding: chunked", b"0\r\nContent-Length: 5\r\n\r\n"),
    "no host": b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
    "a header with a blank in its name": b"GET / HTTP/1.1\r\nHost: a\r\nA b: x\r\n\r\n",
    "a line that is no header": b"GET / HTTP/1.1\r\nHost: a\r\nnoline\r\n\r\n",
    "a blank in the target": get(b"/a b"),
    "a control character in the target": get(b"/a\x01"),
    "a fragment": get(b"/a#b"),
    "a fragment in a URL": get(b"http://a/b#c"),
    "a target that is no path": get(b"x"),
    "another scheme": get(b"ftp://a/b"),
    "a word for a version": b"GET / FOO/1.1\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown method": b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "another expectation": post(b"Expect: a-pony\r\nContent-Length: 1", b"x"),
}


@pytest.mark.parametrize("raw", SMUGGLING.values(), ids=SMUGGLING)
def test_broken_framing_is_refused_and_nothing_behind_it_is_read(raw: bytes) -> None:
    found: list[Incoming] = []
    parser = RequestParser(HttpLimits(), found.append, resume=nothing, abandon=nothing)
    with pytest.raises(FramingError) as refused:
        parser.feed(raw + get(b"/smuggled"))
    assert refused.value.status in {400, 405, 417, 501, 505}
    assert found == []


LIMITS = HttpLimits(head=400, url=50, headers=5, body=30, buffer_body=10)
TOO_LARGE = {
    "the URL": (get(b"/" + b"u" * 50), 414),
    "a header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 400 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 5 + b"\r\n", 431),
    "a body by its length": (post(b"Content-Length: 31"), 413),
    "a body by its chunks": (post(b"Transfer-Encoding: chunked", b"20\r\n" + b"b" * 32 + b"\r\n0\r\n\r\n"), 413),
}


@pytest.mark.parametrize(("raw", "status"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_is_too_large_has_a_status_of_its_own(raw: bytes, status: int) -> None:
    with pytest.raises(FramingError) as refused:
        parsed([raw], LIMITS)
    assert refused.value.status == status


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
        post(b"Transfer-Encoding: chunked", b"1\r\na\r\n1;"),
        post(b"Transfer-Encoding: chunked", b"1\r\na\r\n0\r\nX: "),
    ],
    ids=["head", "chunk extension", "trailer"],
)
def test_a_head_without_an_end_is_cut_off(raw: bytes) -> None:
    parser = RequestParser(LIMITS, lambda _: None, resume=nothing, abandon=nothing)
    parser.feed(raw)
    for _ in range(3):
        parser.feed(b"x" * 65536)
    with pytest.raises(FramingError) as refused:
        parser.feed(b"x" * 65536 * 2)
    assert refused.value.status == 431


async def test_a_large_body_streams_from_its_head_on() -> None:
    found: list[Incoming] = []
    parser = RequestParser(LIMITS, found.append, resume=nothing, abandon=nothing)
    parser.feed(post(b"Content-Length: 20", b"0123"))
    [incoming] = found
    assert incoming.stream is not None
    assert parser.awaiting is incoming
    parser.feed(b"456789abcdef" + b"ghij" + get(b"/2"))
    assert await body_of(incoming) == b"0123456789abcdefghij"
    assert found[1].request.target == b"/2"


async def test_a_chunked_body_streams_once_it_is_known_to_be_large() -> None:
    found: list[Incoming] = []
    parser = RequestParser(LIMITS, found.append, resume=nothing, abandon=nothing)
    parser.feed(post(b"Transfer-Encoding: chunked", b"8\r\n01234567\r\n"))
    assert found == []
    parser.feed(b"4\r\n89ab\r\n")
    [incoming] = found
    parser.feed(b"0\r\n\r\n")
    assert await body_of(incoming) == b"0123456789ab"


async def test_a_streamed_body_that_grows_too_large_fails_its_reader() -> None:
    found: list[Incoming] = []
    parser = RequestParser(LIMITS, found.append, resume=nothing, abandon=nothing)
    parser.feed(post(b"Transfer-Encoding: chunked", b"10\r\n0123456789abcdef\r\n"))
    with pytest.raises(FramingError) as refused:
        parser.feed(b"10\r\n0123456789abcdef\r\n")
    parser.fail(refused.value)
    with pytest.raises(FramingError, match="too large"):
        await body_of(found[0])
    assert not found[0].keep_alive


def test_an_upgrade_request_holds_back_what_comes_behind_it() -> None:
    asking = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    found: list[Incoming] = []
    parser = RequestParser(HttpLimits(), found.append, resume=nothing, abandon=nothing)
    parser.feed(asking + b"raw")
    parser.feed(b" bytes")
    assert found[0].upgrade
    assert parser.take_rest() == b"raw bytes"
    parser.feed(get())
    assert len(found) == 1


def test_a_declined_upgrade_goes_on_with_http() -> None:
    asking = b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    found: list[Incoming] = []
    parser = RequestParser(HttpLimits(), found.append, resume=nothing, abandon=nothing)
    parser.feed(asking + get(b"/2")[:9])
    assert len(found) == 1
    parser.decline()
    parser.feed(get(b"/2")[9:])
    assert found[1].request.target == b"/2"


@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 3", b"abc"), (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n")],
)
@pytest.mark.parametrize("cut", [0, 2])
def test_an_upgrade_with_a_body_is_no_upgrade(framing: bytes, body: bytes, cut: int) -> None:
    raw = post(b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + framing, body)
    at = len(raw) - len(body) + cut
    first, second = parsed([raw[:at], raw[at:] + get(b"/2")])
    assert first.request.body == b"abc"
    assert not first.upgrade
    assert second.request.target == b"/2"


def test_expecting_to_continue() -> None:
    found: list[Incoming] = []
    parser = RequestParser(HttpLimits(), found.append, resume=nothing, abandon=nothing)
    parser.feed(post(b"Expect: 100-Continue\r\nContent-Length: 2"))
    assert parser.awaiting is not None
    assert parser.awaiting.expects
    parser.feed(b"ab")
    assert not found[0].expects


def test_where_in_a_message_the_parser_stands() -> None:
    parser = RequestParser(HttpLimits(), lambda _: None, resume=nothing, abandon=nothing)
    states = []
    for piece in (b"PO", b"ST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n", b"a", b"b"):
        parser.feed(piece)
        states.append(parser.state)
    assert states == [HEAD, BODY, BODY, IDLE]
