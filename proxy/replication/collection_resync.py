"""One collection compared with ArangoDB as a whole, and repaired (mirror-protocol, 6).

Era and stamp floor are raised first, so that whatever was read or captured before is refused and read again. Then, page
by page in key order: PostgreSQL's (key, revision), ArangoDB's, and what differs is repaired. "Collection not found"
(1203) means that every key is absent.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import sql
from proxy.base import failpoints
from proxy.base.database import Database
from proxy.base.errors import ArangoError
from proxy.replication.dropped_collections import DroppedCollections
from proxy.replication.key_repair import GONE, CannotRead, KeyRepairer
from proxy.replication.target_writer import TargetWriter
from proxy.replication.tombstone_gc import purge

_PAGE: Final = 1000  # keys of either side in one page
_ORDER: Final = "the origin does not give keys in the order of their bytes"


class OriginLister(Protocol):
    """Lists keys of ArangoDB in the order of their bytes. Raises ArangoError and UpstreamError."""

    async def revisions(
        self, database: str, collection: str, after: str, upper: str | None, limit: int
    ) -> Sequence[tuple[str, int]]: ...

    async def is_edge(self, database: str, collection: str) -> bool: ...

    async def edge_collections(self, database: str) -> Sequence[str]: ...


class OutOfOrder(Exception):
    """ArangoDB's keys do not come in the order of their bytes: pages cannot be trusted."""


class ResyncResult(NamedTuple):
    """refused: PostgreSQL refused some version. absent: ArangoDB has no such collection."""

    refused: bool = False
    absent: bool = False


