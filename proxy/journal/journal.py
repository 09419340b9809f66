"""The journal: intents on disk before a write is forwarded, until PostgreSQL has it (I3). It holds keys, not documents.

Append-only segments in one directory a process (flock). Written by os.write before forwarding and not synced: the death
of the process loses nothing. When the *machine* stops, what was not synced may be lost: then every collection written
since the last sync point is named, and becomes unverified. A collection is noted as written, synced, before its first
intent since a sync point, so that this list is never too short. Files that were removed, or put back from a copy, are
recognised (`journal.manifest`): what was open then nobody knows, and every database becomes unverified.
"""

from __future__ import annotations

import bisect
import contextlib
import fcntl
import itertools
import os
import time
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from typing import Final

from proxy.base.errors import JournalError
from proxy.base.machine import boot_id, identity
from proxy.journal import records
from proxy.journal.dirty_collections import EVERYTHING, DirtyCollections, replace
from proxy.journal.intent import Intent, Recovery
from proxy.journal.manifest import Manifest, missed
from proxy.journal.records import KEYLESS, OPAQUE, Note
from proxy.journal.segment import DONE, HELD, SPILLED, SUFFIX, Damage, Loaded, Segment, cannot, load
from proxy.journal.unjournaled_marker import Alarm
from proxy.model.clock import uptime

_MACHINE: Final = "the machine stopped before the journal was synced"
_UNREADABLE: Final = "an intent in the journal could not be read"
_UNNOTED: Final = "the journal could not be written, and the process ended before PostgreSQL had it all"


__all__ = ["Intent", "Journal", "Recovery"]


