"""`crossfade archive export | import | verify`.

Exit codes: 0 done (for verify: and no damage found); 1 refused, stopped by SIGTERM, damaged, or documents were refused;
2 a wrong setting, or a database cannot be reached or is not migrated; 130 Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import fnmatch
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

import sql
from backfill.archive import cli_output, storage, verify
from backfill.archive import manifest as manifests
from backfill.archive.arango_target import IntoArango
from backfill.archive.export import Export, ExportOptions
from backfill.archive.import_ import Import, ImportOptions
from backfill.archive.manifest import ArchiveManifest, CollectionEntry
from backfill.archive.postgres_target import IntoPostgres
from backfill.archive.progress import shown
from backfill.archive.server import ArangoServer
from backfill.archive.sources import ArchiveSource, FromArango, FromPostgres
from backfill.archive.targets import ArchiveTarget
from backfill.source import ArangoSource
from proxy.base.config import Settings, load
from proxy.base.database import Database
from proxy.base.errors import CrossfadeError, DatabaseError, PreconditionFailed
from proxy.base.supervise import StopEvent, stop_on_signals
from proxy.cli.naming import near_matches, qualified
from proxy.cli.registration import group
from proxy.cli.runtime import (
    DONE,
    ActorOption,
    CollectionsArgument,
    DatabaseOption,
    DryRunOption,
    JsonOption,
    ReasonOption,
    SomeCollections,
    actor_or_me,
    code_when_stopped,
    fail,
    note,
    write_json,
)
from proxy.operator import migrate
from proxy.state import audit, missing_writes


class DatabaseSide(enum.StrEnum):
    """One of the two databases."""

    ARANGODB = "arangodb"
    POSTGRESQL = "postgresql"


_LARGE: Final = 300.0  # seconds: PostgreSQL needs long for a document of many megabytes
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="the folder of the archive", file_okay=False)]

_HELP = """Write, restore or verify archives of collections: the rollback of last resort.

Examples:
  crossfade archive export 'shop/*' --to /backup/shop
  crossfade archive verify /backup/shop
  crossfade archive import /backup/shop --into arangodb

A folder holds manifest.json and, for each collection, parts of documents as ArangoDB printed them, one on each line, in
order of keys; `zstd -dc` and `sha256sum` read them without Crossfade. An interrupted command continues when it is
repeated."""


@dataclass(frozen=True, slots=True)
class ArchiveInputs:
    """The inputs of a command; databases are opened when they are needed."""

    settings: Settings
    stack: contextlib.AsyncExitStack
    stop: StopEvent

    async def postgres(self, *, timeout: float | None = 30.0) -> Database:
        """Return PostgreSQL, migrated. Raise DatabaseError."""
        database = await Database.open(
            self.settings.postgresql_dsn, size=2, timeout=timeout, application="crossfade archive"
        )
        self.stack.push_async_callback(database.close)
        await migrate.require_migrated(database)
        return database

    def arango(self) -> tuple[ArangoServer, ArangoSource]:
        """Return ArangoDB, with Crossfade's own account."""
        settings = self.settings
        account = (settings.origin_url, *settings.origin_account)
        server, source = ArangoServer(*account), ArangoSource(*account)
        self.stack.push_async_callback(server.close)
        self.stack.push_async_callback(source.close)
        return server, source

    async def store(self, side: DatabaseSide) -> ArchiveSource:
        """Return the database to read from."""
        if side is DatabaseSide.ARANGODB:
            return FromArango(*self.arango())
        return FromPostgres(await self.postgres(timeout=None), self.settings.postgresql_dsn)


def register(app: typer.Typer) -> None:
    """Add this package's commands to the application."""
    archive = group(_HELP)
    archive.command("export")(export)
    archive.command("import")(import_)
    archive.command("verify")(verify_)
    app.add_typer(archive, name="archive")


