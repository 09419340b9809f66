"""One run of the evaluator over what is known of the collections, and what it missed.

A fetch is read when the run asks for it, except in a collection that the run has written: there it is the search of an
UPSERT, one for each of its rows, so that these are collected (as fetches that found nothing) and read together.

A run that writes more than memory should hold is *direct*: what it misses is read immediately, since it cannot be
repeated once its first writes were sent. The evaluator announces what its next writes need, so that little is missed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from proxy.aql.requests import Action, DocumentPage, Expect, Fetch, NextPage, Result, Write
from proxy.base.errors import ArangoError, Unsupported
from proxy.model.documents import valid_key
from proxy.semantics import query_writes
from proxy.semantics.query_writes import Versions
from proxy.semantics.write_rules import WriteResult
from proxy.stores.postgres.fetching import Budget
from proxy.stores.postgres.modifications.flushes import Flushes
from proxy.stores.postgres.modifications.known_documents import KNOWN
from proxy.stores.postgres.modifications.query_collection import QueryCollection
from proxy.stores.postgres.writes.interruptions import NotLoadedError

Steps: TypeAlias = Generator[Action, Any, Result]
Document = dict[str, Any]
_PAUSE: Final = 100  # steps after which other tasks of the process have their turn
_FEWEST, _MOST = 64, 4096  # revisions that are drawn together
_LOOKUPS: Final = 50  # of values in unique indexes for one write


@dataclass(slots=True)
class MissedParts:
    """What a run needed and did not have, by collection."""

    keys: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    fetches: defaultdict[str, list[Fetch]] = field(default_factory=lambda: defaultdict(list))

    def __bool__(self) -> bool:
        return bool(self.keys or self.fetches)


class Revisions:
    """New revisions of one collection, drawn in growing portions. Each run begins with the first one again."""

    def __init__(self, draw: Callable[[int], Awaitable[list[int]]], first: Iterable[int] = ()) -> None:
        self._draw = draw
        self._drawn = sorted(first)
        self.used = 0

    def __iter__(self) -> Revisions:
        return self

    def __next__(self) -> int:
        self.used += 1
        return self._drawn[self.used - 1]

    @property
    def exhausted(self) -> bool:
        return self.used == len(self._drawn)

    def rewind(self) -> None:
        """Let another run use them."""
        self.used = 0

    async def refill(self) -> None:
        """Draw more. Raise DatabaseError."""
        self._drawn.extend(sorted(await self._draw(max(_FEWEST, min(2 * len(self._drawn), _MOST)))))


class RunAgain(Exception):
    """The run has missed something, and cannot become direct: it must be repeated, as a direct one."""


class RunStore(Protocol):
    """The part of an attempt that a run needs."""

    async def read(self, fetch: Fetch) -> list[Document] | DocumentPage | int: ...

    async def next_page(self, action: NextPage) -> list[Document] | DocumentPage: ...

    async def load(self, missing: MissedParts) -> None: ...

    async def look_up(self, collection: QueryCollection, values: Mapping[str, frozenset[bytes]]) -> None: ...


class QueryRun:
    """One run. written: the collections that the query writes, by name. direct: it is a direct one from the beginning.

    verifies: every value that a write claims in a unique index is looked up before the next write.
    """

    def __init__(
        self,
        written: Mapping[str, QueryCollection],
        revisions: Mapping[str, Revisions],
        store: RunStore,
        budget: Budget | None,
        flushes: Flushes,
        *,
        direct: bool,
        verifies: bool,
    ) -> None:
        self._written = written
        self._revisions = revisions
        self._store = store
        self._budget = budget
        self._flushes = flushes
        self._verifies = verifies
        self.direct = direct
        self.missing = MissedParts()

    async def drive(self, steps: Steps) -> Result:
        """Answer the evaluator until it has its result.

        Raise ArangoError as ArangoDB would answer it: then only the writes of before the last intermediate commit are
        left in the collections. Raise Unsupported, RunAgain, DatabaseError.
        """
        try:
            result = await self._answered(steps)
            await self._flushes.release()
        except Unsupported:
            raise
        except ArangoError:
            await self._flushes.undo()
            raise
        finally:
            await self._flushes.roll_back()
            steps.close()
        return result

    async def _answered(self, steps: Steps) -> Result:
        count = 0
        try:
            step = next(steps)
            while True:
                count += 1
                if not count % _PAUSE:
                    await asyncio.sleep(0)
                answer: Any
                try:
                    answer = await self._answer(step)
                except Unsupported:
                    raise
                except ArangoError as refused:
                    step = steps.throw(refused)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _answer(self, step: Action) -> Any:
        if isinstance(step, Write):
            return await self._write(step)
        if isinstance(step, Fetch):
            return await self._fetch(step)
        if isinstance(step, NextPage):
            return await self._store.next_page(step)
        if isinstance(step, Expect):
            await self._expect(step)
        else:
            await asyncio.sleep(0)
        return None

    async def _fetch(self, fetch: Fetch) -> list[Document] | DocumentPage | int:
        collection = self._written.get(fetch.collection)
        if collection is None or not collection.written:
            return await self._store.read(fetch)
        found = collection.documents(fetch)
        if found is None and self.direct:
            await self._store.load(_one_fetch(fetch))
            found = collection.documents(fetch)
        if found is None:
            self.missing.fetches[fetch.collection].append(fetch)
            return []
        return found

    async def _expect(self, expect: Expect) -> None:
        """Read what the next writes need, in place of what those before needed if that is much."""
        collection = self._written[expect.collection]
        known = collection.known
        if self._flushes.limited and known.size > KNOWN:
            self._be_direct()
            known.forget_all_but(collection.pending)
        wanted = MissedParts()
        wanted.fetches[expect.collection] = [fetch for fetch in expect.fetches if known.find(fetch) is None]
        if wanted.fetches[expect.collection]:
            await self._store.load(wanted)

    def _be_direct(self) -> None:
        """Go on as a direct run. Raise RunAgain if that is not possible."""
        if self.missing:
            raise RunAgain
        self.direct = True

    async def _write(self, write: Write) -> Versions:
        collection = self._written[write.collection]
        revisions = self._revisions[write.collection]
        if revisions.exhausted:
            await revisions.refill()
        if self._flushes.due:
            self._be_direct()
            await self._flushes.flush()
        if not await self._is_known(collection, write):
            return _as_if_present(write)
        written = await self._decided(collection, write)
        if written.changed:
            size = len(written.key) + len(written.new or b"")
            if self._budget is not None:
                self._budget.spend(size, rows=0)
            self._flushes.note(collection, written.key, written.old, size)
        stored = written.old is not None and collection.known.raws.get(written.key) is written.old
        return query_writes.versions_of(write, written, collection.known.document(written.key) if stored else None)

    async def _decided(self, collection: QueryCollection, write: Write) -> WriteResult:
        """Decide a write again until every value is known that it would claim, with the same new key and revision."""
        collection.learn_loaded()
        if not self._verifies:
            return query_writes.carry_out(collection, write)
        revisions = self._revisions[write.collection]
        numbers, used = collection.numbers.mark(), revisions.used
        for _ in range(_LOOKUPS):
            written = _carried_out(collection, write)
            try:
                collection.check_complete(written=False)
            except NotLoadedError as missing:
                if isinstance(written, WriteResult) and written.changed:
                    collection.put_back(written.key, written.old)
                collection.numbers.rewind(numbers)
                revisions.used = used
                await self._store.look_up(collection, missing.values)
            else:
                if isinstance(written, ArangoError):  # of the first index that refuses the document
                    raise written
                return written
        raise Unsupported("a unique index over a value that is another one each time it is computed")

    async def _is_known(self, collection: QueryCollection, write: Write) -> bool:
        """Return False if the write cannot be decided, because it is not known what its key has."""
        key = write.key
        if not isinstance(key, str) or not valid_key(key) or key in collection:
            return True
        assumes = (
            write.kind == "insert"
            and write.options.overwrite_mode in (None, "conflict")
            and not write.options.ignore_errors
            and key not in collection.known.doubted  # it was known once, and may be forgotten
        )
        if self.direct and not assumes:
            await self._store.load(_one_fetch(Fetch(collection.name, keys=(key,))))
            return True
        if write.kind != "insert":
            self.missing.keys[collection.name].add(key)
            return False
        if assumes:
            collection.known.assume_absent(key)  # if it is not, the query ends: rare enough to be found out at the end
        else:
            self.missing.keys[collection.name].add(key)
            collection.suppose_absent(key)
        return True


def _one_fetch(fetch: Fetch) -> MissedParts:
    wanted = MissedParts()
    wanted.fetches[fetch.collection].append(fetch)
    return wanted


def _carried_out(collection: QueryCollection, write: Write) -> WriteResult | ArangoError:
    """Write one document. Return the error if it is refused: indexes before the one that refuses it may be unknown."""
    try:
        return query_writes.carry_out(collection, write)
    except ArangoError as refused:
        return refused


def _as_if_present(write: Write) -> Versions:
    """Return an answer with which the query continues, in a run that does not count."""
    old: Document = {"_key": write.key, "_id": f"{write.collection}/{write.key}", "_rev": ""}
    return old, None if write.kind == "remove" else old | (write.document or {})
