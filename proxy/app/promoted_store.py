"""PostgreSQL as the server of promoted collections, in a proxy whose other collections are ArangoDB's.

It starts with the first request that needs it: a proxy without promoted collections has none of its connections and
tasks. What the mirror does for every collection (tombstones, failovers) it does for promoted ones too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import structlog

import sql
from proxy.app.connections import open_complete_pools
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.spool import SpoolSpace
from proxy.base.token_secret import token_secret
from proxy.complete import CompleteStore, TransactionLimits
from proxy.complete.counts import CountFolding
from proxy.complete.expiry import Expiry
from proxy.complete.query_indexes import QueryIndexes

log = structlog.get_logger(__name__)


class LazyPromotedStore:
    """Implements `gateway.promoted_requests.PromotedStore`. Close it."""

    def __init__(self, settings: Settings, spools: SpoolSpace, database: Database) -> None:
        """database: for what is asked without the store."""
        self._database = database
        self._settings = settings
        self._spools = spools
        self._stack = contextlib.AsyncExitStack()
        self._store: CompleteStore | None = None
        self._whole: CompleteStore | None = None
        self._pool: Database | None = None  # of both
        self._adopted = -1  # the generation up to which its catalog has what was promoted
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        """Close the store, if it was started, and its connections."""
        async with self._turn:
            self._store = self._whole = None
            await self._stack.aclose()

    async def at(self, generation: int) -> CompleteStore:
        """Return the store, which knows what was promoted up to that generation. Raise DatabaseError."""
        if self._store is not None and self._adopted >= generation:
            return self._store
        async with self._turn:
            store = self._store or await self._started()
            if self._adopted < generation:
                await store.adopt()
                self._adopted = generation
            return store

    async def whole(self) -> CompleteStore:
        """Return PostgreSQL as the whole server, once every collection is complete. Raise DatabaseError.

        It has ids of its own, so that what the other store began is continued there.
        """
        if self._whole is not None:
            return self._whole
        async with self._turn:
            if self._whole is None:
                if self._store is None:
                    await self._started()
                assert self._pool is not None
                store = self._made(self._pool, embedded=False)
                self._stack.push_async_callback(store.close)
                await store.start()
                self._whole = store
                log.info("complete_store_started")
            return self._whole

    async def rights_taken(self, collections: Sequence[str]) -> bool:
        """Return True if ArangoDB's users do not have back what a promotion took. Raise DatabaseError."""
        return bool(await self._database.fetchval(sql.promotion.RIGHTS_MISSING, list(collections)))

    async def named(self, database: str, number: str, generation: int) -> str | None:
        """Return the name of a promoted collection with that number; None if there is none. Raise DatabaseError."""
        return await (await self.at(generation)).named(database, number)

    async def _started(self) -> CompleteStore:
        async with contextlib.AsyncExitStack() as stack:
            pools = await open_complete_pools(stack, self._settings)
            store = self._made(pools.store, embedded=True)
            stack.push_async_callback(store.close)
            await store.start()
            for upkeep in (Expiry(pools.shared), CountFolding(pools.shared), QueryIndexes(pools.maintenance)):
                upkeep.start()
                stack.push_async_callback(upkeep.close)
            self._stack = stack.pop_all()
        self._store, self._pool = store, pools.store
        log.info("promoted_store_started")
        return store

    def _made(self, pool: Database, *, embedded: bool) -> CompleteStore:
        settings = self._settings
        return CompleteStore(
            pool,
            root_password=settings.root_password.get_secret_value() if settings.authentication else None,
            secret=token_secret(settings),
            transactions=TransactionLimits(settings.stream_transactions, total=settings.stream_transaction_seconds),
            spools=self._spools,
            embedded=embedded,
        )
