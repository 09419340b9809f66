"""A stalled backfill retries, and its status shows the reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from rich.console import Console

from backfill import run_store
from backfill.progress import RunLines, shown
from backfill.run_planner import plan_backfill
from backfill.run_summary import RunSummary, line
from backfill.source import ArangoSource
from tests.ad_hoc import Database
from tests.harness import eventually
from tests.integration.backfill_fixtures import NAME, register, stored, work
from tests.integration.stub_origin import StubOrigin
from tests.integration.test_backfill_cli import crossfade

# as a `statement_timeout` would do it, for statements of more than ten rows
_CANCEL = """
CREATE FUNCTION public.cancel() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM added) > 10 THEN
        RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = 'query_canceled';
    END IF;
    RETURN NULL;
END $$
"""
_CANCEL_INDEX = """
CREATE FUNCTION public.no_index() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = 'query_canceled';
END $$
"""


@pytest.fixture
async def origin() -> AsyncIterator[StubOrigin]:
    async with StubOrigin() as stub:
        for number in range(60):
            stub.put(NAME, f"{number:02}")
        yield stub


@pytest.fixture
async def source(origin: StubOrigin) -> AsyncIterator[ArangoSource]:
    client = ArangoSource(origin.url, "root", "")
    yield client
    await client.close()


async def test_a_time_limit_preset_for_the_role_does_not_stop_a_backfill(
    database: Database, dsn: str, origin: StubOrigin
) -> None:
    relation = await register(database)
    await database.execute(f"ALTER DATABASE {dsn.rpartition('/')[2]} SET statement_timeout = '1ms'")
    code, out, err = await crossfade(dsn, origin, "backfill", "run", NAME)
    assert (code, "done, 60 documents" in out) == (0, True), err
    assert len(await stored(database, relation)) == 60


async def test_a_cancelled_page_is_retried_in_smaller_parts(
    database: Database, source: ArangoSource, caplog: pytest.LogCaptureFixture
) -> None:
    relation = await register(database)
    await database.execute(_CANCEL)
    await database.execute(
        f"CREATE TRIGGER cancel AFTER INSERT ON {relation} REFERENCING NEW TABLE AS added "
        "FOR EACH STATEMENT EXECUTE FUNCTION public.cancel()"
    )
    run = await plan_backfill(database, source, NAME)
    await work(database, source, [run], workers=1)
    [status] = await run_store.statuses(database, [run])
    assert (status.state, status.documents) == ("done", 60)
    assert len(await stored(database, relation)) == 60


async def test_a_stalled_run_states_what_it_waits_for(database: Database, source: ArangoSource) -> None:
    await register(database)
    await database.execute(_CANCEL_INDEX)
    await database.execute(
        "CREATE EVENT TRIGGER no_index ON ddl_command_start WHEN TAG IN ('CREATE INDEX') "
        "EXECUTE FUNCTION public.no_index()"
    )
    run = await plan_backfill(database, source, NAME)
    working = asyncio.create_task(work(database, source, [run], workers=2))

    async def reported() -> bool:
        [status] = await run_store.statuses(database, [run])
        return "waits: for its index, tried again: canceling statement due to statement timeout" in line(status)

    await eventually(reported, "the run shows what it waits for")
    await database.execute("DROP EVENT TRIGGER no_index")
    await working
    [status] = await run_store.statuses(database, [run])
    assert (status.state, status.waits_for) == ("done", ())
    assert "waits" not in status.result


async def test_a_run_without_workers_is_reported(database: Database, source: ArangoSource) -> None:
    await register(database)
    run = await plan_backfill(database, source, NAME)
    [status] = await run_store.statuses(database, [run])
    assert "waits: for a worker: `crossfade backfill run`" in line(status)
    claim = await run_store.claim(database, "me", [run])
    assert claim is not None
    [status] = await run_store.statuses(database, [run])
    assert status.waits_for == ()
    await run_store.leave(database, claim, "open", f"chunk {claim.number}, tried again: the disk is full")
    [status] = await run_store.statuses(database, [run])
    assert status.as_json()["waits_for"] == ["chunk 1, tried again: the disk is full"]


async def test_an_unreachable_database_is_reported_with_the_run(dsn: str) -> None:
    database = await Database.open(dsn)
    await database.close()
    reported: asyncio.Queue[str] = asyncio.Queue()

    class View(RunLines):
        pause = 0.01

        def trouble(self, text: str) -> None:
            reported.put_nowait(text)

        def show(self, found: Sequence[RunSummary]) -> None:
            raise AssertionError("there is nothing to show")

    async with shown(database, [1], View(Console())):
        assert "PostgreSQL" in await reported.get()
