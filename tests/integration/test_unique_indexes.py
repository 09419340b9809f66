"""Unique indexes in PostgreSQL: the same values as in the development server, created, enforced and dropped."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

import asyncpg
import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import sql
from proxy.base.errors import ArangoError
from proxy.model.documents import escape_text, to_jsonb
from proxy.model.json_values import dump
from proxy.semantics.unique_index import UniqueIndex
from proxy.stores.postgres import unique_indexes
from proxy.stores.postgres.unique_indexes import NewIndex
from proxy.stores.postgres.writes import DocumentWriter
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.harness import eventually, straight
from tests.integration.target_fixtures import raw_of, take_writes

C: Final = "_system/c"

_NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1.0, -0.0, 0.1, 2.0**53, 2.0**63, 2.0**64, -(2.0**63), 1.2345678901234567e19, 5e-324, 1.7e308]),
)
_NAMES = st.sampled_from(["a", "b", "_x", "ü", "\ufdd0", "\x00", "Z"])
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(max_size=3) | st.sampled_from(["\x00", "\ufdd0", '"\\', "x" * 3000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)
_DOCUMENTS = st.dictionaries(_NAMES, _VALUES, max_size=3)
_PATHS = st.sampled_from(["a", "b", "a.b", "a[*]", "b[*].a", "a.b[*]", "ü", "\ufdd0", "a\x00", "Z.a.b", "_key"])
_INDEXES = st.builds(
    UniqueIndex,
    st.just("1"),
    st.just("i"),
    st.just("persistent"),
    st.lists(_PATHS, min_size=1, max_size=3, unique=True).map(tuple),
    st.booleans(),
    st.booleans(),
)


def over(*fields: str, sparse: bool = False, deduplicate: bool = True) -> UniqueIndex:
    return UniqueIndex("7", "i", "persistent", fields, sparse, deduplicate)


async def collection(database: Database, index: UniqueIndex | None = None) -> str:
    """Return the table of a collection whose writes PostgreSQL takes, with a unique index."""
    shown = [
        {
            "id": f"c/{each.id}",
            "name": each.name,
            "type": each.kind,
            "fields": each.fields,
            "unique": True,
            "sparse": each.sparse,
            "deduplicate": each.deduplicate,
        }
        for each in (index,)
        if each is not None
    ]
    relation = await take_writes(database, C, {"indexes": shown})
    if index is not None:
        await build(database, relation, index)
    return relation


async def build(database: Database, relation: str, index: UniqueIndex) -> None:
    """Build an index beside running writes."""
    made = NewIndex(relation, index)
    async with database.session() as session, unique_indexes.built(session, [made], "30s"), session.transaction():
        await unique_indexes.create(session, made)


async def send(writer: DocumentWriter, method: str, target: str, body: Any = None) -> tuple[int, Any]:
    data = b"" if body is None else orjson.dumps(body)
    outcome = await writer.execute(decode_parts(method, target.encode(), [], data))
    return outcome.status, orjson.loads(outcome.body)


async def entries(database: Database, index: UniqueIndex, document: dict[str, Any]) -> list[str]:
    """Return the entries of a document: by the function for any paths, and by the index's own expression."""
    raw = dump(document)
    paths = [escape_text(path) for path in index.fields]
    expression = await database.fetchval("SELECT _crossfade.entries_expression($1, $2)", paths, index.sparse)
    row = await database.fetchrow(
        f"SELECT _crossfade.index_entries(in_key, 1, in_doc, $4, $5, $6) AS found, {expression or 'NULL'} AS inlined "
        "FROM (VALUES ($1::text, 1::bigint, coalesce($2::jsonb, _crossfade.queryable($3::json)))) "
        "v (in_key, in_rev, in_doc)",
        document["_key"],
        to_jsonb(raw),
        raw.decode(),
        paths,
        index.sparse,
        index.deduplicate,
    )
    assert row is not None
    found: list[str] = row["found"]
    assert (row["inlined"] is None) == any("[*]" in path for path in paths)
    assert row["inlined"] in (None, found)
    return found


