"""Chunks and workers: split during processing, freed when a worker's connection ends, never processed twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

import pytest

import sql
from backfill import run_store
from backfill.chunk_split import split_largest
from backfill.governor import Governor
from backfill.liveness_lock import LivenessLock
from backfill.run_planner import plan_backfill, plan_verification
from backfill.run_store import Claim, LeaseLost, RangeCut
from backfill.source import ArangoSource
from backfill.verify import Verifier
from proxy.base.errors import PreconditionFailed
from tests.ad_hoc import Database
from tests.integration.backfill_fixtures import NAME, register, stored, work
from tests.integration.stub_origin import StubOrigin
from tests.integration.test_backfill_cli import crossfade, start


async def filled(database: Database, origin: StubOrigin, number: int = 900) -> str:
    relation = await register(database)
    for n in range(number):
        origin.put(NAME, f"{n:04}", f'"n":{n}')
    return relation


async def claim(database: Database, run: int, worker: str = "me", holder: int | None = None) -> Claim:
    found = await run_store.claim(database, worker, [run], holder=holder)
    assert found is not None
    return found


async def test_a_chunk_is_split_while_its_worker_processes_it(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    """Two workers, one chunk: the second one gets a part, and no document is copied twice or skipped."""
    relation = await filled(database, origin)
    run = await plan_backfill(database, source, NAME)
    second = asyncio.Event()

    async def wait_for_the_cut(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind == "page":  # of either worker: the position of the cut depends on their timing
            while await database.fetchval("SELECT count(*) FROM _crossfade.chunk") == 1:
                await asyncio.sleep(0.01)
            second.set()
        return None

    origin.hook = wait_for_the_cut
    await work(database, source, [run], split=100)
    assert second.is_set()
    [status] = await run_store.statuses(database, [run])
    assert (status.state, status.documents, status.chunks >= 2) == ("done", 900, True)
    assert await stored(database, relation) == origin.collections[NAME].raw


async def test_a_split_verification_counts_every_key_once(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await filled(database, origin)
    await work(database, source, [await plan_backfill(database, source, NAME)])
    await database.execute(f"DELETE FROM {relation} WHERE key IN ('0100', '0800')")
    run = await plan_verification(database, source, NAME)
    first = await claim(database, run)
    stop = asyncio.Event()

    async def cut(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind == "revisions" and bind["after"] >= "0499":
            origin.hook = None
            assert await split_largest(database, source, [run], 100)
        return None

    origin.hook = cut
    verified = await Verifier(database, source, page=250).verify_chunk(first, stop)
    await run_store.leave(database, first, "done")
    assert (verified.done, verified.tally.checked < 900) == (True, True)
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert (status.result["checked"], status.result["keys"]) == (900, {"missing": ["0100", "0800"]})


async def test_small_chunks_and_dumps_are_not_split(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    await filled(database, origin, 300)
    run = await plan_backfill(database, source, NAME)
    assert not await split_largest(database, source, [run], 10)  # it is free: an idle worker can claim it
    held = await claim(database, run)
    assert not await split_largest(database, source, [run], 200)
    assert await split_largest(database, source, None, 100)
    assert not await split_largest(database, source, [run], 10)  # the other half is free
    async with database.transaction() as session:
        with pytest.raises(RangeCut) as caught:
            await run_store.checkpoint(session, held, "0001", result={})
    narrower = held.up_to(caught.value.upper)
    async with database.transaction() as session:
        await run_store.checkpoint(session, narrower, "0001", result={})
    await database.execute("UPDATE _crossfade.chunk SET state = 'done', worker = NULL")
    async with database.transaction() as session:
        with pytest.raises(LeaseLost):
            await run_store.checkpoint(session, narrower, "0002", result={})
    del origin.collections[NAME]
    await database.execute("UPDATE _crossfade.chunk SET state = 'claimed'")
    assert not await split_largest(database, source, [run], 10)  # the collection was dropped, which its worker reports


async def test_a_chunk_is_free_immediately_when_its_workers_connection_ends(
    database: Database, dsn: str, origin: StubOrigin, source: ArangoSource
) -> None:
    await filled(database, origin, 10)
    run = await plan_backfill(database, source, NAME)
    other = await Database.open(dsn, size=2)
    lock = LivenessLock(other)
    holder = await lock.holder()
    assert await lock.holder() == holder
    await claim(database, run, "first", holder)
    assert await run_store.claim(database, "second", [run], holder=1) is None  # alive, and its lease has not run out
    pid = await database.fetchval("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1::oid", holder)
    await database.execute("SELECT pg_terminate_backend($1)", pid)
    while (taken := await run_store.claim(database, "second", [run])) is None:
        await asyncio.sleep(0.01)
    assert taken.worker == "second"
    assert await lock.holder() != holder  # the cut connection is replaced
    await lock.close()
    await other.close()


async def test_a_killed_verification_resumes_where_it_stopped(
    database: Database, dsn: str, origin: StubOrigin, source: ArangoSource
) -> None:
    """SIGKILL: the next worker does not wait for the lease."""
    relation = await filled(database, origin)
    await work(database, source, [await plan_backfill(database, source, NAME)])
    await database.execute(f"DELETE FROM {relation} WHERE key = '0010'")
    half, released = asyncio.Event(), asyncio.Event()

    async def stall(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind == "page" and bind["after"] >= "0299":
            half.set()
            await released.wait()
        return None

    origin.hook = stall
    process = await start(dsn, origin, "verify", NAME, "--full", "--workers", "1")
    try:
        await half.wait()
        while await database.fetchval("SELECT position FROM _crossfade.chunk ORDER BY run DESC LIMIT 1") != "0299":
            await asyncio.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.communicate()
        released.set()
    origin.hook = None
    pages = origin.requests.count("page")
    code, out, _ = await crossfade(dsn, origin, "verify", NAME, "--full", "--workers", "1")
    assert (code, "900 keys checked: 1 missing" in out) == (1, True)
    # pages of 100, 200, 400 documents after 0299; a restart from the beginning would read one more page
    assert origin.requests.count("page") - pages <= 4
    assert await database.fetchval("SELECT count(*) FROM _crossfade.run WHERE kind = 'verify'") == 1


async def test_a_table_that_cannot_hold_documents_stops_before_the_first_row(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await filled(database, origin, 3)
    await database.execute(f"ALTER TABLE {relation} ALTER COLUMN rev TYPE integer, DROP COLUMN mark")
    with pytest.raises(PreconditionFailed, match="rev is integer, not bigint; mark is missing"):
        await plan_backfill(database, source, NAME)
    await database.execute(f"DROP TABLE {relation}")
    with pytest.raises(PreconditionFailed, match="key is missing"):
        await plan_backfill(database, source, NAME)
    assert origin.requests == []


async def test_the_governor_makes_no_requests_without_limits(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    await filled(database, origin, 3)
    held = await claim(database, await plan_backfill(database, source, NAME))
    governor = Governor(database, source)
    await governor.pause_if_limited(held, governor.meter(), 3, stop=asyncio.Event(), lease=1.0, key="0001")
    assert await database.fetchval(sql.backfill.ERA) >= 1
    assert origin.requests == ["count"]
