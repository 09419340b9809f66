"""Resyncs of the journal's notes: whole collections are compared after a truncation, a drop, a rename.

What was begun is in the journal until it is done, and is begun again after a crash. A table that PostgreSQL refuses
holds up only the resyncs of the same collections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final

import structlog

from proxy.base.backoff import Backoff
from proxy.base.errors import ArangoError, DatabaseError, UpstreamError, error_label
from proxy.journal.intent import Ending
from proxy.journal.records import CollectionChange, Note, Resync, VertexRemoval
from proxy.replication.collection_resync import CollectionResync, OutOfOrder, ResyncResult
from proxy.replication.dropped_collections import DroppedCollections
from proxy.replication.key_repair import CannotRead
from proxy.replication.verification_marks import VerificationMarks

log = structlog.get_logger(__name__)

_SINGLE: Final = frozenset({"create", "rename", "drop", "graph"})  # kinds that are never carried out several at a time


class Resyncer:
    """Carries out resyncs, one at a time, in the order of their notes. closed(note, how): it is done."""

    def __init__(
        self,
        collections: CollectionResync,
        dropped: DroppedCollections,
        marks: VerificationMarks,
        closed: Callable[[Note, Ending], None],
    ) -> None:
        self._collections = collections
        self._dropped = dropped
        self._marks = marks
        self._closed = closed
        self._notes: list[Note] = []
        self._something = asyncio.Event()

    def add(self, note: Note) -> None:
        """Carry out the resync of a note from now on: its change has ended."""
        self._dropped.ended(_resync_of(note))
        self._notes.append(note)
        self._something.set()

    async def run(self) -> None:
        """Carry out resyncs until cancelled; what is not done then is in the journal."""
        backoff = Backoff()
        while True:
            if await self._round(backoff):
                self._something.clear()
                await self._something.wait()
            else:
                await backoff.wait()

    async def _round(self, backoff: Backoff) -> bool:
        """Carry out what can be carried out now. Return True if nothing is left."""
        blocked: list[Note] = []  # a statement on one of their tables was refused
        while notes := next_resync(self._notes, blocked):
            try:
                await self._carry_out(notes)
            except (DatabaseError, UpstreamError, ArangoError) as error:
                log.debug("resync_waits", error=error_label(error))
                if not (isinstance(error, DatabaseError) and error.of_statement):
                    break  # a database is away: the others would wait as well
                blocked += notes
            else:
                for note in notes:
                    self._notes.remove(note)
                backoff.reset()
        return not self._notes

    async def _carry_out(self, notes: Sequence[Note]) -> None:
        write = _resync_of(notes[0])
        kind = write.kind if isinstance(write, CollectionChange) else "removal of a vertex"
        try:
            result = await self._resynced(write)
        except (OutOfOrder, CannotRead) as error:
            for note in notes:
                self._marks.add(write.collections, f"{kind}: {error}", note.seq, note.collection)
            return
        for note in notes:
            self._closed(note, Ending.GIVEN_UP if result.refused else Ending.APPLIED)
        first = write.collections[0]
        if kind == "graph" and (first.endswith("/*") or not result.absent):
            self._dropped.present(first)

    async def _resynced(self, write: Resync) -> ResyncResult:
        if isinstance(write, VertexRemoval):
            return await self._collections.remove_edges(write.collections[0].partition("/")[0], write.handle)
        result = ResyncResult()
        if write.kind == "create":
            for collection in write.collections:
                await self._collections.register(collection)
            return result
        for collection in await self._collections.registered(write.collections):
            last = await self._collections.resync(collection, forget=write.kind == "rename")
            result = last._replace(refused=result.refused or last.refused)
        return result


def next_resync(notes: Sequence[Note], blocked: Collection[Note]) -> list[Note]:
    """Return the first note that concerns no collection of a blocked one, and those that one comparison covers too.

    The requests of all of them have ended. Empty if there is none.
    """
    held = {name for note in blocked for name in _resync_of(note).collections}
    for first in notes:
        write = _resync_of(first)
        if any(_overlap(name, other) for name in write.collections for other in held):
            held.update(write.collections)  # what follows on the same collections waits for this one
            continue
        if isinstance(write, VertexRemoval) or write.kind in _SINGLE:
            return [first]
        return [note for note in notes if note.write == write]
    return []


def _resync_of(note: Note) -> Resync:
    assert isinstance(note.write, Resync)
    return note.write


def _overlap(one: str, other: str) -> bool:
    """Return True if two names (`db/name`, `db/*`) have a collection in common."""
    database, _, name = one.partition("/")
    other_database, _, other_name = other.partition("/")
    return database == other_database and (name == other_name or "*" in (name, other_name))
