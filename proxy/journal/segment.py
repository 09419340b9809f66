"""One file of the journal, and what memory keeps of it: a byte and an offset for each intent, whatever the backlog.

All I/O on segments is here; damage is judged here (`load`): a torn tail is cut, anything else sets the file aside.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proxy.base.errors import JournalError
from proxy.journal import records
from proxy.journal.records import FoundRecord, Note

DONE: Final = 0
HELD: Final = 1  # this process handles it
SPILLED: Final = 2  # in the journal alone: to be read again from the origin

SUFFIX: Final = ".journal"
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
_FRESH: Final = 256  # closed intents in one record


@dataclass(slots=True, eq=False)
class Segment:
    """Intents base, base + 1, … `state` and `offsets` are indexed by seq - base; `size` is where the next record goes.

    due: monotonic time before which what was spilled must not be taken (a request may still run at the origin).
    sealed: nothing more is written to it, since a failed write could not be undone. fresh: closed, not in the file yet.
    """

    path: Path
    base: int
    size: int = 0
    fd: int = -1
    state: bytearray = field(default_factory=bytearray)
    offsets: array[int] = field(default_factory=lambda: array("I"))
    open: int = 0
    due: float = 0.0
    dirty: bool = False
    sealed: bool = False
    fresh: list[int] = field(default_factory=list)

    @classmethod
    def create(cls, folder: Path, base: int) -> Segment:
        """Create a file. Raise JournalError."""
        path = folder / f"{base:016x}{SUFFIX}"
        try:
            fd = os.open(path, _FLAGS | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise journal_error("begin", path, error) from error
        segment = cls(path, base, fd=fd)
        try:
            segment.write(records.head(base))
        except JournalError:
            segment.drop()
            raise
        return segment

    def write(self, data: bytes) -> None:
        """Append, not synced. Raise JournalError; the file is then as it was, or nothing more is written to it."""
        if self.sealed:
            raise JournalError(f"{self.path} is sealed after a failed write")
        try:
            if self.fd < 0:
                self.fd = os.open(self.path, _FLAGS)
            written = os.write(self.fd, data)
        except OSError as error:
            raise journal_error("write", self.path, error) from error
        if written != len(data):
            try:
                os.ftruncate(self.fd, self.size)
            except OSError:
                self.sealed = True
            raise JournalError(f"{self.path} cannot be written: the disk is full")
        self.size += written
        self.dirty = True

    def added(self, offset: int, state: int) -> None:
        """Add the next intent, which is at that offset."""
        self.state.append(state)
        self.offsets.append(offset)
        self.open += 1

    def complete(self, index: int) -> bool:
        """Close an intent, in the file together with others. Return False if it was closed before."""
        if not 0 <= index < len(self.state) or self.state[index] == DONE:
            return False
        self.state[index] = DONE
        self.open -= 1
        self.fresh.append(index)
        if len(self.fresh) >= _FRESH:
            with contextlib.suppress(JournalError):  # what the file does not say costs a re-read after a crash, no more
                self.flush()
        return True

    def flush(self) -> None:
        """Write what was closed. Raise JournalError, and then keep it for the next time."""
        if self.fresh and not self.sealed:
            self.write(records.completed(self.fresh))
            self.fresh.clear()

    def read(self, index: int) -> Note | None:
        """Return the intent; None if it is damaged in the file. Raise JournalError."""
        try:
            if self.fd < 0:
                self.fd = os.open(self.path, _FLAGS)
            offset = self.offsets[index]
            data = os.pread(self.fd, 512, offset)
            end = records.claimed_end(data, 0)
            if end > len(data):
                data = os.pread(self.fd, min(end, self.size - offset), offset)
        except OSError as error:
            raise journal_error("read", self.path, error) from error
        found = records.at(data, 0)
        return None if found is None else found.note

    def sync(self) -> None:
        """Wait until the disk has what was written. Raise OSError."""
        if self.fd < 0:
            self.fd = os.open(self.path, _FLAGS)
        os.fsync(self.fd)
        self.dirty = False

    def rest(self) -> None:
        """Close the file; it is opened again when it is needed."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def drop(self) -> None:
        """Remove the file: nothing in it is open."""
        self.rest()
        self.path.unlink(missing_ok=True)


