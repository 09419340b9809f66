"""Repair after verification: newer versions win, refused documents become dead letters, marks end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

import sql
from backfill import run_store
from backfill.key_repair import repair_keys
from backfill.origin_pages import OriginDisorder
from backfill.recheck import KeyRechecker
from backfill.run_planner import plan_backfill, plan_due, plan_verification
from backfill.source import ArangoSource
from backfill.worker import WorkerOptions, Workers
from proxy.base.errors import ArangoError, PreconditionFailed
from tests.ad_hoc import Database
from tests.integration.backfill_fixtures import NAME, LateMirror, register, stored, work
from tests.integration.stub_origin import StubOrigin, answer
from tests.integration.verify_fixtures import backfilled, verified


async def test_a_page_that_omits_a_document_is_detected(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    """A verifier that silently skipped documents would report such a collection as equal."""
    await backfilled(database, origin, source)

    async def omit_document(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind != "revisions":
            return None
        keys = [key for key in origin.collections[NAME].keys if key != "0004"]
        origin.collections["shop/part"] = origin.collections[NAME]
        from proxy.model.revision import encode_rev

        pairs = [[key, encode_rev(origin.collections[NAME].revs[key])] for key in keys]
        return answer(200, json.dumps({"result": pairs, "hasMore": False}).encode())

    origin.hook = omit_document
    status = await verified(database, source)
    assert status.state == "failed"
    assert "'0004'" in status.result["error"]


async def test_a_verification_that_read_too_few_documents_fails(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    await backfilled(database, origin, source)

    async def report_higher_count(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        return answer(200, b'{"count":1000}') if kind == "count" else None

    origin.hook = report_higher_count
    status = await verified(database, source)
    assert status.state == "failed"
    assert "showed 30 documents, and ArangoDB counts 1000" in status.result["error"]


async def test_repair_never_overwrites_a_newer_version(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    """The mirror writes after the repair has read and before it writes."""
    relation = await backfilled(database, origin, source, 3)
    mirror = LateMirror(database, origin, relation)
    await database.execute(f"UPDATE {relation} SET rev = 1 WHERE key = '0001'")
    old = origin.document(NAME, "0001")

    async def write_after_read(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind != "read":
            return None
        origin.hook = None
        await mirror.put("0001", '"n":"newest"')
        return answer(200, b"[" + old + b"]")

    origin.hook = write_after_read
    assert (await repair_keys(database, source, NAME, ["0001"])).unchanged == {"0001"}
    assert await stored(database, relation) == origin.collections[NAME].raw


async def test_repair_does_not_remove_a_document_inserted_meanwhile(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    """A removal is refused because of a newer row, and the key is repaired again."""
    relation = await backfilled(database, origin, source, 3)
    mirror = LateMirror(database, origin, relation)
    missing = b'[{"error":true,"errorNum":1202,"errorMessage":"document not found"}]'

    async def insert_after_read(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind != "read":
            return None
        origin.hook = None
        await mirror.put("born", '"n":1')
        return answer(200, missing)

    origin.hook = insert_after_read
    result = await repair_keys(database, source, NAME, ["born", "born"])
    assert (result.unchanged, result.removed) == (frozenset({"born"}), frozenset())
    assert await stored(database, relation) == origin.collections[NAME].raw

    # an insert that is being applied when the origin answers 404 is refused afterwards, and the key is read again
    era = await database.fetchval("SELECT era FROM _crossfade.era")
    assert (await repair_keys(database, source, NAME, ["ghost"])).removed == {"ghost"}

    late = sql.documents.UPSERT.on(relation)
    assert await database.fetch(late, NAME, ["ghost"], [99], ['{"n":1}'], [None], [era]) == []


async def test_repair_reports_keys_that_keep_changing(
    database: Database, origin: StubOrigin, source: ArangoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    relation = await backfilled(database, origin, source, 3)
    monkeypatch.setattr("backfill.key_repair.ATTEMPTS", 2)
    await database.execute(
        "UPDATE _crossfade.stamp_floor SET floor = 1000000"
    )  # raised again before each attempt of the repair
    origin.remove(NAME, "0002")
    origin.put(NAME, "0001", '"n":2')
    assert (await repair_keys(database, source, NAME, ["0001", "0002"])).left == {"0001", "0002"}
    await database.execute(f"UPDATE {relation} SET raw = '{{\"n\":7}}' WHERE key = '0000'")
    assert (await repair_keys(database, source, NAME, ["0000"])).left == {"0000"}


async def test_repair_makes_dead_letters_of_refused_documents(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await backfilled(database, origin, source, 3)
    await database.execute(f"ALTER TABLE {relation} ADD CHECK (doc ->> 'n' <> '13')")
    origin.put(NAME, "0001", '"n":13')
    status = await verified(database, source, repair=True)
    assert (status.result["stale"], status.result["repaired"], status.result["differences"]) == (1, 0, 1)
    assert await database.fetchval("SELECT key FROM _crossfade.dead_letter") == "0001"
    origin.remove(NAME, "0001")
    assert (await repair_keys(database, source, NAME, ["0001"])).removed == {"0001"}
    assert await database.fetchval("SELECT count(*) FROM _crossfade.dead_letter") == 0


_REFUSE = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.doc ->> 'n' = '13' OR (NEW.doc IS NULL AND NEW.key = '0002') THEN
        RAISE 'x' USING ERRCODE = '{state}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {relation} FOR EACH ROW EXECUTE FUNCTION public.refuse();
"""


