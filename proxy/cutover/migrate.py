"""Applies the migrations of `sql/migrations` in order, each in a transaction, one migrator at a time.

`pre` migrations are what every version runs on; `post` ones (constraints that may refuse rows) are applied when
PostgreSQL takes over, and only when asked for (DESIGN section 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.database import Database, Session
from proxy.errors import DatabaseRefused, DatabaseUnmigrated, RefusedError
from sql.loader import Migration, migrations

_LOCK = 0x0C0_55FADE  # pg_advisory_lock: one migrator at a time in one PostgreSQL database
_CREATE = """
CREATE SCHEMA IF NOT EXISTS crossfade;
CREATE TABLE IF NOT EXISTS crossfade.migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    phase text NOT NULL CHECK (phase IN ('pre', 'post')),
    checksum text NOT NULL, -- sha256 of the file's text
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did, or with `dry_run` would do. before: those that stood already."""

    before: tuple[Migration, ...]
    applied: tuple[Migration, ...]
    dry_run: bool


async def apply(
    database: Database,
    *,
    dry_run: bool = False,
    phases: Sequence[str] = ("pre",),
    known: Sequence[Migration] | None = None,
) -> Report:
    """Brings the schema up to date; safe to run twice, and at once from several machines.

    known: the migrations that there are (the package's own). Raises RefusedError where an applied migration is not
    the one that this program has, or where the database is of a newer version; DatabaseRefused, with the migration's
    number, where PostgreSQL refuses one: those before it stay applied.
    """
    known = migrations() if known is None else known
    async with database.session() as session:
        if dry_run:
            applied = await _applied(session)
            standing, missing = _plan(known, applied, phases)
            return Report(standing, missing, dry_run=True)
        await session.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            await session.execute(_CREATE)
            standing, missing = _plan(known, await _applied(session), phases)
            for migration in missing:
                await _run(session, migration)
            return Report(standing, missing, dry_run=False)
        finally:
            await session.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def require_migrated(database: Database) -> None:
    """Returns where the schema is the one that this program knows. Raises DatabaseUnmigrated with what to do."""
    async with database.session() as session:
        try:
            standing, missing = _plan(migrations(), await _applied(session), ("pre",))
        except RefusedError as error:
            raise DatabaseUnmigrated(str(error)) from error
    if not standing:
        raise DatabaseUnmigrated("this PostgreSQL database has no schema of Crossfade: run `crossfade migrate`")
    if missing:
        numbers = ", ".join(f"{m.number:04}_{m.name}" for m in missing)
        raise DatabaseUnmigrated(f"the schema lacks {numbers}: run `crossfade migrate`")


async def _applied(session: Session) -> dict[int, tuple[str, str]]:
    """Number -> (name, checksum) of what stands; empty where nothing does."""
    if await session.fetchval("SELECT to_regclass('crossfade.migration')") is None:
        return {}
    rows = await session.fetch("SELECT number, name, checksum FROM crossfade.migration ORDER BY number")
    return {row["number"]: (row["name"], row["checksum"]) for row in rows}


def _plan(
    known: Sequence[Migration], applied: dict[int, tuple[str, str]], phases: Sequence[str]
) -> tuple[tuple[Migration, ...], tuple[Migration, ...]]:
    """(those that stand, those to apply). Raises RefusedError as `apply` says."""
    by_number = {migration.number: migration for migration in known}
    for number, (name, checksum) in applied.items():
        migration = by_number.get(number)
        if migration is None:
            raise RefusedError(
                f"the database has migration {number:04}_{name}, which this version of Crossfade does not know: "
                "use the version that migrated it, or a newer one"
            )
        if migration.checksum != checksum:
            raise RefusedError(
                f"migration {number:04}_{name} was applied with another text (checksum {checksum[:12]}, here "
                f"{migration.checksum[:12]}): an applied migration must not change; use the version that it came from"
            )
    standing = tuple(m for m in known if m.number in applied)
    return standing, tuple(m for m in known if m.number not in applied and m.phase in phases)


async def _run(session: Session, migration: Migration) -> None:
    try:
        async with session.transaction():
            await session.execute(migration.text)
            await session.execute(
                "INSERT INTO crossfade.migration (number, name, phase, checksum) VALUES ($1, $2, $3, $4)",
                migration.number,
                migration.name,
                migration.phase,
                migration.checksum,
            )
    except DatabaseRefused as error:
        raise DatabaseRefused(f"migration {migration.number:04}_{migration.name}: {error}", error.sqlstate) from error
