"""One attempt to execute a query that writes: one transaction, or a savepoint of one, over one snapshot."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import sql
from proxy.aql.ast import Query
from proxy.aql.evaluate import run as evaluate
from proxy.aql.requests import DocumentPage, Fetch, NextPage, QueryOptions, Result
from proxy.base import failpoints
from proxy.base.database import Session
from proxy.base.errors import ArangoError, Unsupported
from proxy.semantics.query_writes import IntermediateCommits
from proxy.stores.postgres import unique_indexes
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.fetching import Budget, counted, fetch_raws, fetch_raws_of_any
from proxy.stores.postgres.modifications import assumed_values
from proxy.stores.postgres.modifications.flushes import Flushes
from proxy.stores.postgres.modifications.known_documents import KnownDocuments
from proxy.stores.postgres.modifications.pauses import Pauses
from proxy.stores.postgres.modifications.prepared import Prepared, RepeatError
from proxy.stores.postgres.modifications.query_collection import QueryCollection
from proxy.stores.postgres.modifications.query_run import MissedParts, QueryRun, Revisions, RunAgain
from proxy.stores.postgres.modifications.reserved_numbers import NumberRange
from proxy.stores.postgres.read_fence import QueryLimits
from proxy.stores.postgres.snapshot_reads import SnapshotReads, parsed_documents
from proxy.stores.postgres.writes.interruptions import WriteFenceError
from proxy.stores.postgres.writes.properties import Properties, parse_properties
from proxy.stores.postgres.writes.row_changes import columns_of

Document = dict[str, Any]
_RUNS: Final = 50  # of one attempt: each but the last finds out more of what it needs
_KEPT: Final = 11 << 20  # bytes of a scan that are kept, so that its documents are known when they are written
_NO_LIMITS: Final = QueryLimits(1 << 60, 1 << 60)
_DRAWN: Final = 16  # the fewest revisions that the first statement draws


@dataclass(frozen=True, slots=True)
class ModificationQuery:
    """A query that writes. writes: the names of the collections, in their order. settings: the request's options.

    inside: it is executed within a stream transaction. pauses: its calls of SLEEP; None: it must not have any.
    """

    database: str
    query: Query
    binds: Mapping[str, Any]
    options: QueryOptions
    writes: tuple[str, ...]
    settings: Mapping[str, Any]
    inside: bool = False
    pauses: Pauses | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """What a query came to, after its writes were sent. error: ArangoDB's, if it failed after an intermediate commit.

    numbers: how many keys were made of numbers, and the last one, by collection.
    """

    result: Result | None
    error: ArangoError | None
    commits: int
    numbers: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Target:
    """A collection that the query writes, as the fence's row states it. holders: what was looked up in its indexes."""

    collection: str
    relation: str
    edge: bool
    properties: Properties
    known: KnownDocuments
    revisions: Revisions
    random_keys: list[str] = field(default_factory=list)
    holders: dict[str, dict[bytes, str | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a run ended. sent: it has sent writes, so that it cannot be repeated in the same transaction."""

    collections: dict[str, QueryCollection]
    missing: MissedParts
    commits: IntermediateCommits
    result: Result | None
    error: ArangoError | None
    sent: bool


class QueryAttempt:
    """Executes a query in the transaction that is open on the session. lock_wait: how long to wait for a row."""

    def __init__(
        self, session: Session, catalog: Catalog, limits: QueryLimits | None, lock_wait: str, database: str
    ) -> None:
        """limits: of what the query may fetch and write; None: as much as it wants, of which memory holds a part."""
        self._session = session
        self._direct = False
        self._database = database
        self._reads = SnapshotReads(session, catalog, database)
        self._catalog = catalog
        self._limits = limits
        self._lock_wait = lock_wait
        self._budget = Budget(limits or _NO_LIMITS)
        self._known: dict[str, KnownDocuments] = {}
        self._relations: dict[str, str] = {}
        self._targets: dict[str, _Target] = {}

    async def execute(self, query: ModificationQuery, prepared: Prepared) -> Finished:
        """Run the query until it misses nothing, then write. The caller commits.

        Raise RepeatError, WriteFenceError, ArangoError as ArangoDB would answer it, Unsupported, DatabaseError.
        """
        deadline = time.monotonic() + query.options.max_runtime
        # the fence first: its row is locked for every collection, in the order of names
        self._targets = {name: await self._begin(query.database, name, prepared) for name in query.writes}
        for _ in range(_RUNS):
            options = query.options
            if options.max_runtime:
                options = replace(options, max_runtime=max(0.001, deadline - time.monotonic()))
            try:
                ended = await self._run(replace(query, options=options), prepared)
            except RunAgain:
                self._direct = True
                continue
            for name, target in self._targets.items():
                prepared.revisions[name] = max(target.revisions.used, prepared.revisions.get(name, 0))
            if not await self._load_what_lacked(ended, prepared):
                return await self._finish(ended, prepared, inside=query.inside)
        raise Unsupported("a modification whose documents depend on each other too deeply")

    async def _run(self, query: ModificationQuery, prepared: Prepared) -> _Ended:
        """Run the query once, from the beginning."""
        if self._limits is not None:
            self._budget = Budget(self._limits)
        collections = {name: _collection(name, target, prepared) for name, target in self._targets.items()}
        for target in self._targets.values():
            target.revisions.rewind()
        commits = IntermediateCommits(query.settings, enabled=not query.inside)
        flushes = Flushes(
            self._session if self._limits is None else None,
            lambda: self._flush(collections, prepared),
            lambda: self._verify(collections, prepared, failed=True),
            commits,
        )
        run = QueryRun(
            collections,
            {name: target.revisions for name, target in self._targets.items()},
            self,
            None if self._limits is None else self._budget,
            flushes,
            direct=self._direct,
            verifies=prepared.looks_up and prepared.sent,
        )
        pauses, result, failed = query.pauses, None, None
        if pauses is not None:
            pauses.begin()
        try:
            result = await run.drive(evaluate(query.query, query.binds, query.options))
        except Unsupported:
            raise
        except ArangoError as error:
            failed = error
        finally:
            await self._reads.close()
        if pauses is not None:
            pauses.finish()
        return _Ended(collections, run.missing, commits, result, failed, flushes.flushed > 0)

    async def _load_what_lacked(self, ended: _Ended, prepared: Prepared) -> bool:
        """Read what a run missed. Return False if it missed nothing, so that it counts."""
        if ended.error is not None:  # it may come from a key that the run took to be free
            for name, target in self._targets.items():
                if target.known.assumed:
                    ended.missing.keys[name] |= target.known.assumed
        if ended.sent and ended.missing:
            raise RepeatError({name: frozenset(keys) for name, keys in ended.missing.keys.items()}, {})
        if ended.sent:
            return False  # `_finish` verifies what remains
        if ended.missing:
            await self._load(ended.missing, again=True)
            return True
        return await self._look_up(ended.collections, written=ended.error is None and not prepared.looks_up)

    async def _finish(self, ended: _Ended, prepared: Prepared, *, inside: bool) -> Finished:
        """Write what a run came to. Raise RepeatError, ArangoError: its error, if it leaves nothing to write."""
        collections, error = ended.collections, ended.error
        needed = {name: found for name, one in collections.items() if (found := one.numbers.needed) is not None}
        if needed:
            raise RepeatError({}, needed)
        prepared.made = {name: (one.numbers.made, one.numbers.last) for name, one in collections.items()}
        await self._check_unchanged(collections, prepared, inside=inside)
        if error is not None and not ended.commits.kept:
            raise error
        if ended.sent:
            await self._verify(collections, prepared)
        failpoints.reach("write-fenced")
        await self._write(collections, prepared)
        failpoints.reach("write-made")
        return Finished(ended.result, error, ended.commits.commits, prepared.made)

    async def _check_unchanged(
        self, collections: Mapping[str, QueryCollection], prepared: Prepared, *, inside: bool
    ) -> None:
        """Wait for documents that writes left as they were, if others have them: nothing else finds that.

        Such writes lock nothing. inside: a stream transaction does not wait. Raise RepeatError for a blocked document.
        """
        unchanged = {
            name: (self._targets[name].relation, one.unchanged) for name, one in collections.items() if one.unchanged
        }
        if not inside:
            prepared.blocked.begin_writing()
            for name, (relation, keys) in sorted(unchanged.items()):
                prepared.blocked.written[name] = relation, sorted(keys)
                await self._session.fetchval(sql.modifications.WAIT_FOR_KEYS.on(relation), sorted(keys))
        elif await prepared.blocked.find(self._session, unchanged):
            raise RepeatError({}, {})

    async def _begin(self, database: str, name: str, prepared: Prepared) -> _Target:
        collection = (await self._catalog.find(f"{database}/{name}")).collection
        keys = prepared.keys.get(name, frozenset()) - prepared.blocked.known.get(name, frozenset())
        drawn, empties = max(_DRAWN, prepared.revisions.get(name, 0)), False
        row = await self._session.fetchrow(sql.writes.BEGIN, collection, list(keys), drawn, self._lock_wait, empties)
        if row is None:
            raise WriteFenceError

        async def draw(count: int) -> list[int]:
            return await self._session.fetch(sql.modifications.DRAW_REVISIONS, collection, count)

        known = self._known[name] = KnownDocuments(prepared.keys.get(name, ()))
        raws = [raw.encode() for raw in row.raws or () if raw is not None]
        await known.add_fetch(Fetch(name, keys=tuple(keys)), raws)
        self._relations[name] = row.relation
        return _Target(
            collection,
            row.relation,
            row.edge,
            parse_properties(row.properties),
            known,
            Revisions(draw, row.revisions or ()),
        )

    async def read(self, fetch: Fetch) -> list[Document] | DocumentPage | int:
        """Return the documents of a fetch as they are in the snapshot, or their number."""
        if self._limits is None and (fetch.count or fetch.collection not in self._targets):
            return await self._reads.answer(fetch) or []
        return await self._read(self._database, fetch)

    async def next_page(self, action: NextPage) -> list[Document] | DocumentPage:
        """Return the documents that follow a page."""
        return await self._reads.next_page(action)

    async def _read(self, database: str, fetch: Fetch) -> list[Document] | DocumentPage | int:
        name = fetch.collection
        relation = self._relations.get(name)
        if relation is None:
            relation = self._relations[name] = (await self._catalog.find(f"{database}/{name}")).relation
            self._known[name] = KnownDocuments()
        if fetch.count:
            return await counted(self._session, relation, None)
        known = self._known[name]
        keys = known.find(fetch)
        if keys is None:
            if self._limits is None and fetch.paged:
                raws = await self._first_raws(relation, fetch)
                if isinstance(raws, DocumentPage):
                    return raws
            else:
                raws = await fetch_raws(self._session, relation, fetch, None, self._budget)
            await known.add_fetch(fetch, raws)
            keys = known.find(fetch) or ()
        return [known.document(key) for key in sorted(keys)]

    async def _first_raws(self, relation: str, fetch: Fetch) -> list[bytes] | DocumentPage:
        """Return all documents of a scan if they are few enough to be kept, else its first page."""
        scan = self._reads.scan(relation, fetch)
        raws = await scan.take(_KEPT)
        if scan.ended:
            return raws
        return DocumentPage(await parsed_documents(raws), scan)

    async def load(self, missing: MissedParts) -> None:
        """Read what a run needs next. Raise RepeatError if it has taken a key to be free that is not."""
        await self._load(missing)
        wrong = {name: target.known.contradicted for name, target in self._targets.items()}
        if any(wrong.values()):
            raise RepeatError({name: frozenset(keys) for name, keys in wrong.items()}, {})

    async def look_up(self, collection: QueryCollection, values: Mapping[str, frozenset[bytes]]) -> None:
        """Look up in unique indexes what the last write would claim."""
        holders = self._targets[collection.name].holders
        for index, wanted in values.items():
            holders.setdefault(index, {}).update(await unique_indexes.holders(self._session, index, wanted))
        collection.learn_holders(holders)

    async def _flush(self, collections: Mapping[str, QueryCollection], prepared: Prepared) -> None:
        """Write what a run has changed so far. Raise RepeatError if it has decided by what does not hold."""
        prepared.sent = True
        needed = {name: found for name, one in collections.items() if (found := one.numbers.needed) is not None}
        if needed:  # there will be more: the next attempt takes a multiple
            raise RepeatError({}, {name: replace(found, count=4 * found.count) for name, found in needed.items()})
        await self._verify(collections, prepared)
        await self._write(collections, prepared)
        for collection in collections.values():
            collection.take_written()

    async def _verify(
        self, collections: Mapping[str, QueryCollection], prepared: Prepared, *, failed: bool = False
    ) -> None:
        """Raise RepeatError if a value of a unique index was taken to be free and is not, if nothing else tests it.

        failed: the run ended with an error: its last writes may never reach PostgreSQL.
        """
        written = not (failed or prepared.looks_up)
        if await assumed_values.are_held(self._session, collections.values(), written=written):
            prepared.looks_up = True
            raise RepeatError({}, {})

    async def _load(self, missing: MissedParts, *, again: bool = False) -> None:
        """Read what a run missed: the documents of all keys of a collection together, and those of all its fetches.

        again: the run is repeated, so that nothing is assumed any more.
        """
        for name, target in self._targets.items():
            if again:
                target.known.doubt_assumed()
            fetches = [fetch for fetch in missing.fetches.get(name, ()) if target.known.find(fetch) is None]
            keys = missing.keys.get(name, set()).union(*(fetch.keys or () for fetch in fetches))
            keys = {key for key in keys if key not in target.known}
            if keys:
                by_key = Fetch(name, keys=tuple(keys))
                await target.known.add_fetch(
                    by_key, await fetch_raws(self._session, target.relation, by_key, None, self._budget)
                )
            by_value = [fetch for fetch in fetches if fetch.keys is None and fetch.equalities]
            if len(by_value) < sum(fetch.keys is None for fetch in fetches):
                whole = Fetch(name)
                await target.known.add_fetch(
                    whole, await fetch_raws(self._session, target.relation, whole, None, self._budget)
                )
            elif by_value:
                raws = await fetch_raws_of_any(self._session, target.relation, by_value, self._budget)
                await target.known.add_fetches(by_value, raws)

    async def _look_up(self, collections: Mapping[str, QueryCollection], *, written: bool) -> bool:
        """Look up in unique indexes what a run assumed and nothing else tests. Return False if there was nothing."""
        found = False
        for name, collection in collections.items():
            holders = self._targets[name].holders
            found |= await assumed_values.look_up(self._session, collection, holders, written=written)
        return found

    async def _write(self, collections: Mapping[str, QueryCollection], prepared: Prepared) -> None:
        """Write what the run changed, one statement a collection. Raise RepeatError if a key was assumed to be free."""
        taken: dict[str, frozenset[str]] = {}
        prepared.blocked.begin_writing()
        for name, target in self._targets.items():
            changes = collections[name].changes()
            if not changes:
                continue
            keys = prepared.blocked.note(name, target.relation, target.properties.uniques, changes)
            written = await self._session.fetch(
                sql.modifications.WRITE_SEEN.on(target.relation),
                target.collection,
                *columns_of(changes),
                "\n".join(["true" if change.stored else "false" for change in changes]),
            )
            if len(written) < len(changes):
                taken[name] = frozenset(keys).difference(written)
        if taken:
            raise RepeatError(taken, {})


def _collection(name: str, target: _Target, prepared: Prepared) -> QueryCollection:
    numbers = prepared.numbers.get(name, NumberRange())
    if numbers.number != target.properties.number:  # of a former collection of that name
        numbers = NumberRange()
    return QueryCollection(
        name,
        edge=target.edge,
        properties=target.properties,
        known=target.known,
        revisions=target.revisions,
        numbers=numbers,
        random_keys=target.random_keys,
        holders=target.holders,
        blocked=prepared.blocked.known.get(name, frozenset()),
        blocked_values=prepared.blocked.values.known,
    )
