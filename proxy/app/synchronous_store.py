"""Answers to writes of promoted collections that wait until ArangoDB has the write: `CROSSFADE_REVERSE=sync`.

Nothing that was acknowledged is lost then if ArangoDB has to take over without PostgreSQL, except documents that
ArangoDB refuses. While ArangoDB is away, writes get 503 after some seconds: PostgreSQL has them, and ArangoDB gets them
later.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

from proxy.app.promoted_store import LazyPromotedStore
from proxy.base.errors import ArangoError
from proxy.base.spool import SpooledAnswer
from proxy.base.waits import timed_wait
from proxy.model.operations import Operation, Outcome
from proxy.reverse import ReverseBacklog, ReverseMirror
from proxy.stores.base import Store
from proxy.wire.encode import error_outcome

LONGEST_WAIT: Final = 10.0  # seconds
_IN_TRANSACTION: Final = "x-arango-trx-id"  # its writes are not committed yet


class SynchronousPromotedStore:
    """Implements `gateway.promoted_requests.PromotedStore` around another one."""

    def __init__(self, promoted: LazyPromotedStore, backlog: ReverseBacklog, mirror: ReverseMirror) -> None:
        self._promoted = promoted
        self._backlog = backlog
        self._mirror = mirror

    async def at(self, generation: int) -> Store:
        """Return the store at a generation. Raise DatabaseError."""
        return SynchronousStore(await self._promoted.at(generation), self._backlog, self._mirror)

    async def whole(self) -> Store:
        """Return PostgreSQL as the whole server: then ArangoDB gets nothing that could be waited for."""
        return await self._promoted.whole()

    async def rights_taken(self, collections: Sequence[str]) -> bool:
        """Return True if ArangoDB's users do not have back what a promotion took. Raise DatabaseError."""
        return await self._promoted.rights_taken(collections)

    async def named(self, database: str, number: str, generation: int) -> str | None:
        """Return the name of a promoted collection with that number; None if there is none. Raise DatabaseError."""
        return await self._promoted.named(database, number, generation)


class SynchronousStore:
    """A store of promoted collections. seconds: the longest wait."""

    def __init__(
        self, store: Store, backlog: ReverseBacklog, mirror: ReverseMirror, *, seconds: float = LONGEST_WAIT
    ) -> None:
        self._store = store
        self._backlog = backlog
        self._mirror = mirror
        self._seconds = seconds

    @property
    def name(self) -> str:
        return self._store.name

    async def execute(self, operation: Operation) -> Outcome:
        """Return the store's answer when ArangoDB has what it says was written."""
        outcome = await self._store.execute(operation)
        if outcome.status >= 400 or not _may_write(operation) or await self._carried():
            return outcome
        if isinstance(outcome.stream, SpooledAnswer | AsyncGenerator):
            await outcome.stream.aclose()
        text = "PostgreSQL has what was written, and ArangoDB does not have it yet (CROSSFADE_REVERSE=sync)"
        return error_outcome(ArangoError(503, text, status=503))

    @timed_wait("reverse")
    async def _carried(self) -> bool:
        self._mirror.wake()
        return await self._backlog.carried(self._seconds)


def _may_write(operation: Operation) -> bool:
    """Return True if the answer may state that something was committed."""
    reads = operation.fence is not None and operation.fence.only_reads
    return not reads and operation.method not in ("GET", "HEAD") and _IN_TRANSACTION not in operation.headers
