"""`crossfade migrate`: from nothing, twice, from the version before, two at once; the schema is the migrations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from proxy.base.errors import PreconditionFailed, SchemaOutdated, StatementError
from proxy.operator import migrate
from sql.loader import Migration, migrations
from tests.ad_hoc import Database

_SHAPE = """
SELECT table_schema || '.' || table_name || '.' || column_name || ' ' || data_type
    || ' ' || coalesce(column_default, '')
FROM information_schema.columns WHERE table_schema = '_crossfade' AND table_name <> 'migration' ORDER BY 1
"""
_FUNCTIONS = """
SELECT p.proname || ' ' || md5(p.prosrc) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = '_crossfade' ORDER BY 1
"""


@pytest.fixture
async def empty(empty_dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(empty_dsn, size=4)
    yield opened
    await opened.close()


async def _shape(database: Database) -> list[str]:
    return [row[0] for row in (*await database.fetch(_SHAPE), *await database.fetch(_FUNCTIONS))]


async def test_from_nothing_and_twice(empty: Database) -> None:
    with pytest.raises(SchemaOutdated, match="crossfade migrate"):
        await migrate.require_migrated(empty)
    planned = await migrate.apply(empty, dry_run=True)
    assert planned.applied == migrations()
    assert await empty.fetchval("SELECT to_regclass('_crossfade.migration')") is None  # a dry run writes nothing
    first = await migrate.apply(empty)
    assert first.applied == migrations()
    second = await migrate.apply(empty)
    assert (second.before, second.applied) == (migrations(), ())
    await migrate.require_migrated(empty)


async def test_the_schema_is_the_migrations(empty: Database, empty_dsn: str) -> None:
    for migration in migrations():
        await empty.execute(migrate.text_of(migration))
    expected = await _shape(empty)
    await empty.execute("DROP SCHEMA _crossfade CASCADE")
    await migrate.apply(empty)
    assert await _shape(empty) == expected


async def test_from_each_version_before(empty: Database) -> None:
    for count in range(1, len(migrations())):
        await migrate.apply(empty, known=migrations()[:count])
        with pytest.raises(SchemaOutdated, match="lacks"):
            await migrate.require_migrated(empty)
    assert (await migrate.apply(empty)).applied == migrations()[-1:]


async def test_two_at_once_apply_each_migration_once(empty: Database) -> None:
    reports = await asyncio.gather(*(migrate.apply(empty) for _ in range(3)))
    assert sorted(len(report.applied) for report in reports) == [0, 0, len(migrations())]


async def test_another_text_under_an_applied_number_is_refused(empty: Database) -> None:
    await migrate.apply(empty)
    changed = (replace(migrations()[0], text="SELECT 1"), *migrations()[1:])
    with pytest.raises(PreconditionFailed, match="0001_control was applied with another text"):
        await migrate.apply(empty, known=changed)


async def test_a_newer_database_is_refused(empty: Database) -> None:
    newer = Migration(len(migrations()) + 1, "pre", "of_tomorrow", "CREATE TABLE _crossfade.tomorrow ()")
    await migrate.apply(empty, known=(*migrations(), newer))
    with pytest.raises(PreconditionFailed, match="of_tomorrow, which this version of Crossfade does not know"):
        await migrate.apply(empty)
    with pytest.raises(SchemaOutdated, match="of_tomorrow"):
        await migrate.require_migrated(empty)


async def test_post_migrations_wait_until_they_are_asked_for(empty: Database) -> None:
    later = Migration(len(migrations()) + 1, "post", "strict", "CREATE TABLE _crossfade.strict ()")
    known = (*migrations(), later)
    assert later not in (await migrate.apply(empty, known=known)).applied
    assert (await migrate.apply(empty, known=known, phases=("pre", "post"))).applied == (later,)


async def test_a_migration_that_fails_leaves_nothing_of_itself(empty: Database) -> None:
    broken = Migration(len(migrations()) + 1, "pre", "broken", "CREATE TABLE _crossfade.half (); SELECT 1 / 0")
    with pytest.raises(StatementError, match="broken: division by zero"):
        await migrate.apply(empty, known=(*migrations(), broken))
    assert await empty.fetchval("SELECT to_regclass('_crossfade.half')") is None
    await migrate.require_migrated(empty)


_UNTIL_SHARED = 11  # the last migration under which two collections could share one table


async def _sharing(empty: Database, *, stage: str) -> tuple[str, str]:
    """A database of an earlier version in which two collections share one table: (long, chosen)."""
    await migrate.apply(empty, known=migrations()[:_UNTIL_SHARED])
    long = "salaries_" + "x" * 200
    chosen = str(await empty.fetchval("SELECT _crossfade.identifier($1)", long))
    await empty.execute("INSERT INTO _crossfade.default_stage VALUES ('shop', $1)", stage)
    for name in (long, chosen):
        relation = await empty.fetchval("SELECT (_crossfade.ensure_collection('shop', $1)).relation", name)
    await empty.execute(f"INSERT INTO {relation} (key, rev, raw, doc) VALUES ('1', 1, '{{}}', '{{}}')")
    return long, chosen


async def test_two_collections_that_share_a_table_and_are_in_use_stop_the_migration(empty: Database) -> None:
    long, chosen = await _sharing(empty, stage="mirror")
    with pytest.raises(StatementError, match="these collections share the table") as refused:
        await migrate.apply(empty)
    assert f"shop/{chosen}" in str(refused.value)
    assert f"shop/{long}" in str(refused.value)
    assert "crossfade rollback --to off" in str(refused.value)
    assert await empty.fetchval("SELECT max(number) FROM _crossfade.migration") == _UNTIL_SHARED


async def test_two_that_share_a_table_and_are_off_get_a_table_each(empty: Database) -> None:
    """Nothing of the shared table is read through either any more; both are unverified until they are copied."""
    long, chosen = await _sharing(empty, stage="off")
    await migrate.apply(empty)
    rows = await empty.fetch("SELECT collection, relation FROM _crossfade.collection ORDER BY collection")
    relations = {row["collection"]: row["relation"] for row in rows}
    assert set(relations) == {f"shop/{long}", f"shop/{chosen}"}
    assert len(set(relations.values())) == 2
    for relation in relations.values():
        assert await empty.fetchval(f"SELECT count(*) FROM {relation}") == 0
    marked = await empty.fetch("SELECT collection FROM _crossfade.unverified ORDER BY collection")
    assert [row["collection"] for row in marked] == sorted(relations)


async def test_collections_that_share_nothing_keep_their_tables(empty: Database) -> None:
    await migrate.apply(empty, known=migrations()[:_UNTIL_SHARED])
    before = [
        await empty.fetchval("SELECT (_crossfade.ensure_collection('shop', $1)).relation", name)
        for name in ("orders", "y" * 100)
    ]
    index = str(await empty.fetchval("SELECT _crossfade.index_statement('shop/orders')"))
    await empty.execute(index.replace("CONCURRENTLY ", ""))
    await migrate.apply(empty)
    after = [
        await empty.fetchval("SELECT (_crossfade.ensure_collection('shop', $1)).relation", name)
        for name in ("orders", "y" * 100)
    ]
    assert after == before
    # the index that stands is not built a second time under another name
    assert await empty.fetchval("SELECT _crossfade.index_statement('shop/orders')") == index


async def _of_old(empty: Database, count: int) -> None:
    """A database as earlier versions made it: the control schema is called `crossfade`."""
    await empty.execute(
        "CREATE SCHEMA crossfade; CREATE TABLE crossfade.migration (number integer PRIMARY KEY, name text NOT NULL, "
        "phase text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    await migrate.apply(empty, known=migrations()[:count])
    assert await empty.fetchval("SELECT to_regclass('crossfade.control')") is not None


@pytest.mark.parametrize("count", [1, 11, migrate.RENAMED - 1])
async def test_an_installation_of_old_gets_the_schema_that_a_new_one_has(empty: Database, count: int) -> None:
    """Nothing of what it holds is lost, and no function names the schema of old."""
    await migrate.apply(empty)
    expected = await _shape(empty)
    await empty.execute("DROP SCHEMA _crossfade CASCADE")
    await _of_old(empty, count)
    await empty.execute("UPDATE crossfade.era SET era = 42")
    report = await migrate.apply(empty)
    assert report.applied == migrations()[count:]
    assert await _shape(empty) == expected
    assert await empty.fetchval("SELECT era FROM _crossfade.era") == 42
    assert await empty.fetchval("SELECT to_regnamespace('crossfade')") is None
    row = await empty.fetchrow("SELECT * FROM _crossfade.ensure_collection('shop', 'orders')")
    assert row is not None
    assert (await migrate.apply(empty)).applied == ()


_BEFORE_PLAIN_NAMES = 19
_ROWS_BEFORE = """
SELECT _crossfade.ensure_collection('shop', 'orders');
UPDATE _crossfade.horizon SET mark = 7;
INSERT INTO _crossfade.told (instance, incarnation, reached, untold) VALUES ('i', 'n', 'epoch', 'epoch');
INSERT INTO _crossfade.taken (instance, collection, whole) VALUES ('i', 'shop/orders', true);
INSERT INTO _crossfade.twice (collection, shape, class, path, number) VALUES ('shop/orders', 's', '', '', 3);
INSERT INTO _crossfade.sampling (collection, twice) VALUES ('shop/orders', 5);
INSERT INTO _crossfade.noise (collection, path, rule, reason, actor) VALUES ('shop/orders', 'p', 'set', 'r', 'ann');
INSERT INTO _crossfade.bypass (collection, key, rev, removed) VALUES ('shop/orders', 'k', 1, false);
INSERT INTO _crossfade.watch (collection, mode, since, judged) VALUES ('shop/orders', 'log', 'epoch', 'epoch');
INSERT INTO _crossfade.gap (database, endpoint, effect, seen) VALUES ('shop', 'import', 'not captured', 2);
INSERT INTO _crossfade.guard
    (collection, epoch, errors_percent, seconds, mismatches, mismatches_before, armed_by, why)
    VALUES ('shop/orders', 1, 2, 0.5, 3, 0, 'ann', 'slow');
