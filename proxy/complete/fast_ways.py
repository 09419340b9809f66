"""Operations that need no view: writes of documents, and reads, each with as few statements as possible.

They know the catalog of the last request only; what they do not find is left to the general way, which reads it again.
"""

from __future__ import annotations

from typing import Final

from proxy.base.database import Database
from proxy.base.errors import ArangoError, Unsupported
from proxy.complete.catalog import ServerCatalog
from proxy.devserver.store import access
from proxy.devserver.store.commands import with_json
from proxy.devserver.store.state.server import ServerState
from proxy.model.endpoint import Capture, Read
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres import PostgresStore
from proxy.stores.postgres.writes import DocumentWriter
from proxy.stores.postgres.writes.interruptions import WriteFenceError
from proxy.wire.encode import error_outcome

_WRITES: Final = (Capture.DOCUMENT, Capture.IMPORT)
_READS: Final = (Read.DOCUMENT, Read.HEAD, Read.MANY)


class FastWays:
    """Document writes and reads beside the general way."""

    def __init__(self, database: Database, lock_wait: float) -> None:
        self._writer = DocumentWriter(database, lock_wait=lock_wait)
        self._reader = PostgresStore(database)

    async def close(self) -> None:
        """Close the cursors."""
        await self._reader.close()

    async def execute(self, operation: Operation, catalog: ServerCatalog, server: ServerState) -> Outcome | None:
        """Return the answer; None if the general way must find it. server: who may do what.

        Raise DatabaseError.
        """
        endpoint = operation.endpoint
        if operation.database not in catalog.databases:
            return None
        write = endpoint.capture in _WRITES
        if not write and endpoint.read not in _READS:
            return None
        if "x-arango-trx-id" in operation.headers:
            return error_outcome(Unsupported("stream transactions on PostgreSQL"))
        try:
            if server.accounts.limited and operation.collection:
                access.collection(server, operation, operation.collection, write=write)
            if write:
                return await self._writer.execute(operation)
            return await self._reader.execute(with_json(operation))
        except WriteFenceError:
            return None
        except ArangoError as error:
            return None if error.number == 1203 else error_outcome(error)
