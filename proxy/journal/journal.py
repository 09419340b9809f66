"""The write-ahead log: intents on disk from before a write is forwarded until PostgreSQL has it (I3). No documents.

Append-only segments in one directory a process (flock). Written by os.write before forwarding and not synced: the death
of the process loses nothing. When the *machine* stops, what was not synced may be lost: then every collection written
since the last sync point is named, and needs a verification. A collection is noted as written, synced, before its first
intent since a sync point, so that this list is never too short. Files that were removed, or put back from a copy, are
recognised (`journal.manifest`): what was open then is not known, and every database needs a verification.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Final

from proxy.base.errors import JournalError
from proxy.base.machine import boot_id
from proxy.base.private_files import make_private
from proxy.journal import records, recovery
from proxy.journal.dirty_collections import EVERYTHING, DirtyCollections, replace
from proxy.journal.lock import DirectoryLock
from proxy.journal.manifest import JournalManifest
from proxy.journal.records import DocumentWrite, Note, OpaqueWrite, Write
from proxy.journal.recovery import Recovery
from proxy.journal.segment import DONE, HELD, SPILLED, Loaded, journal_error
from proxy.journal.segment_list import SegmentList
from proxy.journal.unjournaled_marker import UnjournaledMarker
from proxy.model.clock import uptime

_UNREADABLE: Final = OpaqueWrite("an intent in the journal could not be read", (EVERYTHING,))


class Journal:
    """Not thread-safe, but for the function that `begin_sync` returns.

    late: seconds that intents of an earlier process wait, since its requests may still run at the origin.
    """

    def __init__(
        self,
        folder: Path,
        *,
        late: float = 0.0,
        segment_intents: int = 32_768,
        segment_bytes: int = 4 << 20,
        boot: Callable[[], str] = boot_id,
    ) -> None:
        self._folder = folder
        self._late = late
        self._limit = segment_intents
        self._bytes = segment_bytes
        self._boot = boot()
        self._lock = DirectoryLock(folder)
        self._manifest = JournalManifest(folder)
        self._segments = SegmentList(folder, self._manifest)
        self._dirty = DirtyCollections(folder)
        self.unjournaled = UnjournaledMarker(folder)
        self._oldest: Note | None = None
        self.open_intents = 0
        self.own = 0  # intents below are of an earlier process

    # ---- life

    def open(self) -> Recovery:
        """Take the directory and read what an earlier process left.

        Raise JournalError if another process has it, or if it cannot be read or written.
        """
        try:
            make_private(self._folder)
            self._lock.take()
            return self._recover()
        except OSError as error:
            self._release()
            raise journal_error("open", self._folder, error) from error
        except JournalError:
            self._release()
            raise

    def close(self) -> None:
        """Sync and give the directory back. What is open stays for the next process."""
        kept = []
        for segment in self._segments:
            if segment.open == 0:
                continue
            kept.append(segment.base)
            with contextlib.suppress(JournalError, OSError):
                segment.flush()
                segment.sync()
            segment.rest()
        if self._segments.current is not None:
            with contextlib.suppress(JournalError):
                self._manifest.end(kept)
            for segment in self._segments:
                if segment.open == 0:
                    segment.drop()
            with contextlib.suppress(JournalError, OSError):
                self._dirty.clear()
                (self._folder / "boot").unlink(missing_ok=True)
                (self._folder / "collections").unlink(missing_ok=True)
        self._segments.clear()
        self.unjournaled.close(clean=True)
        self._release()

    # ---- intents

    def intend(
        self, collection: str, write: Write, stamp: int, *, now: float | None = None, up: float = 0.0, since: int = 0
    ) -> int:
        """Append an intent before its write is forwarded; return its number. now, up, since: times as a Note has them.

        Raise JournalError if the journal cannot be written; no intent is recorded then.
        """
        segment = self._segments.current
        if segment is None:
            raise JournalError(f"the journal in {self._folder} is closed")
        if len(segment.state) >= self._limit or segment.size >= self._bytes or segment.sealed:
            segment = self._segments.rotate()
        name = self._dirty.name(collection)
        seq = segment.base + len(segment.state)
        offset = segment.size
        wall = time.time() if now is None else now
        segment.write(
            records.note(records.INTENT, seq, wall, stamp, collection=name, write=write, up=up or uptime(), since=since)
        )
        segment.added(offset, HELD)
        self.open_intents += 1
        return seq

    def amend(
        self, seq: int, collection: str, write: DocumentWrite, stamp: int, *, now: float | None = None, up: float = 0.0
    ) -> None:
        """Append what became known since: the keys that ArangoDB made. now, up: when the intent was made.

        Raise JournalError; the intent then stays as it was.
        """
        segment = self._segments.of(seq)
        if segment is not self._segments.current:
            self._segments.wake(segment)
        offset = segment.size
        name = collection.encode("utf-8", "surrogatepass")
        wall = time.time() if now is None else now
        segment.write(records.note(records.KEYS, seq, wall, stamp, collection=name, write=write, up=up or uptime()))
        segment.offsets[seq - segment.base] = offset

    def complete(self, seq: int) -> bool:
        """Close an intent: PostgreSQL has the write, or nothing was written. Return False if it was closed before.

        A segment without open intents is removed.
        """
        segment = self._segments.of(seq)
        if segment is not self._segments.current:
            self._segments.wake(segment)
        if not segment.complete(seq - segment.base):
            return False
        self.open_intents -= 1
        if segment.open == 0 and segment is not self._segments.current:
            self._segments.drop(segment)
        return True

    def is_open(self, seq: int) -> bool:
        """Return True if the intent is not complete."""
        segment = self._segments.of(seq)
        index = seq - segment.base
        return 0 <= index < len(segment.state) and segment.state[index] != DONE

    @property
    def next_seq(self) -> int:
        """The number of the next intent."""
        current = self._segments.current
        return 0 if current is None else current.base + len(current.state)

    def spill(self, seq: int) -> None:
        """Leave an intent to the journal alone: it is to be read again from the origin, see `take`."""
        segment = self._segments.of(seq)
        segment.state[seq - segment.base] = SPILLED

    def take(self, intents: int, keys: int) -> list[Note]:
        """Return the oldest spilled intents that are due; they are held now.

        intents: at most this number; keys: about this number in all. Raise JournalError if a file cannot be read.
        """
        taken: list[Note] = []
        now = time.monotonic()
        for segment in self._segments:
            if segment.due > now:
                continue
            while len(taken) < intents and keys > 0:
                index = segment.state.find(SPILLED)
                if index < 0:
                    break
                self._segments.wake(segment)
                seq = segment.base + index
                note = segment.read(index)
                if note is None:
                    note = Note(seq, time.time(), 0, EVERYTHING, _UNREADABLE)
                segment.state[index] = HELD
                keys -= len(note.write.keys) if isinstance(note.write, DocumentWrite) else 1
                taken.append(note)
        return taken

    def oldest(self, without: Container[int] = ()) -> Note | None:
        """Return the oldest open intent, but for those of these numbers; None if none is open."""
        for segment in self._segments:
            if segment.open:
                seq: int | None = segment.base + len(segment.state) - len(segment.state.lstrip(b"\0"))
                if seq in without:
                    numbered = enumerate(segment.state, segment.base)
                    seq = next((at for at, state in numbered if state != DONE and at not in without), None)
                if seq is None:
                    continue
                if self._oldest is None or seq != self._oldest.seq:
                    self._segments.wake(segment)
                    note = segment.read(seq - segment.base)
                    self._oldest = note or Note(seq, time.time(), 0, EVERYTHING, _UNREADABLE, uptime())
                return self._oldest
        return None

    def sample(self, limit: int) -> list[Note]:
        """Return open intents to show to people, the oldest first, at most `limit`. Raise JournalError."""
        found: list[Note] = []
        for segment in self._segments:
            for index, state in enumerate(segment.state):
                if len(found) >= limit:
                    return found
                if state != DONE:
                    self._segments.wake(segment)
                    note = segment.read(index)
                    if note is not None:
                        found.append(note)
        return found

    # ---- sync points

    def begin_sync(self) -> Callable[[], None]:
        """Begin a sync point: the function returned does the syncing, in any thread. Call `end_sync` afterwards."""
        handles = []
        for segment in self._segments:
            self._segments.wake(segment)
            with contextlib.suppress(JournalError):
                segment.flush()
            if segment.dirty:
                segment.dirty = False
                handles.append(os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC))
        self._dirty.begin()

        def sync() -> None:
            try:
                for handle in handles:
                    os.fsync(handle)
            finally:
                for handle in handles:
                    os.close(handle)

        return sync

    def end_sync(self, *, done: bool = True) -> None:
        """End a sync point: collections that were not written since it began need not be named after a stop.

        done: the syncing worked; otherwise the next one syncs everything. Raise JournalError.
        """
        if done:
            self._dirty.end()
        else:
            for segment in self._segments:
                segment.dirty = True

    # ---- parts

    def _release(self) -> None:
        self.unjournaled.close()
        self._lock.release()

    def _recover(self) -> Recovery:
        left = recovery.read(
            self._folder,
            self._manifest.read(),
            boot=self._boot,
            identity=self._lock.identity,
            dirty=self._dirty.read,
            unjournaled=self.unjournaled.open,
        )
        for loaded in left.loaded:
            self._keep(loaded, left.recovery)
        self.own = left.last + 1
        self._segments.begin(left.last + 1)
        self._dirty.clear()
        saved = [note for damage in left.damaged for note in damage.notes]
        marks = [Note(0, time.time(), 0, name, OpaqueWrite(reason, (name,))) for name, reason in left.marks]
        self._carry([*saved, *marks], left.recovery)
        for damage in left.damaged:
            damage.set_aside()
        self.unjournaled.set(on=False)  # the mark that follows from it is in the journal by now
        self.open_intents = left.recovery.open
        self._manifest.begin(self._segments.bases)
        replace(self._folder / "boot", f"{self._boot}\n{self._lock.identity}\n")
        return left.recovery

    def _keep(self, loaded: Loaded, found: Recovery) -> None:
        segment = loaded.segment
        if segment.open == 0:
            segment.drop()
            return
        segment.due = time.monotonic() + self._late
        self._segments.add(segment)
        segment.sync()
        segment.rest()
        for collection, number in loaded.collections.items():
            found.add(collection, number)

    def _carry(self, notes: Iterable[Note], found: Recovery) -> None:
        """Append what was saved and what must be marked once more, spilled, in a segment with nothing else in it."""
        carried = False
        for note in notes:
            self.spill(
                self.intend(note.collection, note.write, note.stamp, now=note.time, up=note.up, since=note.since)
            )
            found.add(note.collection, 1)
            carried = True
        if carried:
            last = self._segments.current
            assert last is not None
            self._segments.rotate()
            for segment in self._segments:
                if segment is not self._segments.current:
                    segment.due = time.monotonic() + self._late
            last.sync()
            last.rest()
