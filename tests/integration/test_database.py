"""The PostgreSQL client module: errors are translated, transactions roll back, notifications arrive."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

import sql
from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.database.session import is_usable
from proxy.base.errors import CommitOutcomeUnknown, DatabaseUnavailable, SchemaOutdated, StatementError
from proxy.base.free_port import free_port
from proxy.replication.coverage_gaps import Gaps, Uncovered
from tests.ad_hoc import Database
from tests.faults.chaos import Chaos
from tests.harness import eventually


async def test_an_unreachable_server_is_unavailable() -> None:
    database = await Database.open(f"postgresql://nobody@127.0.0.1:{free_port()}/x", connect_timeout=2)
    with pytest.raises(DatabaseUnavailable):
        await database.fetch("SELECT 1")
    await database.close()


async def test_a_database_without_the_schema_states_what_to_run(empty_dsn: str) -> None:
    database = await Database.open(empty_dsn)
    with pytest.raises(SchemaOutdated, match="crossfade migrate"):
        await database.fetchval("SELECT era FROM _crossfade.era")
    await database.close()


async def test_refusals_carry_the_sqlstate(database: Database) -> None:
    with pytest.raises(StatementError) as caught:
        await database.execute("SELECT 1/0")
    assert caught.value.sqlstate == "22012"
    with pytest.raises(StatementError):  # a value that cannot be encoded
        await database.fetchval("SELECT $1::bigint", 1 << 70)


async def test_a_statement_that_takes_too_long_is_unavailable(dsn: str) -> None:
    database = await Database.open(dsn, timeout=0.05)
    with pytest.raises(DatabaseUnavailable):
        await database.fetchval("SELECT pg_sleep(5)")
    await database.close()


async def test_an_error_rolls_the_transaction_back(database: Database) -> None:
    async def failing() -> None:
        async with database.transaction() as session:
            await session.execute("UPDATE _crossfade.era SET era = 99")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await database.fetchval("SELECT era FROM _crossfade.era") == 1
    async with database.transaction() as session:
        assert await session.fetchval("SELECT _crossfade.raise_era()") == 2
        assert [row["n"] async for row in session.cursor("SELECT generate_series(1, 3) AS n")] == [1, 2, 3]
    row = await database.fetchrow("SELECT era FROM _crossfade.era")
    assert row is not None
    assert row["era"] == 2


async def test_notifications_arrive(database: Database) -> None:
    notifications: asyncio.Queue[str] = asyncio.Queue()
    async with database.listening("crossfade", notifications.put_nowait) as alive:
        await database.execute("SELECT pg_notify('crossfade', '7')")
        assert await asyncio.wait_for(notifications.get(), 10) == "7"
        assert alive()


async def test_listeners_are_notified_of_a_lost_connection(database: Database) -> None:
    """Its pool discards the broken connection: a later caller gets no error."""
    async with database.listening("crossfade", lambda _: None) as alive:
        await database.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        await eventually(lambda: not alive(), "the lost connection is detected")


async def test_ensure_collection_is_safe_from_many_connections_at_once(database: Database) -> None:
    """Proxies meet a new collection at the same moment: one table, one row, the database's default stage."""
    await database.execute("INSERT INTO _crossfade.default_stage VALUES ('shop', 'mirror')")
    rows = await asyncio.gather(
        *(
            database.fetchrow("SELECT * FROM _crossfade.ensure_collection('shop', 'Büch\"er', $1)", edge)
            for edge in (True,) * 6
        )
    )
    assert {row["relation"] for row in rows if row} == {'shop."Büch""er"'}
    assert {row["stage"] for row in rows if row} == {"mirror"}


@pytest.mark.parametrize("name", ["public", "pg_shop", "crossfade", "db_x", "x" * 300])
async def test_reserved_and_unrepresentable_names_get_another_name(database: Database, name: str) -> None:
    row = await database.fetchrow("SELECT * FROM _crossfade.ensure_collection($1, $1)", name)
    assert row is not None
    await database.execute(f"SELECT * FROM {row['relation']}")
    assert not str(row["relation"]).startswith(("public.", "pg_", "crossfade."))


