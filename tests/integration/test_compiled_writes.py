"""AQL that writes, compiled to one statement: its SQL functions, and the rules of collections that it must keep."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
import pytest

from proxy.aql.values import double
from proxy.base.errors import ArangoError, StatementError
from proxy.model.cursor_requests import request_of
from proxy.model.documents import Merging, merge
from proxy.model.json_values import dump
from proxy.model.revision import decode_rev, encode_rev
from proxy.semantics.unique_index import uniques_of
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.modifications import ModificationQueries, ModificationResult
from proxy.stores.postgres.unique_indexes import NewIndex, create
from proxy.stores.postgres.writes.key_assignment import KeyAssignment
from tests.ad_hoc import Database
from tests.integration.target_fixtures import take_writes

C: Final = "_system/c"


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(dsn, size=4)
    yield opened
    await opened.close()


async def run(pool: Database, text: str, **binds: Any) -> ModificationResult:
    queries = ModificationQueries(pool, Catalog(pool), KeyAssignment())
    return await queries.execute("_system", request_of(orjson.dumps({"query": text, "bindVars": binds})))


async def raws(pool: Database, relation: str) -> dict[str, str]:
    rows = await pool.fetch(f"SELECT key, raw::text AS raw FROM {relation} WHERE doc IS NOT NULL")
    return {row["key"]: row["raw"] for row in rows}


# ---- SQL functions beside those of the evaluator


async def test_revisions_are_written_as_arangodb_writes_them(pool: Database) -> None:
    rng = random.Random(1)
    numbers = [0, 1450656000000, 1450656000001, 1 << 60, (1 << 63) - 1, *(rng.getrandbits(63) for _ in range(2000))]
    found = await pool.fetchval("SELECT array_agg(_crossfade.revision_text(r)) FROM unnest($1::bigint[]) r", numbers)
    assert found == [encode_rev(number) for number in numbers]


async def test_values_are_printed_as_arangodb_prints_them_or_refused(pool: Database) -> None:
    rng = random.Random(2)
    numbers = [0.0, -0.0, 1e8, 99999999.0, 1e15, 9e15, 123456.7890123, 1e-5, 1.5e-7, 1e300, -1e-300, 2**53 + 2.0]
    numbers += [rng.uniform(-1, 1) * 10 ** rng.randrange(-20, 17) for _ in range(2000)]
    numbers += [float(rng.randrange(-(10 ** rng.randrange(1, 16)), 10**9)) for _ in range(500)]
    numbers += [round(rng.uniform(-1000, 1000), rng.randrange(9)) for _ in range(1500)]
    refused = [
        number
        for number in numbers
        for sql in ("_crossfade.printed_number($1)", "_crossfade.printed(to_jsonb($1::float8))")
        if (found := await printed(pool, sql, number)) != dump(double(number)).decode()
        and (found is not None or 1e-290 < abs(number) < 1e8)
    ]
    assert refused == []
    assert await printed(pool, "_crossfade.printed_number($1)", 1e8) is None


async def printed(pool: Database, sql: str, value: Any) -> str | None:
    """Return the result of a function; None if it refuses the value."""
    try:
        found: str = await pool.fetchval(f"SELECT {sql}", value)
    except StatementError as error:
        if error.sqlstate == "22P05":
            return None
        raise
    return found


async def test_texts_and_lists_are_printed_as_arangodb_prints_them_or_refused(pool: Database) -> None:
    values: list[Any] = ["", "a", 'q"\\/', "ü€\U0001f600", "\n\t", [1, [None, True], {}], {"a": [1.5]}, "\x7f", None]
    for value in values:
        found = await printed(pool, "_crossfade.printed($1::jsonb)", orjson.dumps(value).decode())
        assert found == dump(value).decode()
    refused: list[Any] = ["\x1f", "\ufdd0", {"a": 1, "b": 2}]
    for value in refused:
        assert await printed(pool, "_crossfade.printed($1::jsonb)", orjson.dumps(value).decode()) is None


async def test_documents_are_merged_as_the_rules_of_writes_do(pool: Database) -> None:
    rng = random.Random(3)

    def value(depth: int) -> Any:
        if depth and rng.random() < 0.5:
            return {name: value(depth - 1) for name in rng.sample("abcé", rng.randrange(4))}
        return rng.choice((1, None, "s", [1], '"a":1', "_rev", 1.5, True))

    stepped = 0
    for _ in range(1500):
        head = {"_key": "k", "_id": "c/k", "_rev": encode_rev(1 << 60)}
        old = head | {name: value(3) for name in rng.sample("abcé", rng.randrange(5))}
        patch = {name: value(3) for name in rng.sample("abcdé", rng.randrange(1, 4))}
        merging = Merging(rng.random() < 0.5, rng.random() < 0.5)
        merged = merge(old, patch, merging, edge=False)
        assert merged is not None
        expected = head | {"_rev": encode_rev((1 << 60) + 1)} | merged
        found = await pool.fetchval(
            "SELECT _crossfade.patched($1::json, _crossfade.queryable($1::json), $2, $3, $4, $5, $6, $7)::text",
            dump(old).decode(), (1 << 60) + 1, list(patch), [f'"{name}":' for name in patch],
            [dump(item).decode() for item in patch.values()],
            merging.keep_null, merging.merge_objects,
        )  # fmt: skip
        assert found == dump(expected).decode(), (old, patch, merging)
        found = await with_one_more(pool, dump(old).decode(), patch, merging)
        if found is not None and len(patch) == 1:
            assert found == dump(expected).decode(), (old, patch, merging)
            stepped += 1
    assert stepped > 200


async def with_one_more(pool: Database, raw: str, patch: dict[str, Any], merging: Merging) -> str | None:
    """Return a document with another revision and one attribute of a patch; None if `patched` must make it."""
    name, value = next(iter(patch.items()))
    found: str | None = await pool.fetchval(
        "SELECT CASE WHEN octet_length(t) = octet_length($1) THEN _crossfade.with_member("
        "t, _crossfade.former_text($1::json, _crossfade.queryable($1::json), $3), $4, $5, $6, $7) END "
        "FROM _crossfade.with_revision($1, $2, 12) t",
        raw, (1 << 60) + 1, name, f'"{name}":', dump(value).decode(), merging.keep_null, merging.merge_objects,
    )  # fmt: skip
    return found


async def test_a_nested_copy_of_a_document_keeps_its_revision(pool: Database) -> None:
    rev, new = encode_rev(1 << 60), encode_rev((1 << 60) + 1)
    raw = f'{{"_key":"{rev}","_id":"c/{rev}","_rev":"{rev}","c":{{"_rev":"{rev}"}},"n":1}}'
    found = await pool.fetchval(
        "SELECT _crossfade.patched($1::json, _crossfade.queryable($1::json), $2, '{n}', $3, '{2}', true, true)::text",
        raw, (1 << 60) + 1, ['"n":'],
    )  # fmt: skip
    assert found == f'{{"_key":"{rev}","_id":"c/{rev}","_rev":"{new}","c":{{"_rev":"{rev}"}},"n":2}}'


@pytest.mark.parametrize("after", ["", "RETURN NEW"])
async def test_a_number_within_an_object_is_not_taken_for_the_documents(pool: Database, after: str) -> None:
    """Both have one value, and the document's is not printed as PostgreSQL prints it."""
    relation = await take_writes(pool, C, {})
    for number, other in ((10**8, 1e8), (0, "-0")):
        doc = {"_key": "a", "o": {"n": number}, "n": 0 if other == "-0" else other}
        await run(pool, "INSERT @d INTO c", d=doc)
        if other == "-0":  # as ArangoDB may have printed it
            await pool.execute(f"UPDATE {relation} SET raw = replace(raw::text, '}},\"n\":0', '}},\"n\":-0')::json")
        await run(pool, f"FOR d IN c UPDATE d WITH {{n: 1}} IN c {after}")
        assert (await raws(pool, relation))["a"].endswith(f'"o":{{"n":{number}}},"n":1}}')
        await run(pool, "REMOVE 'a' IN c")


