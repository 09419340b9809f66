"""INSERT and UPSERT as one statement: keys, the rules of collections, unique values, and clients that compete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
import pytest

from proxy.base.errors import ArangoError
from proxy.model.cursor_requests import request_of
from proxy.model.revision import decode_rev
from proxy.semantics.unique_index import uniques_of
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.modifications import ModificationQueries, ModificationResult
from proxy.stores.postgres.unique_indexes import NewIndex, create
from proxy.stores.postgres.writes.key_assignment import KeyAssignment
from tests.ad_hoc import Database
from tests.integration.target_fixtures import take_writes

C: Final = "_system/c"
INDEX: Final = {"id": "c/9", "name": "one", "type": "persistent", "fields": ["u"], "unique": True}
COUNTER: Final = "UPSERT {_key: @k} INSERT {_key: @k, n: 1} UPDATE {n: OLD.n + 1} IN c RETURN NEW.n"


class Queries(ModificationQueries):
    """Notes for each query whether it was one statement."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, Catalog(database), KeyAssignment())
        self.compiled: list[bool] = []

    async def _compiled(self, *given: Any) -> Any:
        finished = await super()._compiled(*given)
        self.compiled.append(finished is not None)
        return finished

    async def run(self, text: str, **binds: Any) -> ModificationResult:
        return await self.execute("_system", request_of(orjson.dumps({"query": text, "bindVars": binds})))

    async def rows(self, text: str, **binds: Any) -> list[Any]:
        """Return the rows of a query that must be one statement."""
        found = await self.run(text, **binds)
        assert self.compiled[-1:] == [True]
        return found.rows


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(dsn, size=10)
    yield opened
    await opened.close()


@pytest.fixture
def queries(pool: Database) -> Queries:
    return Queries(pool)


async def unique(pool: Database, properties: dict[str, Any]) -> str:
    """Create the collection with a unique index on `u`."""
    relation = await take_writes(pool, C, {**properties, "indexes": [INDEX]})
    async with pool.transaction() as session:
        await create(session, NewIndex(relation, uniques_of([INDEX])[0]))
    return relation


async def last_key(pool: Database) -> int:
    return int(await pool.fetchval("SELECT last FROM _crossfade.last_key"))


# ---- keys


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, ["78", "79", "80"]),
        ({"type": "padded"}, ["000000000000004e", "000000000000004f", "0000000000000050"]),
        ({"type": "autoincrement", "offset": 5, "increment": 10}, ["85", "95", "105"]),
    ],
)
async def test_new_keys_are_those_of_the_generator(
    pool: Database, queries: Queries, options: dict[str, Any], keys: list[str]
) -> None:
    await take_writes(pool, C, {"keyOptions": options})
    seen = "000000000000004d" if options.get("type") == "padded" else "77"
    await queries.rows("INSERT {_key: @k} INTO c", k=seen)
    assert await queries.rows("FOR d IN [{}, {_key: 'a'}, {}] INSERT d INTO c RETURN NEW._key") == [
        keys[0],
        "a",
        keys[1],
    ]
    assert await queries.rows("INSERT {} INTO c RETURN NEW._key") == [keys[2]]


async def test_random_keys(pool: Database, queries: Queries) -> None:
    await take_writes(pool, C, {"keyOptions": {"type": "uuid"}})
    made = await queries.rows("FOR i IN 1..3 INSERT {n: i} INTO c RETURN NEW._key")
    made += await queries.rows("UPSERT {n: 9} INSERT {n: 9} UPDATE {} IN c RETURN NEW._key")
    assert len(set(made)) == 4
    assert all(len(key) == 36 for key in made)


async def test_an_upsert_that_finds_a_document_takes_no_number(pool: Database, queries: Queries) -> None:
    await take_writes(pool, C, {})
    text = "UPSERT {n: @n} INSERT {n: @n} UPDATE {m: (OLD.m || 0) + 1} IN c RETURN [NEW._key, NEW.m]"
    assert await queries.rows(text, n=1) == [["1", None]]
    for count in (1, 2, 3):
        assert await queries.rows(text, n=1) == [["1", count]]
    assert await last_key(pool) == 1
    assert await queries.rows(text, n=2) == [["2", None]]
    assert await queries.rows(text, n=3) == [["3", None]]


