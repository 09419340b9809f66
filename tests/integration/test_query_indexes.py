"""Indexes that clients create become indexes of PostgreSQL, which compiled queries and the removal of expired use."""

from __future__ import annotations

from typing import Any, Final

import orjson
import pytest
from structlog.testing import capture_logs

import sql
from proxy.complete import CompleteStore
from proxy.complete.query_indexes import QueryIndexes, list_columns
from proxy.stores.postgres.writes import DocumentWriter
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.integration.target_fixtures import take_writes

C: Final = "_system/c"


def index(number: int, kind: str, *fields: str, **more: Any) -> dict[str, Any]:
    return {"id": f"c/{number}", "name": f"i{number}", "type": kind, "fields": list(fields), "unique": False, **more}


async def indexes_of(database: Database, relation: str) -> list[str]:
    rows = await database.fetch(
        "SELECT pg_get_indexdef(i.indexrelid) AS text FROM pg_index i "
        "WHERE indrelid = to_regclass($1) AND indisvalid AND NOT indisprimary",
        relation,
    )
    return sorted(row["text"].partition(" USING ")[2] for row in rows)


async def define(database: Database, *definitions: dict[str, Any]) -> None:
    properties = orjson.dumps({"indexes": [index(0, "primary", "_key"), *definitions]}).decode()
    await database.execute("UPDATE _crossfade.stamp_floor SET properties = $1::text::json", properties)


async def plan(database: Database, query: str) -> str:
    async with database.transaction() as session:
        await session.execute("SET LOCAL enable_seqscan = off")
        await session.execute("SET LOCAL enable_sort = off")
        return "\n".join(row[0] for row in await session.fetch(f"EXPLAIN {query}"))


def test_the_columns_are_those_that_the_compiler_asks_for() -> None:
    assert list_columns("s.c", ["a"], icu=True) == ("_crossfade.order_key(doc, 'a')",)
    assert list_columns("s.c", ["a", "b"], icu=True) == ("(doc -> 'a')", "_crossfade.order_key(doc, 'b')")
    assert list_columns("s.c", ["_key"], icu=True) == ()
    assert list_columns("s.c", ["a[*]"], icu=True) == ()
    assert list_columns("s.c", ["a`b"], icu=True) == ()
    assert list_columns("s.c", ["a"], icu=False) == ()


async def test_indexes_are_made_and_dropped_with_those_of_clients(database: Database) -> None:
    relation = await take_writes(database, C, {})
    indexes = QueryIndexes(database)
    await indexes.ensure()
    assert await indexes_of(database, relation) == []
    await define(database, index(5, "persistent", "a", "b"), index(6, "ttl", "at.end", expireAfter=60))
    await indexes.ensure()
    await indexes.ensure()
    made = await indexes_of(database, relation)
    assert made == [
        "btree (((doc -> 'a'::text)), _crossfade.order_key(doc, 'b'::text))",
        "btree (_crossfade.moment_of(doc, '{at,end}'::text[]))",
        "gin (doc jsonb_path_ops)",
    ]
    expired = f"SELECT key FROM {relation} WHERE _crossfade.moment_of(doc, '{{at,end}}'::text[]) < 5"
    assert '"ttl/6"' in await plan(database, f"{expired} LIMIT 10")
    await define(database, index(6, "ttl", "at.end", expireAfter=60))
    await indexes.ensure()
    assert await indexes_of(database, relation) == made[1:]


async def test_a_collection_that_came_with_a_unique_index_gets_it(database: Database) -> None:
    await take_writes(database, C, {})
    unique = index(5, "persistent", "a") | {"unique": True}
    writer = DocumentWriter(database)
    first = decode_parts("POST", b"/_api/document/c", [], b'[{"_key":"x","a":1},{"_key":"y","a":1}]')
    await writer.execute(first)
    await define(database, unique)
    indexes = QueryIndexes(database)
    await indexes.ensure()  # its documents violate it
    assert not await database.fetchval(sql.unique_indexes.EXISTS, "5")
    await writer.execute(decode_parts("DELETE", b"/_api/document/c/y", [], b""))
    await QueryIndexes(database).ensure()
    outcome = await writer.execute(decode_parts("POST", b"/_api/document/c", [], b'{"a":1}'))
    assert (outcome.status, orjson.loads(outcome.body)["errorNum"]) == (409, 1210)


async def test_an_index_that_postgresql_cannot_have_is_tried_once(database: Database) -> None:
    relation = await take_writes(database, C, {})
    wide = index(5, "persistent", *(f"a{number}" for number in range(40)))
    of_revisions = index(6, "persistent", "_rev")
    await define(database, wide, of_revisions, index(7, "persistent", "n"))
    indexes = QueryIndexes(database)
    with capture_logs() as logs:
        await indexes.ensure()
        await indexes.ensure()
    assert [entry["event"] for entry in logs] == ["index_impossible", "index_impossible", "index_made"]
    assert len(await indexes_of(database, relation)) == 2, "the others are made"


async def test_another_process_that_makes_indexes_is_left_alone(database: Database) -> None:
    relation = await take_writes(database, C, {})
    await define(database, index(5, "persistent", "a"))
    async with database.session() as session:
        await session.execute("SELECT pg_advisory_lock(hashtextextended('crossfade client indexes', 0))")
        await QueryIndexes(database).ensure()
        assert await indexes_of(database, relation) == []
    await QueryIndexes(database).ensure()
    assert len(await indexes_of(database, relation)) == 2


@pytest.mark.parametrize("size", [5_000, 20_000])
async def test_a_value_that_is_too_large_for_an_index_is_written(database: Database, size: int) -> None:
    relation = await take_writes(database, C, {})
    await define(database, index(5, "persistent", "a"))
    indexes = QueryIndexes(database)
    await indexes.ensure()
    writer = DocumentWriter(database)
    # repeated text would be compressed
    value = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(size))
    body = orjson.dumps([{"_key": "a", "a": value}, {"_key": "b", "a": 1}])
    outcome = await writer.execute(decode_parts("POST", b"/_api/document/c", [], body))
    assert (outcome.status, b"errorNum" in outcome.body) == (202, False)
    assert await indexes_of(database, relation) == ["gin (doc jsonb_path_ops)"]
    await indexes.ensure()  # which cannot make it again
    await indexes.ensure()
    assert await indexes_of(database, relation) == ["gin (doc jsonb_path_ops)"]


@pytest.mark.parametrize("size", [5_000, 20_000])
@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/_api/cursor", {"query": "INSERT @d INTO c", "bindVars": {"d": {"_key": "a", "a": "…"}}}),
        ("/_api/simple/update-by-example", {"collection": "c", "example": {"_key": "b"}, "newValue": {"a": "…"}}),
    ],
)
async def test_a_value_that_is_too_large_is_written_in_every_way(
    database: Database, target: str, body: dict[str, Any], size: int
) -> None:
    store = CompleteStore(database)
    await store.start()
    for path, made in (
        ("/_api/collection", {"name": "c"}),
        ("/_api/index?collection=c", {"type": "persistent", "fields": ["a"]}),
        ("/_api/document/c", {"_key": "b"}),
    ):
        await store.execute(decode_parts("POST", path.encode(), [], orjson.dumps(made)))
    await QueryIndexes(database).ensure()
    value = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(size))
    text = orjson.dumps(body).decode().replace("…", value)
    method = "POST" if "cursor" in target else "PUT"
    outcome = await store.execute(decode_parts(method, target.encode(), [], text.encode()))
    assert outcome.status in (200, 201), outcome.body
    await store.close()
