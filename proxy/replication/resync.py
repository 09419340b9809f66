"""Whole collections compared with the origin and repaired: behind a truncation, a drop, a rename (mirror-protocol, 6).

Era and horizon are raised first, so that whatever was read or captured before is refused and read again. Then, page by
page in key order: the target's (key, revision), the origin's, and what differs is repaired. "Collection not found"
(1203) says that every key is absent. What was begun is in the journal until it is done, and is begun again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

import sql
from proxy.base import failpoints
from proxy.base.backoff import Backoff
from proxy.base.database import Database
from proxy.base.errors import ArangoError, DatabaseError, UpstreamError, error_label
from proxy.journal.intent import Settled
from proxy.journal.records import CollectionChange, Note, Resync, VertexRemoval
from proxy.replication.key_repair import GONE, CannotRead, KeyRepairer
from proxy.replication.target_writer import TargetWriter
from proxy.replication.tombstone_gc import purge
from proxy.replication.verification_marks import VerificationMarks

log = structlog.get_logger(__name__)

_TAKING: Final = frozenset({"drop", "rename", "graph"})  # kinds that take the first of their collections away
_APART: Final = frozenset({"create", "rename", "drop", "graph"})  # kinds of which each is seen to by itself
_PAGE: Final = 1000  # keys of the target, and of the origin, at once
_ORDER: Final = "the origin does not give keys in the order of their bytes"


class OriginLister(Protocol):
    """Lists keys of the origin in the order of their bytes. Raises ArangoError and UpstreamError."""

    async def revisions(
        self, database: str, collection: str, after: str, upper: str | None, limit: int
    ) -> Sequence[tuple[str, int]]: ...

    async def is_edge(self, database: str, collection: str) -> bool: ...

    async def edge_collections(self, database: str) -> Sequence[str]: ...


class OutOfOrder(Exception):
    """The origin's keys do not come in the order of their bytes: pages cannot be trusted."""


