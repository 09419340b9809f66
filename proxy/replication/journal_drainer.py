"""Drains the journal: open intents that no longer have their answer in memory are closed by a repair (I5).

An intent comes here if an earlier process left it, if the answer to its request was lost or did not fit in memory, or
if PostgreSQL refused what was written. Intents whose keys are known are repaired key by key (`key_repair`), those
without keys by a scan for new revisions (`revision_scan`), changes of whole collections by a resync (`resync`). If
ArangoDB cannot be read, the collection is marked as in need of a verification.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from proxy.base.backoff import Backoff
from proxy.base.errors import ArangoError, DatabaseError, JournalError, UpstreamError, error_label
from proxy.base.sql_values import storable
from proxy.journal.intent import Ending
from proxy.journal.journal import Journal
from proxy.journal.records import DocumentWrite, Note, OpaqueWrite, Resync
from proxy.replication.dropped_collections import DroppedCollections
from proxy.replication.key_repair import GONE, CannotRead, KeyRepairer, is_transient
from proxy.replication.resync import Resyncer
from proxy.replication.revision_scan import OriginScanner, Scans, TooMany, can_scan
from proxy.replication.target_writer import TargetWriter
from proxy.replication.verification_marks import VerificationMarks
from proxy.replication.versions import KeyRevision, is_superseded

log = structlog.get_logger(__name__)

_KEYS: Final = 100  # of one intent and of one group of intents taken from the journal
_INTENTS: Final = 400  # taken from the journal together; a key that several of them name is read once
_LOOKED_UP: Final = 1000  # keys whose revisions are looked up in one statement
_KEYLESS: Final = "a write whose key is not known had an unknown outcome"


class JournalDrainer:
    """Repairs and closes open intents, the oldest first.

    spilled: set when an intent was left to the journal, or has become due there.
    closed(note, how): all that the intent wrote is as ArangoDB has it, or in PostgreSQL's dead letters.
    read_again(collection, keys): keys that a scan found, before their intents are closed.
    """

    def __init__(
        self,
        journal: Journal,
        spilled: asyncio.Event,
        target: TargetWriter,
        repairer: KeyRepairer,
        scanner: OriginScanner,
        resyncer: Resyncer,
        dropped: DroppedCollections,
        marks: VerificationMarks,
        *,
        closed: Callable[[Note, Ending], None],
        read_again: Callable[[str, Sequence[str]], object],
    ) -> None:
        self._journal = journal
        self._target = target
        self._repairer = repairer
        self._scans = Scans(scanner)
        self._resyncer = resyncer
        self._dropped = dropped
        self._marks = marks
        self._closed = closed
        self._read_again = read_again
        self._spilled = spilled

    async def run(self) -> None:
        """Drain until cancelled."""
        backoff = Backoff()
        while True:
            try:
                if not await self.drain():
                    self._spilled.clear()
                    await self._spilled.wait()
                backoff.reset()
            except (DatabaseError, UpstreamError, ArangoError, JournalError) as error:
                log.debug("journal_drain_waits", error=error_label(error))
                await backoff.wait()

    async def drain(self) -> bool:
        """Take some intents and close them. Return False if there were none.

        Raise what `KeyRepairer.keys` raises (but CannotRead), and JournalError; what is not closed then is handed
        back to the journal.
        """
        notes = self._journal.take(_INTENTS, _KEYS)
        open_notes = {note.seq: note for note in notes}
        try:
            for note in notes:
                if isinstance(note.write, Resync):
                    self._resyncer.add(note)
                    del open_notes[note.seq]
                elif self._marked(note):
                    del open_notes[note.seq]
            trouble: DatabaseError | None = None
            for collection, group in _by_collection(open_notes.values()).items():
                named = [note for note in group if _keys(note)]
                unnamed = [note for note in group if not _keys(note)]
                try:
                    for note in await self._repair(collection, named) if named else ():
                        del open_notes[note.seq]
                    for note in await self._search(collection, unnamed) if unnamed else ():
                        del open_notes[note.seq]
                except DatabaseError as error:  # a table that refuses everything must not hold up other collections
                    if not error.of_statement:
                        raise
                    trouble = error
            if trouble is not None:
                raise trouble
        finally:
            for seq in open_notes:
                self._journal.spill(seq)
        return bool(notes)

    def _marked(self, note: Note) -> bool:
        """Mark the collections of an intent for which nothing can be read. Return False if there is something."""
        write = note.write
        if isinstance(write, OpaqueWrite):
            self._marks.add(write.collections, write.reason, note.seq, note.collection)
            return True
        if can_scan(note) or (_keys(note) and storable(note.collection) == note.collection):
            return False
        self._marks.add((note.collection,), _KEYLESS, note.seq, note.collection)
        return True

    async def _repair(self, collection: str, notes: Sequence[Note]) -> Sequence[Note]:
        """Repair the keys of these intents. Return those that are closed, or marked."""
        try:
            repaired = await self._repairer.until_done(collection, [key for note in notes for key in _keys(note)])
        except CannotRead as error:
            if self._was_dropped(collection, error):
                for note in notes:
                    self._closed(note, Ending.APPLIED)
                return notes
            for note in notes:
                self._marks.add((collection,), f"the origin could not be read: {error}", note.seq, collection)
            return notes
        done = [note for note in notes if repaired.left.isdisjoint(_keys(note))]
        for note in done:
            self._closed(note, repaired.ending(_keys(note)))
        return done

    async def _search(self, collection: str, notes: Sequence[Note]) -> Sequence[Note]:
        """Repair all that was written since these intents without keys. Return those that are closed, or marked.

        If ArangoDB cannot be searched, their collection is marked.
        """
        new = [note for note in notes if not self._scans.covered(note, self._journal.own)]
        done = [note for note in notes if note not in new]
        how = Ending.APPLIED
        if new:
            earlier = new[0].seq < self._journal.own
            oldest = self._journal.oldest() if earlier else None
            try:
                found, since = await self._scans.found(collection, new, oldest)
                lacking = await self._lacking(collection, found)
                repaired = await self._repairer.until_done(collection, lacking)
                if not repaired.left:
                    how = Ending.GIVEN_UP if repaired.dead else how
                    self._read_again(collection, [key for key, _ in found])
                    done += new
                    if earlier:
                        self._scans.done(collection, since)
                    number = len(lacking)
                    log.info("revisions_reread", collection=collection, number=number)
            except (ArangoError, CannotRead, TooMany) as error:
                if isinstance(error, ArangoError) and is_transient(error):
                    raise
                if self._was_dropped(collection, error):
                    for note in notes:
                        self._closed(note, Ending.APPLIED)
                    return notes
                for note in new:
                    self._marks.add((collection,), f"{_KEYLESS}: {error}", note.seq, collection)
                for note in done:
                    self._closed(note, Ending.APPLIED)
                return notes
        for note in done:
            self._closed(note, how)
        return done

    async def _lacking(self, collection: str, found: Sequence[tuple[str, int]]) -> Sequence[str]:
        """Return the keys of those versions that PostgreSQL neither has nor has overtaken."""
        lacking: list[str] = []
        for start in range(0, len(found), _LOOKED_UP):
            part = found[start : start + _LOOKED_UP]
            stored = await self._target.revisions(collection, [key for key, _ in part])
            rows = [KeyRevision(key, rev) for key, rev in part]
            lacking += [row.key for row in rows if not is_superseded(row, stored.get(row.key))]
        return lacking

    def _was_dropped(self, collection: str, error: BaseException) -> bool:
        """Return True if the collection is missing because of a drop through this proxy: its resync removes all."""
        cause = error.error if isinstance(error, CannotRead) else error
        return isinstance(cause, ArangoError) and cause.number in GONE and self._dropped.explains(collection)


def _keys(note: Note) -> tuple[str, ...]:
    return note.write.keys if isinstance(note.write, DocumentWrite) else ()


def _by_collection(notes: Iterable[Note]) -> dict[str, list[Note]]:
    groups: dict[str, list[Note]] = {}
    for note in notes:
        groups.setdefault(note.collection, []).append(note)
    return groups