def export(
    collections: CollectionsArgument,
    to: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="the folder of the archive; it is created if it does not exist")
    ],
    *,
    side: Annotated[DatabaseSide, typer.Option("--from", help="the database to read")] = DatabaseSide.ARANGODB,
    database: DatabaseOption = "_system",
    part_size: Annotated[
        int, typer.Option("--part-size", metavar="MIB", min=1, help="size of one part of the archive, uncompressed")
    ] = 128,
    level: Annotated[int, typer.Option("--level", min=1, max=19, help="the level of zstd compression")] = 6,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write collections into an archive, or continue where an earlier export into it stopped.

    Each document is as it was when its page was read; stop the writers if the archive must be of one moment. A
    collection that is complete in the archive stays as it is: export it again into a new folder.

    Examples:
      crossfade archive export shop/orders shop/carts --to /backup/monday
      crossfade archive export 'shop/*' --to /backup/mon --from postgresql
    """

    async def go(inputs: ArchiveInputs) -> int:
        store = await inputs.store(side)
        names = await _names(store, collections, database)
        if dry_run:
            return await _plan_export(store, to, names, as_json=as_json)
        with storage.locked(to), shown("export", quiet=as_json) as progress:
            job = Export(store, to, progress, inputs.stop, ExportOptions(part_size << 20, level))
            manifest = await job.run(names)
        return cli_output.exported(manifest, names, to, as_json=as_json)

    _main(go, as_json=as_json)


def import_(
    folder: FolderArgument,
    collections: SomeCollections = None,
    *,
    into: Annotated[
        DatabaseSide, typer.Option("--into", metavar="DB", help="the database to write: arangodb or postgresql")
    ],
    database: DatabaseOption = "_system",
    overwrite_newer: Annotated[
        bool, typer.Option("--overwrite-newer", help="also replace newer versions in the database; needs --reason")
    ] = False,
    new_revisions: Annotated[bool, typer.Option("--new-revisions", help="let ArangoDB assign new revisions")] = False,
    indexes: Annotated[
        bool, typer.Option("--indexes/--no-indexes", help="create the indexes of the archive after the documents")
    ] = True,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write an archive into a database: documents that are missing or older there. Newer versions stay.

    Missing databases, collections and tables are created. Every part is checked before it is used; a damaged part is
    skipped and named. ArangoDB keeps the revisions of the archive if it accepts `isRestore` (which is not documented;
    the command reports what happened); import with them only into the same collection or an empty one. Mirrored
    collections are unverified afterwards: run `crossfade verify --full --repair`.

    Examples:
      crossfade archive import /backup/monday --into arangodb
      crossfade archive import /backup/monday --into postgresql --dry-run
    """

    async def go(inputs: ArchiveInputs) -> int:
        if overwrite_newer and not (reason or "").strip():
            raise PreconditionFailed("--overwrite-newer loses newer versions: it needs --reason")
        manifest = manifests.read(folder)
        entries = _entries(manifest, collections, database)
        opened = await inputs.postgres(timeout=_LARGE) if into is DatabaseSide.POSTGRESQL else await _control(inputs)
        target: ArchiveTarget
        if into is DatabaseSide.POSTGRESQL:
            assert opened is not None
            target = IntoPostgres(opened, await inputs.postgres(timeout=None), indexes=indexes)
        else:
            target = IntoArango(*inputs.arango(), keep_revisions=not new_revisions, indexes=indexes)
        if opened is not None and not dry_run:
            await _refuse_served(opened, entries)
            await _mark(opened, entries, manifest, into)
        with shown("import", quiet=as_json) as progress:
            options = ImportOptions(overwrite=overwrite_newer, dry_run=dry_run)
            found = await Import(folder, target, progress, inputs.stop, options).run(entries)
        if opened is not None and not dry_run:
            # again: a verification that started meanwhile has not read everything
            await _mark(opened, entries, manifest, into)
            detail = {
                "archive": manifest.id,
                "into": into,
                "overwrite_newer": overwrite_newer,
                "collections": [one.as_json() for one in found],
            }
            async with opened.transaction() as session:
                who = actor_or_me(actor)
                await audit.record(session, actor=who, action="archive.import", reason=reason, detail=detail)
        return cli_output.imported(found, entries, folder, into, dry_run=dry_run, as_json=as_json)

    _main(go, as_json=as_json)


def verify_(
    folder: FolderArgument,
    collections: SomeCollections = None,
    *,
    against: Annotated[
        DatabaseSide | None,
        typer.Option("--against", help="also compare the archive with a database, document by document"),
    ] = None,
    database: DatabaseOption = "_system",
    as_json: JsonOption = False,
) -> None:
    """Check every line of every part of an archive. Damage is named by file, line and key.

    With --against the documents are compared with those of a database; no client may write to it meanwhile.

    Examples:
      crossfade archive verify /backup/monday
      crossfade archive verify /backup/monday shop/orders --against arangodb
    """

    async def go(inputs: ArchiveInputs) -> int:
        manifest = manifests.read(folder)
        entries = _entries(manifest, collections, database)
        found = []
        with shown("verify", quiet=as_json) as progress:
            for entry in entries:
                one = await verify.check(folder, entry, progress, inputs.stop)
                if against is not None and not one.damaged:
                    store = await inputs.store(against)
                    one = await verify.compare(folder, entry, store, one, progress, inputs.stop)
                found.append(one)
        return cli_output.verified(found, as_json=as_json)

    _main(go, as_json=as_json)