class Resyncer:
    """Carries out the sweeps of the journal's notes, one after the other. `settled(note, how)`: it is done."""

    def __init__(
        self,
        database: Database,
        target: TargetWriter,
        origin: OriginLister,
        repairer: KeyRepairer,
        marks: VerificationMarks,
        settled: Callable[[Note, Settled], None],
    ) -> None:
        self._database = database
        self._target = target
        self._origin = origin
        self._repairer = repairer
        self._marks = marks
        self._settled = settled
        self._notes: deque[Note] = deque()
        self._gone: set[str] = set()  # what drops and renames took away, and nothing has made again
        self._leaving: Counter[str] = Counter()  # drops and renames that are on their way
        self._refused = False  # PostgreSQL refused something of the sweep under way
        self._absent = False  # the origin has no collection of the sweep under way
        self._something = asyncio.Event()

    def expect(self, write: Resync) -> None:
        """Such a change is about to be forwarded.

        Whatever it takes away may be missing from now on; what it makes is there when it has ended, and not before.
        """
        if _takes(write):
            self._leaving[write.collections[0]] += 1

    def kept(self, write: Resync) -> None:
        """Such a change took nothing away. What another one takes away, or took, is not there all the same."""
        if _takes(write):
            self._leaving.subtract(write.collections[:1])
            self._leaving = +self._leaving  # without those that are at zero

    def add(self, note: Note) -> None:
        """Carry out the resync of a note from now on: its change has ended."""
        write = note.write
        assert isinstance(write, Resync)
        self.kept(write)  # a note of an earlier process was never expected here
        if _takes(write):
            self._gone.add(write.collections[0])
            self._gone.difference_update(write.collections[1:])
        elif isinstance(write, CollectionChange) and write.kind == "create":
            self._gone.difference_update(write.collections)
        self._notes.append(note)
        self._something.set()

    def dropped(self, collection: str) -> bool:
        """Whether a drop or rename through this proxy is the reason that the origin has no such collection."""
        names = (collection, collection.partition("/")[0] + "/*")
        return any(name in self._gone or name in self._leaving for name in names)

    async def run(self) -> None:
        """Until it is cancelled; what is not done then is in the journal."""
        backoff = Backoff()
        while True:
            while self._notes:
                notes = self._alike()
                try:
                    await self._carry_out(notes)
                    for note in notes:
                        self._notes.remove(note)
                    backoff.reset()
                except (DatabaseError, UpstreamError, ArangoError) as error:
                    log.debug("a sweep waits", error=error_label(error))
                    await backoff.wait()
            self._something.clear()
            await self._something.wait()

    def _alike(self) -> list[Note]:
        """The first note, and those behind it that one comparison sees to as well: their requests have ended too."""
        first = self._notes[0]
        if isinstance(first.write, VertexRemoval) or (
            isinstance(first.write, CollectionChange) and first.write.kind in _APART
        ):
            return [first]
        return [note for note in self._notes if note.write == first.write]

    async def _carry_out(self, notes: Sequence[Note]) -> None:
        write = notes[0].write
        assert isinstance(write, Resync)
        collections = write.collections
        kind = write.kind if isinstance(write, CollectionChange) else "removal of a vertex"
        self._refused = self._absent = False
        try:
            if isinstance(write, VertexRemoval):
                await self._cascade(write.handle, collections[0].partition("/")[0])
            elif kind == "create":
                for collection in collections:
                    await self._register(collection)
            else:
                for collection in await self._registered(collections):
                    await self.sweep(collection, forget=kind == "rename")
        except (OutOfOrder, CannotRead) as error:
            for one in notes:
                self._marks.add(collections, f"{kind}: {error}", one.seq, one.collection)
        else:
            for one in notes:
                self._settled(one, Settled.GIVEN_UP if self._refused else Settled.APPLIED)
            if kind == "graph" and (collections[0].endswith("/*") or not self._absent):  # others use it: it is there
                self._gone.discard(collections[0])

    async def _cascade(self, handle: str, database: str) -> None:
        """A vertex was removed, and the origin removed the edges that ended in it: they are looked for here.

        With the horizon raised none is missed: an edge that was sent before the removal is applied by now, and found,
        or refused and read again.
        """
        try:
            names = await self._origin.edge_collections(database)
        except ArangoError as error:
            if error.number in GONE:
                return
            raise
        known = await self._registered([f"{database}/*"])
        for collection in (f"{database}/{name}" for name in names):
            if collection in known:
                relation = await self._target.tables.relation(collection)
                await self._horizon(collection, relation, forget=False)
                rows = await self._database.fetch(sql.mirror.EDGES_OF.on(relation), handle)
                failpoints.reach("mid-cascade")
                await self._repair(collection, rows)

    async def _registered(self, collections: Sequence[str]) -> list[str]:
        """Those that have a table, `db/*` spelt out; one that the origin has gets one (the new name of a rename)."""
        known = [row.collection for row in await self._database.fetch(sql.mirror.COLLECTIONS)]
        found: dict[str, None] = {}
        for collection in collections:
            if collection.endswith("/*"):
                found |= dict.fromkeys(name for name in known if name.startswith(collection[:-1]))
            elif collection in known or await self._register(collection):
                found[collection] = None
        return list(found)

    async def _register(self, collection: str) -> bool:
        """Registers a collection of the origin, edges or not; false where the origin has it no more."""
        database, _, name = collection.partition("/")
        try:
            edge = await self._origin.is_edge(database, name)
        except ArangoError as error:
            if error.number in GONE:
                return False
            raise
        await self._target.tables.register(collection, edge=edge)
        await self._target.tables.mark_dropped(collection, False)
        return True

    async def sweep(self, collection: str, *, forget: bool = False) -> None:
        """Makes the target what the origin has, whatever it was before.

        forget: tombstones are discarded before and after, since documents come back under this name with the revisions
        that they had (a rename and one back). For the same reason a row that is newer than what the origin has is of a
        collection that had this name before: it goes, and its tombstone, before the key is repaired. Raises
        DatabaseError, UpstreamError, ArangoError, OutOfOrder, CannotRead.
        """
        relation = await self._target.tables.relation(collection)
        exchanged = True
        while exchanged:
            self._absent = False
            era = await self._horizon(collection, relation, forget=forget)
            failpoints.reach("horizon-raised")
            exchanged = await self._pages(collection, relation, era, forget=forget)
        if forget:
            await self._horizon(collection, relation, forget=True)
        await self._target.tables.mark_dropped(collection, self._absent)

    async def _pages(self, collection: str, relation: str, era: int, *, forget: bool) -> bool:
        """Every key of both sides. Whether rows of another collection were removed whose keys the origin has too."""
        after, exchanged = "", False
        while True:
            rows = await self._database.fetch(sql.mirror.ALIVE.on(relation), after, _PAGE)
            stored = {row.key: row.rev for row in rows}
            upper = rows[-1].key if len(rows) == _PAGE else None
            exchanged |= await self._compare(collection, stored, after, upper, era, forget=forget)
            failpoints.reach("mid-sweep")
            if upper is None:
                return exchanged
            after = upper

    async def _horizon(self, collection: str, relation: str, *, forget: bool) -> int:
        """Raises the era, and the horizon to it: whatever is stamped before is refused. Gives the era."""
        era = await self._target.raise_era()
        await self._database.execute(sql.mirror.RAISE_STAMP_FLOOR, collection, era)
        if forget:
            await purge(self._database, collection, relation, era)
        return era

    async def _compare(
        self, collection: str, stored: dict[str, int], after: str, upper: str | None, era: int, *, forget: bool
    ) -> bool:
        """One range of keys. `stored`: what the target had in it, read after the era was raised.

        Whether some that the origin has were removed first, because their rows are of another collection.
        """
        position, exchanged = after, False
        while True:
            page = await self._list(collection, position, upper)
            wrong: list[str] = []
            newer: dict[str, int] = {}
            for key, rev in page:
                had = stored.pop(key, None)
                if forget and had is not None and had > rev:
                    newer[key] = had
                elif had != rev:
                    wrong.append(key)
            if newer:
                exchanged = True
                written = await self._target.absent(collection, newer, era)
                self._refused |= bool(written.dead)
            await self._repair(collection, wrong)
            if len(page) < _PAGE:
                break
            position = page[-1][0]
        if stored:
            written = await self._target.absent(collection, stored, era)
            self._refused |= bool(written.dead)
            await self._repair(collection, sorted(written.reread))
        return exchanged

    async def _list(self, collection: str, after: str, upper: str | None) -> Sequence[tuple[str, int]]:
        database, _, name = collection.partition("/")
        try:
            page = await self._origin.revisions(database, name, after, upper, _PAGE)
        except ArangoError as error:
            if error.number in GONE:
                self._gone.add(collection)
                self._absent = True
                return ()
            raise
        keys = [after.encode(), *(key.encode() for key, _ in page)]
        if any(one >= other for one, other in itertools.pairwise(keys)):
            raise OutOfOrder(_ORDER)
        return page

    async def _repair(self, collection: str, keys: Sequence[str]) -> None:
        left = keys
        while left:
            try:
                repaired = await self._repairer.until_done(collection, left)
                left = sorted(repaired.left)
                self._refused |= bool(repaired.dead)
            except CannotRead:
                if await self._register(collection):
                    raise
                # dropped since it was listed: the note of that change sweeps again, and no key is left here
                stored = await self._target.revisions(collection, left)
                era = await self._target.raise_era()
                gone = {key: row.rev for key, row in stored.items() if row.alive}
                written = await self._target.absent(collection, gone, era)
                left = sorted(written.reread)
                self._refused |= bool(written.dead)


def _takes(write: Resync) -> bool:
    """Return True if the change takes the first of its collections away."""
    return isinstance(write, CollectionChange) and write.kind in _TAKING
