"""`crossfade migrate`: from nothing, twice, from the version before, two at once; the schema is the migrations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from proxy.cutover import migrate
from proxy.database import Database
from proxy.errors import DatabaseRefused, DatabaseUnmigrated, RefusedError
from sql.loader import Migration, migrations

_SHAPE = """
SELECT table_schema || '.' || table_name || '.' || column_name || ' ' || data_type
    || ' ' || coalesce(column_default, '')
FROM information_schema.columns WHERE table_schema = 'crossfade' AND table_name <> 'migration' ORDER BY 1
"""
_FUNCTIONS = """
SELECT p.proname || ' ' || md5(p.prosrc) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'crossfade' ORDER BY 1
"""


@pytest.fixture
async def empty(empty_dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(empty_dsn, size=4)
    yield opened
    await opened.close()


async def _shape(database: Database) -> list[str]:
    return [row[0] for row in (*await database.fetch(_SHAPE), *await database.fetch(_FUNCTIONS))]


async def test_from_nothing_and_twice(empty: Database) -> None:
    with pytest.raises(DatabaseUnmigrated, match="crossfade migrate"):
        await migrate.require_migrated(empty)
    planned = await migrate.apply(empty, dry_run=True)
    assert planned.applied == migrations()
    assert await empty.fetchval("SELECT to_regclass('crossfade.migration')") is None  # a dry run writes nothing
    first = await migrate.apply(empty)
    assert first.applied == migrations()
    second = await migrate.apply(empty)
    assert (second.before, second.applied) == (migrations(), ())
    await migrate.require_migrated(empty)


async def test_the_schema_is_the_migrations(empty: Database, empty_dsn: str) -> None:
    for migration in migrations():
        await empty.execute(migration.text)
    expected = await _shape(empty)
    await empty.execute("DROP SCHEMA crossfade CASCADE")
    await migrate.apply(empty)
    assert await _shape(empty) == expected


async def test_from_each_version_before(empty: Database) -> None:
    for count in range(1, len(migrations())):
        await migrate.apply(empty, known=migrations()[:count])
        with pytest.raises(DatabaseUnmigrated, match="lacks"):
            await migrate.require_migrated(empty)
    assert (await migrate.apply(empty)).applied == migrations()[-1:]


async def test_two_at_once_apply_each_migration_once(empty: Database) -> None:
    reports = await asyncio.gather(*(migrate.apply(empty) for _ in range(3)))
    assert sorted(len(report.applied) for report in reports) == [0, 0, len(migrations())]


async def test_another_text_under_an_applied_number_is_refused(empty: Database) -> None:
    await migrate.apply(empty)
    changed = (replace(migrations()[0], text="SELECT 1"), *migrations()[1:])
    with pytest.raises(RefusedError, match="0001_control was applied with another text"):
        await migrate.apply(empty, known=changed)


async def test_a_newer_database_is_refused(empty: Database) -> None:
    newer = Migration(len(migrations()) + 1, "pre", "of_tomorrow", "CREATE TABLE crossfade.tomorrow ()")
    await migrate.apply(empty, known=(*migrations(), newer))
    with pytest.raises(RefusedError, match="of_tomorrow, which this version of Crossfade does not know"):
        await migrate.apply(empty)
    with pytest.raises(DatabaseUnmigrated, match="of_tomorrow"):
        await migrate.require_migrated(empty)


async def test_post_migrations_wait_until_they_are_asked_for(empty: Database) -> None:
    later = Migration(len(migrations()) + 1, "post", "strict", "CREATE TABLE crossfade.strict ()")
    known = (*migrations(), later)
    assert later not in (await migrate.apply(empty, known=known)).applied
    assert (await migrate.apply(empty, known=known, phases=("pre", "post"))).applied == (later,)


async def test_a_migration_that_fails_leaves_nothing_of_itself(empty: Database) -> None:
    broken = Migration(len(migrations()) + 1, "pre", "broken", "CREATE TABLE crossfade.half (); SELECT 1 / 0")
    with pytest.raises(DatabaseRefused, match="broken: division by zero"):
        await migrate.apply(empty, known=(*migrations(), broken))
    assert await empty.fetchval("SELECT to_regclass('crossfade.half')") is None
    await migrate.require_migrated(empty)
