"""Verification and repair on a real PostgreSQL: every class found, nothing harmless reported, resumed, repaired."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from backfill import recheck as looking
from backfill import run_store, verify
from backfill.key_repair import repair_keys
from backfill.origin_pages import OriginDisorder
from backfill.recheck import Looker
from backfill.run_planner import plan_backfill, plan_due, plan_verification
from backfill.run_summary import Standing
from backfill.source import Source
from backfill.verify import Verifier
from backfill.worker import Options, Workers
from proxy.base.database import Database
from proxy.base.errors import ArangoError, RefusedError
from tests.integration.backfilling import NAME, LateMirror, register, stored, work
from tests.integration.origin import StubOrigin, answer


@pytest.fixture
async def origin() -> AsyncIterator[StubOrigin]:
    async with StubOrigin() as stub:
        yield stub


@pytest.fixture
async def source(origin: StubOrigin) -> AsyncIterator[Source]:
    opened = Source(origin.url, "root", "", threads=4, patience=5)
    yield opened
    await opened.close()


async def backfilled(database: Database, origin: StubOrigin, source: Source, documents: int = 30) -> str:
    """A collection of small documents, copied; its relation."""
    relation = await register(database)
    for number in range(documents):
        origin.put(NAME, f"{number:04}", f'"n":{number},"deep":{{"list":[1,{{"x":"{number}"}}]}}')
    await work(database, source, [await plan_backfill(database, source, NAME)])
    return relation


async def verified(
    database: Database, source: Source, *, full: bool = False, repair: bool = False, patience: float = 5.0
) -> Standing:
    run = await plan_verification(database, source, NAME, full=full, repair=repair)
    await work(database, source, [run], patience=patience)
    [standing] = await run_store.standings(database, [run])
    return standing


@pytest.mark.parametrize("full", [False, True])
async def test_equal_collections_are_equal(database: Database, origin: StubOrigin, source: Source, full: bool) -> None:
    await backfilled(database, origin, source, 120)
    await database.execute(
        "INSERT INTO _crossfade.unverified (collection, reason, instance) VALUES ('shop/*', 'r', 'i')"
    )
    standing = await verified(database, source, full=full)
    assert standing.state == "done"
    assert {name: standing.result[name] for name in ("documents_origin", "documents_target", "checked")} == {
        "documents_origin": 120,
        "documents_target": 120,
        "checked": 120,
    }
    assert standing.result["differences"] == 0
    assert await database.fetchval("SELECT unverified_before FROM _crossfade.run WHERE id = $1", standing.run) == 1


async def plant(database: Database, origin: StubOrigin, relation: str) -> None:
    """One difference of every class that revisions show."""
    await database.execute(f"DELETE FROM {relation} WHERE key = '0003'")
    await database.execute(
        f"INSERT INTO {relation} (key, rev, raw, doc) VALUES ('0003x', 5, '{{}}', '{{}}'), ('zzz', 5, '{{}}', '{{}}')"
    )
    await database.execute(f"UPDATE {relation} SET rev = rev - 1, raw = '{{}}', doc = '{{}}' WHERE key = '0007'")
    await database.execute(f"UPDATE {relation} SET rev = rev + 1 WHERE key = '0009'")


@pytest.mark.parametrize("full", [False, True])
async def test_every_class_is_found_with_its_keys(
    database: Database, origin: StubOrigin, source: Source, full: bool
) -> None:
    relation = await backfilled(database, origin, source)
    await plant(database, origin, relation)
    result = (await verified(database, source, full=full)).result
    assert result["keys"] == {
        "missing": ["0003"],
        "extra": ["0003x", "zzz"],
        "stale": ["0007"],
        "different": ["0009"],
    }
    assert (result["missing"], result["extra"], result["stale"], result["different"]) == (1, 2, 1, 1)
    assert (result["differences"], result["repaired"], result["unsettled"]) == (5, 0, 0)


@pytest.mark.parametrize("full", [False, True])
async def test_repair_puts_right_what_was_found_and_looks_again(
    database: Database, origin: StubOrigin, source: Source, full: bool
) -> None:
    relation = await backfilled(database, origin, source)
    await plant(database, origin, relation)
    await database.execute(f"UPDATE {relation} SET rev = rev - 1 WHERE key = '0009'")
    result = (await verified(database, source, full=full, repair=True)).result
    assert (result["missing"], result["extra"], result["stale"]) == (1, 2, 1)
    assert (result["repaired"], result["differences"]) == (4, 0)
    assert await stored(database, relation) == origin.collections[NAME].raw
    assert (await verified(database, source, full=True)).result["differences"] == 0


async def test_full_verification_sees_content_where_revisions_are_equal(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    relation = await backfilled(database, origin, source)
    change = (
        f"UPDATE {relation} SET raw = replace(raw::text, $2, $3)::json, doc = replace(doc::text, $2, $3)::jsonb "
        "WHERE key = $1"
    )
    await database.execute(change, "0001", '"x":"1"', '"x":"one"')  # one deep value
    await database.execute(change, "0001", '"x": "1"', '"x": "one"')
    await database.execute(change, "0002", '"n":2', '"n":"2"')  # another type
    await database.execute(change, "0003", '[1,{"x":"3"}]', '[{"x":"3"},1]')  # another order
    await database.execute(f"UPDATE {relation} SET doc = '{{\"n\": 99}}' WHERE key = '0004'")  # what queries look at
    assert (await verified(database, source)).result["differences"] == 0
    result = (await verified(database, source, full=True, repair=True)).result
    assert result["keys"] == {"different": ["0001", "0002", "0003", "0004"]}
    assert (result["repaired"], result["differences"]) == (4, 0)
    assert await stored(database, relation) == origin.collections[NAME].raw
    assert await database.fetchval(f"SELECT doc ->> 'n' FROM {relation} WHERE key = '0004'") == "4"


async def test_full_verification_reports_nothing_harmless(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    """Forms of numbers and order of attributes are not differences; NULs, noncharacters and big integers survive."""
    relation = await register(database)
    contents = [
        '"nul":"a\\u0000","a\\u0000":1',
        '"text":"\ufdd0 \\u0000 \ufdd01"',
        '"zero":-0,"one":1.0,"huge":1e300,"tiny":5e-324',
        '"exact":9007199254740993,"most":18446744073709551615,"over":9223372036854775808,"least":-9223372036854775808',
        '"control":"\\u001F","slash":"\\\\u0000"',
    ]
    for number, content in enumerate(contents):
        origin.put(NAME, f"k{number}", content)
    await work(database, source, [await plan_backfill(database, source, NAME)])
    harmless = [
        ("k2", '"one":1.0', '"one":1'),
        ("k2", '"huge":1e300', '"huge":1E+300'),
        ("k2", '"zero":-0', '"zero":0'),
    ]
    for key, printed, other in harmless:
        await database.execute(
            f"UPDATE {relation} SET raw = replace(raw::text, $2, $3)::json WHERE key = $1", key, printed, other
        )
    result = (await verified(database, source, full=True)).result
    assert (result["differences"], result["checked"]) == (0, 5)
    # a NUL that became something else in what queries look at is real
    await database.execute(f"""UPDATE {relation} SET doc = '{{"nul": "a", "a": 1}}' WHERE key = 'k0'""")
    await database.execute(f"UPDATE {relation} SET raw = replace(raw::text, '740993', '740992')::json WHERE key = 'k3'")
    assert (await verified(database, source, full=True)).result["keys"] == {"different": ["k0", "k3"]}


async def test_tombstones_are_not_documents(database: Database, origin: StubOrigin, source: Source) -> None:
    relation = await backfilled(database, origin, source)
    mirror = LateMirror(database, origin, relation)
    await mirror.remove("0005")
    result = (await verified(database, source)).result
    assert (result["documents_target"], result["differences"]) == (29, 0)
    repaired = await repair_keys(database, source, NAME, ["0005"])
    assert repaired.removed == ("0005",)
    assert "0005" not in await stored(database, relation)


async def test_lag_of_the_mirror_is_no_difference(database: Database, origin: StubOrigin, source: Source) -> None:
    """I8: what the mirror still has in its journal is waited for."""
    relation = await backfilled(database, origin, source)
    rev = origin.put(NAME, "0001", '"n":"new"')
    instance = (
        "INSERT INTO _crossfade.instance (instance, host, pid, version, backlog, lag_seconds) "
        "VALUES ('i', 'h', 1, 'v', 3, 60)"
    )
    await database.execute(instance)
    verifying = asyncio.create_task(verified(database, source, patience=60))
    while origin.asked.count("revisions_of") < 3:  # it has been looked at again and again
        await asyncio.sleep(0.01)
    raw = origin.document(NAME, "0001").decode()
    await database.execute(f"UPDATE {relation} SET rev = $1, raw = $2::text::json WHERE key = '0001'", rev, raw)
    assert (await verifying).result["differences"] == 0

    origin.put(NAME, "0001", '"n":"newer"')
    result = (await verified(database, source, patience=0.3)).result
    assert (result["stale"], result["unsettled"], result["differences"]) == (0, 1, 1)  # not equal, not a mismatch

    await database.execute("UPDATE _crossfade.instance SET backlog = 0, heartbeat_at = now() + interval '1 hour'")
    result = (await verified(database, source)).result
    assert (result["stale"], result["unsettled"], result["differences"]) == (1, 0, 1)


async def test_writes_beside_a_verification_are_no_differences(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    relation = await backfilled(database, origin, source, 300)
    mirror = LateMirror(database, origin, relation)
    running = True

    async def write() -> None:
        step = 0
        while running:
            step += 1
            key = f"{(step * 71) % 300:04}"
            if step % 4 == 0 and key in origin.collections[NAME].raw:
                await mirror.remove(key)
            await mirror.put(key, f'"step":{step}')

    writing = asyncio.create_task(write())
    try:
        for full in (False, True):
            standing = await verified(database, source, full=full, repair=full)
            assert (standing.state, standing.result["differences"]) == ("done", 0)
    finally:
        running = False
        await writing
    assert await stored(database, relation) == origin.collections[NAME].raw


async def test_a_verification_cut_at_half_goes_on_at_half(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    relation = await backfilled(database, origin, source, 100)
    await database.execute(f"DELETE FROM {relation} WHERE key = '0010'")
    run = await plan_verification(database, source, NAME)
    claim = await run_store.claim(database, "first", [run])
    assert claim is not None
    stop = asyncio.Event()
    stop.set()
    half = await Verifier(database, source, page=50).verify_chunk(claim, stop)
    assert (half.done, half.tally.checked, list(half.tally.pending)) == (False, 50, ["0010"])
    await database.execute("UPDATE _crossfade.chunk SET lease_until = now()")  # its worker was killed

    assert await plan_verification(database, source, NAME) == run
    seen = len(origin.asked)
    await work(database, source, [run])
    assert origin.asked[seen:].count("revisions") == 1
    [standing] = await run_store.standings(database, [run])
    assert (standing.result["checked"], standing.result["keys"]) == (100, {"missing": ["0010"]})
    assert standing.documents == 100


async def test_many_differences_are_looked_at_in_batches(
    database: Database, origin: StubOrigin, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "MOST_PENDING", 10)
    monkeypatch.setattr(looking, "FAST_KEYS", 7)
    relation = await backfilled(database, origin, source, 60)
    await database.execute(f"DELETE FROM {relation}")
    result = (await verified(database, source, repair=True)).result
    assert (result["missing"], result["repaired"], result["differences"]) == (60, 60, 0)
    assert len(result["keys"]["missing"]) == 20
    assert await stored(database, relation) == origin.collections[NAME].raw


async def test_a_page_that_left_a_document_out_is_noticed(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    """A verifier that quietly checks less would call such a collection equal."""
    await backfilled(database, origin, source)

    async def leave_out(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind != "revisions":
            return None
        keys = [key for key in origin.collections[NAME].keys if key != "0004"]
        origin.collections["shop/part"] = origin.collections[NAME]
        from proxy.model.revision import encode_rev

        pairs = [[key, encode_rev(origin.collections[NAME].revs[key])] for key in keys]
        return answer(200, json.dumps({"result": pairs, "hasMore": False}).encode())

    origin.hook = leave_out
    standing = await verified(database, source)
    assert standing.state == "failed"
    assert "'0004'" in standing.result["error"]


async def test_a_verification_that_saw_too_little_has_failed(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    await backfilled(database, origin, source)

    async def count_more(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        return answer(200, b'{"count":1000}') if kind == "count" else None

    origin.hook = count_more
    standing = await verified(database, source)
    assert standing.state == "failed"
    assert "showed 30 documents, and ArangoDB counts 1000" in standing.result["error"]


async def test_repair_never_covers_a_newer_version(database: Database, origin: StubOrigin, source: Source) -> None:
    """The mirror writes between the repair's reading and its writing."""
    relation = await backfilled(database, origin, source, 3)
    mirror = LateMirror(database, origin, relation)
    await database.execute(f"UPDATE {relation} SET rev = 1 WHERE key = '0001'")
    old = origin.document(NAME, "0001")

    async def write_behind(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind != "read":
            return None
        origin.hook = None
        await mirror.put("0001", '"n":"newest"')
        return answer(200, b"[" + old + b"]")

    origin.hook = write_behind
    assert (await repair_keys(database, source, NAME, ["0001"])).unchanged == ("0001",)
    assert await stored(database, relation) == origin.collections[NAME].raw


async def test_repair_does_not_remove_what_appeared_meanwhile(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    """Answer 4: absent is refused by a newer row, and the key is repaired again."""
    relation = await backfilled(database, origin, source, 3)
    mirror = LateMirror(database, origin, relation)
    missing = b'[{"error":true,"errorNum":1202,"errorMessage":"document not found"}]'

    async def insert_behind(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind != "read":
            return None
        origin.hook = None
        await mirror.put("born", '"n":1')
        return answer(200, missing)

    origin.hook = insert_behind
    result = await repair_keys(database, source, NAME, ["born", "born"])
    assert (result.unchanged, result.removed) == (("born",), ())
    assert await stored(database, relation) == origin.collections[NAME].raw

    # an insert whose application is still under way when the origin says 404 is refused afterwards, and read again
    era = await database.fetchval("SELECT era FROM _crossfade.era")
    assert (await repair_keys(database, source, NAME, ["ghost"])).removed == ("ghost",)
    from sql.loader import queries

    late = queries("documents")["upsert"].on(relation)
    assert await database.fetch(late, NAME, ["ghost"], [99], ['{"n":1}'], [None], [era]) == []


async def test_repair_of_keys_that_keep_changing_says_so(
    database: Database, origin: StubOrigin, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    relation = await backfilled(database, origin, source, 3)
    monkeypatch.setattr("backfill.key_repair.ATTEMPTS", 2)
    await database.execute("UPDATE _crossfade.horizon SET mark = 1000000")  # something raises it faster than repairs
    origin.remove(NAME, "0002")
    origin.put(NAME, "0001", '"n":2')
    assert (await repair_keys(database, source, NAME, ["0001", "0002"])).unsettled == ("0001", "0002")
    await database.execute(f"UPDATE {relation} SET raw = '{{\"n\":7}}' WHERE key = '0000'")
    assert (await repair_keys(database, source, NAME, ["0000"])).unsettled == ("0000",)


async def test_repair_sets_aside_what_postgresql_refuses(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    relation = await backfilled(database, origin, source, 3)
    await database.execute(f"ALTER TABLE {relation} ADD CHECK (doc ->> 'n' <> '13')")
    origin.put(NAME, "0001", '"n":13')
    standing = await verified(database, source, repair=True)
    assert (standing.result["stale"], standing.result["repaired"], standing.result["differences"]) == (1, 0, 1)
    assert await database.fetchval("SELECT key FROM _crossfade.dead_letter") == "0001"
    origin.remove(NAME, "0001")
    assert (await repair_keys(database, source, NAME, ["0001"])).removed == ("0001",)
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
async def test_repair_and_backfill_set_aside_what_is_refused_as_if_all_were(
    database: Database, origin: StubOrigin, source: Source, state: str
) -> None:
    """A trigger may raise any SQLSTATE: the others are copied, and repaired."""
    relation = await register(database)
    await database.execute(_REFUSE.format(state=state, relation=relation))
    await backfilled(database, origin, source, 20)  # one of them holds 13
    letters = "SELECT key, removed FROM _crossfade.dead_letter ORDER BY key"
    assert [tuple(row) for row in await database.fetch(letters)] == [("0013", False)]
    assert len(await stored(database, relation)) == 19
    origin.put(NAME, "0001", '"n":13')
    origin.remove(NAME, "0002")
    origin.put(NAME, "0003", '"n":7')
    standing = await verified(database, source, repair=True)
    assert (standing.state, standing.result["repaired"], standing.result["differences"]) == ("done", 1, 3)
    found = [tuple(row) for row in await database.fetch(letters)]
    assert found == [("0001", False), ("0002", True), ("0013", False)]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("repair", [False, True])
async def test_a_dead_letter_about_which_both_sides_agree_is_over_though_nothing_differs(
    database: Database, origin: StubOrigin, source: Source, *, full: bool, repair: bool
) -> None:
    """Of a removal as well: somebody removed the row by hand, or its tombstone is older, or purged."""
    relation = await backfilled(database, origin, source, 5)
    await database.execute(
        f"INSERT INTO {relation} (key, rev, raw, doc, mark) SELECT '0000x', 7, NULL, NULL, mark FROM {relation} LIMIT 1"
    )
    newest = 1 << 60
    noted = [("0000", newest, False), ("0000x", newest, True), ("gone", newest, True), ("0003", newest, False)]
    for key, rev, removed in noted:
        await database.execute(
            "INSERT INTO _crossfade.dead_letter (collection, key, rev, removed, reason) VALUES ($1, $2, $3, $4, 'x')",
            *(NAME, key, rev, removed),
        )
    await database.execute(f"UPDATE {relation} SET rev = rev - 1 WHERE key = '0003'")  # this one lacks
    await verified(database, source, full=full, repair=repair)
    left = await database.fetch("SELECT key FROM _crossfade.dead_letter")
    assert [row["key"] for row in left] == ([] if repair else ["0003"])


async def test_a_collection_that_is_gone_is_no_reason_to_remove_documents(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    relation = await backfilled(database, origin, source, 3)
    del origin.collections[NAME]
    with pytest.raises(ArangoError) as caught:
        await repair_keys(database, source, NAME, ["0001"])
    assert caught.value.number == 1203
    assert len(await stored(database, relation)) == 3
    with pytest.raises(RefusedError, match="crossfade mirror shop/unknown"):
        await repair_keys(database, source, "shop/unknown", ["a"])


async def test_disorder_is_told_only_while_the_origin_has_every_write_first(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    await backfilled(database, origin, source, 3)

    async def keep() -> None:
        return

    suspects = {"0001": origin.collections[NAME].revs["0001"]}
    looker = Looker(database, source, await run_store.table(database, NAME), full=False)
    with pytest.raises(OriginDisorder):
        await looker.settle(suspects, keep)
    await database.execute("UPDATE _crossfade.collection SET stage = 'promoted'")
    looker = Looker(database, source, await run_store.table(database, NAME), full=False)
    assert (await looker.settle(suspects, keep)).keys == []
    assert await looker.look([]) == {}


async def test_a_watching_worker_verifies_what_became_unverified(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    relation = await backfilled(database, origin, source)
    await database.execute(f"DELETE FROM {relation} WHERE key = '0003'")  # a write that no proxy captured
    assert await plan_due(database, source) == []
    stop = asyncio.Event()
    watching = asyncio.create_task(Workers(database, database, source, Options(poll=0.02), stop).work(None, watch=True))
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


async def test_a_mark_of_a_collection_that_is_gone_ends_in_a_failed_run(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    await backfilled(database, origin, source)
    del origin.collections[NAME]
    await database.execute(
        "INSERT INTO _crossfade.unverified (collection, reason, instance) VALUES ($1, 'r', 'i')", NAME
    )
    [run] = await plan_due(database, source)
    await work(database, source, [run])
    [standing] = await run_store.standings(database, [run])
    assert (standing.state, standing.result["error"]) == ("failed", "ArangoDB has no collection shop/carts any more")
    assert await plan_due(database, source) == []  # not again and again


async def test_a_verification_begun_too_early_for_the_gates_is_not_gone_on_with(
    database: Database, origin: StubOrigin, source: Source
) -> None:
    await backfilled(database, origin, source)
    old = await plan_verification(database, source, NAME)
    await plan_backfill(database, source, NAME)  # a newer copy
    new = await plan_verification(database, source, NAME)
    assert new != old
    [before, after] = await run_store.standings(database, [old, new])
    assert (before.state, after.state) == ("cancelled", "open")


@pytest.mark.parametrize("full", [False, True])
async def test_a_repair_that_leaves_all_equal_closes_the_mismatches_that_the_shadow_found(
    database: Database, origin: StubOrigin, source: Source, full: bool
) -> None:
    relation = await backfilled(database, origin, source)
    for kind in ("missing", "value"):
        await database.execute(
            "INSERT INTO _crossfade.mismatch (collection, fingerprint, class) VALUES ($1, $2, $2)", NAME, kind
        )
    await database.execute(f"DELETE FROM {relation} WHERE key = '0001'")
    assert (await verified(database, source, full=full, repair=True)).result["repaired"] == 1
    states = await database.fetch("SELECT class, state FROM _crossfade.mismatch ORDER BY class")
    # fast has seen no content: what the shadow found there stays
    assert {row["state"] for row in states} == ({"repaired"} if full else {"open"})
