"""Options of runs: samples, changed ranges, dumps, clusters, processes, full text; seeded faults of every class."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator

import pytest

from backfill import run_store
from backfill.checksum import of_documents
from backfill.key_sampling import spread
from backfill.origin_pages import OriginDisorder
from backfill.run_planner import plan_backfill, plan_changed, plan_sample, plan_verification
from backfill.source import ArangoSource
from bench import planted
from proxy.base.errors import PreconditionFailed
from proxy.devserver.serve import DevelopmentServer
from tests.ad_hoc import Database
from tests.integration.backfill_fixtures import NAME, register, stored, work
from tests.integration.stub_origin import StubOrigin, answer
from tests.integration.test_backfill_cli import crossfade, start
from tests.integration.test_backfill_origin import load


@pytest.fixture
async def server() -> AsyncIterator[DevelopmentServer]:
    async with DevelopmentServer() as started:
        yield started


async def filled(database: Database, origin: StubOrigin, number: int = 900) -> str:
    relation = await register(database)
    for n in range(number):
        origin.put(NAME, f"{n:04}", f'"n":{n}')
    return relation


async def test_exactly_the_seeded_faults_are_found(dsn: str) -> None:
    """`make planted` runs the long form."""
    outcome = await planted.run(400, dsn)
    assert outcome.found == outcome.planted
    assert len(outcome.planted["different"]) == len(planted.REAL_FAULTS) + 1
    assert outcome.repaired == sum(map(len, outcome.planted.values()))
    assert (outcome.equal_after, outcome.equal_directly) == (True, True)


async def test_a_sample_states_its_size_and_passes_no_gate(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await filled(database, origin)
    await work(database, source, [await plan_backfill(database, source, NAME)])
    run = await plan_sample(database, source, NAME, 20)
    assert await plan_sample(database, source, NAME, 20) == run  # continued
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert (status.kind, status.state, status.planned) == ("check", "done", 900)
    assert 100 <= status.result["checked"] <= 300
    assert status.result["differences"] == 0
    assert await database.fetchval("SELECT count(*) FROM _crossfade.run WHERE kind = 'verify'") == 0
    await database.execute(f"DELETE FROM {relation}")
    run = await plan_sample(database, source, NAME, 100, repair=True)
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert (status.result["checked"], status.result["repaired"]) == (900, 900)


async def test_only_what_failed_or_changed_is_verified_again(
    database: Database, origin: StubOrigin, source: ArangoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.run_planner.chunk_count", lambda *_: 9)
    monkeypatch.setattr("backfill.run_planner._SLACK_MS", 0)
    relation = await filled(database, origin)
    await work(database, source, [await plan_backfill(database, source, NAME)])
    with pytest.raises(PreconditionFailed, match="not been verified yet"):
        await plan_changed(database, source, NAME)
    await work(database, source, [await plan_verification(database, source, NAME)])
    assert await plan_changed(database, source, NAME) is None
    await database.execute(f"DELETE FROM {relation} WHERE key = '0150'")
    await work(database, source, [await plan_verification(database, source, NAME)])
    await database.execute(f"UPDATE {relation} SET rev = rev + (1::bigint << 50) WHERE key = '0850'")  # a newer version
    run = await plan_changed(database, source, NAME, repair=True)
    assert run is not None
    assert await plan_changed(database, source, NAME, repair=True) == run
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert status.chunks == 2  # of nine
    assert (status.result["checked"], status.result["missing"], status.result["different"]) == (200, 1, 1)


async def test_commands_state_which_part_they_checked(database: Database, dsn: str, origin: StubOrigin) -> None:
    relation = await filled(database, origin, 300)
    code, out, _ = await crossfade(dsn, origin, "backfill", NAME, "--processes", "2", "--workers", "1", "--full-text")
    assert (code, "300 documents" in out) == (0, True)
    assert await stored(database, relation) == origin.collections[NAME].raw
    names = await database.fetch("SELECT indexdef FROM pg_indexes WHERE schemaname = 'shop' ORDER BY 1")
    assert sorted(("jsonb_path_ops" in row[0], "full_text" in row[0]) for row in names) == [
        (False, False),
        (False, True),
        (True, False),
    ]
    code, out, _ = await crossfade(dsn, origin, "verify", NAME, "--sample", "50")
    assert (code, "keys of 300 (" in out, "equal" in out) == (0, True, True)
    code, _, err = await crossfade(dsn, origin, "verify", NAME, "--sample", "50", "--changed")
    assert (code, "give only one of them" in err) == (1, True)


async def test_continuous_verification_repeats_until_it_is_stopped(
    database: Database, dsn: str, origin: StubOrigin, source: ArangoSource
) -> None:
    await filled(database, origin, 20)
    await work(database, source, [await plan_backfill(database, source, NAME)])
    process = await start(dsn, origin, "verify", NAME, "--continuous", "--interval", "0.01", "--max-rate", "100000")
    done = "SELECT count(*) FROM _crossfade.run WHERE kind = 'verify' AND state = 'done'"
    while await database.fetchval(done) < 2:
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = await process.communicate()
    assert (process.returncode, out.count(b"20 keys checked: equal") >= 1) == (0, True), err


async def test_a_dump_copies_the_same_documents_as_pages(database: Database, server: DevelopmentServer) -> None:
    relation = await register(database)
    await load(server, [{"_key": f"{n:04}", "n": n} for n in range(2_500)])
    source = ArangoSource(server.url, "root", "", threads=3)
    try:
        run = await plan_backfill(database, source, NAME, dump=True)
        assert await plan_backfill(database, source, NAME) == run
        await database.execute(
            "UPDATE _crossfade.stamp_floor SET floor = 100"
        )  # snapshot documents are read again by key
        await database.execute("UPDATE _crossfade.era SET era = 99")
        await work(database, source, [run])
        [status] = await run_store.statuses(database, [run])
        assert (status.mode, status.state, status.documents) == ("dump", "done", 2_500)
        copied = await stored(database, relation)
        assert len(copied) == 2_500
        assert status.result["fingerprint"] == of_documents(copied.values())
        verify = await plan_verification(database, source, NAME, full=True)
        await work(database, source, [verify])
        [status] = await run_store.statuses(database, [verify])
        assert (status.result["checked"], status.result["differences"]) == (2_500, 0)
    finally:
        await source.close()


async def test_a_server_without_dumps_is_read_by_pages(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await filled(database, origin, 5)
    run = await plan_backfill(database, source, NAME, dump=True)
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert (status.mode, status.documents, len(await stored(database, relation))) == ("copy", 5, 5)


async def test_shards_of_a_cluster_are_merged_by_bytes(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    for n in range(400):
        origin.put(NAME, f"{'aZ_'[n % 3]}{n * 37 % 400:03}", f'"n":{n}')
    origin.collections[NAME].shards = ("s1", "s2", "s3")
    assert await source.shards("shop", "carts") == ("s1", "s2", "s3")
    await work(database, source, [await plan_backfill(database, source, NAME)])
    assert await stored(database, relation) == origin.collections[NAME].raw
    for full in (False, True):
        run = await plan_verification(database, source, NAME, full=full)
        await work(database, source, [run])
        [status] = await run_store.statuses(database, [run])
        assert (status.state, status.result["checked"], status.result["differences"]) == ("done", 400, 0)

    async def step(after: str, skip: int) -> str | None:
        return await source.step("shop", "carts", after, skip)

    assert set(await spread(step, 400, 4)) <= set(origin.collections[NAME].keys)
    assert await source.begin_dump("shop", "carts", 1) is None
    origin.heeds_shards = False  # a server that ignores shardIds returns every document for each shard
    with pytest.raises(OriginDisorder, match="shardIds"):
        await source.page("shop", "carts", "", None, 30)
    with pytest.raises(OriginDisorder, match="shardIds"):
        await source.revisions("shop", "carts", "", None, 30)


async def test_an_account_without_permission_for_the_server_role_reads_as_from_a_single_server(
    origin: StubOrigin, source: ArangoSource
) -> None:
    origin.put(NAME, "a")

    origin.role = answer(403, json.dumps({"errorNum": 11}).encode())
    assert await source.shards("shop", "carts") == ()
