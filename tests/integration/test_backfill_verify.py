"""Verification and repair on a real PostgreSQL: classes, tolerated differences, resuming."""

from __future__ import annotations

import asyncio

import pytest

from backfill import recheck as looking
from backfill import run_store, verify
from backfill.key_repair import repair_keys
from backfill.run_planner import plan_backfill, plan_verification
from backfill.source import ArangoSource
from backfill.verify import Verifier
from tests.ad_hoc import Database
from tests.integration.backfill_fixtures import NAME, LateMirror, register, stored, work
from tests.integration.stub_origin import StubOrigin
from tests.integration.verify_fixtures import backfilled, verified


@pytest.mark.parametrize("full", [False, True])
async def test_equal_collections_verify_without_differences(
    database: Database, origin: StubOrigin, source: ArangoSource, full: bool
) -> None:
    await backfilled(database, origin, source, 120)
    await database.execute(
        "INSERT INTO _crossfade.unverified (collection, reason, instance) VALUES ('shop/*', 'r', 'i')"
    )
    status = await verified(database, source, full=full)
    assert status.state == "done"
    assert {name: status.result[name] for name in ("documents_origin", "documents_target", "checked")} == {
        "documents_origin": 120,
        "documents_target": 120,
        "checked": 120,
    }
    assert status.result["differences"] == 0
    assert await database.fetchval("SELECT unverified_before FROM _crossfade.run WHERE id = $1", status.run) == 1


async def plant(database: Database, origin: StubOrigin, relation: str) -> None:
    """Make one difference of every class that revisions reveal."""
    await database.execute(f"DELETE FROM {relation} WHERE key = '0003'")
    await database.execute(
        f"INSERT INTO {relation} (key, rev, raw, doc) VALUES ('0003x', 5, '{{}}', '{{}}'), ('zzz', 5, '{{}}', '{{}}')"
    )
    await database.execute(f"UPDATE {relation} SET rev = rev - 1, raw = '{{}}', doc = '{{}}' WHERE key = '0007'")
    await database.execute(f"UPDATE {relation} SET rev = rev + 1 WHERE key = '0009'")


@pytest.mark.parametrize("full", [False, True])
async def test_every_class_of_difference_is_found_with_its_keys(
    database: Database, origin: StubOrigin, source: ArangoSource, full: bool
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
    assert (result["differences"], result["repaired"], result["undecided"]) == (5, 0, 0)


@pytest.mark.parametrize("full", [False, True])
async def test_repair_fixes_the_differences_and_rechecks_them(
    database: Database, origin: StubOrigin, source: ArangoSource, full: bool
) -> None:
    relation = await backfilled(database, origin, source)
    await plant(database, origin, relation)
    await database.execute(f"UPDATE {relation} SET rev = rev - 1 WHERE key = '0009'")
    result = (await verified(database, source, full=full, repair=True)).result
    assert (result["missing"], result["extra"], result["stale"]) == (1, 2, 1)
    assert (result["repaired"], result["differences"]) == (4, 0)
    assert await stored(database, relation) == origin.collections[NAME].raw
    assert (await verified(database, source, full=True)).result["differences"] == 0


async def test_full_verification_compares_content_at_equal_revisions(
    database: Database, origin: StubOrigin, source: ArangoSource
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
    await database.execute(
        f"UPDATE {relation} SET doc = '{{\"n\": 99}}' WHERE key = '0004'"
    )  # the column that queries read
    assert (await verified(database, source)).result["differences"] == 0
    result = (await verified(database, source, full=True, repair=True)).result
    assert result["keys"] == {"different": ["0001", "0002", "0003", "0004"]}
    assert (result["repaired"], result["differences"]) == (4, 0)
    assert await stored(database, relation) == origin.collections[NAME].raw
    assert await database.fetchval(f"SELECT doc ->> 'n' FROM {relation} WHERE key = '0004'") == "4"


async def test_full_verification_ignores_harmless_differences(
    database: Database, origin: StubOrigin, source: ArangoSource
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
    # a NUL that changed in the column that queries read is a real difference
    await database.execute(f"""UPDATE {relation} SET doc = '{{"nul": "a", "a": 1}}' WHERE key = 'k0'""")
    await database.execute(f"UPDATE {relation} SET raw = replace(raw::text, '740993', '740992')::json WHERE key = 'k3'")
    assert (await verified(database, source, full=True)).result["keys"] == {"different": ["k0", "k3"]}


async def test_tombstones_are_not_counted_as_documents(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await backfilled(database, origin, source)
    mirror = LateMirror(database, origin, relation)
    await mirror.remove("0005")
    result = (await verified(database, source)).result
    assert (result["documents_target"], result["differences"]) == (29, 0)
    repaired = await repair_keys(database, source, NAME, ["0005"])
    assert repaired.removed == {"0005"}
    assert "0005" not in await stored(database, relation)


async def test_mirror_lag_is_not_a_difference(database: Database, origin: StubOrigin, source: ArangoSource) -> None:
    """I8: verification waits for writes that are still in the journal of the mirror."""
    relation = await backfilled(database, origin, source)
    rev = origin.put(NAME, "0001", '"n":"new"')
    instance = (
        "INSERT INTO _crossfade.instance (instance, host, pid, version, backlog, lag_seconds) "
        "VALUES ('i', 'h', 1, 'v', 3, 60)"
    )
    await database.execute(instance)
    verifying = asyncio.create_task(verified(database, source, recheck_timeout=60))
    while origin.requests.count("revisions_of") < 3:  # it has been rechecked repeatedly
        await asyncio.sleep(0.01)
    raw = origin.document(NAME, "0001").decode()
    await database.execute(f"UPDATE {relation} SET rev = $1, raw = $2::text::json WHERE key = '0001'", rev, raw)
    assert (await verifying).result["differences"] == 0

    origin.put(NAME, "0001", '"n":"newer"')
    result = (await verified(database, source, recheck_timeout=0.3)).result
    assert (result["stale"], result["undecided"], result["differences"]) == (0, 1, 1)  # not equal, not a mismatch

    await database.execute("UPDATE _crossfade.instance SET backlog = 0, heartbeat_at = now() + interval '1 hour'")
    result = (await verified(database, source)).result
    assert (result["stale"], result["undecided"], result["differences"]) == (1, 0, 1)


async def test_concurrent_writes_are_not_differences(
    database: Database, origin: StubOrigin, source: ArangoSource
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
            status = await verified(database, source, full=full, repair=full)
            assert (status.state, status.result["differences"]) == ("done", 0)
    finally:
        running = False
        await writing
    assert await stored(database, relation) == origin.collections[NAME].raw


async def test_an_interrupted_verification_resumes_where_it_stopped(
    database: Database, origin: StubOrigin, source: ArangoSource
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
    seen = len(origin.requests)
    await work(database, source, [run])
    assert origin.requests[seen:].count("revisions") == 1
    [status] = await run_store.statuses(database, [run])
    assert (status.result["checked"], status.result["keys"]) == (100, {"missing": ["0010"]})
    assert status.documents == 100


async def test_many_differences_are_rechecked_in_batches(
    database: Database, origin: StubOrigin, source: ArangoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "MOST_PENDING", 10)
    monkeypatch.setattr(looking, "FAST_KEYS", 7)
    relation = await backfilled(database, origin, source, 60)
    await database.execute(f"DELETE FROM {relation}")
    result = (await verified(database, source, repair=True)).result
    assert (result["missing"], result["repaired"], result["differences"]) == (60, 60, 0)
    assert len(result["keys"]["missing"]) == 20
    assert await stored(database, relation) == origin.collections[NAME].raw