INSERT INTO _crossfade.shape (collection, shape, text, waived, waived_by)
    VALUES ('shop/orders', 's', 't', 'rare', 'bob');
"""


async def test_renamed_tables_keep_their_rows_and_name_their_constraints_after_themselves(empty: Database) -> None:
    """0020 gives tables and columns other names; what earlier versions wrote is there under the new ones."""
    await migrate.apply(empty, known=migrations()[:_BEFORE_PLAIN_NAMES])
    await empty.execute(_ROWS_BEFORE)
    await migrate.apply(empty)
    for table, column, expected in (
        ("stamp_floor", "floor", 7),
        ("write_report", "(complete_until = 'epoch' AND incomplete_until = 'epoch')", True),
        ("reported_write", "whole_collection", True),
        ("baseline", "number", 3),
        ("sampling", "baseline_percent", 5.0),
        ("tolerance", "rule", "set"),
        ("out_of_band_write", "key", "k"),
        ("bypass_watch", "judged_until = 'epoch'", True),
        ("uncovered", "reason", "not captured"),
        ("auto_rollback", "ARRAY[max_error_percent, max_p99_seconds, max_mismatches]", [2.0, 0.5, 3.0]),
        ("auto_rollback", "reason", "slow"),
        ("shape", "exempt_reason || exempted_by", "rarebob"),
    ):
        assert await empty.fetchval(f"SELECT {column} FROM _crossfade.{table}") == expected, table
    former = ("told", "taken", "twice", "noise", "bypass", "watch", "gap", "horizon", "guard")
    names = await empty.fetch(
        "SELECT relname AS name FROM pg_class WHERE relnamespace = '_crossfade'::regnamespace "
        "UNION SELECT conname FROM pg_constraint WHERE connamespace = '_crossfade'::regnamespace"
    )
    kept = [row["name"] for row in names if not row["name"].startswith("bypass_watch")]
    assert [name for name in kept if name.startswith(former)] == []


_BEFORE_UNDECIDED = 21
_UNSETTLED = """
SELECT _crossfade.ensure_collection('shop', 'orders');
UPDATE _crossfade.comparison SET unsettled = 4;
INSERT INTO _crossfade.shape (collection, shape, text, unsettled) VALUES ('shop/orders', 's', 't', 5);
INSERT INTO _crossfade.coverage (collection, shape, since, unsettled) VALUES ('shop/orders', 's', now(), 6);
INSERT INTO _crossfade.gate_limit (name, value, reason, actor) VALUES ('unsettled_share', 0.5, 'r', 'ann');
INSERT INTO _crossfade.run (collection, kind, state, unverified_before, result)
    VALUES ('shop/orders', 'verify', 'done', 0, '{"unsettled": 7, "keys": {"unsettled": ["k"], "stale": []}}'),
           ('shop/orders', 'backfill', 'done', 0, '{"documents": 8}');