async def looked_up(database: Database, value: bytes) -> str:
    text = b'{"v":%s}' % value
    found: str = await database.fetchval(
        "SELECT _crossfade.index_entry_of($1::jsonb -> 'v')", to_jsonb(text) or text.decode()
    )
    return found


def python_values(index: UniqueIndex, document: dict[str, Any]) -> list[bytes]:
    return list(index.values(document, repeated=not index.deduplicate))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(index=_INDEXES, one=_DOCUMENTS, other=_DOCUMENTS)
@example(index=over("n"), one={"n": 1}, other={"n": 1.0})
async def test_entries_are_equal_where_the_rules_have_equal_values(
    database: Database, index: UniqueIndex, one: dict[str, Any], other: dict[str, Any]
) -> None:
    one, other = ({"_key": "k", **orjson.loads(dump(each))} for each in (one, other))
    ours = python_values(index, one), python_values(index, other)
    theirs = await entries(database, index, one), await entries(database, index, other)
    assert list(map(len, ours)) == list(map(len, theirs))
    by_value: dict[bytes, str] = {}
    for value in (*ours[0], *ours[1]):
        by_value[value] = await looked_up(database, value)
    assert len(set(by_value.values())) == len(by_value)
    assert {by_value[value] for value in ours[0]} == set(theirs[0])
    assert {by_value[value] for value in ours[1]} == set(theirs[1])


async def left(database: Database) -> list[str]:
    """Return what there is of unique indexes in PostgreSQL."""
    rows = await database.fetch(
        "SELECT relname::text AS name FROM pg_class WHERE relname LIKE 'unique/%' AND relkind = 'r' "
        "UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'unique/%' "
        "UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE 'unique/%'"
    )
    return sorted(row["name"] for row in rows)


async def test_an_index_of_documents_that_violate_it_is_refused_and_nothing_is_left(database: Database) -> None:
    relation = await collection(database)
    writer = DocumentWriter(database)
    for number in range(3):
        await send(writer, "POST", "/_api/document/c", {"_key": f"k{number}", "n": [1, 1.0, 2][number]})
    with pytest.raises(ArangoError) as caught:
        await build(database, relation, over("n"))
    assert (caught.value.number, caught.value.message) == (
        1210,
        "unique constraint violated - in index i of type persistent over 'n'; conflicting key: k0",
    )
    with pytest.raises(ArangoError):
        async with database.transaction() as session:
            await unique_indexes.create(session, NewIndex(relation, over("n")))
    assert await left(database) == []
    assert (await send(writer, "POST", "/_api/document/c", {"n": 1}))[0] == 202


async def test_an_index_is_dropped_with_and_without_its_table(database: Database) -> None:
    relation = await collection(database, over("n"))
    assert await left(database) != []
    async with database.transaction() as session:
        await unique_indexes.drop(session, "7")
    assert await left(database) == []
    await build(database, relation, over("n"))
    async with database.transaction() as session:
        await session.execute(f"DROP TABLE {relation}")
        await unique_indexes.drop(session, "7")
    assert await left(database) == []


async def test_what_a_build_left_whose_process_died_is_dropped(database: Database) -> None:
    relation = await collection(database, over("n"))
    async with database.session() as builder:
        await builder.fetchval(sql.unique_indexes.MARK_BUILD, "8")
        await builder.execute("SELECT _crossfade.create_unique_index($1, '8', '{m}', false, true)", relation)
        async with database.transaction() as session:
            await unique_indexes.drop_unfinished(session)
        assert any("8" in name for name in await left(database))
    async with database.transaction() as session:
        await unique_indexes.drop_unfinished(session)
    assert {name[:8] for name in await left(database)} == {"unique/7"}


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 2001])
async def test_a_build_adds_every_document_of_a_filled_table(database: Database, size: int) -> None:
    relation = await collection(database)
    await database.execute(
        f"INSERT INTO {relation} (key, rev, raw, doc) SELECT n, n, '{{}}', jsonb_build_object('n', n) "
        "FROM generate_series(1, $1) n",
        size,
    )
    await build(database, relation, over("n"))
    assert await database.fetchval('SELECT count(*) FROM _crossfade."unique/7"') == size


