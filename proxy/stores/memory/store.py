"""MemoryStore: every endpoint's handler, by name. `wire` over it is the development ArangoDB server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from proxy.errors import ArangoError, Unsupported
from proxy.operations import Operation, Outcome
from proxy.revision import Clock
from proxy.stores.memory import (
    admin,
    collections,
    cursors,
    databases,
    documents,
    explain,
    graph_documents,
    graphs,
    imports,
    jobs,
    replication,
    simple,
    transactions,
    wal,
)
from proxy.stores.memory.server import Handler, Server
from proxy.stores.memory.writes import ConflictError
from proxy.wire.encode import error_outcome

_HANDLERS: Final[dict[str, Handler]] = {
    **documents.HANDLERS,
    **cursors.HANDLERS,
    **explain.HANDLERS,
    **collections.HANDLERS,
    **databases.HANDLERS,
    **transactions.HANDLERS,
    **imports.HANDLERS,
    **graphs.DEFINITIONS,
    **graph_documents.HANDLERS,
    **simple.HANDLERS,
    **jobs.HANDLERS,
    **wal.HANDLERS,
    **replication.HANDLERS,
    **admin.HANDLERS,
}


class MemoryStore:
    """An ArangoDB server in memory, behind the Store protocol. One event loop; each operation is atomic.

    clock: where revisions come from. now: seconds since the epoch.
    """

    def __init__(self, clock: Clock | None = None, now: Callable[[], float] = time.time) -> None:
        self.server = Server(clock, now)

    @property
    def name(self) -> str:
        return "memory"

    async def execute(self, operation: Operation) -> Outcome:
        """Never raises ArangoError: errors are outcomes."""
        return self.run(operation)

    def run(self, operation: Operation) -> Outcome:
        """As `execute`, without a loop."""
        if operation.headers:
            wish = operation.headers.get("x-arango-async", "")
            if wish in ("true", "store"):
                return jobs.accepted(self.server, self._answer(operation), store=wish == "store")
        return self._answer(operation)

    def _answer(self, operation: Operation) -> Outcome:
        handler = _HANDLERS.get(operation.endpoint)
        try:
            if handler is None:
                return self._unhandled(operation)
            if operation.headers and "velocypack" in operation.headers.get("content-type", ""):
                raise Unsupported("VelocyPack bodies")
            return handler(self.server, operation)
        except ConflictError as error:
            if operation.key is not None and operation.endpoint.startswith("document."):
                return documents.conflict_outcome(operation.collection or "", error)
            return error_outcome(error)
        except ArangoError as error:
            return error_outcome(error)

    def _unhandled(self, operation: Operation) -> Outcome:
        self.server.database(operation)
        if operation.endpoint == "unknown":
            known = "/".join(operation.path[:2])
            if known.startswith("_api/document"):
                raise ArangoError(400, "bad parameter", status=400)
            raise ArangoError(404, f"unknown path '/{'/'.join(operation.path)}'")
        raise Unsupported(operation.endpoint)