INSERT INTO _crossfade.chunk (run, number, result) SELECT id, 1, result FROM _crossfade.run;
"""


async def test_what_earlier_versions_called_unsettled_is_undecided(empty: Database) -> None:
    """0022 renames columns, a limit and the keys of results, with their values; other results stay as they are."""
    await migrate.apply(empty, known=migrations()[:_BEFORE_UNDECIDED])
    await empty.execute(_UNSETTLED)
    await migrate.apply(empty)
    for table, expected in (("comparison", 4), ("shape", 5), ("coverage", 6)):
        assert await empty.fetchval(f"SELECT undecided FROM _crossfade.{table}") == expected
    assert await empty.fetchval("SELECT value FROM _crossfade.gate_limit WHERE name = 'undecided_share'") == 0.5
    for sql in (
        "SELECT result::text AS result FROM _crossfade.run ORDER BY id",
        "SELECT result::text AS result FROM _crossfade.chunk ORDER BY run",
    ):
        results = [json.loads(row["result"]) for row in await empty.fetch(sql)]
        assert results == [{"undecided": 7, "keys": {"undecided": ["k"], "stale": []}}, {"documents": 8}]


async def test_a_schema_of_an_application_that_is_called_crossfade_is_left_alone(empty: Database) -> None:
    """A role called `crossfade` makes its tables there, a table `migration` or `run` among them."""
    await empty.execute(
        "CREATE SCHEMA crossfade; CREATE TABLE crossfade.run (id bigint); CREATE TABLE crossfade.migration (id bigint)"
    )
    with pytest.raises(SchemaOutdated, match="crossfade migrate"):
        await migrate.require_migrated(empty)
    await migrate.apply(empty)
    await migrate.require_migrated(empty)
    tables = await empty.fetch("SELECT relname FROM pg_class WHERE relnamespace = 'crossfade'::regnamespace ORDER BY 1")
    assert [row["relname"] for row in tables] == ["migration", "run"]