async def test_the_numbers_that_a_query_made_are_taken_ahead_the_next_time(pool: Database, queries: Queries) -> None:
    """They are given back if it needs none of them."""
    await take_writes(pool, C, {})
    text = "FOR n IN @l UPSERT {n} INSERT {n} UPDATE {m: 1} IN c RETURN NEW._key"
    await queries.rows(text, l=[1, 2])
    queries.compiled.clear()
    assert await queries.rows(text, l=[2, 3, 4]) == ["2", "4", "5"]
    assert queries.compiled == [True]
    assert await queries.rows(text, l=[1, 2]) == ["1", "2"]
    assert await last_key(pool) == 5


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"keyOptions": {"allowUserKeys": False}}, 1222),
        ({"schema": {"rule": {"required": ["n"]}, "level": "strict"}}, 1620),
    ],
)
async def test_rules_that_a_collection_gets_are_followed(
    pool: Database, queries: Queries, properties: dict[str, Any], error: int
) -> None:
    await take_writes(pool, C, {})
    await queries.rows("INSERT {_key: 'a'} INTO c")
    changed = orjson.dumps(properties).decode()
    await pool.execute("UPDATE _crossfade.stamp_floor SET properties = $1::text::json", changed)
    with pytest.raises(ArangoError) as refused:
        await queries.run("INSERT {_key: 'b'} INTO c")
    assert refused.value.number == error


# ---- what is stored


async def test_columns_are_those_of_the_text(pool: Database, queries: Queries) -> None:
    relation = await take_writes(pool, C, {})
    documents = [{"_key": "a", "n": 1.5, "o": {"ü": [1, None]}, "_from": "x"}, {"_key": "b", "_rev": "old", "_id": 1}]
    await queries.rows("FOR d IN @l INSERT d INTO c", l=documents)
    text = "FOR d IN @l UPSERT {_key: d._key} INSERT d UPDATE {m: OLD.o, z: d.z} IN c RETURN [OLD.n, NEW.z.b]"
    given = [{"_key": "b", "z": {"b": 1.0, "a": 2}}, {"_key": "c", "z": {"b": 3}}, {"_key": "a"}]
    assert await queries.rows(text, l=given) == [[None, 1], [None, 3], [1.5, None]]
    rows = await pool.fetch(
        f"SELECT key, rev, raw::text AS raw, doc = _crossfade.queryable(raw) AS same FROM {relation} ORDER BY key"
    )
    raws = {row["key"]: row["raw"] for row in rows}
    assert all(row["same"] and decode_rev(orjson.loads(row["raw"])["_rev"]) == row["rev"] for row in rows)
    assert raws["a"].endswith('","n":1.5,"o":{"ü":[1,null]},"m":{"ü":[1,null]},"z":null}')
    assert raws["b"].endswith('","m":null,"z":{"b":1,"a":2}}')
    assert raws["c"].startswith('{"_key":"c","_id":"c/c","_rev":"_')


async def test_a_removed_document_is_inserted_again_with_a_later_revision(pool: Database, queries: Queries) -> None:
    relation = await take_writes(pool, C, {})
    (first,) = await queries.rows("INSERT {_key: 'a'} INTO c RETURN NEW._rev")
    await queries.run("REMOVE 'a' IN c")
    (second,) = await queries.rows(COUNTER.replace("NEW.n", "NEW._rev"), k="a")
    assert decode_rev(second) > decode_rev(first)
    assert [row["rev"] for row in await pool.fetch(f"SELECT rev FROM {relation}")] == [decode_rev(second)]


async def test_the_outbox_has_the_keys_of_what_is_written(pool: Database, queries: Queries) -> None:
    await take_writes(pool, C, {})
    await queries.rows("FOR k IN ['b', 'a'] INSERT {_key: k} INTO c")
    await queries.rows("FOR k IN ['c', 'b'] UPSERT {_key: k} INSERT {_key: k} UPDATE {n: 1} IN c")
    unchanged = await queries.rows(
        "FOR k IN ['a', 'd'] UPSERT {_key: k} INSERT {_key: k} UPDATE {} IN c RETURN NEW == OLD"
    )
    assert unchanged == [True, False]
    await queries.rows("FOR k IN ['a', 'e'] INSERT {_key: k} INTO c OPTIONS {overwriteMode: 'ignore'}")
    rows = await pool.fetch("SELECT key FROM _crossfade.outbox ORDER BY id")
    assert [row["key"] for row in rows] == ["a", "b", "b", "c", "d", "e"]
    await pool.execute("UPDATE _crossfade.stamp_floor SET in_arangodb = false")
    await queries.rows(COUNTER, k="f")
    assert await pool.fetchval("SELECT count(*) FROM _crossfade.outbox") == 6