@pytest.mark.parametrize("state", ["40001", "53200", "57014", "42501"])
async def test_repair_and_backfill_copy_the_documents_that_a_trigger_does_not_refuse(
    database: Database, origin: StubOrigin, source: ArangoSource, state: str
) -> None:
    """A trigger may raise any SQLSTATE; the other documents are copied and repaired."""
    relation = await register(database)
    await database.execute(_REFUSE.format(state=state, relation=relation))
    await backfilled(database, origin, source, 20)  # one of them holds 13
    letters = "SELECT key, removed FROM _crossfade.dead_letter ORDER BY key"
    assert [tuple(row) for row in await database.fetch(letters)] == [("0013", False)]
    assert len(await stored(database, relation)) == 19
    origin.put(NAME, "0001", '"n":13')
    origin.remove(NAME, "0002")
    origin.put(NAME, "0003", '"n":7')
    status = await verified(database, source, repair=True)
    assert (status.state, status.result["repaired"], status.result["differences"]) == ("done", 1, 3)
    found = [tuple(row) for row in await database.fetch(letters)]
    assert found == [("0001", False), ("0002", True), ("0013", False)]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("repair", [False, True])
async def test_a_dead_letter_ends_if_both_sides_agree_on_the_document(
    database: Database, origin: StubOrigin, source: ArangoSource, *, full: bool, repair: bool
) -> None:
    """Also for a removal: the row was removed by hand, or its tombstone is older or purged."""
    relation = await backfilled(database, origin, source, 5)
    await database.execute(
        f"INSERT INTO {relation} (key, rev, raw, doc, mark) SELECT '0000x', 7, NULL, NULL, mark FROM {relation} LIMIT 1"
    )
    newest = 1 << 60
    letters = [("0000", newest, False), ("0000x", newest, True), ("gone", newest, True), ("0003", newest, False)]
    for key, rev, removed in letters:
        await database.execute(
            "INSERT INTO _crossfade.dead_letter (collection, key, rev, removed, reason) VALUES ($1, $2, $3, $4, 'x')",
            *(NAME, key, rev, removed),
        )
    await database.execute(f"UPDATE {relation} SET rev = rev - 1 WHERE key = '0003'")  # this one differs
    await verified(database, source, full=full, repair=repair)
    remaining = await database.fetch("SELECT key FROM _crossfade.dead_letter")
    assert [row["key"] for row in remaining] == ([] if repair else ["0003"])