# ---- parts of the commands


async def _names(store: ArchiveSource, collections: Sequence[str], database: str) -> list[str]:
    found: dict[str, None] = {}
    for name in qualified(collections, database):
        # system collections are not listed: ArangoDB itself reports a missing one
        matching = [name] if "/_" in name and "*" not in name else await store.collections(name)
        if not matching:
            offered = near_matches(name, await store.collections(name.partition("/")[0] + "/*"))
            meant = f": did you mean {' or '.join(offered)}?" if offered else ""
            raise PreconditionFailed(f"there is no collection {name}{meant}")
        found |= dict.fromkeys(matching)
    return list(found)


def _entries(manifest: ArchiveManifest, collections: Sequence[str] | None, database: str) -> list[CollectionEntry]:
    if not collections:
        return list(manifest.collections)
    found: dict[str, CollectionEntry] = {}
    for name in qualified(collections, database):
        matching = [one for one in manifest.collections if fnmatch.fnmatchcase(one.collection, name)]
        if not matching:
            has = ", ".join(one.collection for one in manifest.collections) or "nothing"
            raise PreconditionFailed(f"the archive has no {name}: it has {has}")
        found |= {one.collection: one for one in matching}
    return list(found.values())


async def _plan_export(store: ArchiveSource, to: Path, names: Sequence[str], *, as_json: bool) -> int:
    manifest = manifests.read(to) if manifests.exists(to) else None
    rows = []
    for name in names:
        await store.describe(name)
        entry = manifest.entry(name) if manifest else None
        state = "complete" if entry is not None and entry.state == "done" else "to do"
        rows.append(
            {
                "collection": name,
                "state": state,
                "documents": await store.count(name),
                "archived": entry.documents if entry else 0,
            }
        )
    if as_json:
        write_json(rows)
    for row in rows if not as_json else ():
        typer.echo(
            f"{row['collection']}: {row['documents']:,} documents, {row['archived']:,} in the archive: {row['state']}"
        )
    return DONE


async def _control(inputs: ArchiveInputs) -> Database | None:
    """Return PostgreSQL as the control plane if it is available: an import into ArangoDB must not need it."""
    try:
        return await inputs.postgres()
    except DatabaseError as error:
        note(
            f"PostgreSQL cannot be used ({error}): the import is neither audited nor are collections marked unverified"
        )
        return None


async def _refuse_served(database: Database, entries: Sequence[CollectionEntry]) -> None:
    """Raise PreconditionFailed for flipped collections: an import into one database would be visible to clients."""
    for entry in entries:
        row = await database.fetchrow(sql.collections.FIND, entry.collection)
        if row is not None and row.stage in ("flipped", "promoted"):
            raise PreconditionFailed(
                f"{entry.collection} is {row.stage}: an import into one database would be visible to clients before "
                f"the other has it; run `crossfade rollback {entry.collection}` first"
            )


async def _mark(
    database: Database, entries: Sequence[CollectionEntry], manifest: ArchiveManifest, into: DatabaseSide
) -> None:
    for entry in entries:
        row = await database.fetchrow(sql.collections.FIND, entry.collection)
        if row is not None and row.stage != "off":
            reason = f"archive {manifest.id} was imported into {into}"
            await missing_writes.mark(database, [entry.collection], [reason], "crossfade archive")


# ---- running


def _main(go: Callable[[ArchiveInputs], Awaitable[int]], *, as_json: bool) -> None:
    """Run a command; raise typer.Exit with its exit code, or with that of its error."""

    async def run() -> int:
        async with _inputs(load()) as inputs:
            return code_when_stopped(await go(inputs), inputs.stop)

    try:
        code = asyncio.run(run())
    except CrossfadeError as error:
        raise fail(error, as_json=as_json) from error
    raise typer.Exit(code)


@contextlib.asynccontextmanager
async def _inputs(settings: Settings) -> AsyncIterator[ArchiveInputs]:
    stop = StopEvent()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(stop_on_signals(stop))
        yield ArchiveInputs(settings, stack, stop)
