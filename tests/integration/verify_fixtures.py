"""Fixtures of the verification and repair tests: a backfilled collection."""

from __future__ import annotations

from backfill import run_store
from backfill.run_planner import plan_backfill, plan_verification
from backfill.run_summary import RunSummary
from backfill.source import ArangoSource
from tests.ad_hoc import Database
from tests.integration.backfill_fixtures import NAME, register, work
from tests.integration.stub_origin import StubOrigin


async def backfilled(database: Database, origin: StubOrigin, source: ArangoSource, documents: int = 30) -> str:
    """Copy a collection of small documents; return its relation."""
    relation = await register(database)
    for number in range(documents):
        origin.put(NAME, f"{number:04}", f'"n":{number},"deep":{{"list":[1,{{"x":"{number}"}}]}}')
    await work(database, source, [await plan_backfill(database, source, NAME)])
    return relation


async def verified(
    database: Database, source: ArangoSource, *, full: bool = False, repair: bool = False, recheck_timeout: float = 5.0
) -> RunSummary:
    run = await plan_verification(database, source, NAME, full=full, repair=repair)
    await work(database, source, [run], recheck_timeout=recheck_timeout)
    [status] = await run_store.statuses(database, [run])
    return status