@dataclass(slots=True)
class SegmentDamage:
    """A damaged file. notes: what could be saved of it. last: the last number that it may hold."""

    path: Path
    aside: Path
    notes: list[Note]
    last: int

    @property
    def reason(self) -> str:
        return f"the journal was damaged: {self.aside.name} was set aside"

    def set_aside(self) -> None:
        """Rename it for operators to see, once everything that follows from it is in another file. Raise OSError."""
        self.path.rename(self.aside)


@dataclass(slots=True)
class Loaded:
    """An undamaged file, and how many intents of each collection are open in it."""

    segment: Segment
    collections: dict[str, int] = field(default_factory=dict)


def load(path: Path, following: int | None = None) -> Loaded | SegmentDamage | None:
    """Read a file of an earlier process; everything open is SPILLED. Return None if it was empty (it is removed).

    following: the first number of the next file, if there is one. A torn tail is cut; but if intents up to that number
    are missing then, they were complete once, so that is damage. Raise JournalError if it cannot be read at all.
    """
    try:
        data = path.read_bytes()
        base = records.read_head(data)
        if base is None and len(data) < records.HEAD_SIZE:
            path.unlink()
            return None
        if base is None:
            return _damage(path, None, list(records.salvage(data, 0)))
        whole = list(records.scan(data, records.HEAD_SIZE))
        end = whole[-1].end if whole else records.HEAD_SIZE
        if not _torn(data, end):
            return _damage(path, base, [*whole, *records.salvage(data, end + 1)])
        loaded = Loaded(Segment(path, base, size=end))
        names: list[str] = []
        if not all(_replay(loaded.segment, names, found) for found in whole):
            return _damage(path, base, whole)
        if data[end:].strip(b"\0") and following is not None and base + len(loaded.segment.state) < following:
            return _damage(path, base, whole)
        if end < len(data):
            os.truncate(path, end)
    except OSError as error:
        raise journal_error("read", path, error) from error
    for name, state in zip(names, loaded.segment.state, strict=True):
        if state != DONE:
            loaded.collections[name] = loaded.collections.get(name, 0) + 1
    return loaded


def _torn(data: bytes, end: int) -> bool:
    """Return True if only the beginning of a record that was never complete, or nothing, follows the last good one."""
    rest = memoryview(data)[end:]
    if not rest or not bytes(rest).strip(b"\0"):
        return True
    return records.claimed_end(data, end) > len(data) and next(records.salvage(data, end + 1), None) is None


def _replay(segment: Segment, names: list[str], found: FoundRecord) -> bool:
    """Apply a record; return False if it does not fit those before it. `names`: the collection of each intent."""
    if found.note is None:
        for index in found.completed:
            if index >= len(segment.state):
                return False
            segment.open -= segment.state[index] != DONE
            segment.state[index] = DONE
        return True
    index = found.note.seq - segment.base
    if index == len(segment.state):
        segment.added(found.offset, SPILLED)
        names.append(found.note.collection)
        return True
    if 0 <= index < len(segment.state):
        segment.offsets[index] = found.offset
        return True
    return False


def _damage(path: Path, base: int | None, found: list[FoundRecord]) -> SegmentDamage:
    """Return the intents in a damaged file that may be open."""
    open_notes: dict[int, Note] = {}
    last = int(path.stem, 16)
    for record in found:
        if record.note is not None:
            open_notes[record.note.seq] = record.note
            last = max(last, record.note.seq)
    if base is not None:
        for record in found:
            for index in record.completed:
                open_notes.pop(base + index, None)
    aside = next(name for name in _names(path) if not name.exists())
    return SegmentDamage(path, aside, list(open_notes.values()), last)


def _names(path: Path) -> Iterator[Path]:
    number = 0
    while True:
        number += 1
        yield path.with_name(f"{path.stem}.damaged-{number}")


def journal_error(verb: str, path: Path, error: OSError) -> JournalError:
    """Return an error that says what could not be done with the journal."""
    return JournalError(f"cannot {verb} the journal {path}: {error.strerror or error}")
