"""The handover of a group of collections in one promotion: prepared while writes go on, compared while they are held.

What takes long is done before: reading every key, looking for documents that violate unique indexes, counting. Under
the hold ArangoDB shows its definitions again, with the newest revision and the generators' last values. The transaction
that lets PostgreSQL take the writes adopts the collections into the catalog too, so that every proxy that sees the one
sees the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import sql
from proxy.base.arango_client import OriginClient
from proxy.base.database import Database, Session
from proxy.base.errors import ArangoError, DatabaseUnavailable, PreconditionFailed
from proxy.base.sqlstates import is_a_conflict
from proxy.base.together import together
from proxy.carryover.collection_handover import Handover, TargetCollectionState, plan_handover
from proxy.carryover.collection_taking import (
    find_duplicates,
    read_origin_state,
    read_target_state,
    take_writes_together,
)
from proxy.complete.catalog_cache import CatalogCache
from proxy.model import json_reader
from proxy.semantics.unique_index import uniques_of
from proxy.stores.postgres import unique_indexes
from proxy.stores.postgres.unique_indexes import NewIndex
from sql.statements.complete import UnlistedRow

SMALL: Final = 5_000  # documents whose entries of unique indexes are made in no time while writes are held
_ATTEMPTS: Final = 10  # to count, while other processes put changes of counts together
_ESTIMATES: Final = frozenset({"selectivityEstimate"})  # of an index: follows the documents


class GroupHandover:
    """Implements `control.promotion.handing.CollectionHandover`. collections: `database/name`.

    long_pause: writes may wait until the unique indexes of large collections are made; else these are refused.
    """

    def __init__(
        self,
        database: Database,
        origin: OriginClient,
        catalogs: CatalogCache,
        collections: Sequence[str],
        *,
        long_pause: bool = False,
    ) -> None:
        self._long_pause = long_pause
        self._database = database
        self._origin = origin
        self._catalogs = catalogs
        self._collections = sorted(collections)
        self._targets: dict[str, TargetCollectionState] = {}
        self._plans: dict[str, Handover] = {}

    async def prepare(self) -> None:
        """See the Protocol. Documents that violate a unique index refuse the collection too."""
        refused: list[str] = []
        for collection in self._collections:
            async with self._database.session() as session:
                self._targets[collection] = await read_target_state(session, collection)
                plan = await self._plan(collection)
                refused += [f"{collection}: {why}" for why in (*plan.refused, *plan.one_way)]
                refused += [f"{collection}: {why}" for why in await find_duplicates(session, plan)]
            self._plans[collection] = plan
        if refused:
            raise PreconditionFailed("; ".join(refused))
        for collection in self._collections:
            await self._count(collection)
        if not self._long_pause:
            await self._refuse_large()
        await self._catalogs.prepare_adoption([self._coming(plan) for plan in self._plans.values()])

    async def compare(self) -> None:
        """See the Protocol."""
        read = await together([self._plan(name) for name in self._collections])
        plans = {plan.collection: plan for plan in read}
        changed = [name for name, plan in plans.items() if defined(plan) != defined(self._plans[name])]
        if changed:
            raise PreconditionFailed(
                f"properties or indexes of {', '.join(changed)} were changed in ArangoDB meanwhile: try again"
            )
        self._plans = plans

    async def take(self, session: Session, floor: int) -> None:
        """See the Protocol."""
        plans = [replace(plan, revision=max(plan.revision, floor)) for plan in self._plans.values()]
        for plan in plans:  # before rows are locked that statements of these tables wait for
            await self._hold_values(session, plan)
        await take_writes_together(session, plans)
        await self._catalogs.adopt_in(session, self._collections)

    async def _plan(self, collection: str) -> Handover:
        state = await read_origin_state(self._origin, collection)
        return plan_handover(collection, state, self._targets[collection])

    async def _refuse_large(self) -> None:
        """Raise PreconditionFailed if the unique indexes of a collection would take long to make."""
        large: list[str] = []
        for plan in self._plans.values():
            entry = await self._database.fetchrow(sql.collections.FIND, plan.collection)
            if entry is not None and uniques_of(plan.indexes):
                documents = await self._database.fetchval(sql.complete.COUNT, entry.relation)
                large += [f"{plan.collection} ({documents:,} documents)"] if documents > SMALL else []
        if large:
            raise PreconditionFailed(
                f"writes of {', '.join(large)} would wait until unique indexes are built, seconds for each million "
                "documents: pass --long-pause, with CROSSFADE_FLIP_HOLD_TIMEOUT of the proxies above that"
            )

    async def _hold_values(self, session: Session, plan: Handover) -> None:
        """Enforce the unique indexes from the commit on.

        Raise PreconditionFailed if documents violate one; DatabaseError.
        """
        entry = await session.fetchrow(sql.collections.FIND, plan.collection)
        if entry is None:
            return
        for index in uniques_of(plan.indexes):
            await unique_indexes.drop(session, index.id)  # what a build has left
            try:
                await unique_indexes.create(session, NewIndex(entry.relation, index))
            except ArangoError as error:
                raise PreconditionFailed(f"{plan.collection}: unique index {index.name}: {error.message}") from error

    async def _count(self, collection: str) -> None:
        """Count the documents from now on; what is written meanwhile counts too."""
        entry = await self._database.fetchrow(sql.collections.FIND, collection)
        if entry is None:
            raise PreconditionFailed(f"{collection} is not mirrored")
        await self._database.fetchval(sql.promotion.COUNT_CHANGES, entry.relation)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._database.session() as session, session.transaction(isolation="repeatable_read"):
                    await session.execute(sql.promotion.RECOUNT.on(entry.relation), entry.relation)
                return
            except DatabaseUnavailable as error:
                if not is_a_conflict(error.sqlstate) or attempt == _ATTEMPTS:
                    raise

    def _coming(self, plan: Handover) -> UnlistedRow:
        database, _, name = plan.collection.partition("/")
        return UnlistedRow(database, name, self._targets[plan.collection].edge, plan.properties.decode())


def defined(plan: Handover) -> Mapping[str, Any]:
    """Return what a collection takes with it, without what follows its documents. Pure."""
    properties = json_reader.load(plan.properties)
    indexes = [
        {name: value for name, value in index.items() if name not in _ESTIMATES} for index in properties["indexes"]
    ]
    return {**properties, "indexes": indexes}
