"""One run of the evaluator over what is known of the collections, and what it missed.

A fetch is read when the run asks for it, except in a collection that the run has written: there it is the search of an
UPSERT, one for each of its rows, so that these are collected (as fetches that found nothing) and read together.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from proxy.aql.requests import Action, Fetch, Result, Write
from proxy.base.errors import ArangoError, Unsupported
from proxy.model.documents import valid_key
from proxy.semantics import query_writes
from proxy.semantics.query_writes import IntermediateCommits, Versions
from proxy.stores.postgres.fetching import Budget
from proxy.stores.postgres.modifications.query_collection import QueryCollection

Steps: TypeAlias = Generator[Action, Any, Result]
Document = dict[str, Any]
_PAUSE: Final = 100  # steps after which other tasks of the process have their turn
_FEWEST, _MOST = 64, 4096  # revisions that are drawn together


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


class QueryRun:
    """One run. written: the collections that the query writes, by name. read: reads a fetch of any other collection."""

    def __init__(
        self,
        written: Mapping[str, QueryCollection],
        revisions: Mapping[str, Revisions],
        read: Callable[[Fetch], Awaitable[list[Document] | int]],
        budget: Budget,
        commits: IntermediateCommits,
    ) -> None:
        self._written = written
        self._revisions = revisions
        self._read = read
        self._budget = budget
        self._undo: list[tuple[QueryCollection, str, bytes | None]] = []
        self.commits = commits
        self.missing = MissedParts()

    async def drive(self, steps: Steps) -> Result:
        """Answer the evaluator until it has its result.

        Raise ArangoError as ArangoDB would answer it: then only the writes of before the last intermediate commit are
        left in the collections. Raise Unsupported, DatabaseError.
        """
        try:
            return await self._answered(steps)
        except ArangoError:
            for collection, key, old in reversed(self._undo[self.commits.kept :]):
                collection.put_back(key, old)
            raise
        finally:
            steps.close()

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
                    answer = await (self._write(step) if isinstance(step, Write) else self._fetch(step))
                except Unsupported:
                    raise
                except ArangoError as refused:
                    step = steps.throw(refused)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _fetch(self, fetch: Action) -> list[Document] | int:
        assert isinstance(fetch, Fetch)
        collection = self._written.get(fetch.collection)
        if collection is None or not collection.written:
            return await self._read(fetch)
        found = collection.documents(fetch)
        if found is None:
            self.missing.fetches[fetch.collection].append(fetch)
            return []
        return found

    async def _write(self, write: Write) -> Versions:
        collection = self._written[write.collection]
        revisions = self._revisions[write.collection]
        if revisions.exhausted:
            await revisions.refill()
        if not self._is_known(collection, write):
            return _as_if_present(write)
        written = query_writes.carry_out(collection, write)
        if written.changed:
            size = len(written.key) + len(written.new or b"")
            self._budget.spend(size, rows=0)
            self._undo.append((collection, written.key, written.old))
            self.commits.count(size)
        stored = written.old is not None and collection.known.raws.get(written.key) is written.old
        return query_writes.versions_of(write, written, collection.known.document(written.key) if stored else None)

    def _is_known(self, collection: QueryCollection, write: Write) -> bool:
        """Return False if the write cannot be decided, because it is not known what its key has."""
        key = write.key
        if not isinstance(key, str) or not valid_key(key) or key in collection:
            return True
        if write.kind != "insert":
            self.missing.keys[collection.name].add(key)
            return False
        if write.options.overwrite_mode in (None, "conflict") and not write.options.ignore_errors:
            collection.known.assume_absent(key)  # if it is not, the query ends: rare enough to be found out at the end
        else:
            self.missing.keys[collection.name].add(key)
            collection.suppose_absent(key)
        return True


def _as_if_present(write: Write) -> Versions:
    """Return an answer with which the query continues, in a run that does not count."""
    old: Document = {"_key": write.key, "_id": f"{write.collection}/{write.key}", "_rev": ""}
    return old, None if write.kind == "remove" else old | (write.document or {})