class Journal:
    """Not thread-safe, but for what `unsynced` gives. `late`: seconds that intents of an earlier process wait."""

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
        self._lock = -1
        self._segments: list[Segment] = []
        self._bases: list[int] = []
        self._current: Segment | None = None
        self._awake: Segment | None = None  # an older segment whose file is open
        self._written = DirtyCollections(folder)
        self._manifest = Manifest(folder)
        self._identity = ""
        self.alarm = Alarm(folder)
        self._oldest: Note | None = None
        self.open_intents = 0
        self.own = 0  # intents below are of an earlier process

    # ---- life

    def open(self) -> Recovery:
        """Takes the directory and reads what an earlier process left.

        Raises JournalError where another process has it, or where it cannot be read or written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._take()
            return self._recover()
        except OSError as error:
            self._release()
            raise cannot("open", self._folder, error) from error
        except JournalError:
            self._release()
            raise

    def close(self) -> None:
        """Syncs and gives the directory back. What is open stays for the next process."""
        kept = []
        for segment in self._segments:
            if segment.open == 0:
                continue
            kept.append(segment.base)
            with contextlib.suppress(JournalError, OSError):
                segment.flush()
                segment.sync()
            segment.rest()
        if self._current is not None:
            with contextlib.suppress(JournalError):
                self._manifest.end(kept)
            for segment in self._segments:
                if segment.open == 0:
                    segment.drop()
            with contextlib.suppress(JournalError, OSError):
                self._written.clear()
                (self._folder / "boot").unlink(missing_ok=True)
                (self._folder / "collections").unlink(missing_ok=True)
        self._segments, self._bases, self._current, self._awake = [], [], None, None
        self.alarm.close(clean=True)
        self._release()

    # ---- intents

    def intend(
        self,
        collection: str,
        keys: Sequence[str],
        stamp: int,
        flags: int = 0,
        *,
        now: float | None = None,
        up: float = 0.0,
        since: int = 0,
    ) -> int:
        """Notes a write before it is forwarded; gives its number. No keys: ArangoDB makes them.

        now, up, since: times as a Note has them.

        Raises JournalError where the journal cannot be written; nothing is noted then.
        """
        segment = self._current
        if segment is None:
            raise JournalError(f"the journal in {self._folder} is closed")
        if len(segment.state) >= self._limit or segment.size >= self._bytes or segment.sealed:
            segment = self._rotate()
        name = self._written.name(collection)
        seq = segment.base + len(segment.state)
        offset = segment.size
        if not keys:
            flags |= KEYLESS
        wall = time.time() if now is None else now
        joined = records.join(keys)
        segment.write(
            records.note(
                records.INTENT, seq, wall, stamp, flags, collection=name, keys=joined, up=up or uptime(), since=since
            )
        )
        segment.added(offset, HELD)
        self.open_intents += 1
        return seq

    def amend(
        self,
        seq: int,
        collection: str,
        keys: Sequence[str],
        stamp: int,
        flags: int = 0,
        *,
        now: float | None = None,
        up: float = 0.0,
    ) -> None:
        """Notes what became known since: the keys that ArangoDB made, or what an opaque write touched.

        now, up: when the intent was taken.

        Raises JournalError; the intent then stays as it was.
        """
        segment = self._segment(seq)
        if segment is not self._current:
            self._wake(segment)
        offset = segment.size
        name = collection.encode("utf-8", "surrogatepass")
        joined = records.join(keys)
        wall = time.time() if now is None else now
        segment.write(
            records.note(records.KEYS, seq, wall, stamp, flags, collection=name, keys=joined, up=up or uptime())
        )
        segment.offsets[seq - segment.base] = offset

    def settle(self, seq: int) -> bool:
        """PostgreSQL has it, or nothing was written; false where it was settled before.

        A segment without open intents is removed.
        """
        segment = self._segment(seq)
        if segment is not self._current:
            self._wake(segment)
        if not segment.settle(seq - segment.base):
            return False
        self.open_intents -= 1
        if segment.open == 0 and segment is not self._current:
            self._drop(segment)
        return True

    def is_open(self, seq: int) -> bool:
        """Whether the intent is not settled."""
        segment = self._segment(seq)
        index = seq - segment.base
        return 0 <= index < len(segment.state) and segment.state[index] != DONE

    @property
    def next_seq(self) -> int:
        """The number of the next intent."""
        return 0 if self._current is None else self._current.base + len(self._current.state)

    def spill(self, seq: int) -> None:
        """Nobody in memory sees to it any more: it is to be read again, see `take`."""
        segment = self._segment(seq)
        segment.state[seq - segment.base] = SPILLED

    def take(self, intents: int, keys: int) -> list[Note]:
        """The oldest spilled intents that are due, at most so many, and with about so many keys; they are held now.

        Raises JournalError where a file cannot be read.
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
                self._wake(segment)
                seq = segment.base + index
                note = segment.read(index)
                if note is None:
                    note = Note(seq, time.time(), 0, OPAQUE, EVERYTHING, (_UNREADABLE, EVERYTHING))
                segment.state[index] = HELD
                keys -= len(note.keys)
                taken.append(note)
        return taken

    def oldest(self, without: Container[int] = ()) -> Note | None:
        """The oldest open intent, but for those of these numbers; None where none is open."""
        for segment in self._segments:
            if segment.open:
                seq: int | None = segment.base + len(segment.state) - len(segment.state.lstrip(b"\0"))
                if seq in without:
                    numbered = enumerate(segment.state, segment.base)
                    seq = next((at for at, state in numbered if state != DONE and at not in without), None)
                if seq is None:
                    continue
                if self._oldest is None or seq != self._oldest.seq:
                    self._wake(segment)
                    note = segment.read(seq - segment.base)
                    self._oldest = note or Note(seq, time.time(), 0, OPAQUE, EVERYTHING, (), uptime())
                return self._oldest
        return None

    def sample(self, limit: int) -> list[Note]:
        """Open intents for eyes, the oldest first, at most so many. Raises JournalError."""
        found: list[Note] = []
        for segment in self._segments:
            for index, state in enumerate(segment.state):
                if len(found) >= limit:
                    return found
                if state != DONE:
                    self._wake(segment)
                    note = segment.read(index)
                    if note is not None:
                        found.append(note)
        return found

    def footprint(self) -> int:
        """Bytes of memory that the open segments take, but for constant overhead."""
        return sum(len(s.state) + s.offsets.itemsize * len(s.offsets) + 8 * len(s.fresh) for s in self._segments)

    # ---- sync points

    def unsynced(self) -> Callable[[], None]:
        """Begins a sync point: the function given does the syncing, in any thread. Call `synced` after it."""
        handles = []
        for segment in self._segments:
            self._wake(segment)
            with contextlib.suppress(JournalError):
                segment.flush()
            if segment.dirty:
                segment.dirty = False
                handles.append(os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC))
        self._written.begin()

        def sync() -> None:
            try:
                for handle in handles:
                    os.fsync(handle)
            finally:
                for handle in handles:
                    os.close(handle)

        return sync

    def synced(self, done: bool = True) -> None:
        """Ends a sync point: collections that were not written since it began need not be named after a stop.

        done: whether the syncing worked; else the next one syncs all. Raises JournalError.
        """
        if done:
            self._written.end()
        else:
            for segment in self._segments:
                segment.dirty = True

    # ---- parts

    def _take(self) -> None:
        self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip()
            raise JournalError(
                f"the journal in {self._folder} is in use by process {owner or 'unknown'}: "
                "every proxy needs a state directory of its own, set CROSSFADE_STATE_DIR"
            ) from error
        self._identity = identity(self._folder / "lock")
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _release(self) -> None:
        self.alarm.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _recover(self) -> Recovery:
        recovery = Recovery()
        marks: list[tuple[str, str]] = []
        last = 0
        damaged: list[Damage] = []
        paths = sorted(self._folder.glob(f"{'[0-9a-f]' * 16}{SUFFIX}"))
        before = self._read("boot")
        present = [int(path.stem, 16) for path in paths]
        lacks = missed(self._folder, self._manifest.read(), present, before, self._identity)
        marks += [(EVERYTHING, reason) for reason in lacks]
        recovery.damaged += lacks
        for path, following in itertools.zip_longest(paths, (int(path.stem, 16) for path in paths[1:])):
            loaded = load(path, following)
            if isinstance(loaded, Damage):
                damaged.append(loaded)
                last = max(last, loaded.last)
            elif loaded is not None:
                last = max(last, loaded.segment.base + len(loaded.segment.state) - 1)
                self._keep(loaded, recovery)
        if before is not None and (before.partition("\n")[0].strip() != self._boot or not self._boot):
            recovery.machine_stopped = True
            marks += [(name, _MACHINE) for name in self._written.read()]
        recovery.unnoted = self.alarm.open()
        if recovery.unnoted:
            marks.append((EVERYTHING, _UNNOTED))
        self.own = last + 1
        self._add(self._created(last + 1))
        self._written.clear()
        self._carry(damaged, marks, recovery)
        for damage in damaged:
            damage.set_aside()
        self.alarm.set(False)  # the mark that follows from it is journaled by now
        self.open_intents = recovery.open
        self._manifest.begin(self._bases)
        replace(self._folder / "boot", f"{self._boot}\n{self._identity}\n")
        return recovery

    def _created(self, base: int) -> Segment:
        """A new file, and it is listed before anything is in it."""
        segment = Segment.create(self._folder, base)
        try:
            self._manifest.add(base)
        except JournalError:
            segment.drop()
            raise
        return segment

    def _keep(self, loaded: Loaded, recovery: Recovery) -> None:
        segment = loaded.segment
        if segment.open == 0:
            segment.drop()
            return
        segment.due = time.monotonic() + self._late
        self._add(segment)
        segment.sync()
        segment.rest()
        for collection, number in loaded.collections.items():
            recovery.add(collection, number)

    def _carry(self, damaged: Iterable[Damage], marks: list[tuple[str, str]], recovery: Recovery) -> None:
        """What was saved and what must be marked is journaled anew, spilled, in a segment of its own."""
        notes: list[Note] = []
        for damage in damaged:
            notes += damage.notes
            marks.append((EVERYTHING, damage.reason))
            recovery.damaged.append(damage.reason)
        notes += [Note(0, time.time(), 0, OPAQUE, name, (reason, name)) for name, reason in marks]
        for note in notes:
            times = {"now": note.time, "up": note.up}
            self.spill(self.intend(note.collection, note.keys, note.stamp, note.flags, since=note.since, **times))
            recovery.add(note.collection, 1)
        if notes:
            last = self._current
            assert last is not None
            self._rotate()
            for segment in self._segments[:-1]:
                segment.due = time.monotonic() + self._late
            last.sync()
            last.rest()

    def _read(self, name: str) -> str | None:
        try:
            return (self._folder / name).read_text("utf-8")
        except FileNotFoundError:
            return None

    def _segment(self, seq: int) -> Segment:
        current = self._current
        if current is not None and seq >= current.base:
            return current
        return self._segments[bisect.bisect_right(self._bases, seq) - 1]

    def _add(self, segment: Segment) -> None:
        self._segments.append(segment)
        self._bases.append(segment.base)
        self._current = segment

    def _rotate(self) -> Segment:
        full = self._current
        assert full is not None
        self._add(self._created(full.base + len(full.state)))
        assert self._current is not None
        if full.open == 0:
            self._drop(full)
        else:
            with contextlib.suppress(JournalError):
                full.flush()
            self._wake(self._current)
            full.rest()
        return self._current

    def _wake(self, segment: Segment) -> None:
        """At most one file beside the present one is open."""
        if self._awake is not segment and self._awake is not None and self._awake is not self._current:
            self._awake.rest()
        self._awake = segment

    def _drop(self, segment: Segment) -> None:
        index = bisect.bisect_left(self._bases, segment.base)
        del self._segments[index], self._bases[index]
        if self._awake is segment:
            self._awake = None
        self._manifest.drop(segment.base)
        segment.drop()
