"""The fence of promoted collections around requests that are not one statement, beside a store of ArangoDB.

A write tests the writer in its own transaction. If that refuses it (`WriteFenceError`), the collection may have been
dropped, or is no longer PostgreSQL's to write: `after_refusal` tells these apart. What only reads, in whatever
statements, is tested after its last one: if ArangoDB does not take the writes then, it did not when that was read.
"""

from __future__ import annotations

import sql
from proxy.base.database import Database
from proxy.base.errors import FenceRefused
from proxy.model.operations import Operation


class PromotionFence:
    """The fence of one store. Operations without one pass."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after_refusal(self, operation: Operation) -> None:
        """Return if PostgreSQL takes the writes of all collections. Raise FenceRefused, DatabaseError."""
        await self._test(operation, writes=True)

    async def after_reads(self, operation: Operation) -> None:
        """Return if ArangoDB takes the writes of no collection. Raise FenceRefused, DatabaseError."""
        await self._test(operation, writes=False)

    async def _test(self, operation: Operation, *, writes: bool) -> None:
        fence = operation.fence
        if fence is None or not fence.collections:
            return
        row = await self._database.fetchrow(sql.complete.FENCE, list(fence.collections))
        if row is None or not (row.writes if writes else row.reads):
            raise FenceRefused("PostgreSQL does not take the writes of a collection")
