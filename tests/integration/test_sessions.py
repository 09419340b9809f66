"""Sessions of PostgreSQL: none outlives its cause, none depends on what a role has preset, and each wait is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from deploy.demo import postgres
from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.errors import DatabaseBusy, DatabaseTimedOut, DatabaseUnavailable
from proxy.base.session_settings import statements
from proxy.cli.doctor import _instances
from proxy.model.operations import Operation
from proxy.model.stages import CollectionState, Stage
from proxy.stores.postgres import PostgresStore
from proxy.wire.endpoints import named
from tests.ad_hoc import Database
from tests.harness import eventually, read_only, running, straight
from tests.integration.target_fixtures import create

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"


async def test_the_backlog_drains_by_itself_once_postgresql_takes_writes_again(dsn: str, tmp_path: Path) -> None:
    """Sessions opened while the database was read-only are replaced."""
    async with running(dsn, tmp_path) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        await stack.move(CollectionState(Stage.MIRROR), BOOKS)
        await stack.client.post(DOCUMENT, json={"_key": "before"})
        await stack.drained()
        await read_only(dsn, on=True)
        for number in range(20):
            assert (await stack.client.post(DOCUMENT, json={"_key": f"k{number}"})).status_code == 202
        mirror = stack.application.mirror

        async def refused() -> bool:
            return not mirror._applier.reachable

        await eventually(refused, "PostgreSQL refuses writes")
        assert mirror.backlog > 0
        await read_only(dsn, on=False)
        await stack.drained()
        assert await stack.differences(BOOKS) == []

        async def is_connected() -> bool:
            return stack.application.lease.connected

        await eventually(is_connected, "the lease is held again")


async def test_a_waiting_backlog_states_its_reason(dsn: str, tmp_path: Path) -> None:
    """In `/status`, in a dry run, and in `crossfade doctor`; heartbeats continue."""
    async with running(dsn, tmp_path) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        await stack.move(CollectionState(Stage.MIRROR), BOOKS)
        await stack.database.execute(
            "CREATE FUNCTION public.cancel() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = 'query_canceled'; END $$"
        )
        await stack.database.execute(
            "CREATE TRIGGER cancel BEFORE INSERT ON _system.books EXECUTE FUNCTION public.cancel()"
        )
        await stack.client.post(DOCUMENT, json={"_key": "a"})
        reason = "DatabaseUnavailable 57014: the statement was cancelled, by a time limit or by hand"

        async def reason_is_reported() -> bool:
            [check] = await _instances(stack.database)
            return reason in check.found and check.verdict == "fail"

        await eventually(reason_is_reported, "the instance reports the reason")
        assert stack.application.status()["waits_for"] == (reason,)
        await stack.database.execute("DROP TRIGGER cancel ON _system.books")
        await stack.drained()
        assert stack.application.status()["waits_for"] == ()
        assert await stack.differences(BOOKS) == []


async def test_a_read_on_a_stale_session_is_retried_on_a_new_one(dsn: str, database: Database) -> None:
    """It is retried once on a new session, without a fallback to ArangoDB."""
    await create(database, "db/books")
    reads = await Database.open(dsn, size=1, reset=False)
    store = PostgresStore(reads)
    read = Operation(named("document.read"), "GET", "db", "books", "a")
    assert (await store.execute(read)).status == 404
    await reads.execute("DEALLOCATE ALL")
    assert (await store.execute(read)).status == 404
    await reads.close()


async def test_a_refusal_of_a_read_only_database_states_the_reason(dsn: str) -> None:
    database = await Database.open(dsn, size=1, reset=False)
    await read_only(dsn, on=True)
    with pytest.raises(DatabaseUnavailable, match="default_transaction_read_only") as caught:
        await database.fetchval("SELECT _crossfade.raise_era()")
    assert caught.value.sqlstate == "25006"
    await read_only(dsn, on=False)
    assert await database.fetchval("SELECT _crossfade.raise_era()") == 2, "on a new session, immediately"
    await database.close()


async def test_a_session_of_a_standby_is_never_used() -> None:
    """A standby shows an old state, in which the fence of a read still holds."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "32MB"}) as server:
        server.stop("immediate")
        signal = server.data / "standby.signal"
        signal.touch()
        owner = os.stat(server.data)
        os.chown(signal, owner.st_uid, owner.st_gid)
        server._serve(server.data, postgres._owner())
        database = await Database.open(server.dsn, size=2)
        with pytest.raises(DatabaseUnavailable, match="standby"):
            await database.fetchval("SELECT 1")
        async with straight(server.dsn) as admin:
            assert await admin.fetchval("SELECT pg_promote()")

        async def primary() -> bool:
            with contextlib.suppress(DatabaseUnavailable):
                return bool(await database.fetchval("SELECT 1") == 1)
            return False

        await eventually(primary, "the new primary is used")
        await database.close()


async def test_a_session_that_lost_its_prepared_statements_is_replaced(dsn: str) -> None:
    """As through a pooler that shares one session among many clients."""
    database = await Database.open(dsn, size=1, reset=False)
    await database.fetchval("SELECT 1")
    await database.execute("DEALLOCATE ALL")
    with pytest.raises(DatabaseUnavailable, match="session mode"):
        await database.fetchval("SELECT 1")
    assert await database.fetchval("SELECT 1") == 1
    await database.close()