async def test_a_missing_collection_does_not_remove_its_documents(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await backfilled(database, origin, source, 3)
    del origin.collections[NAME]
    with pytest.raises(ArangoError) as caught:
        await repair_keys(database, source, NAME, ["0001"])
    assert caught.value.number == 1203
    assert len(await stored(database, relation)) == 3
    with pytest.raises(PreconditionFailed, match="crossfade mirror shop/unknown"):
        await repair_keys(database, source, "shop/unknown", ["a"])


async def test_disorder_is_an_error_only_while_the_origin_has_every_write_first(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    await backfilled(database, origin, source, 3)

    async def do_nothing() -> None:
        return

    suspects = {"0001": origin.collections[NAME].revs["0001"]}
    table = await run_store.table(database, NAME)
    rechecker = KeyRechecker(database, source, table, full=False)
    with pytest.raises(OriginDisorder):
        await rechecker.recheck(suspects, do_nothing)
    rechecker = KeyRechecker(database, source, replace(table, stage="promoted"), full=False)  # since the run began
    assert (await rechecker.recheck(suspects, do_nothing)).keys == []
    assert await rechecker.read_states([]) == {}


async def test_a_worker_daemon_verifies_collections_that_became_unverified(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await backfilled(database, origin, source)
    await database.execute(f"DELETE FROM {relation} WHERE key = '0003'")  # a write that no proxy captured
    assert await plan_due(database, source) == []
    stop = asyncio.Event()
    watching = asyncio.create_task(
        Workers(database, database, source, WorkerOptions(poll=0.02), stop).work(None, watch=True)
    )
    await database.execute(
        "INSERT INTO _crossfade.unverified (collection, reason, instance) VALUES ($1, 'r', 'i')", NAME
    )
    done = "SELECT count(*) FROM _crossfade.run WHERE kind = 'verify' AND state = 'done'"
    while await database.fetchval(done) == 0:
        await asyncio.sleep(0.02)
    stop.set()
    await watching
    assert await stored(database, relation) == origin.collections[NAME].raw
    assert await plan_due(database, source, pause=0) == []  # the mark is covered


async def test_a_mark_on_a_dropped_collection_results_in_a_failed_run(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    await backfilled(database, origin, source)
    del origin.collections[NAME]
    await database.execute(
        "INSERT INTO _crossfade.unverified (collection, reason, instance) VALUES ($1, 'r', 'i')", NAME
    )
    [run] = await plan_due(database, source)
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert (status.state, status.result["error"]) == ("failed", "ArangoDB has no collection shop/carts any more")
    assert await plan_due(database, source) == []  # only once


async def test_a_verification_started_too_early_for_the_gates_is_not_resumed(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    await backfilled(database, origin, source)
    old = await plan_verification(database, source, NAME)
    await plan_backfill(database, source, NAME)  # a newer copy
    new = await plan_verification(database, source, NAME)
    assert new != old
    [before, after] = await run_store.statuses(database, [old, new])
    assert (before.state, after.state) == ("cancelled", "open")


@pytest.mark.parametrize("full", [False, True])
async def test_a_repair_that_makes_all_equal_closes_open_mismatches(
    database: Database, origin: StubOrigin, source: ArangoSource, full: bool
) -> None:
    relation = await backfilled(database, origin, source)
    for kind in ("missing", "value"):
        await database.execute(
            "INSERT INTO _crossfade.mismatch (collection, fingerprint, class) VALUES ($1, $2, $2)", NAME, kind
        )
    await database.execute(f"DELETE FROM {relation} WHERE key = '0001'")
    assert (await verified(database, source, full=full, repair=True)).result["repaired"] == 1
    states = await database.fetch("SELECT class, state FROM _crossfade.mismatch ORDER BY class")
    # the fast mode compares no content, so mismatches of the shadow stay open
    assert {row["state"] for row in states} == ({"repaired"} if full else {"open"})
