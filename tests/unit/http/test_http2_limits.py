"""HTTP/2 clients that leave, stall or flood: what is cut, and what is answered all the same."""

from __future__ import annotations

import asyncio

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from proxy.http.limits import HttpLimits
from proxy.http.stream import BodyStream
from proxy.model.message import Request, Response
from tests.unit.http.http2_fixtures import echo
from tests.unit.http.http2_support import Talk2, fields
from tests.unit.http.support import Talk


async def test_a_client_that_leaves_does_not_stop_the_handlers_work() -> None:
    """I3: what the origin took is captured, even if no client waits for it."""
    go, ended = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Response:
        await go.wait()
        ended.set()
        return Response(200, [], b"x" * 100_000)

    talk = Talk2(handler)
    number = talk.begin(fields())
    talk.begin(fields())
    await talk.say()
    (connection,) = talk.listener.connections
    talk.client.reset_stream(number)
    await talk.say()
    talk.transport.abort()
    await talk.say()
    assert connection.task is not None
    assert not connection.task.done()
    go.set()
    await talk.say()
    assert ended.is_set()
    assert connection.task.done()
    assert not talk.listener.connections


async def test_a_client_that_leaves_in_the_middle_of_a_body_fails_its_reader() -> None:
    errors: list[Exception] = []

    async def handler(request: Request) -> Response:
        assert isinstance(request.body, BodyStream)
        try:
            async for _ in request.body:
                pass
        except Exception as error:
            errors.append(error)
            raise
        return Response(200)

    for leave in ("reset", "close"):
        talk = Talk2(handler, HttpLimits(buffer_body=10))
        number = talk.begin(fields("PUT", "/", ("content-length", "1000")), end=False)
        await talk.say()
        if leave == "reset":
            talk.client.reset_stream(number)
        else:
            talk.transport.close()
        await talk.say()
        await talk.end()
    assert len(errors) == 2


async def test_a_client_that_sends_no_more_streams_gets_its_answers() -> None:
    """GOAWAY of a client: those under way are answered, then the connection ends."""
    go = asyncio.Event()

    async def handler(request: Request) -> Response:
        await go.wait()
        return Response(200, [], b"late")

    talk = Talk2(handler)
    number = talk.begin(fields())
    await talk.say()
    goaway = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + b"\x00" * 8
    refused = talk.begin(fields("GET", "no path"), end=False)  # answered at once, by the read that says goodbye
    talk.feed(talk.client.data_to_send() + goaway)
    go.set()
    await talk.say()
    assert talk.answers[number].body == b"late"
    assert talk.answers[refused].status == 400
    assert talk.transport.closing
    await talk.end()


async def test_draining_says_goaway_answers_what_is_under_way_and_refuses_the_rest() -> None:
    go = asyncio.Event()

    async def handler(request: Request) -> Response:
        await go.wait()
        return Response(200, [], b"done")

    talk = Talk2(handler)
    number = talk.begin(fields())
    await talk.say()
    (connection,) = talk.listener.connections
    talk.listener.draining = True
    connection.drain()
    connection.drain()
    # one that was on its way when GOAWAY was sent: the client may make it again elsewhere
    crossing = talk.begin(fields())
    talk.feed(talk.client.data_to_send())
    goaway = GoAwayFrame(0, last_stream_id=number, error_code=ErrorCodes.NO_ERROR).serialize()
    assert bytes(talk.transport.out).count(goaway) == 1
    assert not talk.transport.closing
    go.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert b"done" in bytes(talk.transport.out)
    assert RstStreamFrame(crossing, error_code=ErrorCodes.REFUSED_STREAM).serialize() in bytes(talk.transport.out)
    assert talk.transport.closing
    await talk.end()


async def test_time_limits() -> None:
    talk = Talk2(echo, HttpLimits(idle=10, stall=10, linger=4, buffer_body=100))
    await talk.say()
    (connection,) = talk.listener.connections
    gathered = talk.begin(fields("PUT", "/"), end=False)
    streamed = talk.begin(fields("PUT", "/", ("content-length", "1000")), end=False)
    await talk.say()
    connection.enforce_timeouts(9)
    await talk.say()
    assert not talk.answers[gathered].status
    connection.enforce_timeouts(11)
    await talk.say()
    for number in (gathered, streamed):
        assert talk.answers[number].status == 408
    connection.enforce_timeouts(9)
    assert talk.goaway is None
    connection.enforce_timeouts(22)
    await talk.say()
    assert talk.goaway is not None
    assert talk.transport.closing
    await talk.end()