async def test_of_several_documents_the_one_with_the_first_key_is_found(pool: Database, queries: Queries) -> None:
    relation = await take_writes(pool, C, {})
    await queries.rows("FOR k IN ['b', 'Z', 'a'] INSERT {_key: k, n: 1, o: {x: null}} INTO c")
    text = "UPSERT {n: @n, o: {x: @x}, m: null} INSERT {} UPDATE {p: 1} IN c RETURN OLD._key"
    assert await queries.rows(text, n=1.0, x=None) == ["Z"]
    await pool.execute(f"CREATE INDEX ON {relation} ((doc -> 'n'))")
    again = Queries(pool)
    assert await again.rows("UPSERT {n: @n} INSERT {} UPDATE {p: 1} IN c RETURN OLD._key", n=1) == ["Z"]
    await again.run("UPSERT {n: @n} INSERT {} UPDATE {p: 1} IN c RETURN OLD._key", n=None)
    assert again.compiled[-1] is False


# ---- unique values


async def test_a_unique_value_that_another_document_has_is_refused(pool: Database, queries: Queries) -> None:
    await unique(pool, {})
    await queries.rows("INSERT {_key: 'a', u: 1} INTO c")
    for text in (
        "FOR d IN [{_key: 'b', u: 2}, {_key: 'c', u: 1.0}] INSERT d INTO c",
        "FOR k IN ['b', 'c'] INSERT {_key: k, u: 5} INTO c",
    ):
        with pytest.raises(ArangoError) as refused:
            await queries.run(text)
        assert refused.value.number == 1210
        assert "in index one of type persistent over 'u'; conflicting key: " in str(refused.value)
    assert (await queries.run("FOR d IN c RETURN d._key")).rows == ["a"]


async def test_an_upsert_by_unique_values_is_one_statement_unless_they_change(pool: Database, queries: Queries) -> None:
    await unique(pool, {})
    for _ in range(2):
        await queries.rows("FOR u IN 1..3 UPSERT {u} INSERT {_key: CONCAT('k', u), u} UPDATE {u, n: 1} IN c")
    text = "FOR d IN @l UPSERT {_key: d.k} INSERT {_key: d.k, u: d.u} UPDATE {u: d.u} IN c"
    with pytest.raises(ArangoError) as refused:  # in their order, the first one meets the second
        await queries.run(text, l=[{"k": "k1", "u": 2}, {"k": "k2", "u": 1}])
    assert refused.value.number == 1210
    await queries.run(text, l=[{"k": "k1", "u": 9}, {"k": "k2", "u": 1}])
    assert queries.compiled[-1] is False
    assert (await queries.run("FOR d IN c SORT d._key RETURN d.u")).rows == [9, 1, 3]


# ---- clients that compete


async def test_clients_that_upsert_one_new_key_count_each_other(pool: Database) -> None:
    await take_writes(pool, C, {})
    proxies = [Queries(pool) for _ in range(4)]
    counts = await asyncio.gather(*(proxy.run(COUNTER, k="a") for proxy in proxies for _ in range(8)))
    assert sorted(count.rows[0] for count in counts) == list(range(1, 33))


async def test_clients_that_upsert_one_unique_value_make_one_document(pool: Database) -> None:
    relation = await unique(pool, {})
    proxies = [Queries(pool) for _ in range(4)]
    text = "UPSERT {u: @u} INSERT {u: @u, n: 1} UPDATE {n: OLD.n + 1} IN c RETURN NEW.n"
    for value in range(3):
        counts = await asyncio.gather(*(proxy.run(text, u=value) for proxy in proxies for _ in range(4)))
        assert sorted(count.rows[0] for count in counts) == list(range(1, 17))
    assert await pool.fetchval(f"SELECT count(*) FROM {relation} WHERE doc IS NOT NULL") == 3


async def test_clients_that_upsert_the_same_documents_in_another_order(pool: Database) -> None:
    relation = await take_writes(pool, C, {})
    proxies = [Queries(pool) for _ in range(4)]
    text = "FOR k IN @l UPSERT {_key: k} INSERT {_key: k, n: 1} UPDATE {n: OLD.n + 1} IN c"
    keys = [f"k{number}" for number in range(30)]
    orders = [keys, keys[::-1], keys[10:] + keys[:10], keys[::2]]
    await asyncio.gather(
        *(proxy.run(text, l=order) for proxy, order in zip(proxies, orders, strict=True) for _ in range(3))
    )
    total = await pool.fetchval(f"SELECT sum((doc ->> 'n')::integer) FROM {relation}")
    assert total == 3 * sum(map(len, orders))
