"""Cursors of PostgreSQL: batches, time to live, owners."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import orjson
import pytest

from proxy.base.errors import ArangoError
from proxy.model.cursor_requests import request_of
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres.cursors import TargetCursors
from proxy.wire.endpoints import named


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(cursors: TargetCursors, rows: int, **body: Any) -> dict[str, Any]:
    request = request_of(orjson.dumps({"query": "RETURN 1", **body}))
    return parsed(cursors.open("db", request, [b"%d" % n for n in range(rows)], b"{}"))


def parsed(outcome: Outcome) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(outcome.body)
    assert value["code"] == outcome.status
    assert value["error"] is False
    return value


def following(identifier: str, *batch: str, database: str = "db") -> Operation:
    path = ("_api", "cursor", identifier, *batch)
    return Operation(named("cursor.next"), "POST", database, path=path)


def deletion(identifier: str) -> Operation:
    return Operation(named("cursor.delete"), "DELETE", "db", path=("_api", "cursor", identifier))


def number_of(raised: pytest.ExceptionInfo[ArangoError]) -> int:
    return raised.value.number


def test_all_in_one_batch_leaves_no_cursor() -> None:
    body = opened(TargetCursors(), 3, count=True)

    assert list(body) == ["result", "hasMore", "count", "cached", "extra", "error", "code"]
    assert (body["result"], body["hasMore"], body["count"]) == ([0, 1, 2], False, 3)


async def test_batches_until_the_end() -> None:
    cursors = TargetCursors()
    first = opened(cursors, 5, batchSize=2, count=True)
    operation = following(first["id"])

    second = parsed(await cursors.next(operation))
    third = parsed(await cursors.next(operation))

    assert list(first) == ["result", "hasMore", "id", "nextBatchId", "count", "cached", "extra", "error", "code"]
    assert list(second) == ["result", "hasMore", "id", "count", "extra", "cached", "nextBatchId", "error", "code"]
    assert [body["result"] for body in (first, second, third)] == [[0, 1], [2, 3], [4]]
    assert [body["hasMore"] for body in (first, second, third)] == [True, True, False]
    assert (first["nextBatchId"], second["nextBatchId"]) == ("2", "3")
    assert "id" not in third
    with pytest.raises(ArangoError) as gone:
        await cursors.next(operation)
    assert number_of(gone) == 1600


async def test_batches_by_number_can_be_asked_for_again() -> None:
    cursors = TargetCursors()
    first = opened(cursors, 3, batchSize=2, options={"allowRetry": True})
    identifier = first["id"]

    repeated = await cursors.next(following(identifier, "1"))
    again = orjson.loads(repeated.body)
    last = parsed(await cursors.next(following(identifier, "2")))
    last_again = parsed(await cursors.next(following(identifier, "2")))

    assert (repeated.status, again) == (200, first)  # its `code` is that of the first time
    assert last == last_again
    assert (last["result"], last["hasMore"], "id" in last) == ([2], False, False)
    for batch in ("1", "3"):
        with pytest.raises(ArangoError):
            await cursors.next(following(identifier, batch))
    assert (await cursors.delete(deletion(identifier))).status == 202


async def test_without_retry_a_batch_comes_once() -> None:
    cursors = TargetCursors()
    identifier = opened(cursors, 5, batchSize=2)["id"]

    with pytest.raises(ArangoError):
        await cursors.next(following(identifier, "1"))
    assert parsed(await cursors.next(following(identifier, "2")))["result"] == [2, 3]


async def test_a_cursor_is_of_its_database() -> None:
    cursors = TargetCursors()
    identifier = opened(cursors, 2, batchSize=1)["id"]

    with pytest.raises(ArangoError) as elsewhere:
        await cursors.next(following(identifier, database="other"))
    assert number_of(elsewhere) == 1600


async def test_deleted_and_expired_cursors_are_gone() -> None:
    clock = Clock()
    cursors = TargetCursors(clock=clock)
    deleted, kept, expired = (opened(cursors, 3, batchSize=1, ttl=10)["id"] for _ in range(3))

    assert parsed(await cursors.delete(deletion(deleted))) == {"id": deleted, "error": False, "code": 202}
    clock.now += 8
    await cursors.next(following(kept))
    clock.now += 8
    await cursors.next(following(kept))
    for identifier in (deleted, expired):
        with pytest.raises(ArangoError):
            await cursors.next(following(identifier))


async def test_what_waits_is_bounded_and_never_dropped() -> None:
    cursors = TargetCursors(limit=5)
    kept = opened(cursors, 4, batchSize=1)["id"]

    with pytest.raises(ArangoError) as full:
        opened(cursors, 2, batchSize=1)
    assert number_of(full) == 32
    await cursors.delete(deletion(kept))
    opened(cursors, 2, batchSize=1)


class Rows:
    """Rows that come when `go` is set, and cannot be closed while a read waits for them."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.ended = self.closed = self.waits = False

    async def take(self, number: int) -> list[bytes]:
        self.waits = True
        await self.go.wait()
        self.waits = False
        return [b"1"] * number

    async def close(self) -> None:
        assert not self.waits
        self.closed = True


