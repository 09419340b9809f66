"""Ends of an HTTP/1.1 connection: clients that leave, time limits, draining, upgrades."""

from __future__ import annotations

from structlog.testing import capture_logs

from proxy.base.errors import FramingError
from proxy.http.limits import HttpLimits
from proxy.http.stream import BodyStream
from proxy.model.message import Request, Response, Tunnel
from tests.unit.http.connection_fixtures import GET, POST, Gate, echo
from tests.unit.http.support import Talk


async def test_a_client_that_leaves_does_not_stop_the_handlers_work() -> None:
    """A write that the origin takes is captured even if no client waits for its answer (I3)."""
    gate = Gate()
    talk = Talk(gate)
    await talk.say(GET % 1 + GET % 2)
    talk.transport.close()
    await talk.settle()
    assert talk.connection in talk.listener.connections
    gate.answer()
    await talk.settle()
    assert gate.done == [b"/1"]
    assert talk.transport.out == b""
    assert talk.connection not in talk.listener.connections
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
        talk.connection.enforce_timeouts(4)
    await dribbling.say(b"TP")  # a byte now and then does not make a head younger
    dribbling.connection.enforce_timeouts(6)
    assert (await dribbling.settle()).startswith(b"HTTP/1.1 408 ")
    starving.connection.enforce_timeouts(7)
    assert await starving.settle() == b""
    starving.connection.enforce_timeouts(8)
    assert (await starving.settle()).startswith(b"HTTP/1.1 408 ")
    quiet.connection.enforce_timeouts(10)
    assert not quiet.transport.closing
    quiet.connection.enforce_timeouts(11)
    assert quiet.transport.closing
    for talk in (quiet, dribbling, starving):
        await talk.end()


async def test_a_handler_at_work_has_no_time_limit_but_its_body_has() -> None:
    gate = Gate()
    working, starving = Talk(gate), Talk(echo, HttpLimits(buffer_body=2))
    await working.say(GET % 1)
    await starving.say(POST % (10, b"") + b"abc")
    working.connection.enforce_timeouts(10**6)
    starving.connection.enforce_timeouts(10**6)
    assert not working.transport.closing
    assert (await starving.settle()).startswith(b"HTTP/1.1 408 ")
    await working.end()
    await starving.end()


async def test_a_client_that_does_not_read_is_cut() -> None:
    talk = Talk(echo)
    talk.connection.pause_writing()
    talk.connection.enforce_timeouts(10**6)
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
        each.listener.draining = True
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