LONG = "salaries_" + "x" * 200


async def test_no_client_can_choose_the_name_of_anothers_table(database: Database) -> None:
    """A name that PostgreSQL cannot hold becomes one with a '/', which ArangoDB takes in no name."""
    long = await database.fetchrow("SELECT * FROM _crossfade.ensure_collection('shop', $1)", LONG)
    assert long is not None
    _, _, chosen = str(long["relation"]).partition(".")
    assert "/" in chosen
    for copied in (LONG[:11] + "_" + hashlib.md5(LONG.encode()).hexdigest(), chosen.strip('"').replace("/", "_")):
        other = await database.fetchrow("SELECT * FROM _crossfade.ensure_collection('shop', $1)", copied)
        assert other is not None
        assert other["relation"] != long["relation"]
    one = await database.fetchrow("SELECT * FROM _crossfade.ensure_collection($1, 'c')", "d" * 70)
    two = await database.fetchrow(
        "SELECT * FROM _crossfade.ensure_collection($1, 'c')", "d" * 11 + "_" + hashlib.md5(b"d" * 70).hexdigest()
    )
    assert one is not None
    assert two is not None
    assert one["relation"] != two["relation"]


@pytest.mark.parametrize("name", ["𝄞" * 16, "é" * 32, "名" * 21 + "x", "𝄞" * 64])
async def test_a_name_of_wide_characters_is_never_cut_by_postgresql(database: Database, name: str) -> None:
    """PostgreSQL cuts an identifier at 63 bytes without an error: two names with one beginning would share a table."""
    rows = [
        await database.fetchrow("SELECT * FROM _crossfade.ensure_collection('shop', $1)", name + end)
        for end in ("", "1", "2")
    ]
    relations = {str(row["relation"]) for row in rows if row}
    oids = {await database.fetchval("SELECT $1::regclass::oid::bigint", relation) for relation in relations}
    assert len(relations) == len(oids) == 3
    assert all(len(relation.partition(".")[2].strip('"').encode()) <= 63 for relation in relations)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE shop.orders (id bigint PRIMARY KEY, total numeric)",
        "CREATE VIEW shop.orders AS SELECT 1 AS key",
        "CREATE TABLE shop.bills (id bigint); CREATE INDEX orders ON shop.bills (id)",
        "CREATE SEQUENCE shop.orders",
        "CREATE TYPE shop.orders AS ENUM ('paid')",
        "CREATE DOMAIN shop.orders AS text",
        # the same form as our own tables, and not ours
        "CREATE TABLE shop.orders (key text PRIMARY KEY, rev bigint, raw json, doc jsonb, mark bigint)",
    ],
)
async def test_tables_of_applications_are_never_adopted(database: Database, statement: str) -> None:
    await database.execute(f"CREATE SCHEMA shop; {statement}")
    row = await database.fetchrow("SELECT * FROM _crossfade.ensure_collection('shop', 'orders')")
    assert row is not None
    assert row["relation"] != "shop.orders"
    await database.execute(f"INSERT INTO {row['relation']} (key, rev, raw, doc) VALUES ('1', 1, '{{}}', '{{}}')")
    second_row = await database.fetchrow("SELECT * FROM _crossfade.ensure_collection('shop', 'orders')")
    assert second_row == row


@pytest.mark.parametrize("first", ["orders", "orders_pkey", "_orders"])
async def test_names_that_postgresql_generates_are_not_used_for_collections(database: Database, first: str) -> None:
    """A primary key's index and an array type have names as well: `orders_pkey` is a collection's name, too."""
    names = {first, "orders", "orders_pkey", "_orders", "doc_" + hashlib.md5(b"shop/orders").hexdigest()}
    for name in (first, *sorted(names - {first})):
        row = await database.fetchrow("SELECT * FROM _crossfade.ensure_collection('shop', $1)", name)
        assert row is not None
        await database.execute(f"INSERT INTO {row['relation']} (key, rev, raw, doc) VALUES ('1', 1, '{{}}', '{{}}')")
    statement = str(await database.fetchval("SELECT _crossfade.index_statement('shop/orders')"))
    await database.execute(statement.replace("CONCURRENTLY ", ""))
    table = await database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = 'shop/orders'")
    assert await database.fetchval("SELECT count(*) FROM pg_index WHERE indrelid = $1::text::regclass", table) == 2