async def test_what_is_changed_in_steps(pool: Database) -> None:
    """Several attributes of many documents: at their places, appended, of arrays and objects, in the last place."""
    relation = await take_writes(pool, C, {})
    docs: list[dict[str, Any]] = [
        {"n": 1, "s": "t", "l": [1, {"n": 2}]}, {"s": '"n":1', "n": 1}, {}, {"o": {"s": "x", "n": 1}, "n": 12, "s": 1},
    ]  # fmt: skip
    await run(pool, "FOR d IN @d INSERT d INTO c", d=[doc | {"_key": str(key)} for key, doc in enumerate(docs)])
    text = "FOR d IN c UPDATE d WITH {n: d.n + 1, s: d.s, l: [d.n, d.l], m: d.n > 1} IN c"
    assert (await run(pool, text)).extra["stats"]["writesExecuted"] == 4
    found = {key: raw.partition(',"_rev":"')[2][13:] for key, raw in (await raws(pool, relation)).items()}
    assert found == {
        "0": '"n":2,"s":"t","l":[1,[1,{"n":2}]],"m":false}',
        "1": '"s":"\\"n\\":1","n":2,"l":[1,null],"m":false}',
        "2": '"n":1,"s":null,"l":[null,null],"m":false}',
        "3": '"o":{"s":"x","n":1},"n":13,"s":1,"l":[12,null],"m":true}',
    }
    same = await pool.fetchval(f"SELECT bool_and(doc = _crossfade.queryable(raw)) FROM {relation}")
    assert same


