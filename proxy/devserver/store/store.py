"""MemoryStore: every endpoint's handler, by name. `wire` over it is the development ArangoDB server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec

from proxy.base.errors import ArangoError, Unsupported
from proxy.devserver.store import (
    access,
    admin,
    analyzers,
    collections,
    cursors,
    databases,
    documents,
    expiry,
    explain,
    graph_documents,
    graphs,
    imports,
    jobs,
    replication,
    simple,
    tracking,
    transactions,
    unbuilt,
    users,
    wal,
)
from proxy.devserver.store.server import Handler, Server
from proxy.devserver.store.sleeping import PausedError, Running
from proxy.devserver.store.writes import ConflictError, LockedError
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import Clock
from proxy.wire.encode import error_outcome
from proxy.wire.endpoints import METHODS, knows_path
from proxy.wire.velocypack import to_json

_LOOK: Final = 1.0  # seconds: a transaction that nobody uses lets go of its locks without a word
_HANDLERS: Final[dict[str, Handler]] = {
    **documents.HANDLERS,
    **cursors.HANDLERS,
    **explain.HANDLERS,
    **tracking.HANDLERS,
    **unbuilt.HANDLERS,
    **analyzers.HANDLERS,
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
    **users.HANDLERS,
}


_DIRTY_READS: Final = frozenset({"document.read", "document.head", "document.read_many", "cursor.create"})
_DIRTY: Final = ((b"x-arango-potential-dirty-read", b"true"),)


class MemoryStore:
    """An ArangoDB server in memory, behind the Store protocol. One event loop; each operation is atomic.

    clock: where revisions come from. now: seconds since the epoch. lock_wait: seconds that a request waits for what a
    running transaction holds; None is what ArangoDB does (a second for a key, lockTimeout for a collection).
    """

    def __init__(
        self, clock: Clock | None = None, now: Callable[[], float] = time.time, *, lock_wait: float | None = None
    ) -> None:
        self.server = Server(clock, now)
        self._lock_wait = lock_wait
        self._jobs: set[asyncio.Task[Outcome]] = set()

    @property
    def name(self) -> str:
        return "memory"

    async def execute(self, operation: Operation) -> Outcome:
        """Never raises ArangoError: errors are outcomes. Waits for locks, and while a query sleeps.

        What asks for it by `x-arango-async` is answered at once, and goes on as a job.
        """
        wish = operation.headers.get("x-arango-async") if operation.headers else None
        if wish not in ("true", "store"):
            return await self._carried_out(operation)
        refused = self._refused(operation)
        if refused is not None:
            return refused
        headers = {name: value for name, value in operation.headers.items() if name != "x-arango-async"}
        work = self._carried_out(msgspec.structs.replace(operation, headers=headers))
        job = asyncio.get_running_loop().create_task(work, name="job")
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        await asyncio.sleep(0)  # what need not wait has an end now
        return jobs.accepted(self.server, operation, job, store=wish == "store")

    async def close(self) -> None:
        """Ends the jobs that are under way."""
        for job in (under_way := list(self._jobs)):
            job.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _carried_out(self, operation: Operation) -> Outcome:
        running: Running | None = None
        try:
            while True:
                try:
                    return await self._unlocked(operation, running)
                except PausedError as paused:
                    running = paused.running
                    self.server.running[running.id] = running
                    await running.rest()
        finally:
            if running is not None:
                del self.server.running[running.id]

    async def _unlocked(self, operation: Operation, running: Running | None) -> Outcome:
        """Waits for locks. Raises PausedError where a query sleeps."""
        try:
            return self._try(operation, running)
        except LockedError as error:
            seconds = error.seconds if self._lock_wait is None else self._lock_wait
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await self.server.unlocked(min(left, _LOOK))
            transactions.expire(self.server)
            try:
                return self._try(operation, running)
            except LockedError:
                continue
        return self.run(operation, running)

    def _try(self, operation: Operation, running: Running | None) -> Outcome:
        """As `run`, but what a lock forbids raises LockedError and has done nothing."""
        self.server.patient = True
        try:
            return self.run(operation, running)
        finally:
            self.server.patient = False

    def expire(self) -> int:
        """Removes the documents that TTL indexes say are over; returns how many."""
        return expiry.sweep(self.server)

    def run(self, operation: Operation, running: Running | None = None) -> Outcome:
        """As `execute`, without a loop: nothing waits.

        Raises PausedError where a query sleeps; `running` is one that has slept before.
        """
        self.server.resumed = running
        return self._refused(operation) or self._answer(operation)

    def _refused(self, operation: Operation) -> Outcome | None:
        """The answer to a request that its user may not make; None where it may."""
        if not self.server.accounts.limited:
            return None
        try:
            access.check(self.server, operation)
        except access.Unauthorized as error:
            return error_outcome(error, access.CHALLENGES)
        except ArangoError as error:
            return error_outcome(error)
        return None

    def _answer(self, operation: Operation) -> Outcome:
        handler = _HANDLERS.get(operation.endpoint)
        self.server.calls.append((self.server.now(), operation.method, operation.database, operation.path))
        try:
            if handler is None:
                return self._unhandled(operation)
            self.server.database(operation)  # of an unknown one there is not even a version
            if operation.headers and "velocypack" in operation.headers.get("content-type", ""):
                operation = msgspec.structs.replace(operation, body=to_json(operation.body) if operation.body else b"")
            return _dirty(operation, handler(self.server, operation))
        except ConflictError as error:
            if self.server.patient and isinstance(error, LockedError):
                raise
            if operation.key is not None and operation.endpoint.startswith("document."):
                return documents.conflict_outcome(operation.collection or "", error)
            return error_outcome(error)
        except ArangoError as error:
            return error_outcome(error)

    def _unhandled(self, operation: Operation) -> Outcome:
        self.server.database(operation)
        if operation.endpoint == "unknown":
            known = "/".join(operation.path[:2])
            if operation.method == "OPTIONS":
                return Outcome(200, b"", ((b"allow", METHODS),), b"text/plain")
            if known == "_api/document":
                raise documents.misplaced(operation)
            if known == "_api/cursor":
                raise cursors.misplaced(operation)
            if known == "_api/import":
                raise ArangoError(601, "superfluous suffix, expecting /_api/import?collection=<identifier>")
            if knows_path(operation.path):
                raise ArangoError(405)
            raise ArangoError(404, f"unknown path '/{'/'.join(operation.path)}'")
        raise Unsupported(operation.endpoint)


def _dirty(operation: Operation, outcome: Outcome) -> Outcome:
    """The answer to a read that allows dirty reads says that it may be one, on a single server too."""
    if operation.endpoint not in _DIRTY_READS or not documents.flag(operation.headers, "x-arango-allow-dirty-read"):
        return outcome
    return msgspec.structs.replace(outcome, headers=(*outcome.headers, *_DIRTY))