async def test_two_collections_never_register_one_table(database: Database) -> None:
    await database.execute("SELECT _crossfade.ensure_collection('shop', 'orders')")
    with pytest.raises(StatementError) as refused:
        await database.execute(
            "INSERT INTO _crossfade.collection (collection, database, name, relation) "
            "VALUES ('shop/o', 'shop', 'o', 'shop.orders')"
        )
    assert refused.value.sqlstate == "23505"


async def test_gaps_are_counted_and_kept_while_postgresql_refuses(database: Database) -> None:
    """I10: what is not covered is counted by name, and no count is lost to an outage."""
    gaps = Gaps(database, interval=0.01)
    for _ in range(3):
        gaps.add("shop", "books", "import", Uncovered.WRITE, "not captured")
    await database.execute("ALTER TABLE _crossfade.uncovered RENAME TO hidden")
    with pytest.raises(SchemaOutdated):
        await gaps.flush()
    await database.execute("ALTER TABLE _crossfade.hidden RENAME TO uncovered")
    gaps.add("shop", "shop/books", "import", Uncovered.WRITE, "not captured")
    await gaps.start()
    while await database.fetchval("SELECT sum(seen) FROM _crossfade.uncovered") != 4:
        await asyncio.sleep(0.01)
    await gaps.close()
    row = await database.fetchrow("SELECT * FROM _crossfade.uncovered")
    assert row is not None
    assert (row["collection"], row["endpoint"], row["reason"]) == (
        "shop/books",
        "import",
        "not captured",
    )


@pytest.mark.parametrize("within", [False, True])
async def test_a_caller_on_a_dead_connection_can_be_cancelled(
    postgres_server: EmbeddedPostgres, dsn: str, within: bool
) -> None:
    """Neither the statement nor its cancellation is ever answered; no caller may hang until the network is back."""
    async with Chaos(postgres_server.port) as line:
        cuttable_dsn = dsn.replace(f":{postgres_server.port}/", f":{line.port}/")
        database = await Database.open(cuttable_dsn, size=1, reset=False)
        assert await database.fetchval("SELECT 1") == 1

        async def ask() -> None:
            if not within:
                await database.fetchval("SELECT 2")
                return
            async with database.transaction() as session:
                await session.fetchval("SELECT 2")

        line.misbehave("black-hole")
        asking = asyncio.create_task(ask())
        while not line.hit:
            await asyncio.sleep(0.01)
        asking.cancel()
        done, _ = await asyncio.wait({asking}, timeout=20)
        assert done
        line.heal()
        assert await database.fetchval("SELECT 3") == 3
        await database.close()


@pytest.mark.parametrize("silent", ["begin", "cursor", "paced cursor", "commit", "listen"])
async def test_nothing_waits_longer_than_the_limit_for_a_server_that_does_not_answer(
    postgres_server: EmbeddedPostgres, dsn: str, silent: str
) -> None:
    """A host that froze, a network that was cut: the line stays open, and nothing ever comes."""
    # asyncpg never retrieves one of its futures if a connection is cut, which asyncio would report in a later test
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    async with Chaos(postgres_server.port) as line:
        cuttable_dsn = dsn.replace(f":{postgres_server.port}/", f":{line.port}/")
        database = await Database.open(cuttable_dsn, size=1, reset=False, timeout=0.5)
        assert await database.fetchval("SELECT 1") == 1

        async def ask() -> None:
            async with database.session() as session:
                if silent in ("begin", "listen"):
                    line.misbehave("black-hole")
                if silent == "listen":
                    async with session.listening("crossfade", print):
                        return
                async with session.transaction():
                    if silent in ("cursor", "paced cursor"):
                        line.misbehave("black-hole")
                    most = 1000 if silent == "paced cursor" else None
                    assert [stage async for stage in session.cursor(sql.control.COLLECTION_STAGES, most=most)] == []
                    line.misbehave("black-hole")

        with pytest.raises(CommitOutcomeUnknown if silent == "commit" else DatabaseUnavailable):
            await asyncio.wait_for(ask(), 30)
        line.heal()
        assert await database.fetchval("SELECT 3") == 3
        await database.close()


