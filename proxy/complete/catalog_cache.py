"""The present catalog of this process, and the numbers that it gives to new things.

Each request compares the version; the catalog is read again if another process, or this one, has changed it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.complete import catalog as catalogs
from proxy.complete.adoption import adopted_entry, largest_number
from proxy.complete.catalog import Entries, Entry, ServerCatalog
from proxy.complete.catalog_changes import catalog_changes
from proxy.complete.catalog_storage import StoredEntries, read_entries, write_entries
from proxy.complete.persisting import write_catalog
from proxy.complete.server_view import TickBlock, view_of
from proxy.devserver.store.state.accounts import SYSTEM, Accounts
from proxy.devserver.store.state.collection import DOCUMENTS
from proxy.devserver.store.state.server import SYSTEM_COLLECTIONS, ServerState
from proxy.model.revision import Clock
from sql.statements.complete import UnlistedRow

_TICKS: Final = 1000  # the increment of the sequence
_NUMBERS: Final = 50  # for each collection that is adopted, with the database that it may begin


class CatalogChangedError(Exception):
    """Another process has changed the catalog since it was read."""


class CatalogCache:
    """root_password: that of a new server's root; enforced: requests authenticate. secret: signs the tokens of all
    processes from the start of this one on; None: the one that PostgreSQL has.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        root_password: str,
        enforced: bool,
        secret: bytes | None = None,
        embedded: bool = False,
    ) -> None:
        """embedded: ArangoDB has the collections that are not in the catalog, those of the system among them."""
        self._embedded = embedded
        self._database = database
        self._clock = clock
        self._root_password = root_password
        self._enforced = enforced
        self._secret = secret
        self._known: ServerCatalog | None = None
        self._compared = 0.0  # when its version was the present one, by the monotonic clock
        self.ticks = TickBlock()

    @property
    def last_seen(self) -> ServerCatalog | None:
        """The catalog as this process last saw it; None before the first request."""
        return self._known

    async def recent(self, seconds: float) -> ServerCatalog:
        """Return a catalog that was the present one at most that many seconds ago. Raise DatabaseError."""
        known = self._known
        return known if known is not None and time.monotonic() - self._compared < seconds else await self.current()

    async def current(self) -> ServerCatalog:
        """Return the present catalog, which is made if there is none yet. Raise DatabaseError."""
        known, began = self._known, time.monotonic()
        found = await self._present(known)
        if self._known is None or found.version >= self._known.version:
            self._known, self._compared = found, began
        return found

    async def _present(self, known: ServerCatalog | None) -> ServerCatalog:
        """Return the catalog that is known if its version is the present one, else the one that PostgreSQL has."""
        if known is not None and await self._database.fetchval(sql.complete.VERSION) == known.version:
            return known
        if self.ticks.left < _TICKS // 2:
            await self.refill()
        async with self._database.session() as session:
            return self._parsed(await read_entries(session)) or await self._create(session)

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

    async def share_secret(self) -> None:
        """Let every process sign tokens with the secret of this one, if it was given one. Raise DatabaseError."""
        while self._secret is not None:
            known = await self.current()
            if known.accounts.secret == self._secret:
                return
            async with self._database.transaction() as session:
                if await session.fetchrow(sql.complete.RAISE_VERSION, known.version):
                    accounts = catalogs.parse_accounts(known.entries, enforced=self._enforced)
                    accounts.secret = self._secret
                    identity = catalogs.server_entry(known.server_id, known.guid, accounts)
                    await write_entries(session, {catalogs.IDENTITY: identity}, ())

    async def adopt(self) -> None:
        """Take collections and databases into the catalog that came from ArangoDB since it was made.

        Embedded, leave out those whose writes ArangoDB takes again. Raise DatabaseError.
        """
        while True:
            known = await self.current()
            unlisted = await self._database.fetch(sql.complete.UNLISTED)
            returned = await self._database.fetch(sql.complete.RETURNED) if self._embedded else []
            copied = catalogs.origin_databases(known.entries)
            if not unlisted and not copied and not returned and not self._lacking(known):
                return
            await self._raise_ticks(max([largest_number(unlisted), *map(int, copied.values())]))
            async with self._database.transaction() as session:
                if await session.fetchrow(sql.complete.RAISE_VERSION, known.version):
                    await write_entries(session, {}, [Entry(catalogs.COLLECTION, name) for name in returned])
                    await self._extend(session, known, {})

    def _lacking(self, known: ServerCatalog) -> list[tuple[str, str]]:
        """Return the collections of the system that databases lack: ArangoDB had them while this was embedded."""
        if self._embedded:
            return []
        expected = [(database, name) for database in known.collections for name in SYSTEM_COLLECTIONS]
        expected += [(SYSTEM, "_users")] if SYSTEM in known.collections else []
        return [(database, name) for database, name in expected if name not in known.collections[database]]

    async def prepare_adoption(self, coming: Sequence[UnlistedRow]) -> None:
        """Make what `adopt_in` needs, before the transaction that it is part of. coming: what will be adopted.

        Raise DatabaseError.
        """
        known = await self.current()
        copied = catalogs.origin_databases(known.entries)
        await self._raise_ticks(max([largest_number(coming), *map(int, copied.values())]))
        while self.ticks.left < _TICKS + _NUMBERS * len(coming):
            await self.refill()

    async def adopt_in(self, session: Session, collections: Sequence[str]) -> None:
        """Take collections (`database/name`) into the catalog, in the transaction in which PostgreSQL takes their
        writes: other processes see both or nothing. What it has of them is from before they were demoted.

        Raise DatabaseError.
        """
        while not await session.fetchrow(sql.complete.RAISE_VERSION, (await read_entries(session)).version):
            pass
        await write_entries(session, {}, [Entry(catalogs.COLLECTION, name) for name in collections])
        # after that: what the catalog had, and would have no more, is dropped
        known = self._parsed(await read_entries(session))
        if known is None:
            raise CatalogChangedError
        await self._extend(session, known, {})
        self.forget()

    def _parsed(self, stored: StoredEntries) -> ServerCatalog | None:
        """Return the catalog; None if it was never made, although accounts may have been copied from ArangoDB."""
        if Entry(catalogs.DATABASE, SYSTEM) not in stored.entries:
            return None
        return catalogs.parse_catalog(stored.version, stored.entries, stored.relations, enforced=self._enforced)

    async def _create(self, session: Session) -> ServerCatalog:
        """Make the catalog of a new server; another process that does the same waits, and finds it."""
        while True:
            version = (await read_entries(session)).version
            async with session.transaction():
                raised = await session.fetchrow(sql.complete.RAISE_VERSION, version)
                stored = await read_entries(session)
                if raised and self._parsed(stored) is None:
                    begun = self._begin(stored.entries)
                    entries = stored.entries | begun
                    empty = catalogs.parse_catalog(stored.version, entries, {}, enforced=self._enforced)
                    await self._extend(session, empty, begun)
                    stored = await read_entries(session)
            found = self._parsed(stored)
            if found is not None:
                return found

    def _begin(self, entries: Entries) -> Entries:
        """Return the entries of a new server: its identity and root, unless those of ArangoDB were copied."""
        if catalogs.IDENTITY in entries:
            return {}
        state = ServerState(self._clock)
        accounts = Accounts(self._secret or secrets.token_bytes(32), enforced=self._enforced)
        accounts.by_name["root"].set_password(self._root_password)
        begun: Entries = {catalogs.IDENTITY: catalogs.server_entry(state.id, state.guid, accounts)}
        for account in accounts.by_name.values():
            begun[Entry(catalogs.ACCOUNT, account.name)] = catalogs.account_entry(account)
        return begun

    async def _raise_ticks(self, number: int) -> None:
        """Let new numbers be above one that came from ArangoDB, so that nothing gets the same number again."""
        async with self._database.transaction() as session:
            await session.execute(sql.complete.LOCK_TICKS)
            await session.fetchval(sql.complete.RAISE_TICKS, str(number))
        self.ticks.clear()

    async def _extend(self, session: Session, catalog: ServerCatalog, entries: Entries) -> None:
        """Write entries, the system's database, those of ArangoDB, and the collections that PostgreSQL has without an
        entry.
        """
        unlisted = await session.fetch(sql.complete.UNLISTED)
        copied = catalogs.origin_databases(catalog.entries)
        databases = dict.fromkeys([SYSTEM, *copied, *(row.database for row in unlisted)])
        lacking = self._lacking(catalog)
        made_here = 2 * len(databases) * len(SYSTEM_COLLECTIONS) + 2 * len(lacking)
        while self.ticks.left < _TICKS + 2 * len(unlisted) + made_here:
            await self.refill()
        view = view_of(catalog, ServerState(self._clock), self.ticks, {}, own_accounts=False)
        for database in databases:
            if database not in view.databases:
                added = view.add_database(database)
                added.id = copied.get(database, added.id)
                if self._embedded:
                    added.collections.clear()
        came = {(row.database, row.name) for row in unlisted}
        for database, name in lacking:
            if (database, name) not in came and name not in view.databases[database].collections:
                view.add_collection(view.databases[database], name, DOCUMENTS, {})
        adopted: Entries = {}
        for row in unlisted:
            if row.name not in catalog.collections.get(row.database, {}):  # else it would be dropped
                view.databases[row.database].collections.pop(row.name, None)  # one of a new database
            adopted[Entry(catalogs.COLLECTION, f"{row.database}/{row.name}")] = adopted_entry(row, view.tick)
        first = self._clock.tick()
        made = catalog_changes(view, catalog, first)
        made.note.update(entries | adopted)
        await write_catalog(session, made, first)
        await write_entries(session, {}, [catalogs.ORIGIN_DATABASES])  # a client may drop them from now on
