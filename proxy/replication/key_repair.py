"""Repair of a key (I5, mirror-protocol): raise the era, look at the target, read the origin, write what it has.

What cannot be mirrored from an answer comes here from the journal: open intents of an earlier process, lost answers,
what did not fit in memory, what PostgreSQL refused. Documents are read again, operations are never run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from proxy.base import failpoints, metrics
from proxy.base.backoff import Backoff
from proxy.base.errors import ArangoError, DatabaseError, JournalError, UpstreamError, error_label
from proxy.journal.intent import Settled
from proxy.journal.journal import Journal
from proxy.journal.records import DocumentWrite, Note, OpaqueWrite, Resync
from proxy.model.documents import valid_key
from proxy.model.parsed_answer import revision_of
from proxy.replication.revision_scan import OriginScanner, Scans, TooMany, can_scan
from proxy.replication.target_writer import TargetWriter, Version, storable_text
from proxy.replication.verification_marks import VerificationMarks

log = structlog.get_logger(__name__)

_KEYS: Final = 100  # read from the origin at once: 20 MB of documents of 200 KB
_INTENTS: Final = 400  # taken from the journal at once; equal keys are read once
_LOOKED_UP: Final = 1000  # keys whose revisions are looked up at once
_ROUNDS: Final = 5  # looks at a key that goes on changing, before others get their turn
_KEYLESS: Final = "a write whose key is not known had an unknown outcome"
# the proxy's own account is refused, or the origin is in trouble: later it may read. All else speaks of what was asked.
_LATER: Final = frozenset({401, 403, 408, 429})
GONE: Final = frozenset({1203, 1228})  # there is no such collection, no such database


class OriginReader(OriginScanner, Protocol):
    """Reads documents of the origin as ArangoDB printed them.

    Raises ArangoError (one of `GONE`: the collection is; a document that is gone is None) and UpstreamError.
    """

    async def read(self, database: str, collection: str, keys: Sequence[str]) -> Mapping[str, bytes | None]: ...


class CannotRead(Exception):
    """The origin will never give these keys: their collection becomes unverified."""


class Looked(NamedTuple):
    """What became of keys. left: they go on changing, and are to be looked at again. dead: PostgreSQL refused them."""

    left: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()

    def how(self, keys: Iterable[str]) -> Settled:
        """How an intent ends that wrote no others."""
        return Settled.APPLIED if self.dead.isdisjoint(keys) else Settled.GIVEN_UP


class KeyRepairer:
    """`settled(note, how)`: all its keys are as the origin has them, or in PostgreSQL's dead letters."""

    def __init__(
        self,
        target: TargetWriter,
        origin: OriginReader,
        journal: Journal,
        marks: VerificationMarks,
        settled: Callable[[Note, Settled], None],
    ) -> None:
        self._target = target
        self._origin = origin
        self._journal = journal
        self._marks = marks
        self._settled = settled
        self.sweep: Callable[[Note], object] = self._marked  # what takes notes of resyncs
        self.dropped: Callable[[str], bool] = lambda _: False  # whether a sweep sees to it that the collection is gone
        self.looked: Callable[[str, Sequence[str]], object] = lambda *_: None  # keys of a search that are done
        self._scans = Scans(origin)
        self.something = asyncio.Event()

    async def keys(self, collection: str, keys: Sequence[str], *, last: bool = False) -> Looked:
        """One look at each key; `left` are those that changed meanwhile. last: see `TargetWriter.write`.

        Raises DatabaseError, UpstreamError, ArangoError (401, 403, 5xx): later; CannotRead: never.
        """
        database, _, name = collection.partition("/")
        each = list(dict.fromkeys(keys))
        left: set[str] = set()
        dead: set[str] = set()
        for start in range(0, len(each), _KEYS):  # the keys of one write may be many: each step sees to some alone
            wanted = sorted(filter(valid_key, each[start : start + _KEYS]))  # ArangoDB refused the others
            if not wanted:
                await asyncio.sleep(0)
                continue
            looked = await self._look(database, name, wanted, last=last)
            left |= looked.left
            dead |= looked.dead
        return Looked(frozenset(left), frozenset(dead))

    async def until_done(self, collection: str, keys: Sequence[str]) -> Looked:
        """Looks, a few times where keys change meanwhile; `left` are those that are not done."""
        left, dead = tuple(keys), frozenset[str]()
        for number in range(1, _ROUNDS + 1):
            looked = await self.keys(collection, left, last=number == _ROUNDS)
            left, dead = tuple(looked.left), dead | looked.dead
            if not left:
                break
        return Looked(frozenset(left), dead)

    async def _look(self, database: str, name: str, keys: Sequence[str], *, last: bool) -> Looked:
        collection = f"{database}/{name}"
        letters = await self._target.letters(collection, keys)
        era = await self._target.raise_era()
        before = await self._target.revisions(collection, keys)
        try:
            found = await self._origin.read(database, name, keys)
        except ArangoError as error:
            if _later(error):
                raise
            raise CannotRead(str(error)) from error
        failpoints.reach("mid-repair")
        rows = [Version(key, revision_of(raw), raw, era) for key, raw in found.items() if raw is not None]
        gone = {key: before[key].rev if key in before else 0 for key, raw in found.items() if raw is None}
        again: frozenset[str] = frozenset()
        dead: frozenset[str] = frozenset()
        if rows:
            written = await self._target.write(collection, rows, equal=True, last=last)
            again, dead = written.reread, written.dead
        if gone:
            written = await self._target.absent(collection, gone, era, last=last)
            again, dead = again | written.reread, dead | written.dead
        if letters:
            await self._target.agreed(collection, letters, {row.key: row.rev for row in rows})
        metrics.REPAIRED_KEYS.labels(collection).inc(len(keys) - len(again) - len(dead))
        return Looked(again, dead)

    # ---- the journal's backlog

    async def run(self) -> None:
        """Drains what was spilled, the oldest first, until it is cancelled."""
        backoff = Backoff()
        while True:
            try:
                if not await self.drain():
                    self.something.clear()
                    await self.something.wait()
                backoff.reset()
            except (DatabaseError, UpstreamError, ArangoError, JournalError) as error:
                log.debug("repair waits", error=error_label(error))
                await backoff.wait()

    async def drain(self) -> bool:
        """Takes some intents and settles them; whether there were any. Raises what `keys` raises, and JournalError."""
        notes = self._journal.take(_INTENTS, _KEYS)
        open_notes = {note.seq: note for note in notes}
        try:
            for note in notes:
                if isinstance(note.write, Resync):
                    self.sweep(note)
                    del open_notes[note.seq]
                elif self._marked(note):
                    del open_notes[note.seq]
            trouble: DatabaseError | None = None
            for collection, group in _by_collection(open_notes.values()).items():
                keyed = [note for note in group if _keys(note)]
                unnamed = [note for note in group if not _keys(note)]
                try:
                    for note in await self._repair(collection, keyed) if keyed else ():
                        del open_notes[note.seq]
                    for note in await self._search(collection, unnamed) if unnamed else ():
                        del open_notes[note.seq]
                except DatabaseError as error:  # a table that takes nothing keeps no other collection waiting
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
        """Whether there is nothing to read: its collections become unverified."""
        write = note.write
        if isinstance(write, OpaqueWrite):
            self._marks.add(write.collections, write.reason, note.seq, note.collection)
            return True
        if can_scan(note) or (_keys(note) and storable_text(note.collection) == note.collection):
            return False
        self._marks.add((note.collection,), _KEYLESS, note.seq, note.collection)
        return True

    async def _search(self, collection: str, notes: Sequence[Note]) -> Sequence[Note]:
        """Those of the notes without keys that are done: whatever was written since them was read again.

        Where the origin cannot be searched their collection becomes unverified.
        """
        new = [note for note in notes if not self._scans.covered(note, self._journal.own)]
        done = [note for note in notes if note not in new]
        how = Settled.APPLIED
        if new:
            earlier = new[0].seq < self._journal.own
            oldest = self._journal.oldest() if earlier else None
            try:
                found, since = await self._scans.found(collection, new, oldest)
                lacking = await self._lacking(collection, found)
                looked = await self.until_done(collection, lacking)
                if not looked.left:
                    how = Settled.GIVEN_UP if looked.dead else how
                    self.looked(collection, [key for key, _ in found])
                    done += new
                    if earlier:
                        self._scans.done(collection, since)
                    number = len(lacking)
                    log.info("documents found by their revisions were read again", collection=collection, number=number)
            except (ArangoError, CannotRead, TooMany) as error:
                if isinstance(error, ArangoError) and _later(error):
                    raise
                if self._swept(collection, error):
                    for note in notes:
                        self._settled(note, Settled.APPLIED)
                    return notes
                for note in new:
                    self._marks.add((collection,), f"{_KEYLESS}: {error}", note.seq, collection)
                for note in done:
                    self._settled(note, Settled.APPLIED)
                return notes
        for note in done:
            self._settled(note, how)
        return done

    async def _lacking(self, collection: str, found: Sequence[tuple[str, int]]) -> Sequence[str]:
        """Keys of those versions that the target neither has nor has overtaken."""
        lacking: list[str] = []
        for start in range(0, len(found), _LOOKED_UP):
            part = found[start : start + _LOOKED_UP]
            stored = await self._target.revisions(collection, [key for key, _ in part])
            lacking += [key for key, rev in part if key not in stored or stored[key].rev < rev]
        return lacking

    def _swept(self, collection: str, error: BaseException) -> bool:
        """Whether there is no such collection because it was dropped through this proxy: its sweep removes all keys."""
        cause = error if isinstance(error, ArangoError) else error.__cause__
        return isinstance(cause, ArangoError) and cause.number in GONE and self.dropped(collection)

    async def _repair(self, collection: str, notes: Sequence[Note]) -> Sequence[Note]:
        """Those of the notes that are done."""
        try:
            looked = await self.until_done(collection, [key for note in notes for key in _keys(note)])
        except CannotRead as error:
            if self._swept(collection, error):
                for note in notes:
                    self._settled(note, Settled.APPLIED)
                return notes
            for note in notes:
                self._marks.add((collection,), f"the origin could not be read: {error}", note.seq, collection)
            return notes
        done = [note for note in notes if looked.left.isdisjoint(_keys(note))]
        for note in done:
            self._settled(note, looked.how(_keys(note)))
        return done


def _keys(note: Note) -> tuple[str, ...]:
    return note.write.keys if isinstance(note.write, DocumentWrite) else ()


def _later(error: ArangoError) -> bool:
    """Whether the origin may say something else when it is asked again."""
    return error.status >= 500 or error.status in _LATER


def _by_collection(notes: Iterable[Note]) -> dict[str, list[Note]]:
    groups: dict[str, list[Note]] = {}
    for note in notes:
        groups.setdefault(note.collection, []).append(note)
    return groups