async def test_a_client_that_does_not_take_an_answer_is_reset_and_one_that_takes_nothing_is_cut() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [], b"x" * 200_000)

    talk = Talk2(handler, HttpLimits(stall=10, linger=4))
    talk.acknowledge = False
    number = talk.begin(fields())
    await talk.say()
    (connection,) = talk.listener.connections
    connection.enforce_timeouts(11)
    await talk.say()
    assert talk.answers[number].reset == ErrorCodes.CANCEL
    protocol = talk.transport.protocol
    assert protocol is not None
    protocol.pause_writing()
    assert not talk.transport.reading  # answers to pings would pile up
    protocol.resume_writing()
    assert talk.transport.reading
    protocol.pause_writing()
    connection.enforce_timeouts(12)
    assert talk.transport.aborted
    await talk.end()


FLOODS = {
    "settings": SettingsFrame(0, settings={4: 65535}).serialize() * 2500,
    "pings": PingFrame(0, b"12345678").serialize() * 2500,
    "empty data": HeadersFrame(1, data=b"\x83\x86\x84\x41\x01a", flags=["END_HEADERS"]).serialize()
    + DataFrame(1, b"").serialize() * 2500,
    "resets": b"".join(
        HeadersFrame(number, data=b"\x82\x86\x84\x41\x01a", flags=["END_HEADERS", "END_STREAM"]).serialize()
        + RstStreamFrame(number, error_code=8).serialize()
        for number in range(1, 1001, 2)
    ),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_floods_are_told_to_calm_down(name: str) -> None:
    talk = Talk2(echo, HttpLimits(streams=10_000))
    talk.feed(talk.client.data_to_send())
    talk.feed(FLOODS[name])
    await talk.say()
    assert talk.goaway is not None
    assert talk.goaway.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert talk.transport.closing
    await talk.end()


async def test_a_head_without_an_end_and_one_above_the_limit_end_the_connection() -> None:
    for frames in (
        HeadersFrame(1, data=b"\x82" * 100).serialize() * 2,
        HeadersFrame(1, data=b"\x82" * 16_000).serialize()
        + b"".join(b"\x00\x3e\x80\x09\x00\x00\x00\x00\x01" + b"\x82" * 16_000 for _ in range(80)),
        HeadersFrame(
            1,
            data=b"\x82\x86\x84\x41\x01a" + b"\x40\x01a\x7f\xa1\x01" + b"x" * 288 + b"\xbe" * 2000,
            flags=["END_HEADERS"],
        ).serialize(),
        b"\xff" * (300 << 10),
        b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x",
    ):
        talk = Talk2(echo, HttpLimits(head=10_000))
        await talk.say()
        await talk.say(frames)
        assert talk.transport.closing
        await talk.end()


async def test_a_frame_without_an_end_is_not_waited_for_for_ever() -> None:
    talk = Talk2(echo, HttpLimits(head_time=10, linger=4))
    talk.begin(fields("PUT", "/"), end=False)
    await talk.say()
    (connection,) = talk.listener.connections
    talk.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.enforce_timeouts(10)
    assert not talk.transport.closing
    connection.enforce_timeouts(11)
    assert talk.transport.closing
    await talk.end()


async def test_a_crowd_is_told_so_in_http_1() -> None:
    talk = Talk2(echo, HttpLimits(connections=0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bytes(talk.transport.out).startswith(b"HTTP/1.1 503 ")
    talk.transport.close()
    for _ in range(10):
        await asyncio.sleep(0)


async def test_cancelling_the_task_cuts_the_connection() -> None:
    async def handler(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    talk = Talk2(handler)
    talk.begin(fields())
    await talk.say()
    (connection,) = talk.listener.connections
    assert connection.task is not None
    connection.task.cancel()
    await asyncio.wait([connection.task])
    await talk.say()
    assert talk.transport.aborted
    assert not talk.listener.connections


async def test_an_upgrade_to_h2c_is_declined_and_the_request_answered() -> None:
    """What runs within a tunnel is neither routed nor journaled (I10): HTTP/2 comes with prior knowledge."""
    tunnels: list[object] = []

    async def handler(request: Request) -> Response:
        tunnels.append(request.tunnel)
        return Response(200, [], b"plain")

    talk = Talk(handler)
    out = await talk.say(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAAA\r\n\r\n"
    )
    assert out.endswith(b"plain")
    assert tunnels == [None]
    await talk.end()
