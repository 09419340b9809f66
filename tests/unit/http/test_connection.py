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
from proxy.model.message import Request, Response, Tunnel
from tests.unit.http.support import Talk

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n"


async def echo(request: Request) -> Response:
    """Says the target and the body again."""
    body = request.body
    if not isinstance(body, bytes):
        body = b"".join([piece async for piece in body])
    return Response(200, [(b"X-Peer", request.peer.encode())], request.target + b" " + body)


class Gate:
    """A handler whose answers the test lets go, one by one."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.done: list[bytes] = []
        self.answers: asyncio.Queue[Response] = asyncio.Queue()

    async def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        response = await self.answers.get()
        self.done.append(request.target)
        return response

    def answer(self, body: bytes = b"ok") -> None:
        self.answers.put_nowait(Response(200, [], body))


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
    talk.connection.look(10**6)
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


async def test_a_client_that_leaves_does_not_stop_the_handlers_work() -> None:
    """A write that the origin takes is captured though nobody waits for its answer any more (I3)."""
    gate = Gate()
    talk = Talk(gate)
    await talk.say(GET % 1 + GET % 2)
    talk.transport.close()
    await talk.settle()
    assert talk.connection in talk.hub.connections
    gate.answer()
    await talk.settle()
    assert gate.done == [b"/1"]
    assert talk.transport.out == b""
    assert talk.connection not in talk.hub.connections
    assert talk.connection.task.done()


async def test_a_streamed_answer_of_a_client_that_left_is_closed() -> None:
    abandoned: list[bool] = []
    stream = BodyStream(lambda: None, lambda: abandoned.append(True))
    stream.feed(b"piece")
    gate = Gate()
    talk = Talk(gate)
    await talk.say(GET % 1)
    talk.connection.pause_writing()
    gate.answers.put_nowait(Response(200, [], stream))
    await talk.settle()
    talk.transport.close()
    await talk.settle()
    assert abandoned == [True]
    assert talk.connection.task.done()


async def test_a_client_that_leaves_in_the_middle_of_a_streamed_body_fails_its_reader() -> None:
    errors: list[Exception] = []

    async def handler(request: Request) -> Response:
        try:
            return await echo(request)
        except FramingError as error:
            errors.append(error)
            raise

    talk = Talk(handler, HttpLimits(buffer_body=2))
    await talk.say(POST % (10, b"") + b"abc")
    talk.transport.close()
    await talk.settle()
    assert len(errors) == 1
    assert talk.connection.task.done()


async def test_a_half_closed_client_gets_its_answers() -> None:
    gate = Gate()
    talk = Talk(gate)
    await talk.say(GET % 1 + GET % 2)
    assert talk.connection.eof_received()
    gate.answer(b"one")
    gate.answer(b"two")
    assert (await talk.settle()).endswith(b"two")
    assert talk.transport.closing


async def test_a_client_that_closes_between_requests_is_closed() -> None:
    talk = Talk(echo)
    await talk.say(GET % 1)
    assert not talk.connection.eof_received()
    await talk.end()


async def test_an_unread_streamed_body_ends_the_connection_after_the_answer() -> None:
    async def handler(request: Request) -> Response:
        return Response(403, [], b"no")

    talk = Talk(handler, HttpLimits(buffer_body=2))
    out = await talk.say(POST % (10**7, b"") + b"abc")
    assert b"connection: close" in out
    assert talk.transport.eof
    assert not talk.transport.closing  # the client has a moment to read the answer
    assert await talk.say(b"x" * 100 + GET % 2) == out
    talk.connection.drain()
    assert talk.transport.aborted
    await talk.end()


async def test_time_limits() -> None:
    limits = HttpLimits(idle=10, head_time=5, stall=7, linger=4)
    assert limits.tick == 1.0
    quiet, dribbling, starving = Talk(echo, limits), Talk(echo, limits), Talk(echo, limits)
    await quiet.settle()
    await dribbling.say(b"GET / HT")
    await starving.say(POST % (10, b"") + b"abc")
    for talk in (quiet, dribbling, starving):
        talk.connection.look(4)
    await dribbling.say(b"TP")  # a byte now and then does not make a head younger
    dribbling.connection.look(6)
    assert (await dribbling.settle()).startswith(b"HTTP/1.1 408 ")
    starving.connection.look(7)
    assert await starving.settle() == b""
    starving.connection.look(8)
    assert (await starving.settle()).startswith(b"HTTP/1.1 408 ")
    quiet.connection.look(10)
    assert not quiet.transport.closing
    quiet.connection.look(11)
    assert quiet.transport.closing
    for talk in (quiet, dribbling, starving):
        await talk.end()


async def test_a_handler_at_work_has_no_time_limit_but_its_body_has() -> None:
    gate = Gate()
    working, starving = Talk(gate), Talk(echo, HttpLimits(buffer_body=2))
    await working.say(GET % 1)
    await starving.say(POST % (10, b"") + b"abc")
    working.connection.look(10**6)
    starving.connection.look(10**6)
    assert not working.transport.closing
    assert (await starving.settle()).startswith(b"HTTP/1.1 408 ")
    await working.end()
    await starving.end()


async def test_a_client_that_does_not_read_is_cut() -> None:
    talk = Talk(echo)
    talk.connection.pause_writing()
    talk.connection.look(10**6)
    assert talk.transport.aborted
    await talk.end()


async def test_too_many_clients_are_told_so() -> None:
    talk = Talk(echo, HttpLimits(connections=0))
    assert (await talk.settle()).startswith(b"HTTP/1.1 503 ")
    await talk.end()


async def test_draining_ends_idle_connections_at_once_and_others_after_their_answers() -> None:
    gate = Gate()
    talk, idle = Talk(gate), Talk(gate)
    await talk.say(GET % 1)
    await idle.settle()
    for each in (talk, idle):
        each.hub.draining = True
        each.connection.drain()
    await idle.settle()
    assert idle.transport.closing
    assert not talk.transport.closing
    gate.answer()
    assert b"connection: close" in await talk.settle()
    assert talk.transport.closing


UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


async def test_an_upgrade_hands_the_bytes_to_the_tunnel() -> None:
    async def talkative(tunnel: Tunnel) -> None:
        while data := await tunnel.receive():
            await tunnel.send(data.upper())

    async def handler(request: Request) -> Response:
        assert request.tunnel is not None
        return Response(101, [(b"Upgrade", b"echo")], upgrade=talkative)

    talk = Talk(handler)
    out = await talk.say(UPGRADE + b"early ", b"late")
    assert out == b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nconnection: upgrade\r\n\r\nEARLY LATE"
    assert talk.connection.eof_received()
    await talk.settle()
    assert talk.transport.closing


async def test_an_upgrade_that_is_declined_is_an_ordinary_request() -> None:
    talk = Talk(echo)
    out = await talk.say(UPGRADE + GET % 2)
    assert out.count(b"HTTP/1.1 200 OK") == 2
    out = await talk.say(UPGRADE + b"BROKEN\r\n\r\n")
    assert b"HTTP/1.1 400 " in out
    await talk.end()


async def test_requests_behind_a_declined_upgrade_are_answered_though_the_client_sends_no_more() -> None:
    talk = Talk(echo)
    talk.connection.data_received(UPGRADE + GET % 2)
    assert talk.connection.eof_received()
    out = await talk.settle()
    assert out.count(b"HTTP/1.1 200 OK") == 2
    assert talk.transport.closing
    await talk.end()


async def test_a_tunnel_that_fails_is_logged_and_closed() -> None:
    async def broken(tunnel: Tunnel) -> None:
        raise ValueError("secret")

    async def handler(request: Request) -> Response:
        return Response(101, [], upgrade=broken)

    talk = Talk(handler)
    with capture_logs() as logs:
        await talk.say(UPGRADE)
    assert talk.transport.closing
    assert "secret" not in str(logs)
    assert len(logs) == 1


async def test_what_a_client_sends_behind_an_upgrade_is_bounded_too() -> None:
    gate = Gate()
    talk = Talk(gate)
    await talk.say(UPGRADE)
    while talk.transport.reading:
        await talk.say(b"x" * 65536)
    await talk.end()


async def test_cancelling_the_task_cuts_the_connection() -> None:
    talk = Talk(Gate())
    await talk.say(GET % 1)
    talk.connection.task.cancel()
    await talk.settle()
    assert talk.transport.aborted
