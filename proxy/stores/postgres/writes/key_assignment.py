"""The keys of a request's documents. The state of a collection's key generator is a row in PostgreSQL.

Numbers are taken before the write's own transaction: in it, inserts into one collection would wait for each other's
commits. A request that fails later leaves a gap, as in ArangoDB.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import sql
from proxy.base.database import Session
from proxy.base.errors import ArangoError
from proxy.semantics.document_writes import DocumentWriteRequest, PreparedWrite
from proxy.semantics.imports import ImportRequest, PreparedImport
from proxy.stores.postgres.writes.interruptions import CollectionChangedError, WriteFenceError
from proxy.stores.postgres.writes.properties import Properties

T = TypeVar("T")
Request = DocumentWriteRequest | ImportRequest
Prepared = PreparedWrite | PreparedImport


class SeenNumber(NamedTuple):
    """The largest number that was seen of a collection's generator. number: the collection's, as in its properties."""

    number: int
    last: int


class KeyAssignment:
    """Gives documents their keys.

    It remembers the largest number that it saw of each collection's generator. A document whose key is a smaller number
    does not touch the row. If no other proxy has taken numbers since, the next ones are taken by one statement.

    A name may have become another collection's since its properties were read: that one has another number.
    """

    def __init__(self) -> None:
        self._seen: dict[str, SeenNumber] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def prepare(
        self, session: Session, collection: str, request: Request, properties: Properties, *, edge: bool
    ) -> Prepared:
        """Return the request with a key for each document.

        Raise ArangoError, WriteFenceError, CollectionChangedError, DatabaseError.
        """
        (prepared,) = await self.prepare_all(session, collection, [request], properties, edge=edge)
        return prepared

    async def prepare_all(
        self, session: Session, collection: str, requests: Sequence[Request], properties: Properties, *, edge: bool
    ) -> list[Prepared]:
        """Return requests, each with a key for each document, by at most one statement. Raise as `prepare`."""

        def made_above(last: int) -> tuple[list[Prepared], int]:
            generator = properties.generator(last)
            return [request.prepare(generator, edge=edge) for request in requests], generator.last

        return await self._take(session, collection, properties.number, made_above)

    def seen(self, collection: str) -> SeenNumber:
        """Return the largest number that this process saw of the generator of the last collection of that name."""
        return self._seen.get(collection, SeenNumber(0, 0))

    async def reserve(
        self, session: Session, collection: str, properties: Properties, *, count: int, largest: int
    ) -> tuple[int, int]:
        """Take numbers for `count` keys, above the number `largest` of a client's key: those after the first one of
        the result up to the second one; fewer if the generator has no more.

        Raise WriteFenceError, CollectionChangedError, DatabaseError.
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

        return await self._take(session, collection, properties.number, made_above)

    async def give_back(self, session: Session, collection: str, taken: SeenNumber, last: int) -> None:
        """Give the numbers after `last` back, of which `taken` has the last one taken, if none was taken since."""
        async with self._locks[collection]:
            if await _raised(session, collection, taken, last):
                self._seen[collection] = SeenNumber(taken.number, last)

    async def _take(
        self, session: Session, collection: str, number: int, made_above: Callable[[int], tuple[T, int]]
    ) -> T:
        """Return what is made above the generator's number, which is raised to the larger one that was made."""
        seen = self._seen_of(collection, number)
        made, last = made_above(seen.last)
        if last == seen.last:  # it made no number, and saw none that is larger
            return made
        async with self._locks[collection]:  # requests of this process do not compete for the next number
            seen = self._seen_of(collection, number)
            made, last = made_above(seen.last)
            if not await _raised(session, collection, seen, last):
                made, last = await _with_state(session, collection, number, made_above)
            self._seen[collection] = SeenNumber(number, last)
        return made

    def _seen_of(self, collection: str, number: int) -> SeenNumber:
        seen = self._seen.get(collection)
        return SeenNumber(number, 0) if seen is None or seen.number != number else seen

    def forget(self, collection: str) -> None:
        """Forget a collection, which may be another one of that name."""
        self._seen.pop(collection, None)


async def _raised(session: Session, collection: str, seen: SeenNumber, last: int) -> bool:
    """Return False if the generator's number is not the one that was seen, which another one replaces."""
    row = await session.fetchrow(sql.writes.TAKE_KEYS, collection, str(seen.last), str(last), str(seen.number))
    return row is not None


async def _with_state(
    session: Session, collection: str, number: int, made_above: Callable[[int], tuple[T, int]]
) -> tuple[T, int]:
    """Return what is made above the generator's present number, which is raised, and the largest number."""
    async with session.transaction():
        state = await session.fetchrow(sql.writes.LOCK_LAST_KEY, collection)
        if state is None:
            raise WriteFenceError
        if state.number != str(number):
            raise CollectionChangedError
        seen = SeenNumber(number, int(state.last))
        prepared, last = made_above(seen.last)
        if last != seen.last:
            await _raised(session, collection, seen, last)
    return prepared, last
