"""The statements of I4 on PostgreSQL: one row a key, refused keys told apart, documents that it cannot hold put aside.

Documents are encoded before a connection is taken, so many and so many bytes between two turns of the event loop; a
large one that jsonb cannot hold as it is in a worker process. One statement holds no more than a few megabytes of them.

Every method raises DatabaseError where nothing can be said of any row; callers keep what they have and try again. Where
that goes on, `apart` finds out which rows it is, and puts those aside.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import structlog

from proxy.base import failpoints, metrics
from proxy.base.database import Database, Session
from proxy.base.errors import DatabaseError, IsolationError, StatementError, error_label
from proxy.base.sqlstates import of_a_document
from proxy.isolation import Lane
from proxy.model.documents import suspected, to_jsonb
from proxy.replication import own_indexes
from proxy.replication.bisection import Suspects, apart
from proxy.state import lacking
from sql.loader import queries

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 50  # documents that are encoded between two turns of the event loop
_BYTES: Final = 256 << 10  # bytes of them, and of a document that is escaped there
_STATEMENT: Final = 4 << 20  # bytes of the documents of one statement, unless it is one document
_SECONDS: Final = 20.0  # that a worker has to escape one

Item = TypeVar("Item")


class Version(NamedTuple):
    """One version to apply. raw: the document as ArangoDB printed it; None says removed. stamp: an era."""

    key: str
    rev: int
    raw: bytes | None
    stamp: int


class Stored(NamedTuple):
    """What the target has of a key."""

    rev: int
    alive: bool


@dataclass(slots=True)
class ApplyResult:
    """upserted, removed: numbers of keys. reread: keys that were refused and must be read again.

    dead: keys of which PostgreSQL refused this version; it lacks them, and no flip of the collection stands any more.
    """

    upserted: int = 0
    removed: int = 0
    dead: frozenset[str] = frozenset()
    reread: frozenset[str] = frozenset()

    def add(self, other: ApplyResult) -> None:
        """What became of further rows."""
        self.upserted, self.removed = self.upserted + other.upserted, self.removed + other.removed
        self.dead, self.reread = self.dead | other.dead, self.reread | other.reread


class _Encoded(NamedTuple):
    """A row, and its document as text and in its queryable form. wrong: why there is none."""

    row: Version
    raw: str
    doc: str | None
    wrong: str = ""


class TargetWriter:
    """PostgreSQL as the mirror of that instance writes it."""

    def __init__(self, database: Database, instance: str = "command line") -> None:
        self._database = database
        self._instance = instance
        self._relations: dict[str, str] = {}
        self._lettered: set[str] = set()
        self._suspects = Suspects()
        self.lane: Lane | None = None  # workers for large documents; None: all is done here

    async def relation(self, collection: str) -> str:
        """The table of a collection, which is made where there is none."""
        found = self._relations.get(collection)
        if found is None:
            database, _, name = collection.partition("/")
            found = str(await self._database.fetchval(queries("mirror")["ensure"].text, database, name))
            self._relations[collection] = found
        return found

    async def register(self, collection: str, *, edge: bool) -> None:
        """The table of a collection of which the origin says whether it holds edges."""
        database, _, name = collection.partition("/")
        statements = queries("mirror")
        row = await self._database.fetchrow(statements["register"].text, database, name, edge)
        assert row is not None  # the function gives one row
        if edge and not row["edge"]:
            async with self._database.transaction() as session:
                await session.execute(statements["edge_columns"].on(row["relation"]))
                await session.execute(statements["edge"].text, collection)

    async def dropped(self, collection: str, gone: bool) -> None:
        """Note whether the origin has the collection no more: operators do not see it then."""
        await self._database.execute(queries("mirror")["dropped"].text, collection, gone)

    async def raise_era(self) -> int:
        """A new era, committed."""
        return int(await self._database.fetchval(queries("mirror")["raise_era"].text))

    async def revisions(self, collection: str, keys: Sequence[str]) -> dict[str, Stored]:
        """What the target has of these keys; a key without a row is not in it."""
        relation = await self.relation(collection)
        async with self._database.session() as session:
            return await _revisions(session, relation, keys)

    async def write(
        self, collection: str, rows: Sequence[Version], *, equal: bool = False, last: bool = False, alone: bool = False
    ) -> ApplyResult:
        """Applies versions, one a key. `equal`: an equal revision with other content is replaced too (repair).

        last: after several looks: what PostgreSQL passes over without an error (a trigger that returns NULL, a rule
        with INSTEAD) is a dead letter then, and not read again for ever.
        alone: the caller has tried often enough, and each row is to be tried apart from the others.
        A key that is neither in `reread` nor in `dead` is done: applied, or overtaken by what is stored.
        """

        async def once(some: Sequence[Version]) -> ApplyResult:
            return await self._write(collection, some, equal=equal, last=last)

        return await (self._apart if alone else self._persistently)(collection, rows, once)

    async def _persistently(
        self, collection: str, rows: Sequence[Version], once: Callable[[Sequence[Version]], Awaitable[ApplyResult]]
    ) -> ApplyResult:
        """Rows that were refused several times over are tried apart (`replication.bisection`)."""
        keys = [row.key for row in rows]
        try:
            written = await once(rows)
        except DatabaseError as error:
            if not (error.of_statement and self._suspects.refused(collection, keys)):
                raise
            log.warning("rows that PostgreSQL refuses are tried apart", collection=collection, error=error_label(error))
            written = await self._apart(collection, rows, once)
        self._suspects.taken(collection, keys)
        return written

    async def _apart(
        self, collection: str, rows: Sequence[Version], once: Callable[[Sequence[Version]], Awaitable[ApplyResult]]
    ) -> ApplyResult:
        table = _Apart(self, collection, frozenset(row.key for row in rows), once)
        if rows:
            await apart(table, rows)
        return table.written

    async def sound(self, collection: str, keys: Collection[str]) -> bool:
        """PostgreSQL takes another row of the table than these, and a note; whether there is such a row.

        Raises DatabaseError.
        """
        others = False
        relation = await self.relation(collection)
        for order in ("ASC", "DESC"):  # that row may be one that is refused as well
            try:
                async with self._database.transaction() as session:
                    sql = queries("mirror")["probe"].on(relation).replace("{order}", order)
                    others = await session.fetchval(sql, collection, list(keys))
                    raise _UndoneError
            except _UndoneError:
                break
            except DatabaseError:
                if order == "DESC":
                    raise
        return others

    async def put_aside(self, collection: str, row: Version, reason: str) -> frozenset[str]:
        """Its key, or none where it is overtaken: PostgreSQL lacks this version, which is said (`lacking`)."""
        relation = await self.relation(collection)
        async with self._database.session() as session:
            writer = _Writer(session, collection, relation, self._instance)
            await writer.bury(row, reason)
            await self._letters(session, collection, relation, writer)
        return frozenset(writer.dead)

    async def _write(self, collection: str, rows: Sequence[Version], *, equal: bool, last: bool) -> ApplyResult:
        relation = await self.relation(collection)
        upserts = await self._encoded(rows)
        removals = [row for row in rows if row.raw is None]
        written = ApplyResult()
        try:
            async with self._database.session() as session:
                writer = _Writer(session, collection, relation, self._instance)
                if upserts:
                    await writer.upsert(upserts, "replace_equal" if equal else "upsert")
                    written.upserted = len(writer.returned)
                failpoints.reach("mid-batch")
                if removals:
                    await writer.remove(removals)
                    written.removed = len(writer.returned) - written.upserted
                written.reread = await writer.refused(rows)
                if last and written.reread:
                    written.reread -= await writer.passed_over([row for row in rows if row.key in written.reread])
                written.dead = frozenset(writer.dead)
                await self._letters(session, collection, relation, writer)
        except StatementError:
            self._relations.pop(collection, None)  # perhaps its table is not what it was
            raise
        _count(collection, written)
        return written

    async def write_together(self, groups: Mapping[str, Sequence[Version]]) -> frozenset[tuple[str, str]]:
        """Applies versions of several collections, one a key in each, in one transaction: all of them or none.

        Gives (collection, key) of those that must be read again. Raises DatabaseRefused where a row is refused.
        """
        relations = {collection: await self.relation(collection) for collection in sorted(groups)}
        encoded = {collection: await self._encoded(groups[collection]) for collection in relations}
        again: set[tuple[str, str]] = set()
        async with self._database.transaction() as session:
            for collection, relation in relations.items():  # in one order, so that two of them do not block each other
                writer = _Writer(session, collection, relation, self._instance, whole=True)
                rows = groups[collection]
                await writer.upsert(encoded[collection], "upsert")
                await writer.remove([row for row in rows if row.raw is None])
                again |= {(collection, key) for key in await writer.refused(rows)}
                failpoints.reach("mid-transaction")
        return frozenset(again)

    async def absent(
        self, collection: str, keys: Mapping[str, int], era: int, *, last: bool = False, alone: bool = False
    ) -> ApplyResult:
        """The origin has none of these; `keys` with the revisions that the target had before the origin was read.

        `era`: raised before that. `reread`: the keys that have a newer row by now, to be repaired again. last, alone:
        see `write`.
        """
        rows = [Version(key, rev, None, era) for key, rev in keys.items()]

        async def once(some: Sequence[Version]) -> ApplyResult:
            return await self._absent(collection, some, last=last)

        return await (self._apart if alone else self._persistently)(collection, rows, once)

    async def _absent(self, collection: str, rows: Sequence[Version], *, last: bool) -> ApplyResult:
        relation = await self.relation(collection)
        async with self._database.session() as session:
            writer = _Writer(session, collection, relation, self._instance)
            await writer.absent(rows)
            again = {row.key for row in rows} - writer.returned - writer.dead
            if last and again:
                again -= await writer.passed_over([row for row in rows if row.key in again])
            await self._letters(session, collection, relation, writer)
        return ApplyResult(removed=len(writer.returned), dead=frozenset(writer.dead), reread=frozenset(again))

    async def due_letters(self, seconds: float, most: int) -> dict[str, list[str]]:
        """Keys of dead letters, by collection, that nobody has tried for so long; whoever is given them tries now."""
        found: dict[str, list[str]] = {}
        for row in await self._database.fetch(queries("mirror")["retried"].text, seconds, most):
            found.setdefault(row["collection"], []).append(row["key"])
        self._lettered.update(found)
        return found

    async def letters(self, collection: str, keys: Sequence[str]) -> dict[str, int]:
        """Dead letters of these keys with their revisions, before the origin is read."""
        return await lacking.letters(self._database, collection, keys) if collection in self._lettered else {}

    async def agreed(self, collection: str, noted: Mapping[str, int], origin: Mapping[str, int]) -> None:
        """See `lacking.agreed`."""
        await lacking.agreed(self._database, collection, await self.relation(collection), noted, origin)

    async def revive(self) -> None:
        """Takes back dead letters whose keys were overtaken since, whoever applied them."""
        rows = await self._database.fetch(queries("mirror")["lettered"].text)
        self._lettered = {row["collection"] for row in rows}
        for collection in tuple(self._lettered):
            relation = await self.relation(collection)
            async with self._database.session() as session:
                await self._revive(session, collection, relation)

    async def _encoded(self, rows: Iterable[Version]) -> list[_Encoded]:
        """Those that are documents."""
        found: list[_Encoded] = []
        number = size = 0
        for row in rows:
            if row.raw is None:
                continue
            number, size = number + 1, size + len(row.raw)
            if number > _AT_ONCE or size > _BYTES:
                number, size = 1, len(row.raw)
                await asyncio.sleep(0)
            try:
                found.append(_Encoded(row, row.raw.decode(), await self._queryable(row.raw)))
            except ValueError as error:
                found.append(_Encoded(row, "", None, f"the document cannot be read: {error}"))
        return found

    async def _queryable(self, raw: bytes) -> str | None:
        """`to_jsonb`; where no worker does it in time, here: no write is lost for its size."""
        if self.lane is not None and len(raw) > _BYTES and suspected(raw):
            with contextlib.suppress(IsolationError):
                return await self.lane.run(to_jsonb, raw, seconds=_SECONDS)
        return to_jsonb(raw)

    async def _letters(self, session: Session, collection: str, relation: str, writer: _Writer) -> None:
        if writer.dead:
            self._lettered.add(collection)
        elif collection in self._lettered:
            await self._revive(session, collection, relation)

    async def _revive(self, session: Session, collection: str, relation: str) -> None:
        await session.fetch(queries("mirror")["revived"].on(relation), collection)


class _UndoneError(Exception):
    """A transaction that was only tried is rolled back."""


class _Apart:
    """Rows of one collection, for `replication.bisection`. written: what became of all of them."""

    def __init__(
        self,
        target: TargetWriter,
        collection: str,
        keys: frozenset[str],
        run: Callable[[Sequence[Version]], Awaitable[ApplyResult]],
    ) -> None:
        self._target = target
        self._collection = collection
        self._keys = keys
        self._run = run
        self.written = ApplyResult()

    async def once(self, rows: Sequence[Version]) -> None:
        self.written.add(await self._run(rows))

    async def sound(self) -> bool:
        return await self._target.sound(self._collection, self._keys)

    async def put_aside(self, row: Version, error: DatabaseError) -> None:
        reason = f"{error.sqlstate}: {error}" if error.sqlstate else str(error)
        dead = await self._target.put_aside(self._collection, row, reason)
        self.written.add(ApplyResult(dead=dead))


class _Writer:
    """One batch on one connection: what came back, and what cannot be held."""

    def __init__(self, session: Session, collection: str, relation: str, instance: str, *, whole: bool = False) -> None:
        """whole: in a transaction, which one refusal ends; nothing is put aside."""
        self._session = session
        self._collection = collection
        self._relation = relation
        self._instance = instance
        self.returned: set[str] = set()
        self._whole = whole
        self.dead: set[str] = set()
        self._overtaken: set[str] = set()
        self._dropped: set[str] = set()  # indexes that gave way to a document of this batch

    async def upsert(self, encoded: Sequence[_Encoded], statement: str) -> None:
        """Applies documents; one that cannot be held goes to the dead letters and never stops the others."""
        for item in encoded:
            if item.wrong:
                if self._whole:
                    raise StatementError("a document cannot be read", "22000")
                await self.bury(item.row, item.wrong)
        text = queries("documents")[statement].on(self._relation)

        async def run(part: Sequence[_Encoded]) -> None:
            found = await self._session.fetch(
                text,
                self._collection,
                [item.row.key for item in part],
                [item.row.rev for item in part],
                [item.raw for item in part],
                [item.doc for item in part],
                [item.row.stamp for item in part],
            )
            self.returned.update(row["key"] for row in found)

        for part in _parts([item for item in encoded if not item.wrong]):
            await self._halve(part, run, lambda item: item.row)

    async def _halve(
        self, items: Sequence[Item], run: Callable[[Sequence[Item]], Awaitable[None]], row_of: Callable[[Item], Version]
    ) -> None:
        """Runs a statement for the rows, and in halves until the one that is refused stands alone."""
        if not items:
            return
        try:
            await run(items)
        except StatementError as error:
            if self._whole or not of_a_document(error.sqlstate):  # all rows are concerned: rights, the schema
                raise
            if len(items) == 1:
                if await self._given_way(error, items[0]):
                    await self._halve(items, run, row_of)
                    return
                await self.bury(row_of(items[0]), f"{error.sqlstate}: {error}")
                return
            middle = len(items) // 2
            await self._halve(items[:middle], run, row_of)
            await self._halve(items[middle:], run, row_of)

    async def _given_way(self, error: StatementError, item: object) -> bool:
        """Whether an index of ours refused the document for its size, and was dropped for it (`own_indexes`)."""
        if error.sqlstate != own_indexes.TOO_LARGE or not isinstance(item, _Encoded):
            return False
        gone = False
        for name in await self._too_small(error, item):
            if name in self._dropped:
                continue
            self._dropped.add(name)
            try:
                await self._session.execute(own_indexes.drop(self._relation, name))
            except StatementError as refused:  # this role may not
                log.warning("an index refuses a document and cannot be dropped", index=name, error=error_label(refused))
                continue
            gone = True
            log.warning("an index gave way to a document too large for it", index=name, collection=self._collection)
        return gone

    async def _too_small(self, error: StatementError, item: _Encoded) -> list[str]:
        name = own_indexes.named_in(error)
        if name is not None:
            return [name]
        found = []
        for row in await self._session.fetch(queries("mirror")["own_indexes"].text, self._relation):
            longest = await self._session.fetchval(
                own_indexes.measure(row["columns"]), item.doc or item.raw, item.row.key
            )
            if longest is not None and longest > own_indexes.LARGE:
                found.append(row["name"])
        return found

    async def remove(self, rows: Sequence[Version]) -> None:
        """Leaves tombstones."""
        await self._end(rows, "remove")

    async def absent(self, rows: Sequence[Version]) -> None:
        """Leaves tombstones where the origin has nothing; `stamp` is the era of the look."""
        await self._end(rows, "absent")

    async def _end(self, rows: Sequence[Version], statement: str) -> None:
        text = queries("documents")[statement].on(self._relation)

        async def run(part: Sequence[Version]) -> None:
            found = await self._session.fetch(
                text,
                self._collection,
                [row.key for row in part],
                [row.rev for row in part],
                [row.stamp for row in part],
            )
            self.returned.update(row["key"] for row in found)

        await self._halve(rows, run, lambda row: row)

    async def refused(self, rows: Iterable[Version]) -> frozenset[str]:
        """Keys that were refused and are not overtaken by what is stored (mirror-protocol: re-read, never settled)."""
        said = self.returned | self.dead | self._overtaken
        open_rows = [row for row in rows if row.key not in said]
        if not open_rows:
            return frozenset()
        stored = await _revisions(self._session, self._relation, [row.key for row in open_rows])
        return frozenset(row.key for row in open_rows if not is_superseded(row, stored.get(row.key)))

    async def passed_over(self, rows: Sequence[Version]) -> frozenset[str]:
        """Of rows that no statement returned: those that were to be applied, and that nobody refused. They are over.

        What PostgreSQL then lacks goes to the dead letters.
        """
        found = await self._session.fetch(
            queries("documents")["passed_over"].on(self._relation),
            self._collection,
            [row.key for row in rows],
            [row.rev for row in rows],
            [row.stamp for row in rows],
            [row.raw is None for row in rows],
        )
        lacks: dict[str, bool] = {row["key"]: row["lacks"] for row in found}
        for row in rows:
            if lacks.get(row.key):
                await self.bury(row, "PostgreSQL passes it over: a trigger or a rule of the table")
        return frozenset(lacks)

    async def bury(self, row: Version, reason: str) -> None:
        """The first line of the reason, as text that PostgreSQL can hold. Flips of the collection are over with it."""
        line = storable_text(reason.partition("\n")[0])[:500]
        lacks, new = await lacking.letter(
            self._session,
            self._collection,
            self._relation,
            row.key,
            row.rev,
            removed=row.raw is None,
            reason=line,
            instance=self._instance,
        )
        (self.dead if lacks else self._overtaken).add(row.key)
        if new:
            metrics.DEAD_LETTERS.labels(self._collection).inc()
            log.warning("PostgreSQL cannot hold a document", collection=self._collection, reason=line.split(":")[0])


def _parts(items: Sequence[_Encoded]) -> Iterator[Sequence[_Encoded]]:
    """Those of one statement each."""
    begin = size = 0
    for index, item in enumerate(items):
        length = len(item.raw) + len(item.doc or "")
        if size and size + length > _STATEMENT:
            yield items[begin:index]
            begin, size = index, 0
        size += length
    yield items[begin:]


async def _revisions(session: Session, relation: str, keys: Sequence[str]) -> dict[str, Stored]:
    rows = await session.fetch(queries("documents")["revisions"].on(relation), list(keys))
    return {row["key"]: Stored(row["rev"], row["alive"]) for row in rows}


def is_superseded(row: Version, stored: Stored | None) -> bool:
    """Whether what is stored already says all that this version says: the join of I4 on (revision, removed)."""
    if stored is None:
        return False
    if row.raw is None:
        return stored.rev > row.rev or (stored.rev == row.rev and not stored.alive)
    return stored.rev >= row.rev


def newest(rows: Iterable[Version]) -> list[Version]:
    """One row a key: the greatest by (revision, removed), the join of I4."""
    best: dict[str, Version] = {}
    for row in rows:
        known = best.get(row.key)
        if known is None or (row.rev, row.raw is None) >= (known.rev, known.raw is None):
            best[row.key] = row
    return list(best.values())


def storable_text(text: str) -> str:
    """The text without what PostgreSQL's `text` cannot hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _count(collection: str, written: ApplyResult) -> None:
    if written.upserted:
        metrics.CHANGES_APPLIED.labels(collection, "upsert").inc(written.upserted)
    if written.removed:
        metrics.CHANGES_APPLIED.labels(collection, "remove").inc(written.removed)
    if written.reread:
        metrics.STALE_REJECTS.labels(collection).inc(len(written.reread))
