"""Bodies that must be looked into: what is put together, what streams on, and how much memory that takes at a time."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from proxy.base.errors import ArangoError
from proxy.gateway.request_body import Bodies, ByteSemaphore, must_read_body
from proxy.model.message import Request, Response
from proxy.model.stages import CollectionState, Snapshot, Stage
from proxy.wire.decode import decode


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def whole(request: Request) -> Response:
    """Says what it got: `bytes` and the body, or `stream` and the pieces."""
    body = request.body
    if isinstance(body, bytes):
        return Response(200, list(request.headers), b"bytes " + body)
    return Response(200, list(request.headers), b"stream " + b"".join([part async for part in body]))


def put(body: bytes | AsyncIterator[bytes], *headers: tuple[bytes, bytes]) -> Request:
    return Request("PUT", b"/_api/document/c", list(headers), body)


@pytest.mark.parametrize(
    ("method", "target", "looked"),
    [
        ("POST", b"/_api/document/c", True),
        ("POST", b"/_api/document/other", False),
        ("PUT", b"/_api/document/c?onlyget=1", True),
        ("POST", b"/_api/cursor", True),
        ("POST", b"/_db/elsewhere/_api/cursor", False),
        ("POST", b"/_api/import?collection=c", True),
        ("PUT", b"/_api/simple/by-example", True),
        ("PUT", b"/_api/user/root", False),
    ],
)
def test_what_passes_through_is_not_looked_into(method: str, target: bytes, looked: bool) -> None:
    snapshot = Snapshot(collections={"_system/c": CollectionState(Stage.MIRROR)})
    assert must_read_body(decode(Request(method, target)), snapshot) is looked


async def test_a_stream_is_put_together_up_to_the_limit_and_goes_on_whole_beyond_it() -> None:
    bodies = Bodies(each=4, together=8, wait=1)
    assert (await bodies.opened(put(stream(b"ab", b"cd")), whole)).body == b"bytes abcd"
    assert (await bodies.opened(put(stream(b"ab", b"cd", b"e", b"f")), whole)).body == b"stream abcdef"
    declared = put(stream(b"abcde"), (b"Content-Length", b"5"))
    assert (await bodies.opened(declared, whole)).body == b"stream abcde"


async def test_an_encoding_is_undone_where_it_can_be_and_passed_on_where_not() -> None:
    bodies = Bodies(each=1 << 20, together=1 << 20, wait=1)
    packed = gzip.compress(b"x" * 10)
    undone = await bodies.opened(put(packed, (b"Content-Encoding", b"gzip"), (b"a", b"b")), whole)
    assert (undone.body, undone.headers) == (b"bytes " + b"x" * 10, [(b"a", b"b")])
    parts = await bodies.opened(put(stream(packed[:5], packed[5:]), (b"content-encoding", b"gzip")), whole)
    assert parts.body == b"bytes " + b"x" * 10
    for encoding, body in ((b"gzip", b"broken"), (b"x-arango-lz4", b"\x01"), (b"br", b"x")):
        kept = await bodies.opened(put(body, (b"content-encoding", encoding)), whole)
        assert (kept.body, kept.headers) == (b"bytes " + body, [(b"content-encoding", encoding)])
    large = gzip.compress(bytes(range(256)) * 4000, compresslevel=0)
    beside = await bodies.opened(put(large, (b"content-encoding", b"gzip")), whole)
    assert beside.body == b"bytes " + bytes(range(256)) * 4000
    bomb = gzip.compress(b"\x00" * (2 << 20))
    assert (await bodies.opened(put(bomb, (b"content-encoding", b"gzip")), whole)).body == b"bytes " + bomb


async def test_large_bodies_wait_for_room_and_are_not_read_meanwhile() -> None:
    bodies = Bodies(each=10, together=10, wait=5)
    go = asyncio.Event()
    read: list[str] = []

    async def parts(name: str) -> AsyncIterator[bytes]:
        read.append(name)
        yield b"12345678"

    async def slow(request: Request) -> Response:
        await go.wait()
        return await whole(request)

    first = asyncio.create_task(bodies.opened(put(parts("first"), (b"content-length", b"8")), slow))
    await asyncio.sleep(0)
    second = asyncio.create_task(bodies.opened(put(parts("second"), (b"content-length", b"8")), slow))
    await asyncio.sleep(0)
    assert read == ["first"]
    go.set()
    assert (await first).body == (await second).body == b"bytes 12345678"
    assert read == ["first", "second"]


async def test_room_is_given_in_order_and_refused_in_time() -> None:
    room = ByteSemaphore(10)
    order: list[int] = []

    async def take(size: int) -> None:
        async with room.taken(size, 5):
            order.append(size)
            await asyncio.sleep(0)

    async with room.taken(10, 1):
        waiting = [asyncio.create_task(take(size)) for size in (9, 2, 1)]
        await asyncio.sleep(0)
        with pytest.raises(ArangoError) as caught:
            async with room.taken(1, 0):
                raise AssertionError
        assert caught.value.status == 503
        waiting[0].cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert order == [2, 1]
    async with room.taken(10, 0):  # nothing was lost
        pass


async def test_a_turn_that_is_given_to_one_who_leaves_is_given_on() -> None:
    room = ByteSemaphore(1)

    async def take() -> None:
        async with room.taken(1, 5):
            pass

    async with room.taken(1, 1):
        leaving, staying = asyncio.create_task(take()), asyncio.create_task(take())
        await asyncio.sleep(0)
    leaving.cancel()  # in the moment in which it is its turn
    await asyncio.wait_for(staying, 5)
    cancelled, later = asyncio.create_task(take()), asyncio.create_task(take())
    async with room.taken(1, 1):
        await asyncio.sleep(0)
        cancelled.cancel()
    await asyncio.wait_for(later, 5)
    async with room.taken(1, 0):
        pass
