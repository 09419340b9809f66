"""Repair of named documents from the command line: the key repair of the mirror, beside running proxies."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, PreconditionFailed
from proxy.operator.origin_connection import origin_store
from proxy.replication.collection_resync import CollectionResync
from proxy.replication.dropped_collections import DroppedCollections
from proxy.replication.key_repair import CannotRead, KeyRepairer
from proxy.replication.target_writer import TargetWriter

_NO_DATABASE: Final = 1228


@contextlib.asynccontextmanager
async def _parts(settings: Settings, database: Database) -> AsyncIterator[tuple[KeyRepairer, CollectionResync]]:
    """Yield the two repairers, for what is named here and for no proxy's intents."""
    async with origin_store(settings) as origin:
        target = TargetWriter(database)
        repairer = KeyRepairer(target, origin)
        yield repairer, CollectionResync(database, target, origin, repairer, DroppedCollections())


async def repair_documents(
    settings: Settings, database: Database, collection: str, keys: Sequence[str]
) -> frozenset[str]:
    """Make PostgreSQL equal to ArangoDB at these keys (I5); return those that changed at every read, or were refused.

    Raise UpstreamError or ArangoError if ArangoDB cannot be read now, PreconditionFailed if it refuses for good,
    DatabaseError.
    """
    if not keys:
        return frozenset()
    try:
        async with _parts(settings, database) as (repairer, _):
            repaired = await repairer.until_done(collection, keys)
    except CannotRead as error:
        raise PreconditionFailed(f"ArangoDB refuses to return documents of {collection}: {error}") from error
    return repaired.left | repaired.dead


async def has_collection(settings: Settings, collection: str) -> bool:
    """Return True if ArangoDB has it. Raise UpstreamError or ArangoError if it cannot be asked."""
    database, _, name = collection.partition("/")
    async with OriginClient(settings.origin_url, *settings.origin_account) as client:
        try:
            return name in {one.name for one in await client.collections(database)}
        except ArangoError as error:
            if error.number != _NO_DATABASE:
                raise
            return False


async def repair_dropped(settings: Settings, database: Database, collection: str) -> None:
    """Remove a collection that ArangoDB no longer has from PostgreSQL and from what operators see.

    Raise as `repair_documents`.
    """
    async with _parts(settings, database) as (_, resync):
        await resync.resync(collection)