async def test_the_documents_that_a_filter_drops_are_counted(pool: Database) -> None:
    await take_writes(pool, C, {})
    await run(pool, "FOR i IN 1..6 INSERT {n: i} INTO c")
    names = ("writesExecuted", "scannedFull", "filtered")
    for text, expected in (
        ("FOR d IN c FILTER d.n == 1 OR d.n == 2 SORT d.n UPDATE d WITH {m: 1} IN c RETURN NEW", [2, 6, 4]),
        ("FOR d IN c FILTER d.n > 4 REMOVE d IN c", [2, 6, 4]),
        ("FOR d IN c FILTER d.n > 4 REMOVE d IN c RETURN OLD", [0, 4, 4]),
        ("FOR d IN c UPDATE d WITH {m: d.n} IN c", [4, 4, 0]),
    ):
        stats = (await run(pool, text)).extra["stats"]
        assert [stats[name] for name in names] == expected, text


# ---- the rules of collections


async def test_the_outbox_has_the_keys_that_arangodb_lacks(pool: Database) -> None:
    await take_writes(pool, C, {})
    await run(pool, "FOR k IN ['a', 'b', 'x'] INSERT {_key: k, n: 1} INTO c")
    await pool.execute("DELETE FROM _crossfade.outbox")
    await run(pool, "FOR d IN c FILTER d._key != 'x' UPDATE d WITH {n: 2} IN c")
    await run(pool, "REMOVE 'b' IN c")
    rows = await pool.fetch("SELECT collection, key FROM _crossfade.outbox ORDER BY id")
    assert [tuple(row) for row in rows] == [(C, "a"), (C, "b"), (C, "b")]
    await pool.execute("UPDATE _crossfade.stamp_floor SET in_arangodb = false")
    await run(pool, "FOR d IN c UPDATE d WITH {n: 3} IN c")
    assert await pool.fetchval("SELECT count(*) FROM _crossfade.outbox") == 3