async def test_a_transaction_on_a_lost_connection_fails_as_unavailable(
    postgres_server: EmbeddedPostgres, dsn: str
) -> None:
    """Its rollback and the closing of the connection fail as well; the error is that of the statement."""
    async with Chaos(postgres_server.port) as line:
        database = await Database.open(dsn.replace(f":{postgres_server.port}/", f":{line.port}/"), size=1, reset=False)

        async def ask() -> None:
            async with database.transaction() as session:
                line.misbehave("cut")
                await session.fetchval("SELECT 1")

        with pytest.raises(DatabaseUnavailable):
            await ask()
        line.heal()
        assert await database.fetchval("SELECT 2") == 2
        await database.close()


async def _pid(database: Database) -> int:
    return int(await database.fetchval("SELECT pg_backend_pid()"))


async def test_a_released_connection_is_handed_to_the_next_caller(dsn: str) -> None:
    database = await Database.open(dsn, size=2, reset=False)
    first = await _pid(database)
    assert [await _pid(database) for _ in range(3)] == [first] * 3
    async with database.session() as one, database.session() as other:
        pids = {await session.fetchval("SELECT pg_backend_pid()") for session in (one, other)}
    assert first in pids
    assert len(pids) == 2
    assert {await _pid(database) for _ in range(3)} < pids
    await database.close()


async def test_a_waiting_caller_gets_the_released_connection(dsn: str) -> None:
    """Also if it was handed from caller to caller: the pool then has no free connection."""
    database = await Database.open(dsn, size=1, reset=False)
    first = await _pid(database)
    callers = [asyncio.create_task(database.fetchval("SELECT pg_backend_pid() FROM pg_sleep(0.01)")) for _ in range(20)]
    assert await asyncio.gather(*callers) == [first] * 20
    async with database.session() as session:
        waiting = asyncio.create_task(_pid(database))
        await session.fetchval("SELECT pg_sleep(0.05)")
        assert not waiting.done()
    assert await waiting == first
    await database.close()


async def test_a_broken_connection_is_not_reused(dsn: str, database: Database) -> None:
    hands = await Database.open(dsn, size=1, reset=False)
    first = await _pid(hands)
    await database.fetchval("SELECT pg_terminate_backend($1, 5000)", first)
    connection = hands._free[0].connection
    async with asyncio.timeout(10):
        while is_usable(connection, -1.0):
            await asyncio.sleep(0.005)
    assert await _pid(hands) != first
    await hands.close()


async def test_an_idle_connection_is_not_assumed_alive(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was idle for minutes may be dead."""
    database = await Database.open(dsn, size=1, reset=False)
    first = await _pid(database)
    monkeypatch.setattr("proxy.base.database.pool._IDLE", 0.0)
    assert await _pid(database) != first
    await database.close()


async def test_a_connection_with_an_error_returns_to_the_pool(dsn: str) -> None:
    database = await Database.open(dsn, size=1, reset=False)
    with pytest.raises(StatementError):
        await database.execute("SELECT 1/0")
    assert database._free == []
    assert await database.fetchval("SELECT 1") == 1
    hanging = asyncio.create_task(database.fetchval("SELECT pg_sleep(60)"))
    await asyncio.sleep(0.05)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert await database.fetchval("SELECT 2") == 2
    await database.close()


async def test_a_commit_whose_answer_is_lost_has_an_unknown_outcome(database: Database) -> None:
    async with database.session() as session:
        await session.run_script(
            "CREATE TABLE cut (id integer);"
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';"
            "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON cut DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION cut()"
        )
    with pytest.raises(CommitOutcomeUnknown):
        await _insert_committed(database)
    assert await database.fetchval("SELECT count(*) FROM cut") == 0


async def _insert_committed(database: Database) -> None:
    async with database.session() as session, session.transaction():
        await session.execute("INSERT INTO cut VALUES (1)")
