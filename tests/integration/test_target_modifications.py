"""AQL that writes, executed by PostgreSQL alone: fence, snapshots, races, keys, and how few statements it takes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import orjson
import pytest

from proxy.base.database import Session
from proxy.base.errors import ArangoError, Unsupported
from proxy.base.spool import SpoolSpace
from proxy.model.cursor_requests import request_of
from proxy.model.revision import decode_rev
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.modifications import ModificationQueries, ModificationResult
from proxy.stores.postgres.read_fence import QueryLimits
from proxy.stores.postgres.writes.interruptions import WriteFenceError
from proxy.stores.postgres.writes.key_assignment import KeyAssignment
from tests.ad_hoc import Database
from tests.harness import eventually, straight
from tests.integration.target_fixtures import take_writes

C: Final = "_system/c"


@dataclass
class Target:
    """A collection `c` whose writes PostgreSQL takes. other: a separate connection."""

    database: Database
    queries: ModificationQueries
    relation: str
    other: asyncpg.Connection[asyncpg.Record]

    async def run(self, text: str, *, options: dict[str, Any] | None = None, **binds: Any) -> ModificationResult:
        body = {"query": text, "bindVars": binds, "options": options or {}}
        return await self.queries.execute("_system", request_of(orjson.dumps(body)))

    async def documents(self) -> dict[str, Any]:
        rows = await self.database.fetch(f"SELECT key, raw::text AS raw FROM {self.relation} WHERE doc IS NOT NULL")
        return {row["key"]: orjson.loads(row["raw"]) for row in rows}

    async def waiting(self) -> None:
        """Return when a statement of another session waits for a lock."""

        async def waits() -> bool:
            text = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(await self.database.fetchval(text))

        await eventually(waits, "a statement that waits for a lock")


def queries(database: Database, limits: QueryLimits | None = None, lock_wait: float = 30.0) -> ModificationQueries:
    return ModificationQueries(database, Catalog(database), KeyAssignment(), limits, lock_wait=lock_wait)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(dsn, size=10)
    yield opened
    await opened.close()


@pytest.fixture
async def target(pool: Database, dsn: str) -> AsyncIterator[Target]:
    relation = await take_writes(pool, C, {})
    async with straight(dsn) as other:
        yield Target(pool, queries(pool), relation, other)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that are sent."""
    sent: list[str] = []

    def counted(name: str) -> None:
        original = getattr(Session, name)

        def method(self: Session, statement: Any, *values: object, **options: Any) -> Any:
            sent.append(statement.name)
            return original(self, statement, *values, **options)

        monkeypatch.setattr(Session, name, method)

    for name in ("fetch", "fetchrow", "cursor", "execute"):
        counted(name)
    return sent