async def test_a_build_waits_for_a_write_and_adds_what_it_wrote(database: Database, dsn: str) -> None:
    relation = await collection(database)
    writer = DocumentWriter(database)
    await send(writer, "POST", "/_api/document/c", [{"_key": key, "n": key} for key in "abc"])
    async with straight(dsn) as other:
        async with other.transaction():
            await other.execute(f"UPDATE {relation} SET rev = rev + 1, doc = '{{\"n\":\"z\"}}' WHERE key = 'a'")
            building = asyncio.create_task(build(database, relation, over("n")))

            async def waits() -> bool:
                text = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                return bool(await database.fetchval(text))

            await eventually(waits, "the build waits")
        await building
    rows = await database.fetch('SELECT value, key FROM _crossfade."unique/7" ORDER BY key')
    assert [(row["key"], row["value"]) for row in rows] == [("a", ',"z"'), ("b", ',"b"'), ("c", ',"c"')]


async def test_a_build_reads_a_document_that_is_being_written_when_that_is_decided(
    database: Database, dsn: str
) -> None:
    relation = await collection(database)
    writer = DocumentWriter(database)
    await send(writer, "POST", "/_api/document/c", {"_key": "a", "n": 1})
    await database.execute("SELECT _crossfade.create_unique_index($1, '7', '{n}', false, true)", relation)
    async with straight(dsn) as other:
        async with other.transaction():
            await other.execute(f"UPDATE {relation} SET rev = rev + 1, doc = '{{\"n\":2}}' WHERE key = 'a'")
            filling = asyncio.create_task(
                database.fetchval("SELECT last FROM _crossfade.fill_unique_index($1, '7', '', 10)", relation)
            )

            async def waits() -> bool:
                return bool(await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

            await eventually(waits, "the build waits")
        await filling
    rows = await database.fetch('SELECT value, key FROM _crossfade."unique/7"')
    assert [(row["key"], row["value"]) for row in rows] == [("a", ",2")]


async def test_documents_may_exchange_their_values_and_take_those_that_are_released(database: Database) -> None:
    await collection(database, over("n"))
    writer = DocumentWriter(database)
    await send(writer, "POST", "/_api/document/c", [{"_key": "a", "n": 1}, {"_key": "b", "n": 2}])
    moves = [{"_key": "a", "n": 9}, {"_key": "b", "n": 1}, {"_key": "a", "n": 2}, {"_key": "b", "n": 3}]
    status, answers = await send(writer, "PUT", "/_api/document/c", moves)
    assert (status, [answer.get("errorNum") for answer in answers]) == (202, [None] * 4)
    status, answers = await send(
        writer,
        "POST",
        "/_api/document/c?overwriteMode=replace",
        [{"_key": "a", "n": 5}, {"_key": "aa", "n": 2}, {"_key": "b", "n": 6}, {"_key": "0", "n": 3}],
    )
    assert (status, [answer.get("errorNum") for answer in answers]) == (202, [None] * 4)


async def test_a_request_that_is_refused_as_a_whole_is_refused_for_its_first_violation(database: Database) -> None:
    await collection(database, over("n"))
    writer = DocumentWriter(database)
    await send(writer, "POST", "/_api/document/c", {"_key": "a", "n": 1})
    status, answer = await send(
        writer, "POST", "/_api/import?collection=c&type=array&complete=true", [{"_key": "b", "n": 1}, {"_key": "a b"}]
    )
    assert (status, answer["errorNum"]) == (409, 1210)
    taken = [{"_key": "b", "n": 1}, {"_key": "b", "n": 2}]
    _, answers = await send(writer, "POST", "/_api/document/c?overwriteMode=replace", taken)
    assert [answer.get("errorNum") for answer in answers] == [1210, None]


async def test_each_element_of_an_array_is_refused_for_itself(database: Database) -> None:
    await collection(database, over("n"))
    writer = DocumentWriter(database)
    await send(writer, "POST", "/_api/document/c", {"_key": "a", "n": 1})
    documents = [{"_key": "b", "n": 1.0}, {"_key": "c", "n": 2}, {"_key": "d", "n": 2}, {"_key": "e"}, {"_key": "f"}]
    status, answers = await send(writer, "POST", "/_api/document/c", documents)
    text = "unique constraint violated - in index i of type persistent over 'n'; conflicting key: "
    refused = [(answer.get("errorNum"), answer.get("errorMessage", "").removeprefix(text)) for answer in answers]
    assert (status, refused) == (202, [(1210, "a"), (None, ""), (1210, "c"), (None, ""), (1210, "e")])


async def test_sql_clients_are_held_to_an_index(database: Database, dsn: str) -> None:
    relation = await collection(database, over("n[*]", sparse=True))
    writer = DocumentWriter(database)
    await send(writer, "POST", "/_api/document/c", {"_key": "a", "n": [1, 2]})
    async with straight(dsn) as other:
        insert = f"INSERT INTO {relation} (key, rev, raw, doc) VALUES ($1, 1, $2, _crossfade.queryable($2))"
        raw = raw_of(C, "b", b'{"n":[2.0]}').decode()
        with pytest.raises(asyncpg.UniqueViolationError):
            await other.execute(insert, "b", raw)
        await other.execute(f"UPDATE {relation} SET raw = '{{\"n\":[3]}}', doc = '{{\"n\":[3]}}' WHERE key = 'a'")
        await other.execute(insert, "b", raw)
        with pytest.raises(asyncpg.UniqueViolationError):
            await other.copy_records_to_table(
                relation.split(".")[1],
                schema_name=relation.split(".")[0],
                columns=["key", "rev", "raw", "doc"],
                records=[("c", 1, raw, '{"n":[2]}')],
            )
        await other.execute(f"DELETE FROM {relation} WHERE key = 'b'")
        assert (await send(writer, "POST", "/_api/document/c", {"_key": "c", "n": [2]}))[0] == 202
        await other.execute(f"TRUNCATE {relation}")
        assert (await send(writer, "POST", "/_api/document/c", {"_key": "d", "n": [2, 3]}))[0] == 202


async def test_a_violation_of_an_index_that_the_writer_does_not_know_is_one(database: Database) -> None:
    relation = await collection(database)
    await build(database, relation, over("n"))
    writer = DocumentWriter(database)
    await send(writer, "POST", "/_api/document/c", {"n": 1})
    status, answer = await send(writer, "POST", "/_api/document/c", {"n": 1})
    assert (status, answer["errorNum"]) == (409, 1210)


async def test_of_equal_values_that_clients_insert_each_is_there_once(database: Database, dsn: str) -> None:
    await collection(database, over("n"))
    second = await Database.open(dsn, size=4)
    writers = [DocumentWriter(database, lock_wait=30.0), DocumentWriter(second, lock_wait=30.0)]
    values = 60

    async def client(number: int) -> list[tuple[int, int]]:
        found = []
        for value in range(values):
            body = {"_key": f"{value}-{number}", "n": value}
            status, answer = await send(writers[number % 2], "POST", "/_api/document/c", body)
            found.append((value, status))
            assert status == 202 or (answer["errorNum"], answer["errorMessage"].split("; ")[1][:15]) == (
                1210,
                "conflicting key",
            ), answer
        return found

    answers = [answer for found in await asyncio.gather(*map(client, range(8))) for answer in found]
    assert Counter(value for value, status in answers if status == 202) == dict.fromkeys(range(values), 1)
    assert {status for _, status in answers} == {202, 409}
    await second.close()