class CollectionResync:
    """Resyncs collections, one at a time. dropped: learns which of them ArangoDB lacks.

    Methods raise DatabaseError, UpstreamError, ArangoError: try later; OutOfOrder, CannotRead: never again.
    """

    def __init__(
        self,
        database: Database,
        target: TargetWriter,
        origin: OriginLister,
        repairer: KeyRepairer,
        dropped: DroppedCollections,
    ) -> None:
        self._database = database
        self._target = target
        self._origin = origin
        self._repairer = repairer
        self._dropped = dropped
        self._refused = False  # PostgreSQL refused something of the collection under way
        self._absent = False  # ArangoDB does not have it

    async def resync(self, collection: str, *, forget: bool = False) -> ResyncResult:
        """Make PostgreSQL have what ArangoDB has, whatever it had before.

        forget: tombstones are discarded before and after, since documents come back under this name with the revisions
        that they had (a rename and one back). For the same reason a row that is newer than what ArangoDB has is of a
        collection that had this name before: it goes, and its tombstone, before the key is repaired.
        """
        self._refused = False
        relation = await self._target.tables.relation(collection)
        exchanged = True
        while exchanged:
            self._absent = False
            era = await self._raise_floor(collection, relation, forget=forget)
            failpoints.reach("stamp-floor-raised")
            exchanged = await self._pages(collection, relation, era, forget=forget)
        if forget:
            await self._raise_floor(collection, relation, forget=True)
        await self._target.tables.mark_dropped(collection, dropped=self._absent)
        return ResyncResult(self._refused, self._absent)

    async def remove_edges(self, database: str, handle: str) -> ResyncResult:
        """Repair the edges that ended in a removed vertex: ArangoDB removed them with it.

        With the stamp floor raised none is missed: an edge that was sent before the removal is applied by now, and
        found, or refused and read again.
        """
        self._refused = False
        try:
            names = await self._origin.edge_collections(database)
        except ArangoError as error:
            if error.number in GONE:
                return ResyncResult()
            raise
        known = await self.registered([f"{database}/*"])
        for collection in (f"{database}/{name}" for name in names):
            if collection in known:
                relation = await self._target.tables.relation(collection)
                await self._raise_floor(collection, relation, forget=False)
                keys = await self._database.fetch(sql.mirror.EDGES_OF.on(relation), handle)
                failpoints.reach("mid-cascade")
                await self._repair(collection, keys)
        return ResyncResult(self._refused)

    async def registered(self, collections: Sequence[str]) -> list[str]:
        """Return those that have a table, `db/*` spelt out. One that ArangoDB has gets one (a rename's new name)."""
        known = [row.collection for row in await self._database.fetch(sql.collections.ALL)]
        found: dict[str, None] = {}
        for collection in collections:
            if collection.endswith("/*"):
                found |= dict.fromkeys(name for name in known if name.startswith(collection[:-1]))
            elif collection in known or await self.register(collection):
                found[collection] = None
        return list(found)

    async def register(self, collection: str) -> bool:
        """Make the table of a collection that ArangoDB has, for edges or not. Return False if it does not have it.

        It may have been dropped since it was made. Without a table no later resync finds that.
        """
        database, _, name = collection.partition("/")
        try:
            edge = await self._origin.is_edge(database, name)
        except ArangoError as error:
            if error.number in GONE:
                self._dropped.missing(collection)
                return False
            raise
        self._dropped.present(collection)
        await self._target.tables.register(collection, edge=edge)
        await self._target.tables.mark_dropped(collection, dropped=False)
        return True

    async def _pages(self, collection: str, relation: str, era: int, *, forget: bool) -> bool:
        """Compare every key of both sides. Return True if rows of another collection gave way to ArangoDB's keys."""
        after, exchanged = "", False
        while True:
            rows = await self._database.fetch(sql.mirror.ALIVE.on(relation), after, _PAGE)
            stored = {row.key: row.rev for row in rows}
            upper = rows[-1].key if len(rows) == _PAGE else None
            exchanged |= await self._compare(collection, stored, after, upper, era, forget=forget)
            failpoints.reach("mid-resync")
            if upper is None:
                return exchanged
            after = upper

    async def _raise_floor(self, collection: str, relation: str, *, forget: bool) -> int:
        """Raise the era, and the stamp floor to it: whatever is stamped before is refused. Return the era."""
        era = await self._target.raise_era()
        await self._database.execute(sql.mirror.RAISE_STAMP_FLOOR, collection, era)
        if forget:
            await purge(self._database, collection, relation, era)
        return era

    async def _compare(
        self, collection: str, stored: dict[str, int], after: str, upper: str | None, era: int, *, forget: bool
    ) -> bool:
        """Compare one range of keys. stored: what PostgreSQL had in it, read after the era was raised.

        Return True if some of ArangoDB's keys were removed first, because their rows are of another collection.
        """
        position, exchanged = after, False
        while True:
            page = await self._list(collection, position, upper)
            wrong: list[str] = []
            newer: dict[str, int] = {}
            for key, rev in page:
                had = stored.pop(key, None)
                if forget and had is not None and had > rev:
                    newer[key] = had
                elif had != rev:
                    wrong.append(key)
            if newer:
                exchanged = True
                await self._remove(collection, newer, era)
            await self._repair(collection, wrong)
            if len(page) < _PAGE:
                break
            position = page[-1][0]
        if stored:
            await self._repair(collection, await self._remove(collection, stored, era))
        return exchanged

    async def _list(self, collection: str, after: str, upper: str | None) -> Sequence[tuple[str, int]]:
        database, _, name = collection.partition("/")
        try:
            page = await self._origin.revisions(database, name, after, upper, _PAGE)
        except ArangoError as error:
            if error.number in GONE:
                self._dropped.missing(collection)
                self._absent = True
                return ()
            raise
        keys = [after.encode(), *(key.encode() for key, _ in page)]
        if any(one >= other for one, other in itertools.pairwise(keys)):
            raise OutOfOrder(_ORDER)
        return page

    async def _repair(self, collection: str, keys: Sequence[str]) -> None:
        left = keys
        while left:
            try:
                repaired = await self._repairer.until_done(collection, left)
                left = sorted(repaired.left)
                self._refused |= bool(repaired.dead)
            except CannotRead:
                if await self.register(collection):
                    raise
                # dropped since it was listed: the resync of that change comes later, and no key is left here
                stored = await self._target.revisions(collection, left)
                era = await self._target.raise_era()
                left = await self._remove(collection, {key: row.rev for key, row in stored.items() if row.alive}, era)

    async def _remove(self, collection: str, keys: dict[str, int], era: int) -> list[str]:
        """Leave tombstones. Return the keys that have a newer row by now."""
        written = await self._target.absent(collection, keys, era)
        self._refused |= bool(written.dead)
        return sorted(written.reread)
