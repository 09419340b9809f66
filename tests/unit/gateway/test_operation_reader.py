"""Bodies of requests of a store: on disk or in memory, decoded, limited."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import pytest

from proxy.base.errors import ArangoError
from proxy.base.spool import SpoolSpace
from proxy.gateway import operation_reader
from proxy.gateway.operation_reader import OperationReader
from proxy.model.message import Request
from proxy.model.operations import Operation

BODY = b"[" + b"1," * 100 + b"1]"
GZIP = [(b"content-encoding", b"gzip")]


async def read(
    target: str, body: bytes, headers: list[tuple[bytes, bytes]] | None = None, *, limit: int = 1000
) -> Operation:
    """Read a request whose body comes in pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    reader = OperationReader(limit, SpoolSpace(), in_memory=100)
    return await reader.read(Request("POST", target.encode(), headers or [], pieces()))


@pytest.mark.parametrize("target", ["/_api/document/c", "/_api/import?collection=c"])
async def test_large_bodies_of_writes_are_on_disk(target: str) -> None:
    for body, headers in ((BODY, None), (gzip.compress(BODY), GZIP)):
        operation = await read(target, body, headers)
        assert operation.large is not None
        assert (operation.body, operation.large.read(0, operation.large.size)) == (b"", BODY)
        small = await read(target, BODY[-3:] if headers is None else gzip.compress(BODY[-3:]), headers)
        assert (small.large, small.body) == (None, BODY[-3:])


async def test_large_bodies_of_writes_in_transactions_are_on_disk() -> None:
    assert (await read("/_api/document/c", BODY, [(b"x-arango-trx-id", b"1")])).large is not None


async def test_all_other_bodies_are_in_memory() -> None:
    assert (await read("/_api/cursor", BODY)).body == BODY
    assert (await read("/_api/cursor", gzip.compress(BODY), GZIP)).body == BODY


def stream_of(body: bytes) -> AsyncIterator[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        yield body

    return pieces()


async def test_a_body_that_must_be_in_memory_has_a_smaller_limit() -> None:
    reader = OperationReader(1000, SpoolSpace(), in_memory=10, whole=100)
    length = [(b"content-length", b"%d" % len(BODY))]
    for body, headers in ((BODY, []), (BODY, length), (gzip.compress(BODY), GZIP)):
        with pytest.raises(ArangoError) as refused:
            await reader.read(Request("POST", b"/_api/cursor", headers, stream_of(body)))
        assert refused.value.number == 32
        assert (await reader.read(Request("POST", b"/_api/document/c", headers, stream_of(body)))).large is not None
        one = Request("PUT", b"/_api/document/c/k", headers, stream_of(body))
        assert (await reader.read(one)).body == BODY


async def test_large_bodies_wait_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation_reader, "_WAIT", 0.01)
    reader = OperationReader(1000, SpoolSpace(), in_memory=10, whole=100)
    large = Request("POST", b"/_api/cursor", [], b"x" * 100)
    for other in (
        Request("POST", b"/_api/cursor", [], b"x" * 10),
        Request("POST", b"/_api/document/c", [], b"x" * 100),
    ):
        assert reader.room(other) is None
    first, second, third = (reader.room(large) for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    async with first, second:
        with pytest.raises(ArangoError) as refused:
            await third.__aenter__()
        assert refused.value.status == 503
    small = reader.room(Request("POST", b"/_api/cursor", GZIP, b"x" * 20))
    assert small is not None
    async with small:
        pass


async def test_a_body_has_a_limit_also_on_disk() -> None:
    for body, headers in ((b" " * 1001, None), (gzip.compress(b" " * 1001), GZIP)):
        for target in ("/_api/document/c", "/_api/cursor"):
            with pytest.raises(ArangoError) as refused:
                await read(target, body, headers)
            assert refused.value.status == 413


async def test_a_body_that_the_disk_refuses_is_a_resource_limit() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"[" + b"1," * (1 << 20)

    reader = OperationReader(1 << 30, SpoolSpace(limit=1 << 20))
    with pytest.raises(ArangoError) as refused:
        await reader.read(Request("POST", b"/_api/document/c", [], pieces()))
    assert refused.value.number == 32
