"""The keys of a request's documents. The state of a collection's key generator is a row in PostgreSQL.

Numbers are taken before the write's own transaction: in it, inserts into one collection would wait for each other's
commits. A request that fails later leaves a gap, as in ArangoDB.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import sql
from proxy.base.database import Session
from proxy.base.errors import ArangoError
from proxy.semantics.document_writes import DocumentWriteRequest, PreparedWrite
from proxy.semantics.imports import ImportRequest, PreparedImport
from proxy.stores.postgres.writes.interruptions import WriteFenceError
from proxy.stores.postgres.writes.properties import Properties

T = TypeVar("T")
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
        (prepared,) = await self.prepare_all(session, collection, [request], properties, edge=edge)
        return prepared

    async def prepare_all(
        self, session: Session, collection: str, requests: Sequence[Request], properties: Properties, *, edge: bool
    ) -> list[Prepared]:
        """Return requests, each with a key for each document, by at most one statement. Raise as `prepare`."""

        def made_above(last: int) -> tuple[list[Prepared], int]:
            generator = properties.generator(last)
            return [request.prepare(generator, edge=edge) for request in requests], generator.last

        return await self._take(session, collection, made_above)

    def seen(self, collection: str) -> int:
        """Return the largest number that this process saw of a collection's generator."""
        return self._seen.get(collection, 0)

    async def reserve(
        self, session: Session, collection: str, properties: Properties, *, count: int, largest: int
    ) -> tuple[int, int]:
        """Take numbers for `count` keys, above the number `largest` of a client's key: those after the first one of
        the result up to the second one; fewer if the generator has no more. Raise WriteFenceError, DatabaseError.
        """

        def made_above(last: int) -> tuple[tuple[int, int], int]:
            generator = properties.generator(max(last, largest))
            start = generator.last
            if count and generator.kind != "autoincrement":
                start = max(start, properties.number - 1)
            with contextlib.suppress(ArangoError):
                for _ in range(count):
                    generator.make()
            return (start, generator.last), generator.last

        return await self._take(session, collection, made_above)

    async def give_back(self, session: Session, collection: str, *, end: int, last: int) -> None:
        """Give the numbers after `last` back, of which `end` was the last one taken, if none was taken since."""
        async with self._locks[collection]:
            if await session.fetchrow(sql.writes.TAKE_KEYS, collection, str(end), str(last)):
                self._seen[collection] = last

    async def _take(self, session: Session, collection: str, made_above: Callable[[int], tuple[T, int]]) -> T:
        """Return what is made above the generator's number, which is raised to the larger one that was made."""
        seen = self._seen.get(collection, 0)
        made, last = made_above(seen)
        if last == seen:  # it made no number, and saw none that is larger
            return made
        async with self._locks[collection]:  # requests of this process do not compete for the next number
            seen = self._seen.get(collection, 0)
            made, last = made_above(seen)
            if not await session.fetchrow(sql.writes.TAKE_KEYS, collection, str(seen), str(last)):
                made, last = await _with_state(session, collection, made_above)
            self._seen[collection] = last
        return made

    def forget(self, collection: str) -> None:
        """Forget a collection, which may be another one of that name."""
        self._seen.pop(collection, None)


async def _with_state(session: Session, collection: str, made_above: Callable[[int], tuple[T, int]]) -> tuple[T, int]:
    """Return what is made above the generator's present number, which is raised, and the largest number."""
    async with session.transaction():
        text = await session.fetchrow(sql.writes.LOCK_LAST_KEY, collection)
        if text is None:
            raise WriteFenceError
        prepared, last = made_above(int(text))
        if last != int(text):
            await session.fetchrow(sql.writes.TAKE_KEYS, collection, text, str(last))
    return prepared, last
