"""Results that stay in PostgreSQL until they are asked for: one snapshot, bounded memory, connections given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from proxy.base.errors import ArangoError, DatabaseError, Unsupported
from proxy.model.cursor_requests import request_of
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres import PostgresStore, QueryLimits
from proxy.stores.postgres import cursors as cursors_module
from proxy.stores.postgres.cursors import TargetCursors
from proxy.stores.postgres.read_fence import ReadFenceError
from proxy.stores.postgres.streams import Stream, Streams
from proxy.wire.endpoints import named
from tests.ad_hoc import Database
from tests.integration.target_fixtures import create

NUMBERS = "SELECT true AS found, n FROM generate_series(1, $1::int) n ORDER BY n DESC"


def encode(rows: Sequence[Sequence[Any]]) -> list[bytes]:
    return [b"%d" % row[1] for row in rows]


def following(identifier: str, *batch: str) -> Operation:
    return Operation(named("cursor.next"), "POST", "db", path=("_api", "cursor", identifier, *batch))


def parsed(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(outcome.body)
    return found


@pytest.fixture
async def cursors() -> AsyncIterator[TargetCursors]:
    cursors = TargetCursors()
    yield cursors
    await cursors.close()


async def opened(cursors: TargetCursors, stream: Stream, **body: Any) -> dict[str, Any]:
    request = request_of(orjson.dumps({"query": "RETURN 1", **body}))
    rows = await stream.take(request.batch_size + 1)
    if stream.ended:
        return parsed(cursors.open("db", request, rows, b"{}"))
    return parsed(await cursors.open_stream("db", request, rows, stream, b"{}", stream.total or 0))


async def connections(database: Database) -> int:
    """How many transactions are open beside this one."""
    number: int = await database.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = current_database()"
    )
    return number


async def test_batches_arrive_in_order_and_the_last_releases_the_connection(
    database: Database, cursors: TargetCursors
) -> None:
    stream = await Streams(database).open(NUMBERS, [2500], None, encode, total=True)
    body = await opened(cursors, stream, batchSize=1000, count=True)
    assert (await connections(database), body["count"], body["hasMore"]) == (1, 2500, True)

    rows = body["result"]
    while body["hasMore"]:
        body = parsed(await cursors.next(following(body["id"])))
        rows += body["result"]

    assert rows == list(range(2500, 0, -1))
    assert "id" not in body
    assert await connections(database) == 0


async def test_a_result_of_one_batch_leaves_nothing_open(database: Database, cursors: TargetCursors) -> None:
    for rows in (0, 1, 3):
        body = await opened(cursors, await Streams(database).open(NUMBERS, [rows], None, encode), batchSize=3)
        assert (len(body["result"]), body["hasMore"]) == (rows, False)
    assert await connections(database) == 0


async def test_rows_are_those_of_the_time_the_cursor_was_opened(database: Database, cursors: TargetCursors) -> None:
    await database.execute("CREATE TABLE numbers AS SELECT n FROM generate_series(1, 2000) n")
    sql = "SELECT true AS found, n FROM numbers ORDER BY n"
    body = await opened(cursors, await Streams(database).open(sql, [], None, encode), batchSize=1000)

    await database.execute("DELETE FROM numbers WHERE n > 1500")
    await database.execute("UPDATE numbers SET n = -n")

    assert parsed(await cursors.next(following(body["id"])))["result"] == list(range(1001, 2001))


async def test_deleting_and_closing_release_connections(database: Database, cursors: TargetCursors) -> None:
    streams = Streams(database)
    first = await opened(cursors, await streams.open(NUMBERS, [5000], None, encode), batchSize=10)
    await opened(cursors, await streams.open(NUMBERS, [5000], None, encode), batchSize=10)
    assert await connections(database) == 2

    path = ("_api", "cursor", first["id"])
    deleted = await cursors.delete(Operation(named("cursor.delete"), "DELETE", "db", path=path))
    assert (deleted.status, await connections(database)) == (202, 1)
    with pytest.raises(ArangoError) as error_info:
        await cursors.next(following(first["id"]))
    assert error_info.value.number == 1600

    await cursors.close()
    assert await connections(database) == 0


async def test_an_unread_cursor_is_closed_at_its_ttl(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursors_module, "_SWEEP", 0.01)
    now = 100.0
    cursors = TargetCursors(clock=lambda: now)
    body = await opened(cursors, await Streams(database).open(NUMBERS, [5000], None, encode), batchSize=10, ttl=5)

    now += 4
    assert parsed(await cursors.next(following(body["id"])))["hasMore"]
    now += 6
    while await connections(database):
        await asyncio.sleep(0.01)
    with pytest.raises(ArangoError):
        await cursors.next(following(body["id"]))
    await cursors.close()


async def test_a_batch_may_be_requested_again(database: Database, cursors: TargetCursors) -> None:
    stream = await Streams(database).open(NUMBERS, [30], None, encode)
    body = await opened(cursors, stream, batchSize=10, options={"allowRetry": True})

    second = parsed(await cursors.next(following(body["id"], "2")))
    repeated = parsed(await cursors.next(following(body["id"], "2")))

    assert second == repeated
    assert second["result"] == list(range(20, 10, -1))


async def test_the_fence_is_tested_before_any_row(database: Database) -> None:
    streams = Streams(database)
    for total in (False, True):
        with pytest.raises(ReadFenceError):
            await streams.open(NUMBERS, [5], 12345, encode, total=total)
    assert await connections(database) == 0
    assert (await (await streams.open(NUMBERS, [5], None, encode)).take(9)) == [b"5", b"4", b"3", b"2", b"1"]


async def test_the_number_of_streams_is_bounded(database: Database) -> None:
    streams = Streams(database, most=1)
    first = await streams.open(NUMBERS, [5000], None, encode)
    with pytest.raises(Unsupported, match="too many"):
        await streams.open(NUMBERS, [1], None, encode)
    await first.close()
    await first.close()
    await (await streams.open(NUMBERS, [1], None, encode)).close()


async def test_a_failure_between_batches_ends_the_cursor(database: Database, cursors: TargetCursors) -> None:
    failing = "SELECT true AS found, 10 / (1500 - n) AS n FROM generate_series(1, 5000) n"
    body = await opened(cursors, await Streams(database).open(failing, [], None, encode), batchSize=1000)

    with pytest.raises(DatabaseError):
        await cursors.next(following(body["id"]))
    with pytest.raises(ArangoError):
        await cursors.next(following(body["id"]))
    assert await connections(database) == 0


async def test_two_concurrent_readers_of_one_cursor_are_serialized(database: Database, cursors: TargetCursors) -> None:
    body = await opened(cursors, await Streams(database).open(NUMBERS, [9000], None, encode), batchSize=3000)

    answers = await asyncio.gather(*(cursors.next(following(body["id"])) for _ in range(2)), return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, ArangoError)]
    assert [error.number for error in refused] == [1601]
    assert [len(parsed(answer)["result"]) for answer in answers if isinstance(answer, Outcome)] == [3000]


# ---- through the store


def query(text: str, **options: Any) -> Operation:
    body = orjson.dumps({"query": text, **options})
    return Operation(named("cursor.create"), "POST", "db", path=("_api", "cursor"), body=body)


@pytest.fixture
async def large(database: Database) -> AsyncIterator[PostgresStore]:
    """A store with a collection of 20 MB."""
    await create(database, "db/docs")
    await database.execute(
        "INSERT INTO db.docs (key, rev, raw, doc) SELECT 'k' || n, n, json_build_object('_key', 'k' || n, 'n', n, "
        "'pad', repeat('x', 2000)), jsonb_build_object('n', n, 'pad', repeat('x', 2000)) "
        "FROM generate_series(1, 10000) n"
    )
    store = PostgresStore(database)
    yield store
    await store.close()


async def test_a_result_larger_than_the_buffer_is_streamed(database: Database, large: PostgresStore) -> None:
    body = parsed(await large.execute(query("FOR d IN docs RETURN d", batchSize=1500, count=True)))
    assert (body["count"], body["hasMore"], len(body["result"])) == (10_000, True, 1500)
    assert await connections(database) == 1

    seen = {row["n"] for row in body["result"]}
    while body["hasMore"]:
        body = parsed(await large.execute(following(body["id"])))
        assert len(body["result"]) <= 1500
        seen |= {row["n"] for row in body["result"]}

    assert seen == set(range(1, 10_001))
    assert await connections(database) == 0


async def test_a_buffered_result_releases_its_connection_immediately(database: Database, large: PostgresStore) -> None:
    body = parsed(await large.execute(query("FOR d IN docs SORT d.n RETURN d.n", batchSize=100)))
    assert body["hasMore"]
    assert await connections(database) == 0
    assert parsed(await large.execute(following(body["id"])))["result"] == list(range(101, 201))


async def test_a_query_over_its_time_limit_is_cancelled(database: Database, large: PostgresStore) -> None:
    text = "FOR a IN docs FOR b IN docs FILTER a.n + b.n == -1 RETURN 1"
    with pytest.raises(ArangoError) as over:
        await large.execute(query(text, options={"maxRuntime": 0.2}))
    assert over.value.number == 1500
    assert await connections(database) == 0


@pytest.mark.parametrize(
    ("text", "rows", "full"),
    [
        ("FOR d IN docs FILTER d.n > 100 SORT d.n LIMIT 2, 3 RETURN d.n", [103, 104, 105], 9900),
        ("FOR d IN docs SORT d.n LIMIT 0 RETURN d.n", [], 10_000),
        ("FOR d IN docs SORT d.n LIMIT 1, 1 LET x = d.n * 2 RETURN x", [4], 10_000),
        ("FOR d IN docs COLLECT g = d.n % 3 LIMIT 1 RETURN g", [0], 3),
    ],
)
async def test_full_count_is_computed_by_postgresql(
    database: Database, large: PostgresStore, text: str, rows: list[int], full: int
) -> None:
    """The collection is larger than what would be evaluated."""
    small = PostgresStore(database, limits=QueryLimits(rows=100))
    operation = query(text, options={"fullCount": True})

    body = parsed(await small.execute(operation))
    compared = await small.query(operation)

    assert (body["result"], body["extra"]["stats"]["fullCount"]) == (rows, full)
    assert (compared.rows, compared.full_count) == (rows, full)
    assert await connections(database) == 0


async def test_count_and_full_count_of_a_large_result_are_exact(database: Database, large: PostgresStore) -> None:
    options = {"fullCount": True}
    body = parsed(await large.execute(query("FOR d IN docs LIMIT 9000 RETURN d", count=True, options=options)))
    assert (body["count"], body["extra"]["stats"]["fullCount"], body["hasMore"]) == (9000, 10_000, True)
    rows = len(body["result"])
    while body["hasMore"]:
        body = parsed(await large.execute(following(body["id"])))
        rows += len(body["result"])
    assert rows == 9000
    assert await connections(database) == 0


async def test_a_large_result_without_duplicates_is_not_counted_ahead(database: Database, large: PostgresStore) -> None:
    """Duplicates are left out as rows are read: only then is their number known."""
    with pytest.raises(Unsupported):
        await large.execute(query("FOR d IN docs RETURN DISTINCT d", count=True))
    assert await connections(database) == 0
    assert parsed(await large.execute(query("FOR d IN docs RETURN DISTINCT d.n % 7", count=True)))["count"] == 7
