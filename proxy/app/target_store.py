"""PostgreSQL as the only store: writes of documents and reads; everything else is Unsupported, by name."""

from __future__ import annotations

from proxy.base.errors import ArangoError
from proxy.model.endpoint import Effect
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres import PostgresStore
from proxy.stores.postgres.writes import DocumentWriter
from proxy.stores.postgres.writes.interruptions import WriteFenceError


class TargetStore:
    """Writes of documents by `writer`, reads by `reads`. Implements `stores.base.Store`."""

    def __init__(self, writer: DocumentWriter, reads: PostgresStore) -> None:
        self._writer = writer
        self._reads = reads

    @property
    def name(self) -> str:
        return "postgresql"

    async def execute(self, operation: Operation) -> Outcome:
        """Return the answer. Raise ArangoError, Unsupported by the endpoint's name, DatabaseError."""
        if operation.effect is not Effect.WRITE:
            return await self._reads.execute(operation)
        try:
            return await self._writer.execute(operation)
        except WriteFenceError:
            raise ArangoError(1203) from None
