"""The present catalog of this process, and the numbers that it gives to new things.

Each request compares the version; the catalog is read again if another process, or this one, has changed it.
"""

from __future__ import annotations

import secrets
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.complete import catalog as catalogs
from proxy.complete.catalog import Entries, Entry, ServerCatalog
from proxy.complete.catalog_changes import catalog_changes
from proxy.complete.persisting import write_catalog
from proxy.complete.server_view import TickBlock, view_of
from proxy.devserver.store.state.accounts import SYSTEM, Accounts
from proxy.devserver.store.state.server import ServerState
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
        if known is None or found.version > known.version:
            self._known = found
        return found

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
            empty = catalogs.parse_catalog(0, entries, {}, enforced=self._enforced)
            first = self._clock.tick()
            view = view_of(empty, state, self.ticks, {}, own_accounts=False)
            view.add_database(SYSTEM)
            made = catalog_changes(view, empty, first)
            made.note.update(entries)
            await write_catalog(session, made, first)
            created = await _read(session, enforced=self._enforced)
        if created is None:
            raise CatalogChangedError
        return created


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
