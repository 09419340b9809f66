"""Ends of a backfill: stops, kills, lost leases, dropped collections."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from backfill import run_store
from backfill.checksum import of_documents
from backfill.copy import copy_chunk
from backfill.run_planner import plan_backfill
from backfill.source import ArangoSource
from tests.ad_hoc import Database
from tests.integration.backfill_fixtures import NAME, claimed, register, stored, work
from tests.integration.stub_origin import StubOrigin, answer


async def test_a_stopping_worker_finishes_its_page_and_releases_the_chunk(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    for number in range(100):
        origin.put(NAME, f"{number:03}")
    claim = await claimed(database, source)
    stop = asyncio.Event()
    stop.set()
    copied = await copy_chunk(database, source, claim, stop=stop, first_page=10)
    assert (copied.done, copied.documents) == (False, 10)
    await run_store.leave(database, claim, "open")
    reclaimed = await run_store.claim(database, "other", [claim.run])
    assert reclaimed is not None
    assert reclaimed.position == "009"
    assert (await copy_chunk(database, source, reclaimed, stop=asyncio.Event())).documents == 90
    assert await stored(database, relation) == origin.collections[NAME].raw


async def test_a_worker_that_lost_its_lease_rolls_its_page_back(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    origin.put(NAME, "a")
    claim = await claimed(database, source)
    await database.execute("UPDATE _crossfade.chunk SET lease_until = now()")
    other = await run_store.claim(database, "other", [claim.run])
    assert other is not None
    with pytest.raises(run_store.LeaseLost):
        await copy_chunk(database, source, claim, stop=asyncio.Event())
    assert await stored(database, relation) == {}
    with pytest.raises(run_store.LeaseLost):
        await run_store.renew(database, claim)
    assert (await copy_chunk(database, source, other, stop=asyncio.Event())).done


async def test_a_killed_worker_process_loses_at_most_one_page(
    database: Database, dsn: str, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    for number in range(900):
        origin.put(NAME, f"{number:04}", f'"n":{number}')
    waiting, released = asyncio.Event(), asyncio.Event()

    async def stall(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind == "page" and bind["after"] >= "0299":
            waiting.set()
            await released.wait()
        return None

    origin.hook = stall
    script = "import typer, backfill.cli; app = typer.Typer(); backfill.cli.register(app); app()"
    environment = {**os.environ, "CROSSFADE_DSN": dsn, "CROSSFADE_ORIGIN": origin.url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, "backfill", NAME, "--workers", "1", env=environment
    )
    try:
        await waiting.wait()
        position = "SELECT position FROM _crossfade.chunk"
        while await database.fetchval(position) != "0299":
            await asyncio.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
        released.set()

    origin.hook = None
    pages = origin.requests.count("page")
    # no wait for the lease: PostgreSQL knows that the worker's connection has ended
    run = await plan_backfill(database, source, NAME)
    until = await database.fetchval("SELECT lease_until FROM _crossfade.chunk")
    await work(database, source, [run], workers=1)
    assert await database.fetchval("SELECT finished_at < $2 FROM _crossfade.run WHERE id = $1", run, until)
    assert await stored(database, relation) == origin.collections[NAME].raw
    [status] = await run_store.statuses(database, [run])
    assert (status.state, status.documents) == ("done", 900)  # no document was counted twice
    assert status.result["fingerprint"] == of_documents(origin.collections[NAME].raw.values())
    assert origin.requests.count("page") - pages <= 4  # it continued after 0299


async def test_a_run_on_a_dropped_collection_fails_with_a_clear_error(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    await register(database)
    origin.put(NAME, "a")
    run = await plan_backfill(database, source, NAME)
    del origin.collections[NAME]
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert status.state == "failed"
    assert status.result["error"] == "ArangoDB has no collection shop/carts any more"


async def test_pages_in_an_unexpected_order_fail_the_run(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    await register(database)
    for key in ("Zebra", "apple"):
        origin.put(NAME, key)
    origin.collections[NAME].keys.reverse()
    run = await plan_backfill(database, source, NAME)
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert status.state == "failed"
    assert "not in byte order" in status.result["error"]


async def test_a_run_whose_collection_left_the_mirror_is_cancelled(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    await register(database)
    origin.put(NAME, "a")
    run = await plan_backfill(database, source, NAME)
    await database.execute(
        "INSERT INTO _crossfade.epoch (epoch, closed_at, outcome, actor, moves) VALUES "
        """(1, clock_timestamp(), 'committed', 'test', '[{"collection": "shop/carts", "after": {"stage": "off"}}]')"""
    )
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert (status.state, "left the mirror" in status.result["error"]) == ("cancelled", True)

    run = await plan_backfill(database, source, NAME)
    await database.execute("UPDATE _crossfade.collection SET stage = 'off'")
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert status.state == "cancelled"


async def test_transient_origin_errors_are_retried(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    origin.put(NAME, "a")
    failures = iter([answer(503, b"busy"), answer(502, b"{}"), b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nbroken"])

    async def fail(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        return next(failures, None) if kind == "page" else None

    run = await plan_backfill(database, source, NAME)
    origin.hook = fail
    copying = asyncio.create_task(work(database, source, [run]))
    while origin.requests.count("page") < 3:
        await asyncio.sleep(0.01)
    for writer in list(origin._writers):  # the third response is cut off
        writer.transport.abort()
    await copying
    assert list(await stored(database, relation)) == ["a"]


async def test_a_page_that_is_too_large_is_requested_in_smaller_parts(database: Database, origin: StubOrigin) -> None:
    relation = await register(database)
    for number in range(30):
        origin.put(NAME, f"{number:02}", '"text":"' + "x" * 50_000 + '"')
    small = ArangoSource(origin.url, "root", "", most_bytes=200_000)
    try:
        await work(database, small, [await plan_backfill(database, small, NAME)], workers=1)
    finally:
        await small.close()
    assert await stored(database, relation) == origin.collections[NAME].raw