async def test_a_loop_that_replaces_is_one_statement(pool: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await take_writes(pool, C, {})
    await run(pool, "FOR i IN 1..3 INSERT {_key: TO_STRING(i), n: i} INTO c")
    original, finished = ModificationQueries._compiled, list[Any]()

    async def compiled(self: ModificationQueries, *given: Any) -> Any:
        finished.append(await original(self, *given))
        return finished[-1]

    monkeypatch.setattr(ModificationQueries, "_compiled", compiled)
    result = await run(pool, "FOR d IN c REPLACE d WITH {m: d.n} IN c RETURN NEW.m")
    assert finished != [None]
    assert result.rows == [1, 2, 3]


async def test_columns_are_those_of_the_text(pool: Database) -> None:
    relation = await take_writes(pool, C, {})
    await run(pool, "FOR i IN 1..5 INSERT {_key: TO_STRING(i), n: i, o: {x: i}} INTO c")
    before = {row["key"]: row["rev"] for row in await pool.fetch(f"SELECT key, rev FROM {relation}")}
    result = await run(pool, "FOR d IN c FILTER d.n > 1 UPDATE d WITH {n: d.n * 2, o: {y: d.o}} IN c")
    assert result.extra["stats"]["writesExecuted"] == 4
    await run(pool, "REMOVE '5' IN c")
    for row in await pool.fetch(
        f"SELECT key, rev, raw::text AS raw, doc = _crossfade.queryable(raw) AS same, doc IS NULL AS gone, "
        f"mark >= (SELECT era FROM _crossfade.era) AS marked FROM {relation}"
    ):
        if row["gone"]:
            assert (row["key"], row["raw"], row["marked"]) == ("5", None, True)
            continue
        assert row["same"]
        assert decode_rev(orjson.loads(row["raw"])["_rev"]) == row["rev"]
        assert (row["rev"] > before[row["key"]]) is (row["key"] != "1")


@pytest.mark.parametrize(
    "rules",
    [
        {"schema": {"rule": {"properties": {"n": {"type": "string"}}}, "level": "strict", "message": "no"}},
        {"computedValues": [{"name": "m", "expression": "RETURN @doc.n", "overwrite": True, "computeOn": ["update"]}]},
    ],
    ids=["schema", "computed values"],
)
async def test_a_collection_with_rules_is_left_to_the_evaluator(pool: Database, rules: dict[str, Any]) -> None:
    relation = await take_writes(pool, C, rules)
    await run(pool, "INSERT {_key: 'a', n: 'text'} INTO c")
    if "schema" in rules:
        with pytest.raises(ArangoError) as refused:
            await run(pool, "FOR d IN c UPDATE d WITH {n: 1} IN c")
        assert refused.value.number == 1620
    else:
        assert (await run(pool, "FOR d IN c UPDATE d WITH {n: 1} IN c RETURN NEW.m")).rows == [1]
    assert len(await raws(pool, relation)) == 1


async def test_a_unique_index_refuses_with_arangodbs_error(pool: Database) -> None:
    index = {"id": "77", "type": "persistent", "fields": ["n"], "unique": True, "name": "n"}
    relation = await take_writes(pool, C, {"indexes": [index]})
    async with pool.transaction() as session:
        await create(session, NewIndex(relation, uniques_of([index])[0]))
    await run(pool, "FOR i IN 1..2 INSERT {_key: TO_STRING(i), n: i} INTO c")
    with pytest.raises(ArangoError) as refused:
        await run(pool, "FOR d IN c UPDATE d WITH {n: 5} IN c")
    assert refused.value.number == 1210
    assert (await run(pool, "FOR d IN c UPDATE d WITH {n: 3 - d.n} IN c RETURN NEW.n")).rows == [2, 1]


async def test_a_missing_document_is_arangodbs_error(pool: Database) -> None:
    await take_writes(pool, C, {})
    for text in (
        "UPDATE 'a' WITH {n: 1} IN c",
        "REMOVE {_key: 'a'} IN c",
        "LET d = DOCUMENT(c, 'a') REMOVE d._key IN c",
    ):
        with pytest.raises(ArangoError) as refused:
            await run(pool, text)
        assert refused.value.number == (1226 if "LET" in text else 1202)
    assert (await run(pool, "REMOVE 'a' IN c OPTIONS {ignoreErrors: true}")).extra["stats"]["writesIgnored"] == 1
