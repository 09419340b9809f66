"""Queries on the target that ask for more than plain scans, and their limits, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from proxy.base.errors import ArangoError, Unsupported
from proxy.model.operations import Operation
from proxy.stores.postgres import PostgresStore, QueryLimits
from proxy.stores.postgres.evaluation import Evaluation
from proxy.wire.endpoints import named
from tests.ad_hoc import Database
from tests.integration.target_fixtures import create, put, raw_of


def query(text: str, bind_vars: dict[str, Any] | None = None, **options: Any) -> Operation:
    body = orjson.dumps({"query": text, "bindVars": bind_vars or {}, **options})
    return Operation(named("cursor.create"), "POST", "db", path=("_api", "cursor"), body=body)


async def rows(store: PostgresStore, text: str, **options: Any) -> list[Any]:
    found: list[Any] = orjson.loads((await store.execute(query(text, **options))).body)["result"]
    return found


async def test_a_collection_too_large_to_read_is_counted(database: Database) -> None:
    await create(database, "db/docs")
    await put(database, "db/docs", *(raw_of("db/docs", f"k{n}") for n in range(50)))
    store = PostgresStore(database, limits=QueryLimits(rows=10))

    assert await rows(store, "RETURN LENGTH(docs)") == [50]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RETURN DOCUMENT('foo', {})", [None]),
        ("RETURN DOCUMENT('foo', 'k0')", [None]),
        ("RETURN DOCUMENT('foo', ['k0'])", [[]]),
        ("RETURN DOCUMENT('foo/k0')", [None]),
        ("FOR d IN docs RETURN [d.x, DOCUMENT('foo', d._key), DOCUMENT('docs', d._key).x]", [[0, None, 0]]),
        ("FOR d IN docs FILTER DOCUMENT('foo/k0') == null RETURN d.x", [0]),
    ],
)
async def test_a_collection_named_only_by_document_may_be_missing(
    database: Database, text: str, found: list[Any]
) -> None:
    await create(database, "db/docs")
    await put(database, "db/docs", raw_of("db/docs", "k0", b'{"x":0}'))
    store = PostgresStore(database)
    assert await rows(store, text) == found
    with pytest.raises(ArangoError, match="not found: foo"):
        await rows(store, "FOR d IN foo RETURN DOCUMENT('foo/k0')")
    await store.close()


async def test_an_aggregate_over_the_outer_query_alone_is_evaluated(database: Database) -> None:
    """In SQL it would belong to the outer query: PostgreSQL refuses the statement, and nothing else is wrong."""
    await create(database, "db/docs")
    await put(database, "db/docs", *(raw_of("db/docs", f"k{n}", b'{"x":%d}' % n) for n in range(3)))
    store = PostgresStore(database)
    text = "FOR d IN docs SORT d.x LET s = (FOR o IN docs COLLECT AGGREGATE t = SUM(d.x) RETURN t) RETURN s"
    assert await rows(store, text) == [[0], [3], [6]]
    await store.close()


async def test_a_traversal_follows_edges_in_batches(database: Database) -> None:
    await create(database, "db/v")
    await create(database, "db/e", edge=True)
    names = ["0", "0-a", "0-b", "0-a-x", "0-a-y", "0-b-z"]
    await put(database, "db/v", *(raw_of("db/v", name, b'{"n":"%s"}' % name.encode()) for name in names))
    edges = [(name.rpartition("-")[0], name) for name in names[1:]]
    body = '{{"_from":"v/{}","_to":"v/{}"}}'
    await put(database, "db/e", *(raw_of("db/e", to, body.format(start, to).encode()) for start, to in edges))
    store = PostgresStore(database)

    below = await rows(store, "WITH v FOR x IN 1..2 OUTBOUND 'v/0' e RETURN x.n")
    assert sorted(below) == ["0-a", "0-a-x", "0-a-y", "0-b", "0-b-z"]
    assert sorted(await rows(store, "WITH v FOR x IN 1..2 ANY 'v/0-a-x' e RETURN x.n")) == ["0", "0-a", "0-a-y"]


async def test_a_query_that_outlives_a_lease_is_answered_from_its_fenced_snapshot(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7: the fence is tested with the first fetch; the others read the same snapshot, however long they take."""
    await create(database, "db/v")
    await create(database, "db/e", edge=True)
    await put(database, "db/v", *(raw_of("db/v", name, b"{}") for name in "abc"))
    edges = [("a", "b"), ("b", "c")]
    await put(
        database,
        "db/e",
        *(raw_of("db/e", to, b'{"_from":"v/%s","_to":"v/%s"}' % (a.encode(), to.encode())) for a, to in edges),
    )
    await database.execute("INSERT INTO _crossfade.instance (instance, host, pid, version) VALUES ('one', 'h', 1, '0')")
    lease = "UPDATE _crossfade.instance SET lease_until = clock_timestamp() + interval '0.3 second'"
    over = "SELECT lease_until < clock_timestamp() FROM _crossfade.instance"
    fetch, fetches = Evaluation._fetch, 0

    async def slowly(*arguments: Any) -> Any:
        nonlocal fetches
        documents = await fetch(*arguments)
        fetches += 1
        while not await database.fetchval(over):
            await asyncio.sleep(0.01)
        return documents

    monkeypatch.setattr(Evaluation, "_fetch", slowly)
    store = PostgresStore(database)
    await database.execute(lease)
    answer = await store.fenced(query("WITH v FOR x IN 1..2 OUTBOUND 'v/a' e OPTIONS {bfs: true} RETURN x._key"), 1)
    assert answer is not None
    assert orjson.loads(answer.body)["result"] == ["b", "c"]
    assert fetches > 1
    assert (
        await store.fenced(query("WITH v FOR x IN 1..2 OUTBOUND 'v/a' e OPTIONS {bfs: true} RETURN x._key"), 1) is None
    )  # the first one tests it


@pytest.mark.parametrize(
    ("limit", "number"), [({"memoryLimit": 10_000}, 32), ({"options": {"maxRuntime": 0.01}}, 1500)]
)
async def test_exceeding_the_clients_own_limits_is_an_error(
    database: Database, limit: dict[str, Any], number: int
) -> None:
    await create(database, "db/docs")
    await put(database, "db/docs", raw_of("db/docs", "a"))
    store = PostgresStore(database)
    text = "FOR d IN docs FOR i IN 1..1000 FOR j IN 1..1000 FILTER RAND() >= 0 RETURN [d._key, i]"

    with pytest.raises(ArangoError) as refused:
        await rows(store, text, **limit)
    assert refused.value.number == number
    assert not isinstance(refused.value, Unsupported)
