"""The keys of a request's documents. The state of a collection's key generator is a row in PostgreSQL.

Numbers are taken before the write's own transaction: in it, inserts into one collection would wait for each other's
commits. A request that fails later leaves a gap, as in ArangoDB.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

import sql
from proxy.base.database import Session
from proxy.semantics.document_writes import DocumentWriteRequest, PreparedWrite
from proxy.semantics.imports import ImportRequest, PreparedImport
from proxy.stores.postgres.writes.interruptions import WriteFenceError
from proxy.stores.postgres.writes.properties import Properties

Request = DocumentWriteRequest | ImportRequest
Prepared = PreparedWrite | PreparedImport


class KeyAssignment:
    """Gives documents their keys.

    It remembers the largest number that it saw of each collection's generator. A document whose key is a smaller number
    does not touch the row. If no other proxy has taken numbers since, the next ones are taken by one statement.
    """

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def prepare(
        self, session: Session, collection: str, request: Request, properties: Properties, *, edge: bool
    ) -> Prepared:
        """Return the request with a key for each document. Raise ArangoError, WriteFenceError, DatabaseError."""

        def made_above(last: int) -> tuple[Prepared, int]:
            generator = properties.generator(last)
            return request.prepare(generator, edge=edge), generator.last

        seen = self._seen.get(collection, 0)
        prepared, last = made_above(seen)
        if last == seen:  # it made no number, and saw none that is larger
            return prepared
        async with self._locks[collection]:  # requests of this process do not compete for the next number
            seen = self._seen.get(collection, 0)
            prepared, last = made_above(seen)
            if not await session.fetchrow(sql.writes.TAKE_KEYS, collection, str(seen), str(last)):
                prepared, last = await _with_state(session, collection, made_above)
            self._seen[collection] = last
        return prepared

    def forget(self, collection: str) -> None:
        """Forget a collection, which may be another one of that name."""
        self._seen.pop(collection, None)


async def _with_state(
    session: Session, collection: str, made_above: Callable[[int], tuple[Prepared, int]]
) -> tuple[Prepared, int]:
    """Return what is made above the generator's present number, which is raised, and the largest number."""
    async with session.transaction():
        text = await session.fetchrow(sql.writes.LOCK_LAST_KEY, collection)
        if text is None:
            raise WriteFenceError
        prepared, last = made_above(int(text))
        if last != int(text):
            await session.fetchrow(sql.writes.TAKE_KEYS, collection, text, str(last))
    return prepared, last
