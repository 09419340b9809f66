"""Backfill of a real PostgreSQL from a stub origin: copies, live writes, retries, refused documents."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from backfill import run_store
from backfill.checksum import of_documents
from backfill.copy import copy_chunk
from backfill.governor import Governor
from backfill.run_planner import plan_backfill
from backfill.source import ArangoSource
from backfill.throttle import ThrottleLimits
from backfill.worker import WorkerOptions, Workers
from proxy.base.errors import DatabaseUnavailable, PreconditionFailed, UpstreamOutcomeUnknown
from proxy.base.free_port import free_port
from tests.ad_hoc import Database
from tests.integration.backfill_fixtures import NAME, LateMirror, claimed, register, stored, work
from tests.integration.stub_origin import StubOrigin, answer


async def test_every_document_is_copied_as_arangodb_printed_it(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    contents = [
        '"zeta":1.0,"alpha":-0,"big":9223372036854775808,"most":18446744073709551615',
        '"whole":9007199254740992.0,"huge":1e+300,"small":5e-324',
        '"nul":"a\\u0000b","a\\u0000":"\\u0000"',
        '"nonchar":"\ufdd0","escaped":"\\ufdd0"',
        '"empty":{"":[[],{},null]},"text":"漢字 🎉 \\u001F"',
    ]
    for number, content in enumerate(contents):
        origin.put(NAME, f"k{number}", content)
    run = await plan_backfill(database, source, NAME)
    await work(database, source, [run])
    assert await stored(database, relation) == origin.collections[NAME].raw
    queried = await database.fetchval(f"SELECT doc ->> 'nul' FROM {relation} WHERE key = 'k2'")
    assert queried == "a\ufdd00b"
    [status] = await run_store.statuses(database, [run])
    assert (status.state, status.result["documents"], status.result["dead_letters"]) == ("done", 5, 0)


async def test_large_collections_are_split_and_several_workers_share_the_chunks(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    for number in range(10_500):
        origin.put(NAME, f"{number:05}", f'"n":{number}')
    run = await plan_backfill(database, source, NAME, workers=3)
    assert await plan_backfill(database, source, NAME, workers=3) == run  # an unfinished run is continued
    await work(database, source, [run], workers=3)
    assert await stored(database, relation) == origin.collections[NAME].raw
    chunks = await database.fetch("SELECT state, documents FROM _crossfade.chunk WHERE run = $1", run)
    assert len(chunks) == 6
    assert {chunk["state"] for chunk in chunks} == {"done"}
    assert min(chunk["documents"] for chunk in chunks) > 1_700
    [status] = await run_store.statuses(database, [run])
    assert status.documents == 10_500
    assert status.result["fingerprint"] == of_documents(origin.collections[NAME].raw.values())
    index = "SELECT indisvalid FROM pg_index WHERE indrelid = $1::text::regclass AND NOT indisprimary"
    assert await database.fetchval(index, relation) is True


async def test_an_invalid_index_of_an_interrupted_build_is_rebuilt(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    origin.put(NAME, "a")
    await database.execute(await database.fetchval("SELECT _crossfade.index_statement($1)", NAME))
    broken = "UPDATE pg_index SET indisvalid = false WHERE indrelid = $1::text::regclass AND NOT indisprimary"
    await database.execute(broken, relation)
    await work(database, source, [await plan_backfill(database, source, NAME)])
    index = "SELECT indisvalid FROM pg_index WHERE indrelid = $1::text::regclass AND NOT indisprimary"
    assert [row["indisvalid"] for row in await database.fetch(index, relation)] == [True]


@pytest.mark.parametrize("stage", ["off", None])
async def test_a_backfill_before_the_mirror_is_refused(
    database: Database, origin: StubOrigin, source: ArangoSource, stage: str | None
) -> None:
    if stage is not None:
        await register(database, stage=stage)
    with pytest.raises(PreconditionFailed, match="crossfade mirror shop/carts"):
        await plan_backfill(database, source, NAME)


async def test_a_copy_converges_with_concurrent_live_writes(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    """I4: whichever comes first, page or mirror, the newest version stays, and what was deleted stays deleted."""
    relation = await register(database)
    for number in range(600):
        origin.put(NAME, f"{number:04}", f'"n":{number}')
    mirror = LateMirror(database, origin, relation)
    claim = await claimed(database, source)
    copying = asyncio.create_task(
        copy_chunk(
            database,
            source,
            claim,
            stop=asyncio.Event(),
            first_page=7,
            governor=Governor(database, source, ThrottleLimits(max_rate=2_000)),
        )
    )
    for step in range(250):
        key = f"{(step * 37) % 600:04}"
        if step % 3 == 2 and key in origin.collections[NAME].raw:
            await mirror.remove(key)
        elif step % 3 == 1:
            await asyncio.gather(mirror.put(key, f'"step":{step}'), mirror.put(f"{key}x", '"new":true'))
        else:
            await mirror.put(key, f'"step":{step}')
    copied = await copying
    assert copied.done
    assert await stored(database, relation) == origin.collections[NAME].raw


async def test_a_late_page_does_not_restore_a_deleted_document(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    """The page is read before the deletion and written after the tombstone."""
    relation = await register(database)
    origin.put(NAME, "gone")
    origin.put(NAME, "here")
    mirror = LateMirror(database, origin, relation)

    async def remove_after_page(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind != "page":
            return None
        origin.hook = None
        old = [origin.document(NAME, key) for key in ("gone", "here")]
        await mirror.remove("gone")
        return answer(200, b'{"result":[' + b",".join(old) + b'],"hasMore":false}')

    origin.hook = remove_after_page
    await copy_chunk(database, source, await claimed(database, source), stop=asyncio.Event())
    assert list(await stored(database, relation)) == ["here"]


async def test_a_page_older_than_the_stamp_floor_is_read_again(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    """Counterexample 3: put, delete, purge, page. Without the stamp floor the document would reappear."""
    relation = await register(database)
    origin.put(NAME, "gone")
    origin.put(NAME, "here")
    mirror = LateMirror(database, origin, relation)

    async def purge_after_page(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind != "page":
            return None
        origin.hook = None
        old = [origin.document(NAME, key) for key in ("gone", "here")]
        await mirror.remove("gone")
        era = await database.fetchval("SELECT _crossfade.raise_era()")
        await database.execute("UPDATE _crossfade.stamp_floor SET floor = $2 WHERE collection = $1", NAME, era)
        await database.execute(f"DELETE FROM {relation} WHERE doc IS NULL AND mark < $1", era)
        return answer(200, b'{"result":[' + b",".join(old) + b'],"hasMore":false}')

    origin.hook = purge_after_page
    copied = await copy_chunk(database, source, await claimed(database, source), stop=asyncio.Event())
    assert (copied.done, copied.reread, copied.documents) == (True, 1, 1)
    assert list(await stored(database, relation)) == ["here"]


async def test_refused_documents_become_dead_letters_and_the_chunk_continues(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    await database.execute(f"ALTER TABLE {relation} ADD CHECK (doc ->> 'n' <> '13')")
    for number in range(40):
        origin.put(NAME, f"{number:02}", f'"n":{number}')
    origin.put_raw(NAME, "latin", origin.clock.tick(), b'"text":"\xe9"')
    run = await plan_backfill(database, source, NAME)
    await work(database, source, [run])
    assert set(origin.collections[NAME].raw) - set(await stored(database, relation)) == {"13", "latin"}
    letters = await database.fetch("SELECT key, rev, reason FROM _crossfade.dead_letter ORDER BY key")
    assert [(row["key"], row["rev"]) for row in letters] == [
        (key, origin.collections[NAME].revs[key]) for key in ("13", "latin")
    ]
    assert "23514" in letters[0]["reason"]
    assert "not UTF-8" in letters[1]["reason"]
    [status] = await run_store.statuses(database, [run])
    assert (status.state, status.result["dead_letters"]) == ("done", 2)

    # the dead letter ends with a later version that PostgreSQL accepts
    origin.put(NAME, "13", '"n":14')
    await work(database, source, [await plan_backfill(database, source, NAME)])
    assert [row["key"] for row in await database.fetch("SELECT key FROM _crossfade.dead_letter")] == ["latin"]


async def test_mirror_lag_pauses_the_copy(database: Database, origin: StubOrigin, source: ArangoSource) -> None:
    await register(database)
    for number in range(30):
        origin.put(NAME, f"{number:02}")
    await database.execute(
        "INSERT INTO _crossfade.instance (instance, host, pid, version, backlog, lag_seconds) "
        "VALUES ('i', 'h', 1, 'v', 9, 60)"
    )
    claim = await claimed(database, source)
    copying = asyncio.create_task(
        copy_chunk(
            database,
            source,
            claim,
            stop=asyncio.Event(),
            first_page=10,
            governor=Governor(database, source, ThrottleLimits(max_lag=5)),
        )
    )
    while (reason := await database.fetchval("SELECT waiting FROM _crossfade.chunk")) is None:
        await asyncio.sleep(0.01)
    assert reason == "the mirror is 60.0 s behind, more than 5 s"
    assert await database.fetchval("SELECT documents FROM _crossfade.chunk") == 0
    await database.execute("UPDATE _crossfade.instance SET backlog = 0")
    assert (await copying).documents == 30


async def test_a_transaction_with_a_conflict_is_retried(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    await database.execute("CREATE SEQUENCE tries")
    await database.execute(
        "CREATE FUNCTION deadlock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('tries') < 3 THEN "
        "RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; RETURN new; END $$"
    )
    await database.execute(f"CREATE TRIGGER t BEFORE INSERT ON {relation} FOR EACH ROW EXECUTE FUNCTION deadlock()")
    origin.put(NAME, "a")
    copied = await copy_chunk(database, source, await claimed(database, source), stop=asyncio.Event())
    assert (copied.documents, copied.reread) == (1, 2)


async def test_a_run_fails_if_the_stamp_floor_keeps_rising(
    database: Database, origin: StubOrigin, source: ArangoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(database)
    await database.execute("UPDATE _crossfade.stamp_floor SET floor = 1000000")
    monkeypatch.setattr("backfill.copy._MOST_REFUSALS", 2)
    origin.put(NAME, "a")
    run = await plan_backfill(database, source, NAME)
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert (status.state, "refused 3 times" in status.result["error"]) == ("failed", True)


async def test_a_server_that_answers_in_smaller_batches_is_read_by_more_pages(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    for number in range(12):
        origin.put(NAME, f"{number:02}")

    async def five_rows_per_answer(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind != "page" or bind["n"] <= 5:
            return None
        found = origin.collections[NAME]
        keys = found.range({**bind, "n": 6})
        documents = b",".join(found.raw[key] for key in keys[:5])
        if len(keys) <= 5:
            return answer(200, b'{"result":[' + documents + b'],"hasMore":false}')
        return answer(201, b'{"result":[' + documents + b'],"hasMore":true,"id":"77"}')

    origin.hook = five_rows_per_answer
    await work(database, source, [await plan_backfill(database, source, NAME)])
    assert await stored(database, relation) == origin.collections[NAME].raw
    assert origin.requests.count("forget") == 2


async def test_a_worker_survives_connections_that_postgresql_cuts(
    database: Database, dsn: str, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    origin.put(NAME, "a")
    run = await plan_backfill(database, source, NAME)
    other = await Database.open(dsn, size=1)

    async def cut(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind == "page":
            origin.hook = None
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        return None

    origin.hook = cut
    try:
        await database.execute("UPDATE _crossfade.chunk SET lease_until = now()")
        await work(database, source, [run], workers=1, lease=0.5)
    finally:
        await other.close()
    assert list(await stored(database, relation)) == ["a"]


async def test_a_run_fails_if_a_database_stays_unreachable(database: Database, origin: StubOrigin, dsn: str) -> None:
    await register(database)
    origin.put(NAME, "a")
    impatient = ArangoSource(origin.url, "root", "", retry_seconds=0.0)
    run = await plan_backfill(database, impatient, NAME)

    async def refuse_while_busy(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        return answer(503, b"{}")

    origin.hook = refuse_while_busy
    try:
        with pytest.raises(UpstreamOutcomeUnknown):
            await work(database, impatient, [run])
    finally:
        await impatient.close()
    assert await database.fetchval("SELECT state FROM _crossfade.chunk") == "open"  # released
    unreachable = await Database.open(f"postgresql://crossfade@127.0.0.1:{free_port()}/x", connect_timeout=1)
    workers = Workers(unreachable, unreachable, impatient, WorkerOptions(workers=1, outage=-1), asyncio.Event())
    with pytest.raises(DatabaseUnavailable):
        await workers.work([run])
    await unreachable.close()