async def test_a_cursor_that_is_deleted_while_it_is_read_ends_with_that_batch() -> None:
    cursors, rows = TargetCursors(), Rows()
    request = request_of(b'{"query":"RETURN 1","batchSize":1}')
    identifier = parsed(await cursors.open_stream("db", request, [b"1", b"1"], rows, b"{}"))["id"]
    reading = asyncio.create_task(cursors.next(following(identifier)))
    while not rows.waits:
        await asyncio.sleep(0)
    assert (await cursors.delete(deletion(identifier))).status == 202
    rows.go.set()
    assert parsed(await reading)["result"] == [1]
    assert rows.closed
    with pytest.raises(ArangoError) as gone:
        await cursors.next(following(identifier))
    assert number_of(gone) == 1600
    await cursors.close()


def test_the_id_of_a_cursor_shows_its_store() -> None:
    cursors = TargetCursors()
    identifier = opened(cursors, 2, batchSize=1)["id"]

    assert identifier.isdigit()
    assert int(identifier) < 1 << 63
    assert cursors.owns(following(identifier))
    assert TargetCursors().owns(deletion(identifier))
    for other in ("74268", "1872607071780732930", "9000", "9000x00000000000000"):
        assert not cursors.owns(following(other))
    assert not cursors.owns(Operation(named("cursor.create"), "POST"))
    assert not cursors.owns(Operation(named("cursor.next"), "POST"))


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b"", 1502),
        (b"{", 600),
        (b"[]", 1502),
        (b"{}", 600),
        (b'{"query":""}', 1502),
        (b'{"query":"RETURN 1","bindVars":[]}', 17),
        (b'{"query":"RETURN 1","batchSize":0}', 17),
        (b'{"query":"RETURN 1","batchSize":0.5}', 17),
    ],
)
def test_requests_that_are_refused(body: bytes, number: int) -> None:
    with pytest.raises(ArangoError) as refused:
        request_of(body)
    assert number_of(refused) == number


def test_the_options_of_a_request() -> None:
    plain = request_of(b'{"query":"RETURN 1","bindVars":null,"batchSize":true,"ttl":-1,"options":3}')
    full = request_of(b'{"query":"RETURN @a","bindVars":{"a":1},"batchSize":5,"options":{"fullCount":true}}')

    assert (plain.bind_vars, plain.batch_size, plain.ttl, plain.full_count) == ({}, 1000, 30.0, False)
    assert (full.bind_vars, full.batch_size, full.full_count) == ({"a": 1}, 5, True)


async def test_a_cursor_exists_only_for_the_user_who_opened_it() -> None:
    """PostgreSQL returns nothing that ArangoDB would have refused to the user (DESIGN section 13)."""
    cursors = TargetCursors()
    ada, bob = "Basic YWRhOnNlY3JldA==", "Basic Ym9iOnNlY3JldA=="
    request = request_of(orjson.dumps({"query": "RETURN 1", "batchSize": 1}))
    first = parsed(cursors.open("db", request, [b"1", b"2"], b"{}", "ada"))
    for other in ({}, {"authorization": bob}):
        with pytest.raises(ArangoError) as raised:
            await cursors.next(msgspec.structs.replace(following(first["id"]), headers=other))
        assert number_of(raised) == 1600
        with pytest.raises(ArangoError):
            await cursors.delete(msgspec.structs.replace(deletion(first["id"]), headers=other))
    assert parsed(await cursors.next(msgspec.structs.replace(following(first["id"]), headers={"authorization": ada})))[
        "result"
    ] == [2]