async def test_a_session_newer_than_the_one_that_was_cut_is_used(dsn: str) -> None:
    """A cut session makes the pool replace every older one, and none that begins afterwards."""
    database = await Database.open(dsn, size=2, reset=False)
    try:
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                await database.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            async with asyncio.timeout(30):
                assert await database.fetchval("SELECT 1") == 1
    finally:
        await database.close()


async def test_a_stale_plan_costs_one_retry(database: Database, dsn: str) -> None:
    reused = await Database.open(dsn, size=1, reset=False)
    await database.execute("CREATE TABLE public.numbers (n bigint)")

    async def read() -> None:
        async with reused.transaction() as session:
            await session.fetch("SELECT * FROM public.numbers")

    await read()
    await database.execute("ALTER TABLE public.numbers ALTER n TYPE text")
    with pytest.raises(DatabaseUnavailable, match="cached"):
        await read()
    await read()
    await reused.close()


async def test_a_changed_password_is_reported_and_recovered_from(postgres_server: EmbeddedPostgres, dsn: str) -> None:
    """PostgreSQL is not asked at each statement meanwhile."""
    rules = postgres_server.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all keeper 127.0.0.1/32 scram-sha-256\n{before}")
    try:
        async with straight(dsn) as admin:
            await admin.execute("CREATE ROLE keeper LOGIN PASSWORD 'one'")
            await admin.fetchval("SELECT pg_reload_conf()")
            database = await Database.open(dsn.replace("crossfade@", "keeper:one@"), size=2)
            await admin.execute("ALTER ROLE keeper PASSWORD 'two'")
            for _ in range(3):
                with pytest.raises(DatabaseUnavailable, match="the password in CROSSFADE_DSN") as caught:
                    await database.fetchval("SELECT 1")
                assert caught.value.sqlstate == "28P01"
            await admin.execute("ALTER ROLE keeper PASSWORD 'one'")

            async def can_connect() -> bool:
                with contextlib.suppress(DatabaseUnavailable):
                    return bool(await database.fetchval("SELECT 1") == 1)
                return False

            await eventually(can_connect, "the old password is the right one again")
            await database.close()
            await admin.execute("DROP ROLE keeper")
    finally:
        rules.write_text(before)


async def test_callers_wait_for_existing_connections_if_postgresql_gives_no_more(dsn: str) -> None:
    async with straight(dsn) as admin:
        await admin.execute("CREATE ROLE narrow LOGIN CONNECTION LIMIT 1")
        database = await Database.open(dsn.replace("crossfade@", "narrow@"), size=4)
        found = await asyncio.gather(*(database.fetchval("SELECT 1 FROM pg_sleep(0.02)") for _ in range(4)))
        assert found == [1] * 4
        await database.close()
        await admin.execute("DROP ROLE narrow")


async def test_an_exhausted_pool_is_reported_as_busy_and_not_as_unreachable(dsn: str) -> None:
    database = await Database.open(dsn, size=1, wait=0.05)
    async with database.session():
        with pytest.raises(DatabaseBusy):
            await database.fetchval("SELECT 1")
    assert await database.fetchval("SELECT 1") == 1
    await database.close()


async def test_a_timeout_error_states_the_time_waited(dsn: str) -> None:
    database = await Database.open(dsn, timeout=0.05)
    with pytest.raises(DatabaseTimedOut, match=r"no answer within 0\.05 s"):
        await database.fetchval("SELECT pg_sleep(5)")
    await database.close()


ROLE_SETTINGS = {
    "statement_timeout": "'7s'",
    "lock_timeout": "'7s'",
    "idle_in_transaction_session_timeout": "'7s'",
    "default_transaction_isolation": "'serializable'",
    "search_path": "elsewhere",
    "DateStyle": "'German'",
    "IntervalStyle": "'iso_8601'",
    "TimeZone": "'Asia/Kathmandu'",
    "bytea_output": "'escape'",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "extra_float_digits": "-10",
    "transform_null_equals": "on",
    "synchronous_commit": "off",
    "jit": "on",
}


@pytest.mark.parametrize("reset", [True, False])
async def test_role_settings_do_not_affect_our_sessions(dsn: str, reset: bool) -> None:
    """On a new session as on one that was given back, and with the limits of the callers alone."""
    async with straight(dsn) as admin:
        for name, value in ROLE_SETTINGS.items():
            await admin.execute(f"ALTER DATABASE {dsn.rpartition('/')[2]} SET {name} = {value}")
    database = await Database.open(dsn, size=1, reset=reset)
    for _ in range(2):
        found = {name: await database.fetchval("SELECT current_setting($1)", name) for name in ROLE_SETTINGS}
        assert found == {
            "statement_timeout": "0",
            "lock_timeout": "0",
            "idle_in_transaction_session_timeout": "0",
            "default_transaction_isolation": "read committed",
            "search_path": '"public"',
            "DateStyle": "ISO, MDY",
            "IntervalStyle": "postgres",
            "TimeZone": "UTC",
            "bytea_output": "hex",
            "quote_all_identifiers": "off",
            "standard_conforming_strings": "on",
            "extra_float_digits": "1",
            "transform_null_equals": "off",
            "synchronous_commit": "on",
            "jit": "off",
        }
    await database.close()


async def test_every_session_setting_exists_in_this_postgresql(dsn: str) -> None:
    async with straight(dsn) as admin:
        await admin.execute(statements(admin.get_server_version().major))
