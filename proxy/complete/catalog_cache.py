"""The present catalog of this process, and the numbers that it gives to new things.

Each request compares the version; the catalog is read again if another process, or this one, has changed it.
"""

from __future__ import annotations

import secrets
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.complete import catalog as catalogs
from proxy.complete.adoption import adopted_entry
from proxy.complete.catalog import Entries, Entry, ServerCatalog
from proxy.complete.catalog_changes import catalog_changes
from proxy.complete.persisting import write_catalog
from proxy.complete.server_view import TickBlock, view_of
from proxy.devserver.store.state.accounts import SYSTEM, Accounts
from proxy.devserver.store.state.server import SYSTEM_COLLECTIONS, ServerState
from proxy.model.revision import Clock

_TICKS: Final = 1000  # the increment of the sequence


class CatalogChangedError(Exception):
    """Another process has changed the catalog since it was read."""


class CatalogCache:
    """root_password: that of a new server's root; enforced: requests authenticate."""

    def __init__(self, database: Database, clock: Clock, *, root_password: str, enforced: bool) -> None:
        self._database = database
        self._clock = clock
        self._root_password = root_password
        self._enforced = enforced
        self._known: ServerCatalog | None = None
        self.ticks = TickBlock()

    @property
    def last_seen(self) -> ServerCatalog | None:
        """The catalog as this process last saw it; None before the first request."""
        return self._known

    async def current(self) -> ServerCatalog:
        """Return the present catalog, which is made if there is none yet. Raise DatabaseError."""
        known = self._known
        if known is not None and await self._database.fetchval(sql.complete.VERSION) == known.version:
            return known
        if self.ticks.left < _TICKS // 2:
            await self.refill()
        async with self._database.session() as session:
            found = await _read(session, enforced=self._enforced)
            if found is None:
                found = await self._create(session)
        if self._known is None or found.version > self._known.version:
            self._known = found
        return found

    def forget(self) -> None:
        """Read the catalog again for the next request: this process has changed it."""
        self._known = None

    async def refresh(self) -> None:
        """Notice changes by others, also if no request compares the version. Raise DatabaseError."""
        await self.current()

    async def refill(self) -> None:
        """Take numbers from PostgreSQL."""
        last = await self._database.fetchval(sql.complete.TICKS)
        self.ticks.refill(last, _TICKS)

    async def _create(self, session: Session) -> ServerCatalog:
        """Make the catalog of a new server; another process that does the same waits, and finds it."""
        async with session.transaction():
            await session.fetchrow(sql.complete.RAISE_VERSION, 0)
            found = await _read(session, enforced=self._enforced)
            if found is not None:
                return found
            state = ServerState(self._clock)
            accounts = Accounts(secrets.token_bytes(32), enforced=self._enforced)
            accounts.by_name["root"].set_password(self._root_password)
            entries: Entries = {catalogs.IDENTITY: catalogs.server_entry(state.id, state.guid, accounts)}
            for account in accounts.by_name.values():
                entries[Entry(catalogs.ACCOUNT, account.name)] = catalogs.account_entry(account)
            await self._extend(session, catalogs.parse_catalog(0, entries, {}, enforced=self._enforced), entries)
            created = await _read(session, enforced=self._enforced)
        if created is None:
            raise CatalogChangedError
        return created

    async def adopt(self) -> None:
        """Take collections into the catalog that came from ArangoDB since it was made. Raise DatabaseError."""
        while await self._database.fetch(sql.complete.UNLISTED):
            known = await self.current()
            async with self._database.transaction() as session:
                if await session.fetchrow(sql.complete.RAISE_VERSION, known.version):
                    await self._extend(session, known, {})

    async def _extend(self, session: Session, catalog: ServerCatalog, entries: Entries) -> None:
        """Write entries, the system's database, and the collections that PostgreSQL has without an entry."""
        unlisted = await session.fetch(sql.complete.UNLISTED)
        databases = dict.fromkeys([SYSTEM, *(row.database for row in unlisted)])
        while self.ticks.left < _TICKS + 2 * len(unlisted) + 2 * len(databases) * len(SYSTEM_COLLECTIONS):
            await self.refill()
        view = view_of(catalog, ServerState(self._clock), self.ticks, {}, own_accounts=False)
        for database in databases:
            if database not in view.databases:
                view.add_database(database)
        adopted: Entries = {}
        for row in unlisted:
            view.databases[row.database].collections.pop(row.name, None)  # one of a new database
            adopted[Entry(catalogs.COLLECTION, f"{row.database}/{row.name}")] = adopted_entry(row, view.tick)
        first = self._clock.tick()
        made = catalog_changes(view, catalog, first)
        made.note.update(entries | adopted)
        await write_catalog(session, made, first)


async def _read(session: Session, *, enforced: bool) -> ServerCatalog | None:
    """Return the catalog; None if it was never made."""
    rows = await session.fetch(sql.complete.CATALOG)
    entries: Entries = {}
    relations: dict[str, str] = {}
    for row in rows:
        if row.kind is not None and row.name is not None and row.body is not None:
            entries[Entry(row.kind, row.name)] = row.body.encode()
            if row.relation is not None:
                relations[row.name] = row.relation
    if not entries:
        return None
    return catalogs.parse_catalog(rows[0].version, entries, relations, enforced=enforced)
