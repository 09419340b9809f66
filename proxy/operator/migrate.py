"""Apply the migrations of `sql/migrations` in order, each in a transaction, one migrator at a time.

Every version needs the `pre` migrations. The `post` migrations (constraints that may refuse rows) are applied when
PostgreSQL takes the writes, and only on request.

The control schema is `_crossfade`. Migrations before RENAMED use its former name `crossfade`. Released migrations are
not edited, so their text is executed under the name that the database's schema has: `_crossfade` in a new
installation, where a schema `crossfade` belongs to an application; `crossfade` in one that is not renamed yet.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import sql
from proxy.base.database import Database, Session
from proxy.base.errors import PreconditionFailed, SchemaOutdated, StatementError
from sql.loader import Migration, migrations

_LOCK = 0x0C0_55FADE  # pg_advisory_lock: one migrator at a time in one PostgreSQL database
_SCHEMA = "_crossfade"
_OLD_SCHEMA = "crossfade"
RENAMED = 19  # the migration that renames the schema
_OLD_NAME = re.compile(r"\bcrossfade(?=\.)|(?<=SCHEMA IF NOT EXISTS )crossfade\b")


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a run, with `dry_run` of `apply` the expected one. before: migrations that were applied already."""

    before: tuple[Migration, ...]
    applied: tuple[Migration, ...]


async def apply(
    database: Database,
    *,
    dry_run: bool = False,
    phases: Sequence[str] = ("pre",),
    known: Sequence[Migration] | None = None,
) -> Report:
    """Bring the schema up to date. It is safe to run twice, and concurrently on several machines.

    known: by default those of the package. Raise PreconditionFailed if an applied migration differs from that of
    this program, or if the database has a newer version; StatementError, with the migration's number, if PostgreSQL
    refuses one: those before it stay applied.
    """
    known = migrations() if known is None else known
    async with database.session() as session:
        if dry_run:
            applied = await _applied(session)
            recorded, missing = _plan(known, applied, phases)
            return Report(recorded, missing)
        await session.execute(sql.server.LOCK, _LOCK)
        try:
            if await _schema(session) is None:
                await session.execute(sql.migration.CREATE_SCHEMA)
                await session.execute(sql.migration.CREATE_TABLE)
            recorded, missing = _plan(known, await _applied(session), phases)
            for migration in missing:
                await _run(session, migration)
            return Report(recorded, missing)
        finally:
            await session.execute(sql.server.UNLOCK, _LOCK)


async def require_migrated(database: Database) -> None:
    """Raise SchemaOutdated, with what to do, unless the schema is the one of this program."""
    async with database.session() as session:
        try:
            recorded, missing = _plan(migrations(), await _applied(session), ("pre",))
        except PreconditionFailed as error:
            raise SchemaOutdated(str(error)) from error
    if not recorded:
        raise SchemaOutdated("this PostgreSQL database has no schema of Crossfade: run `crossfade migrate`")
    if missing:
        numbers = ", ".join(f"{m.number:04}_{m.name}" for m in missing)
        raise SchemaOutdated(f"the schema lacks {numbers}: run `crossfade migrate`")


async def _schema(session: Session) -> str | None:
    """Return the name of the control schema: `_crossfade`, or the former `crossfade`; None if there is none."""
    if await session.fetchval(sql.migration.EXISTS):
        return _SCHEMA
    return _OLD_SCHEMA if await session.fetchval(sql.migration.EXISTS_BY_FORMER_NAME) else None


async def _applied(session: Session) -> dict[int, tuple[str, str]]:
    """Return number -> (name, checksum) of the applied migrations; empty if there are none."""
    schema = await _schema(session)
    if schema is None:
        return {}
    rows = await session.fetch(sql.migration.APPLIED.fill(schema=schema))
    return {row.number: (row.name, row.checksum) for row in rows}


def _plan(
    known: Sequence[Migration], applied: dict[int, tuple[str, str]], phases: Sequence[str]
) -> tuple[tuple[Migration, ...], tuple[Migration, ...]]:
    """Return the applied migrations and those to apply. Raise PreconditionFailed as `apply` does."""
    by_number = {migration.number: migration for migration in known}
    for number, (name, checksum) in applied.items():
        migration = by_number.get(number)
        if migration is None:
            raise PreconditionFailed(
                f"the database has migration {number:04}_{name}, which this version of Crossfade does not know: "
                "use the version that migrated it, or a newer one"
            )
        if migration.checksum != checksum:
            raise PreconditionFailed(
                f"migration {number:04}_{name} was applied with another text (checksum {checksum[:12]}, here "
                f"{migration.checksum[:12]}): an applied migration must not change; use the version that it came from"
            )
    recorded = tuple(m for m in known if m.number in applied)
    return recorded, tuple(m for m in known if m.number not in applied and m.phase in phases)


def text_of(migration: Migration, *, old: bool = False) -> str:
    """Return the text to execute. old: the database's control schema is not renamed yet."""
    return migration.text if old or migration.number >= RENAMED else _OLD_NAME.sub(_SCHEMA, migration.text)


async def _run(session: Session, migration: Migration) -> None:
    try:
        async with session.transaction():
            old = await _schema(session) == _OLD_SCHEMA
            await session.run_script(text_of(migration, old=old))
            schema = _OLD_SCHEMA if old and migration.number < RENAMED else _SCHEMA
            add = sql.migration.ADD.fill(schema=schema)
            await session.execute(add, migration.number, migration.name, migration.phase, migration.checksum)
    except StatementError as error:
        raise StatementError(f"migration {migration.number:04}_{migration.name}: {error}", error.sqlstate) from error
