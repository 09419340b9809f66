"""The keys of a request's documents. The state of a collection's key generator is a row in PostgreSQL.

The row is locked for a short transaction before the write's own: else inserts into one collection would wait for each
other's commits. A request that fails later leaves a gap, as in ArangoDB.
"""

from __future__ import annotations

from collections.abc import Callable

import sql
from proxy.base.database import Session
from proxy.semantics.document_writes import DocumentWriteRequest, PreparedWrite
from proxy.semantics.imports import ImportRequest, PreparedImport
from proxy.semantics.key_generator import KeyGenerator
from proxy.stores.postgres.writes.interruptions import WriteFenceError
from proxy.stores.postgres.writes.properties import Properties

Request = DocumentWriteRequest | ImportRequest
Prepared = PreparedWrite | PreparedImport


class KeyAssignment:
    """Gives documents their keys. It remembers a number that the generator of each collection has passed.

    So a document whose key is a number below it does not touch the row.
    """

    def __init__(self) -> None:
        self._passed: dict[str, int] = {}

    async def prepare(
        self, session: Session, collection: str, request: Request, properties: Properties, *, edge: bool
    ) -> Prepared:
        """Return the request with a key for each document. Raise ArangoError, WriteFenceError, DatabaseError."""

        def with_generator(generator: KeyGenerator) -> Prepared:
            return request.prepare(generator, edge=edge)

        passed = self._passed.get(collection, 0)
        generator = properties.generator(passed)
        prepared = with_generator(generator)
        if generator.last == passed:  # it made no number, and saw none that is larger
            return prepared
        prepared, last = await _with_state(session, collection, properties, with_generator)
        self._passed[collection] = last
        return prepared

    def forget(self, collection: str) -> None:
        """Forget a collection, which may be another one of that name."""
        self._passed.pop(collection, None)


async def _with_state(
    session: Session, collection: str, properties: Properties, make: Callable[[KeyGenerator], Prepared]
) -> tuple[Prepared, int]:
    """Return what `make` makes with the generator in its present state, which it changes, and its largest number."""
    async with session.transaction():
        row = await session.fetchrow(sql.writes.LAST_KEY, collection)
        if row is None:
            raise WriteFenceError
        before = int(row.last)
        generator = properties.generator(before)
        prepared = make(generator)
        if generator.last != before:
            await session.execute(sql.writes.SET_LAST_KEY, collection, str(generator.last))
    return prepared, generator.last
