"""Writes whose bodies are too large for memory: the collection and the rights are checked, then they go to the writer.

They never take the general way, whose handlers have the body in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from proxy.base.errors import ArangoError
from proxy.base.spool import SpoolSpace
from proxy.complete.catalog import ServerCatalog
from proxy.complete.catalog_cache import CatalogCache
from proxy.complete.packed_bodies import in_json
from proxy.complete.promotion_fence import PromotionFence
from proxy.complete.server_view import ServerView
from proxy.devserver.store.collection_lookup import writable
from proxy.devserver.store.state.locks import exclusive_error
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres.writes import DocumentWriter
from proxy.stores.postgres.writes.interruptions import WriteFenceError
from proxy.wire.encode import error_outcome

_ATTEMPTS: Final = 5  # of a write whose collection is renamed or dropped meanwhile


class LargeWrites:
    """Carries out arrays of documents and imports in parts. spools: where bodies wait."""

    def __init__(
        self, writer: DocumentWriter, catalogs: CatalogCache, spools: SpoolSpace, fence: PromotionFence
    ) -> None:
        self._fence = fence
        self._writer = writer
        self._catalogs = catalogs
        self._spools = spools

    async def execute(self, operation: Operation, state: Callable[[ServerCatalog], ServerView]) -> Outcome:
        """Return the answer; errors are outcomes too. state: makes that of a catalog, without documents.

        Raise FenceRefused, DatabaseError.
        """
        for _ in range(_ATTEMPTS):
            server = state(await self._catalogs.current())
            try:
                server.database(operation)
                operation = await in_json(operation, self._spools)
            except ArangoError as error:
                return error_outcome(error)
            try:
                name = writable(server, operation, operation.collection or "").name
            except ArangoError as error:
                await self._fence.after_reads(operation)
                return error_outcome(await self._writer.first_error(operation, error))
            try:
                return await self._writer.execute(msgspec.structs.replace(operation, collection=name))
            except WriteFenceError:
                await self._fence.after_refusal(operation)
        return error_outcome(exclusive_error(operation.collection or "", 0))