async def test_no_modification_unless_postgresql_takes_the_writes(target: Target) -> None:
    await target.run("INSERT {_key: 'a'} INTO c")
    await target.other.execute("UPDATE _crossfade.stamp_floor SET writer = 'none'")
    with pytest.raises(WriteFenceError):
        await target.run("UPDATE 'a' WITH {n: 1} IN c")
    assert "n" not in (await target.documents())["a"]


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("FOR d IN c FILTER d.n >= 0 UPDATE d WITH {m: d.n} IN c", 5),
        ("FOR i IN 0..299 UPDATE CONCAT('k', i) WITH {m: i} IN c", 5),
        ("FOR i IN 0..299 REMOVE CONCAT('k', i) IN c OPTIONS {ignoreErrors: true}", 5),
        ("FOR i IN 100..399 UPSERT {n: i} INSERT {n: i} UPDATE {m: OLD.n} IN c", 9),
        ("FOR i IN 100..399 UPSERT {_key: CONCAT('k', i)} INSERT {_key: CONCAT('k', i)} UPDATE {m: 1} IN c", 8),
        ("FOR i IN 100..399 INSERT {_key: CONCAT('k', i), m: 1} INTO c OPTIONS {overwriteMode: 'update'}", 5),
        ("FOR i IN 300..599 INSERT {n: i} INTO c RETURN NEW", 8),
    ],
)
async def test_a_modification_takes_few_statements_however_many_documents(
    target: Target, statements: list[str], text: str, most: int
) -> None:
    await target.run("FOR i IN 0..299 INSERT {_key: CONCAT('k', i), n: i} INTO c")
    newest = await target.database.fetchval(f"SELECT max(rev) FROM {target.relation}")
    statements.clear()
    result = await target.run(text)
    assert result.extra["stats"]["writesExecuted"] == 300
    changed = f"SELECT count(*) FROM {target.relation} WHERE rev > $1 OR doc IS NULL"
    assert await target.database.fetchval(changed, newest) == 300
    drawn = [name for name in statements if name != "draw_revisions"]
    assert len(drawn) <= most, statements
    assert len(statements) - len(drawn) <= 3


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("FOR d IN @docs INSERT d INTO c", "properties begin compiled"),
        ("FOR d IN @docs INSERT d INTO c OPTIONS {overwriteMode: 'update'}", "properties begin compiled"),
        ("FOR d IN @docs INSERT {n: d.n} INTO c RETURN NEW", "properties take_keys properties begin compiled"),
        ("FOR d IN @docs UPSERT {_key: d._key} INSERT d UPDATE {m: 1} IN c", "properties begin compiled"),
        ("FOR d IN @docs UPSERT {_key: d._key} INSERT d REPLACE {m: OLD.n} IN c", "properties begin compiled"),
        ("FOR d IN @docs UPSERT {n: d.n} INSERT d UPDATE {m: 1} IN c RETURN NEW", "properties begin compiled"),
        ("FOR d IN @docs INSERT d INTO c OPTIONS {versionAttribute: 'm'}", "begin write_seen"),
        ("FOR d IN @docs INSERT d INTO c OPTIONS {overwriteMode: 'update', versionAttribute: 'm'}",
         "begin scan_keys write_seen"),
        ("FOR d IN @docs INSERT d INTO c OPTIONS {ignoreErrors: true, versionAttribute: 'm'}",
         "begin scan_keys write_seen"),
        ("FOR d IN @docs INSERT {n: d.n} INTO c OPTIONS {versionAttribute: 'm'} RETURN NEW",
         "properties take_keys begin write_seen"),
        ("FOR d IN @docs UPSERT {_key: d._key} INSERT d UPDATE {m: 1} IN c OPTIONS {versionAttribute: 'm'}",
         "begin scan_keys write_seen"),
        ("FOR d IN @docs UPSERT {n: d.n} INSERT d REPLACE {m: OLD.n} IN c", "begin scan_among write_seen"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("number", [10, 250])
async def test_documents_of_a_bind_variable_take_the_same_statements_however_many(
    target: Target, statements: list[str], text: str, sent: str, number: int
) -> None:
    documents = [{"_key": f"k{place}", "n": f"n{place}"} for place in range(number)]
    if "INSERT d INTO c" not in text or "Mode" in text or "ignore" in text:
        await target.run("FOR d IN @docs INSERT d INTO c", docs=documents[: number // 2])
    target.queries = ModificationQueries(
        target.database, Catalog(target.database), KeyAssignment(), spools=SpoolSpace()
    )
    statements.clear()
    await target.run(text, docs=documents)
    assert [name for name in statements if name != "find"] == sent.split()


async def test_a_batch_that_is_refused_leaves_no_gap_among_counted_keys(pool: Database) -> None:
    await take_writes(pool, C, {"keyOptions": {"type": "autoincrement"}})
    modifying = queries(pool)

    async def run(text: str, **binds: Any) -> list[Any]:
        body = orjson.dumps({"query": text, "bindVars": binds})
        return (await modifying.execute("_system", request_of(body))).rows

    with pytest.raises(ArangoError):
        await run("FOR d IN @docs INSERT d INTO c", docs=[{}, {"_key": ""}, {}, {}])
    assert await run("INSERT {} INTO c RETURN NEW._key") == ["2"]


@pytest.mark.parametrize("first", ["", "FILTER RAND() < 1"], ids=["compiled", "evaluated"])
async def test_increments_of_two_proxies_are_all_there(target: Target, pool: Database, first: str) -> None:
    """I: none is lost, and revisions rise in the order of the writes."""
    await target.run("INSERT {_key: 'k', n: 0} INTO c")
    proxies = [queries(pool), queries(pool)]
    text = f"FOR d IN c FILTER d._key == 'k' {first} UPDATE d WITH {{n: d.n + 1, r: d.r || 1}} IN c RETURN NEW"
    body = request_of(orjson.dumps({"query": text}))

    async def client(proxy: ModificationQueries) -> list[Any]:
        return [(await proxy.execute("_system", body)).rows[0] for _ in range(10)]

    rows = list(itertools.chain(*await asyncio.gather(*(client(proxy) for proxy in proxies * 2))))
    assert sorted(row["n"] for row in rows) == list(range(1, 41))
    revisions = [decode_rev(row["_rev"]) for row in sorted(rows, key=lambda row: row["n"])]
    assert revisions == sorted(set(revisions))
    assert (await target.documents())["k"]["n"] == 40


async def test_many_equal_increments_conflict_few_times(target: Target, statements: list[str]) -> None:
    """I: after the first conflict they take turns, so that few attempts are in vain."""
    await target.run("INSERT {_key: 'k', n: 0} INTO c")
    statements.clear()
    text = "LET d = DOCUMENT('c/k') UPDATE d WITH {n: d.n + 1} IN c"
    await asyncio.gather(*(target.run(text) for _ in range(100)))
    assert (await target.documents())["k"]["n"] == 100
    # nine others may have begun when the first one commits, and do so once more
    assert statements.count("begin") <= 120


async def test_upserts_of_two_proxies_make_one_document(target: Target, pool: Database) -> None:
    proxies = [queries(pool), queries(pool)]
    text = "UPSERT {_key: 'k'} INSERT {_key: 'k', n: 1} UPDATE {n: OLD.n + 1} IN c RETURN OLD"
    body = request_of(orjson.dumps({"query": text}))

    async def client(proxy: ModificationQueries) -> list[Any]:
        return [(await proxy.execute("_system", body)).rows[0] for _ in range(5)]

    rows = list(itertools.chain(*await asyncio.gather(*(client(proxy) for proxy in proxies * 2))))
    assert rows.count(None) == 1
    assert (await target.documents())["k"]["n"] == 20


async def test_an_insert_that_waited_for_another_of_its_key_is_refused(target: Target) -> None:
    async with target.other.transaction():
        await target.other.execute(
            f"INSERT INTO {target.relation} (key, rev, raw, doc) VALUES ('a', 7, $1::json, '{{}}')",
            '{"_key":"a","_id":"c/a","_rev":"7"}',
        )
        query = asyncio.create_task(target.run("FOR k IN ['b', 'a'] INSERT {_key: k} INTO c"))
        await target.waiting()
    with pytest.raises(ArangoError) as refused:
        await query
    assert refused.value.number == 1210
    assert list(await target.documents()) == ["a"]


async def test_a_removed_document_is_inserted_again_with_a_later_revision(target: Target) -> None:
    (first,) = (await target.run("INSERT {_key: 'a'} INTO c RETURN NEW._rev")).rows
    await target.run("REMOVE 'a' IN c")
    (second,) = (await target.run("INSERT {_key: 'a', n: 2} INTO c RETURN NEW._rev")).rows
    assert decode_rev(second) > decode_rev(first)
    assert (await target.documents())["a"]["n"] == 2
    outbox = await target.database.fetch("SELECT key FROM _crossfade.outbox")
    assert [row["key"] for row in outbox] == ["a", "a", "a"]


async def test_a_document_that_stays_locked_is_a_conflict(target: Target, pool: Database) -> None:
    await target.run("INSERT {_key: 'a'} INTO c")
    target.queries = queries(pool, lock_wait=0.05)
    async with target.other.transaction():
        await target.other.execute(f"SELECT FROM {target.relation} FOR UPDATE")
        with pytest.raises(ArangoError) as refused:
            await target.run("FOR d IN c UPDATE d WITH {n: 1} IN c")
    assert (refused.value.number, refused.value.status) == (1200, 409)


async def test_a_query_that_fails_leaves_what_it_wrote_before_its_last_intermediate_commit(target: Target) -> None:
    text = "FOR i IN [1, 2, 3, 'no/key', 4] INSERT {_key: TO_STRING(i)} INTO c"
    with pytest.raises(ArangoError):
        await target.run(text)
    assert await target.documents() == {}
    with pytest.raises(ArangoError) as refused:
        await target.run(text, options={"intermediateCommitCount": 2})
    assert refused.value.number == 1221
    assert sorted(await target.documents()) == ["1", "2"]


async def test_keys_continue_after_the_largest_number_that_was_seen(target: Target, pool: Database) -> None:
    (first,) = (await target.run("INSERT {} INTO c RETURN NEW._key")).rows
    await target.run("INSERT {_key: '5000'} INTO c")
    other = queries(pool)
    text = "FOR i IN 1..2 INSERT {} INTO c RETURN NEW._key"
    rows = (await other.execute("_system", request_of(orjson.dumps({"query": text})))).rows
    assert (first, rows) == ("1", ["5001", "5002"])
    assert (await target.run("INSERT {} INTO c RETURN NEW._key")).rows == ["5003"]
    assert int(await target.database.fetchval("SELECT last FROM _crossfade.last_key")) == 5003


async def test_random_values_are_the_same_in_every_run_of_a_query(target: Target) -> None:
    await target.run("FOR i IN 0..99 INSERT {_key: CONCAT('k', i)} INTO c")
    text = "FOR i IN 1..50 LET k = CONCAT('k', FLOOR(RAND() * 100)) UPDATE k WITH {n: i} IN c RETURN NEW._key == k"
    assert (await target.run(text)).rows == [True] * 50
    inserted = await target.run("FOR i IN 1..9 INSERT {_key: UUID()} INTO c OPTIONS {overwriteMode: 'replace'}")
    assert inserted.extra["stats"]["writesExecuted"] == 9


async def test_a_query_over_the_limits_is_refused_and_writes_nothing(target: Target, pool: Database) -> None:
    await target.run("FOR i IN 0..9 INSERT {_key: CONCAT('k', i)} INTO c")
    target.queries = queries(pool, QueryLimits(rows=5, bytes=1 << 20))
    with pytest.raises(Unsupported):
        await target.run("FOR d IN c UPDATE d WITH {n: RAND()} IN c")
    target.queries = queries(pool, QueryLimits(rows=100, bytes=1000))
    with pytest.raises(Unsupported):
        await target.run("FOR i IN 0..9 INSERT {text: REPEAT('x', 200)} INTO c OPTIONS {versionAttribute: 'v'}")
    assert all("n" not in document for document in (await target.documents()).values())


async def test_within_a_transaction_a_query_sees_its_writes_and_an_error_does_not_end_it(
    target: Target, pool: Database
) -> None:
    async def run(session: Session, text: str) -> list[Any]:
        return (await target.queries.execute("_system", request_of(orjson.dumps({"query": text})), session)).rows

    await target.run("INSERT {_key: 'a', n: 0} INTO c")
    async with pool.session() as session, session.transaction(isolation="repeatable_read"):
        assert await run(session, "UPDATE 'a' WITH {n: 1} IN c RETURN NEW.n") == [1]
        with pytest.raises(ArangoError):
            await run(session, "INSERT {_key: 'a'} INTO c")
        assert await run(session, "FOR d IN c RETURN d.n") == [1]
        assert await run(session, "FOR d IN c UPDATE d WITH {n: d.n + 1} IN c RETURN NEW.n") == [2]
        assert (await target.documents())["a"]["n"] == 0
        await target.run("INSERT {_key: 'b'} INTO c")
        assert await run(session, "FOR d IN c RETURN d._key") == ["a"]
        with pytest.raises(ArangoError) as refused:
            await run(session, "INSERT {_key: 'b'} INTO c")
        assert refused.value.number == 1200  # it was inserted after the snapshot
        assert await run(session, "FOR d IN c RETURN d.n") == [2]
    assert (await target.documents())["a"]["n"] == 2
