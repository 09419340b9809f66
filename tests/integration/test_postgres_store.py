"""The target answers reads as ArangoDB would, byte for byte, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
import pytest

from proxy.base.errors import ArangoError, Unsupported
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres import PostgresStore, QueryLimits
from proxy.wire.endpoints import named
from tests.ad_hoc import Database
from tests.integration.target_fixtures import create, new_rev, put, raw_of

C = "db/docs"


@pytest.fixture
async def store(database: Database) -> PostgresStore:
    await create(database, C)
    return PostgresStore(database)


def read(key: str = "a", endpoint: str = "document.read", collection: str = "docs", **headers: str) -> Operation:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    method = "HEAD" if endpoint == "document.head" else "GET"
    return Operation(named(endpoint), method, "db", collection, key, headers=names)


def many(items: object, params: Mapping[str, str] | None = None) -> Operation:
    body = orjson.dumps(items)
    return Operation(named("document.read_many"), "PUT", "db", "docs", params=params or {}, body=body)


def query(text: str, bind_vars: Mapping[str, Any] | None = None, **options: Any) -> Operation:
    body = orjson.dumps({"query": text, "bindVars": bind_vars or {}, **options})
    return Operation(named("cursor.create"), "POST", "db", path=("_api", "cursor"), body=body)


def cursor(endpoint: str, identifier: str, *batch: str) -> Operation:
    method = "DELETE" if endpoint == "cursor.delete" else "POST"
    return Operation(named(endpoint), method, "db", path=("_api", "cursor", identifier, *batch))


async def failure(store: PostgresStore, operation: Operation) -> tuple[int, int]:
    with pytest.raises(ArangoError) as raised:
        await store.execute(operation)
    return raised.value.status, raised.value.number


# ---- documents


async def test_a_document_is_returned_as_arangodb_printed_it(store: PostgresStore, database: Database) -> None:
    raw = raw_of(C, "a", '{"z":1.50e3,"a":-0,"n":18446744073709551615,"u":"\\u0000","t":"ü \\ud800"}'.encode())
    await put(database, C, raw)
    rev = raw.split(b'"_rev":')[1].split(b",")[0]

    outcome = await store.execute(read())
    head = await store.execute(read(endpoint="document.head"))

    assert outcome == Outcome(200, raw, ((b"etag", rev),))
    assert (head.status, head.header(b"etag")) == (200, rev)
    assert store.name == "postgresql"


async def test_if_match_and_if_none_match_are_honoured(store: PostgresStore, database: Database) -> None:
    rev = new_rev()
    await put(database, C, raw_of(C, "a", rev=rev))

    for matching in (rev, f'"{rev}"', f" '{rev}' "):
        assert (await store.execute(read(if_match=matching))).status == 200
        not_modified = await store.execute(read(if_none_match=matching))
        assert (not_modified.status, not_modified.body, not_modified.content_type) == (304, b"", b"text/plain")
        both = await store.execute(read(if_match=new_rev(), if_none_match=matching))
        assert both.status == 412  # the precondition is checked first
    for other in ("*", new_rev(), f"W/{rev}"):
        assert (await store.execute(read(if_none_match=other))).status == 200
        refused = await store.execute(read(if_match=other))
        assert (refused.status, refused.header(b"etag")) == (412, f'"{rev}"'.encode())
        assert orjson.loads(refused.body) == {
            "error": True,
            "code": 412,
            "errorNum": 1200,
            "errorMessage": "conflict, _rev values do not match",
            "_id": "docs/a",
            "_key": "a",
            "_rev": rev,
        }


async def test_missing_documents_and_collections_are_404(store: PostgresStore, database: Database) -> None:
    await put(database, C, raw_of(C, "gone"))
    await database.execute("UPDATE db.docs SET raw = NULL, doc = NULL WHERE key = 'gone'")
    body = b'{"code":404,"error":true,"errorMessage":"document not found","errorNum":1202}'

    for key in ("missing", "gone", "no key\x00", "\udcff"):
        assert await store.execute(read(key)) == Outcome(404, body)
    assert await failure(store, read(collection="none")) == (404, 1203)
    assert await failure(store, read(collection="no\x00ne")) == (404, 1203)
    assert await failure(store, read(collection="\udcff")) == (404, 1203)


async def test_reads_of_many_documents_have_errors_in_their_places(store: PostgresStore, database: Database) -> None:
    a, b = raw_of(C, "a", b'{"x":1.0}'), raw_of(C, "b")
    await put(database, C, a, b)
    absent = b'{"error":true,"errorNum":1202,"errorMessage":"document not found"}'
    illegal = b'{"error":true,"errorNum":1205,"errorMessage":"illegal document identifier"}'

    outcome = await store.execute(many(["b", "docs/a", {"_key": "c"}, {"_id": "docs/b"}, "x y", "b"]))

    assert outcome.status == 200
    assert outcome.body == b"[" + b",".join([b, a, absent, illegal, absent, b]) + b"]"
    assert outcome.header(b"x-arango-error-codes") == b'{"1202":2,"1205":1}'
    assert (await store.execute(many([]))).body == b"[]"


async def test_reads_of_many_documents_check_revisions(store: PostgresStore, database: Database) -> None:
    await put(database, C, raw_of(C, "a"))
    expected = [{"_key": "a", "_rev": new_rev()}, {"other": 1}, 7]

    lax = await store.execute(many(expected))
    strict = await store.execute(many(expected, {"ignoreRevs": "false"}))

    assert [part.get("errorNum") for part in orjson.loads(lax.body)] == [None, 1205, 1205]
    assert [part.get("errorNum") for part in orjson.loads(strict.body)] == [1200, 1205, 1205]
    assert strict.header(b"x-arango-error-codes") == b'{"1200":1,"1205":2}'
    assert await failure(store, many({"_key": "a"})) == (400, 10)


async def test_counts_leave_tombstones_out(store: PostgresStore, database: Database) -> None:
    await put(database, C, raw_of(C, "a"), raw_of(C, "b"), raw_of(C, "c"))
    await database.execute("UPDATE db.docs SET raw = NULL, doc = NULL WHERE key = 'c'")
    operation = Operation(named("collection.count"), "GET", "db", "docs")

    body = orjson.loads((await store.execute(operation)).body)

    assert (body["count"], body["code"], body["name"], body["type"]) == (2, 200, "docs", 2)
    assert await store.fenced(operation, 1) is None


async def test_an_unsupported_operation_is_refused_by_its_endpoint(store: PostgresStore) -> None:
    with pytest.raises(Unsupported, match=r"document\.insert"):
        await store.execute(Operation(named("document.insert"), "POST", "db", "docs"))


async def test_a_table_that_was_renamed_is_looked_up_again(store: PostgresStore, database: Database) -> None:
    await put(database, C, raw_of(C, "a"))
    await store.execute(read())
    await database.execute("ALTER TABLE db.docs RENAME TO elsewhere")
    await database.execute("UPDATE _crossfade.collection SET relation = 'db.elsewhere'")

    assert (await store.execute(read())).status == 200


# ---- the fence


async def instance(database: Database, name: str, *, lease: str = "1 hour", diverged: bool = False) -> None:
    await database.execute(
        "INSERT INTO _crossfade.instance (instance, host, pid, version, lease_until, diverged) "
        "VALUES ($1, 'h', 1, '0', clock_timestamp() + $2::text::interval, $3)",
        name,
        lease,
        diverged,
    )


FENCED = [read(), many(["a"]), query("FOR d IN docs RETURN d._key")]


@pytest.mark.parametrize("operation", FENCED, ids=lambda operation: operation.endpoint.name)
async def test_the_read_fence_is_part_of_the_statement(
    store: PostgresStore, database: Database, operation: Operation
) -> None:
    """I7: no read from PostgreSQL at another epoch, or while a proxy may not follow it."""
    await put(database, C, raw_of(C, "a"))
    await instance(database, "one")
    await database.execute("UPDATE _crossfade.control SET generation = 5")

    served = await store.fenced(operation, 5)
    assert served is not None
    assert b'"a"' in served.body
    assert await store.fenced(operation, 4) is None
    assert await store.fenced(operation, 6) is None

    await instance(database, "late", lease="-1 millisecond")
    assert await store.fenced(operation, 5) is None
    await database.execute("UPDATE _crossfade.instance SET stopped_at = now() WHERE instance = 'late'")
    assert await store.fenced(operation, 5) is not None

    await instance(database, "apart", diverged=True)
    assert await store.fenced(operation, 5) is None


async def test_a_missing_document_is_fenced_too(store: PostgresStore) -> None:
    missing = await store.fenced(read("missing"), 1)

    assert missing is not None
    assert missing.status == 404
    assert await store.fenced(read("missing"), 2) is None
    assert await store.fenced(many([]), 2) is None
    assert await store.fenced(many(["missing"]), 1) is not None


async def test_a_query_that_reads_nothing_tests_no_fence(store: PostgresStore) -> None:
    assert await store.fenced(query("RETURN 1"), 1) is None
    assert orjson.loads((await store.execute(query("RETURN 1"))).body)["result"] == [1]


# ---- queries


def result(outcome: Outcome) -> list[Any]:
    body = orjson.loads(outcome.body)
    assert (body["error"], body["hasMore"], body["cached"]) == (False, False, False)
    found: list[Any] = body["result"]
    return found


async def test_queries_return_rows_groups_and_single_documents(store: PostgresStore, database: Database) -> None:
    await put(database, C, *(raw_of(C, f"k{n}", b'{"n":%d,"u":{"id":"u%d"}}' % (n, n % 2)) for n in range(6)))

    rows = await store.execute(
        query("FOR d IN docs FILTER d.u.id == @u SORT d.n DESC LIMIT 1, 2 RETURN d.n", {"u": "u1"}, count=True)
    )
    grouped = await store.execute(query("FOR d IN docs COLLECT u = d.u.id WITH COUNT INTO n RETURN {u, n}"))
    one = await store.execute(query("FOR d IN docs FILTER d._key == 'k3' RETURN KEEP(d, '_id', 'n')"))

    assert (rows.status, result(rows), orjson.loads(rows.body)["count"]) == (201, [3, 1], 2)
    assert result(grouped) == [{"u": "u0", "n": 3}, {"u": "u1", "n": 3}]
    assert result(one) == [{"_id": "docs/k3", "n": 3}]
    assert set(orjson.loads(rows.body)["extra"]) == {"warnings", "stats"}


async def test_queries_return_documents_as_arangodb_prints_them(store: PostgresStore, database: Database) -> None:
    raw = raw_of(C, "a", b'{"z":[1,2.5,-0,1e+30,18446744073709551615],"u":"a\\u0000b","m":{"b":1,"a":2}}')
    await put(database, C, raw)

    outcome = await store.execute(query("FOR d IN docs FILTER d.u == @u RETURN d", {"u": "a\0b"}))

    assert outcome.body.startswith(b'{"result":[' + raw + b"],")


async def test_a_result_in_batches_is_read_with_its_cursor(store: PostgresStore, database: Database) -> None:
    await put(database, C, *(raw_of(C, f"k{n}") for n in range(3)))
    first = orjson.loads((await store.execute(query("FOR d IN docs SORT d._key RETURN d._key", batchSize=2))).body)
    following = cursor("cursor.next", first["id"])

    assert (first["result"], first["hasMore"]) == (["k0", "k1"], True)
    assert store.owns_cursor(following)
    assert orjson.loads((await store.execute(following)).body)["result"] == ["k2"]
    assert await failure(store, cursor("cursor.delete", first["id"])) == (404, 1600)


async def test_query_errors_equal_those_of_arangodb(store: PostgresStore, database: Database) -> None:
    assert await failure(store, query("FOR d IN nowhere RETURN d")) == (404, 1203)
    assert await failure(store, query("FOR d IN docs RETURN")) == (400, 1501)
    assert await failure(store, query("RETURN @a")) == (400, 1551)
    with pytest.raises(Unsupported, match="modification"):
        await store.execute(query("INSERT {} INTO docs"))
    await put(database, C, raw_of(C, "a"), raw_of(C, "b"))
    with pytest.raises(Unsupported, match="too large"):
        await PostgresStore(database, limits=QueryLimits(rows=1)).query(query("FOR d IN docs RETURN d"))
    with pytest.raises(Unsupported, match="too large"):
        await PostgresStore(database, limits=QueryLimits(bytes=60)).query(query("FOR d IN docs RETURN d"))


async def test_all_fetches_of_a_query_see_one_state(store: PostgresStore, database: Database) -> None:
    """As in ArangoDB: a write in mid-query is not seen by half of it."""
    await put(database, C, *(raw_of(C, f"k{n:04}", b'{"n":1}') for n in range(1000)))
    text = "LET a = (FOR d IN docs RETURN d.n) LET b = (FOR d IN docs RETURN d.n) RETURN SUM(a) == SUM(b)"

    async def write() -> None:
        for number in range(40):
            await put(database, C, raw_of(C, f"k{number:04}", b'{"n":5}'))

    writing = asyncio.create_task(write())
    found = []
    while not writing.done():
        found += result(await store.execute(query(text)))
    await writing

    assert set(found) == {True}


async def test_a_query_whose_collections_are_unknown_is_not_served(store: PostgresStore, database: Database) -> None:
    await create(database, "db/other")
    await put(database, C, raw_of(C, "a", b'{"ref":"other/x"}'))
    await put(database, "db/other", raw_of("db/other", "x", b'{"n":7}'))
    dynamic = query("FOR d IN docs RETURN DOCUMENT(d.ref).n")

    wide = msgspec.structs.replace(dynamic, extent=frozenset({"docs", "other"}))
    assert result(await store.execute(wide)) == [7]
    with pytest.raises(Unsupported):
        await store.execute(dynamic)
    assert await store.fenced(dynamic, 1) is None


async def test_a_query_that_fetches_nothing_is_served_while_the_fence_holds(store: PostgresStore) -> None:
    for text in ("WITH docs FOR i IN 1..2 RETURN i", "RETURN DOCUMENT(docs, 'other/1')"):
        operation = query(text)
        assert await store.fenced(operation, 1) is not None, text
        assert await store.fenced(operation, 2) is None, text
    assert await store.fenced(query("RETURN 1"), 1) is None, "its collections, and so its fence, are unknown"


async def test_the_event_loop_is_not_blocked_by_a_query(store: PostgresStore, database: Database) -> None:
    await put(database, C, *(raw_of(C, f"k{n:04}", b'{"n":%d}' % n) for n in range(1500)))
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    rows = result(await store.execute(query("FOR d IN docs SORT d.n RETURN d.n", batchSize=5000)))
    ticking.cancel()

    assert rows == list(range(1500))
    assert turns > 20
