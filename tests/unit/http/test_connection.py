"""One client connection on a recording transport: order, framing, back-pressure, disconnects, time limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from proxy.base.errors import ArangoError, FramingError, UpstreamOutcomeUnknown
from proxy.http.limits import HIGH_WATER, HttpLimits
from proxy.http.stream import BodyStream
from proxy.model.message import Request, Response
from tests.unit.http.connection_fixtures import GET, POST, Gate, echo
from tests.unit.http.support import Talk


async def test_an_answer_is_one_write_with_its_length() -> None:
    talk = Talk(echo)
    out = await talk.say(POST % (3, b""), b"abc")
    assert out == b"HTTP/1.1 200 OK\r\nX-Peer: 192.0.2.7\r\ncontent-length: 5\r\n\r\n/ abc"
    assert len(talk.transport.writes) == 1
    await talk.end()


async def test_pipelined_requests_are_answered_in_their_order_and_one_at_a_time() -> None:
    gate = Gate()
    talk = Talk(gate)
    await talk.say(GET % 1 + GET % 2 + GET % 3)
    assert [request.target for request in gate.asked] == [b"/1"]
    for body in (b"one", b"two", b"three"):
        gate.answer(body)
    out = await talk.settle()
    assert out.index(b"one") < out.index(b"two") < out.index(b"three")
    await talk.end()


async def test_a_deep_pipeline_stops_the_reading_until_it_is_shorter() -> None:
    gate = Gate()
    talk = Talk(gate, HttpLimits(pipeline=3))
    await talk.say(b"".join(GET % number for number in range(5)))
    assert not talk.transport.reading
    for _ in range(3):
        gate.answer()
    await talk.settle()
    assert talk.transport.reading
    await talk.end()


async def test_large_bodies_in_a_pipeline_stop_the_reading_too() -> None:
    gate = Gate()
    talk = Talk(gate, HttpLimits(buffer_body=HIGH_WATER))
    body = b"x" * HIGH_WATER
    await talk.say(GET % 1, *[POST % (len(body), b"") + body] * 3)
    assert not talk.transport.reading
    await talk.end()


async def test_a_slow_handler_stops_the_reading_of_its_streamed_body() -> None:
    taken = asyncio.Event()

    async def slow(request: Request) -> Response:
        await taken.wait()
        return await echo(request)

    talk = Talk(slow, HttpLimits(buffer_body=10))
    size = 4 * HIGH_WATER
    await talk.say(POST % (size, b""))
    sent = 0
    while talk.transport.reading:
        await talk.say(b"x" * 65536)
        sent += 65536
    assert sent <= HIGH_WATER + 65536
    taken.set()
    await talk.settle()
    assert talk.transport.reading
    out = await talk.say(b"x" * (size - sent))
    assert b"content-length: %d\r\n" % (size + 2) in out
    await talk.end()


async def test_a_slow_client_stops_the_answer_that_streams() -> None:
    produced = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal produced
        for _ in range(10):
            produced += 1
            yield b"piece"

    async def handler(request: Request) -> Response:
        return Response(200, [], body())

    talk = Talk(handler)
    talk.connection.pause_writing()
    await talk.say(GET % 1)
    assert produced == 1
    talk.connection.resume_writing()
    out = await talk.settle()
    assert produced == 10
    assert out.endswith(b"5\r\npiece\r\n" * 2 + b"0\r\n\r\n")
    await talk.end()


async def test_a_slow_client_is_not_answered_ahead() -> None:
    gate = Gate()
    talk = Talk(gate)
    talk.connection.pause_writing()
    gate.answer()
    gate.answer()
    await talk.say(GET % 1 + GET % 2)
    assert gate.done == [b"/1"]
    talk.connection.resume_writing()
    await talk.settle()
    assert gate.done == [b"/1", b"/2"]
    await talk.end()


async def test_a_stream_of_known_length_is_not_chunked() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b""
        yield b"de"

    async def handler(request: Request) -> Response:
        return Response(200, [(b"Content-Length", b"5")], body())

    talk = Talk(handler)
    out = await talk.say(GET % 1)
    assert out == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde"
    await talk.end()


@pytest.mark.parametrize("pieces", [[b"abc"], [b"abc", b"defg"]])
async def test_a_stream_that_breaks_its_length_is_cut(pieces: list[bytes]) -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def handler(request: Request) -> Response:
        return Response(200, [(b"content-length", b"5")], body())

    talk = Talk(handler)
    await talk.say(GET % 1)
    assert talk.transport.aborted
    await talk.end()


async def test_a_stream_that_fails_is_cut_so_that_the_client_knows() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        raise UpstreamOutcomeUnknown("gone")

    async def handler(request: Request) -> Response:
        return Response(200, [], body())

    talk = Talk(handler)
    out = await talk.say(GET % 1)
    assert out.endswith(b"3\r\nabc\r\n")
    assert talk.transport.aborted
    await talk.end()


@pytest.mark.parametrize(
    ("request_line", "status", "body", "expected"),
    [
        (b"HEAD / HTTP/1.1", 200, b"abc", b"content-length: 3\r\n\r\n"),
        (b"GET / HTTP/1.1", 204, b"abc", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET / HTTP/1.1", 304, b"abc", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (b"GET / HTTP/1.1", 299, b"", b"HTTP/1.1 299 Unknown\r\ncontent-length: 0\r\n\r\n"),
    ],
)
async def test_answers_without_a_body(request_line: bytes, status: int, body: bytes, expected: bytes) -> None:
    async def handler(request: Request) -> Response:
        return Response(status, [], body)

    talk = Talk(handler)
    assert (await talk.say(request_line + b"\r\nHost: a\r\n\r\n")).endswith(expected)
    await talk.end()


async def test_a_head_keeps_the_length_that_its_handler_tells() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [(b"Content-Length", b"77")])

    talk = Talk(handler)
    assert b"content-length: 77\r\n" in await talk.say(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    await talk.end()


async def test_a_streamed_answer_to_head_is_closed_unread() -> None:
    abandoned: list[bool] = []
    stream = BodyStream(lambda: None, lambda: abandoned.append(True))

    async def handler(request: Request) -> Response:
        return Response(200, [(b"Content-Length", b"7")], stream)

    talk = Talk(handler)
    assert (await talk.say(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")).endswith(b"content-length: 7\r\n\r\n")
    assert abandoned == [True]
    await talk.end()


async def test_framing_headers_of_a_handler_are_not_believed() -> None:
    async def handler(request: Request) -> Response:
        lies = [(b"Content-Length", b"999"), (b"Transfer-Encoding", b"chunked"), (b"Connection", b"close")]
        return Response(200, lies, b"abc", b"Fine")

    talk = Talk(handler)
    assert await talk.say(GET % 1) == b"HTTP/1.1 200 Fine\r\ncontent-length: 3\r\n\r\nabc"
    await talk.end()


async def test_a_header_with_a_line_break_never_gets_out() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [(b"Location", b"/x\r\nSet-Cookie: stolen")], b"abc")

    talk = Talk(handler)
    out = await talk.say(GET % 1)
    assert out.startswith(b"HTTP/1.1 500 ")
    assert b"stolen" not in out
    await talk.end()


@pytest.mark.parametrize(("version", "line"), [(b"1.0", b"Connection: keep-alive"), (b"1.1", b"Connection: close")])
async def test_what_connection_says(version: bytes, line: bytes) -> None:
    talk = Talk(echo)
    out = await talk.say(b"GET / HTTP/" + version + b"\r\nHost: a\r\n" + line + b"\r\n\r\n")
    assert line.lower() in out
    assert talk.transport.closing is (version == b"1.1")
    await talk.end()


async def test_a_stream_to_an_old_client_ends_with_the_connection() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"abc"

    async def handler(request: Request) -> Response:
        return Response(200, [], body())

    talk = Talk(handler)
    out = await talk.say(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert out == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc"
    assert talk.transport.closing
    await talk.end()


async def test_continue_is_said_when_the_body_is_due() -> None:
    gate = Gate()
    talk = Talk(gate)
    await talk.say(GET % 1 + POST % (1, b"Expect: 100-continue\r\n"))
    assert talk.transport.out == b""
    gate.answer(b"first")
    out = await talk.settle()
    assert out.index(b"first") < out.index(b"HTTP/1.1 100 Continue\r\n\r\n")
    gate.answer(b"second")
    assert (await talk.say(b"x")).endswith(b"second")
    await talk.end()


async def test_continue_is_said_before_a_streamed_body() -> None:
    talk = Talk(echo, HttpLimits(buffer_body=2))
    out = await talk.say(POST % (3, b"Expect: 100-continue\r\n"))
    assert out == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await talk.say(b"abc")).endswith(b"/ abc")
    await talk.end()


async def test_a_body_that_is_too_large_is_refused_before_it_comes() -> None:
    talk = Talk(echo, HttpLimits(body=2))
    out = await talk.say(POST % (3, b"Expect: 100-continue\r\n"))
    assert out.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in out
    await talk.end()


async def test_broken_framing_is_answered_in_its_turn_and_in_arangodbs_shape() -> None:
    gate = Gate()
    talk = Talk(gate)
    await talk.say(GET % 1 + b"BROKEN\r\n\r\n", GET % 2)
    gate.answer(b"first")
    out = await talk.settle()
    head, _, body = out.partition(b"first")[2].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"connection: close" in head
    said = json.loads(body)
    assert (said["error"], said["code"], said["errorNum"]) == (True, 400, 400)
    assert "malformed request" in said["errorMessage"]
    assert [request.target for request in gate.asked] == [b"/1"]
    assert talk.transport.eof
    talk.connection.enforce_timeouts(10**6)
    assert talk.transport.aborted
    await talk.end()


@pytest.mark.parametrize(
    ("error", "status", "number"),
    [
        (ArangoError(1202), 404, 1202),
        (FramingError("too much", 413), 413, 413),
        (UpstreamOutcomeUnknown("gone"), 503, 503),
        (ValueError("a document's value"), 500, 500),
    ],
)
async def test_what_a_handler_raises_becomes_an_answer(error: Exception, status: int, number: int) -> None:
    async def handler(request: Request) -> Response:
        raise error

    talk = Talk(handler)
    with capture_logs() as logs:
        out = await talk.say(GET % 1)
    assert out.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(out.partition(b"\r\n\r\n")[2])["errorNum"] == number
    assert len(logs) == (status == 500)
    assert "value" not in str(logs)
    assert not talk.transport.closing
    await talk.end()


async def test_an_interim_status_of_a_handler_is_its_mistake() -> None:
    async def handler(request: Request) -> Response:
        return Response(101)

    talk = Talk(handler)
    assert (await talk.say(GET % 1)).startswith(b"HTTP/1.1 500 ")
    await talk.end()
