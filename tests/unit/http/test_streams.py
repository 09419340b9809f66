"""Streams, flow control and tunnels: back-pressure, and how an end is reported."""

from __future__ import annotations

import asyncio

import pytest

from proxy.http.limits import HIGH_WATER, LOW_WATER
from proxy.http.stream import BodyStream, Flow
from proxy.http.tunnel import ConnectionTunnel, relay
from tests.unit.http.support import FakeTransport, nothing


async def test_the_reader_waits_and_then_resumes_the_socket() -> None:
    resumed: list[int] = []
    stream = BodyStream(lambda: resumed.append(stream.size), lambda: None)
    reader = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert stream.starving
    stream.feed(b"x" * LOW_WATER)
    stream.feed(b"y" * LOW_WATER)
    stream.feed(b"z")
    assert await reader == b"x" * LOW_WATER
    assert resumed == []
    await anext(stream)
    await anext(stream)
    assert resumed == [1, 0]
    stream.end()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_an_error_comes_behind_the_pieces_and_only_once_the_body_has_not_ended() -> None:
    stream = BodyStream(nothing, nothing)
    stream.feed(b"a")
    stream.fail(ValueError("cut"))
    assert await anext(stream) == b"a"
    with pytest.raises(ValueError, match="cut"):
        await anext(stream)
    ended = BodyStream(nothing, nothing)
    ended.end()
    ended.fail(ValueError("late"))
    with pytest.raises(StopAsyncIteration):
        await anext(ended)


async def test_closing_abandons_a_body_that_has_not_ended() -> None:
    abandoned: list[bool] = []
    stream = BodyStream(nothing, lambda: abandoned.append(True))
    reader = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await stream.aclose()
    await stream.aclose()
    stream.feed(b"too late")
    with pytest.raises(StopAsyncIteration):
        await reader
    assert abandoned == [True]
    assert stream.size == 0


async def test_a_cancelled_reader_leaves_the_stream_usable() -> None:
    stream = BodyStream(nothing, nothing)
    reader = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    reader.cancel()
    stream.feed(b"a")
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await anext(stream) == b"a"


async def test_flow_waits_while_full_and_tells_of_the_loss() -> None:
    flow = Flow()
    await flow.drained()
    flow.pause()
    waiting = asyncio.ensure_future(flow.drained())
    cancelled = asyncio.ensure_future(flow.wait_once())
    await asyncio.sleep(0)
    cancelled.cancel()
    flow.resume()
    await waiting
    flow.pause()
    waiting = asyncio.ensure_future(flow.drained())
    await asyncio.sleep(0)
    flow.close()
    with pytest.raises(ConnectionResetError):
        await waiting
    with pytest.raises(ConnectionResetError):
        await flow.drained()


def tunnel() -> tuple[ConnectionTunnel, FakeTransport, Flow]:
    transport, flow = FakeTransport(), Flow()
    return ConnectionTunnel(transport, flow, lambda: None), transport, flow


async def test_a_tunnel_that_nobody_reads_stops_the_socket() -> None:
    end, transport, _ = tunnel()
    fed = 0
    while transport.reading:
        end.feed(b"x" * 65536)
        fed += 65536
    assert fed <= HIGH_WATER + 65536
    end.end()
    while await end.receive():
        pass
    assert transport.reading


async def test_a_relay_carries_both_ways_until_one_side_ends() -> None:
    (one, left, _), (other, right, _) = tunnel(), tunnel()
    going = asyncio.ensure_future(relay(one, other))
    one.feed(b"ping")
    other.feed(b"pong")
    for _ in range(5):
        await asyncio.sleep(0)
    assert (bytes(right.out), bytes(left.out)) == (b"ping", b"pong")
    one.end()
    await going
    assert left.closing
    assert right.closing


async def test_a_relay_ends_when_a_side_breaks() -> None:
    (one, left, _), (other, right, broken) = tunnel(), tunnel()
    broken.close()
    one.feed(b"ping")
    await relay(one, other)
    assert left.closing
    assert right.closing
