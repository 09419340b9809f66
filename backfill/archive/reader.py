"""Reads a part of an archive line by line, and reports damage by file, line and key. Uses constant memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from backfill import checksum
from backfill.archive import compression
from backfill.archive.compression import DamagedError
from backfill.archive.manifest import Part
from backfill.archive.storage import ArchiveError, inside
from backfill.archive.writer import SUM_DIGITS
from backfill.origin_pages import Document

SAMPLES: Final = 20  # damages that are listed; all are counted


@dataclass(frozen=True, slots=True)
class Sum:
    """The recorded checksum line of a document: the first digits of its sha256, its revision, its key."""

    short: str
    rev: int
    key: str


@dataclass(frozen=True, slots=True)
class PartDamage:
    """A deviation of a part from what was written. line: from 1; None if it concerns the complete file."""

    file: str
    reason: str
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        where = self.file + (f", line {self.line}" if self.line is not None else "")
        return f"{where}{f', key {self.key}' if self.key is not None else ''}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of checking a part. damages: the first SAMPLES of `damaged`."""

    documents: int
    bytes: int
    damaged: int
    damages: tuple[PartDamage, ...]


class _Hashing:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def rest(self) -> str:
        """Return the sha256 of the complete file, after reading the rest of it."""
        while self.read(1 << 20):
            pass
        return self._hash.hexdigest()


def sums(root: Path, part: Part) -> Iterator[Sum]:
    """Yield the keys and checksums of a part. Raise DamagedError, ArchiveError."""
    with _open(root, part.sums) as file:
        for line in compression.lines(file):
            short, _, rest = line.decode("utf-8", "replace").partition(" ")
            rev, _, key = rest.partition(" ")
            if len(short) != SUM_DIGITS or not rev.isdigit():
                raise DamagedError("one of its lines is not a checksum")
            yield Sum(short, int(rev), key)


def documents(root: Path, part: Part) -> Iterator[Document]:
    """Yield the documents of a part that `check` found undamaged. Raise ArchiveError."""
    try:
        with _open(root, part.file) as file:
            for recorded, raw in zip(sums(root, part), compression.lines(file), strict=True):
                yield Document(recorded.key, recorded.rev, raw)
    except (DamagedError, ValueError) as error:
        raise ArchiveError(f"{part.file} changed while it was read: {error}") from error


def check(root: Path, part: Part) -> Checked:
    """Compare every line of a part with its checksum, and its files with the manifest."""
    walk = _Walk(part)
    sums_sha256 = _sha256(root, part.sums)
    if sums_sha256 is None:
        walk.damage("the file is missing", file=part.sums)
    elif sums_sha256 != part.sums_sha256:
        walk.damage("its checksum is wrong: lines cannot be checked reliably", file=part.sums)
    try:
        with _open(root, part.file) as opened:
            file = _Hashing(opened)
            try:
                walk.lines(compression.lines(file), _until_damaged(root, part))
            except DamagedError as error:
                walk.cut_short(str(error))
            walk.whole(file.rest())
    except ArchiveError as error:
        walk.damage(str(error))
    return Checked(walk.number, walk.bytes, walk.damaged, tuple(walk.damages))


class _Walk:
    def __init__(self, part: Part) -> None:
        self._part = part
        self._total = 0
        self._next: Sum | None = None
        self.number = 0
        self.bytes = 0
        self.damaged = 0
        self.damages: list[PartDamage] = []

    def damage(self, reason: str, line: int | None = None, key: str | None = None, file: str | None = None) -> None:
        self.damaged += 1
        if len(self.damages) < SAMPLES:
            self.damages.append(PartDamage(file or self._part.file, reason, line, key))

    def lines(self, found: Iterator[bytes], expected: Iterator[Sum]) -> None:
        self._next = next(expected, None)
        previous = ""
        for raw in found:
            self.number += 1
            self.bytes += len(raw)
            hashed = hashlib.sha256(raw).digest()
            self._total += int.from_bytes(hashed)
            recorded = self._next
            if recorded is None:
                continue
            if hashed.hex()[:SUM_DIGITS] != recorded.short:
                self.damage("the document differs from what was written", self.number, recorded.key)
            elif recorded.key <= previous:
                self.damage(f"keys are not in order: it follows {previous}", self.number, recorded.key)
            previous = recorded.key
            self._next = next(expected, None)
        if self._next is not None:
            self.cut_short("the file ends here")

    def cut_short(self, reason: str) -> None:
        key = None if self._next is None else self._next.key
        self.damage(f"{reason}; this line and the following ones cannot be read", self.number + 1, key)

    def whole(self, sha256: str) -> None:
        """Compare the totals with the manifest, if no line is damaged."""
        part = self._part
        if self.damaged:
            return
        if (self.number, self.bytes) != (part.documents, part.bytes):
            self.damage(
                f"it has {self.number:,} documents of {self.bytes:,} bytes, but the manifest states "
                f"{part.documents:,} of {part.bytes:,}"
            )
        elif checksum.text(self._total) != part.digest:
            self.damage("the checksum of its documents differs from the manifest")
        elif sha256 != part.sha256:
            self.damage("the checksum of the file is wrong, although every line is intact")


def _until_damaged(root: Path, part: Part) -> Iterator[Sum]:
    # damage of this file has been reported already; its readable lines are still useful
    try:
        yield from sums(root, part)
    except (DamagedError, ArchiveError):
        return


def _sha256(root: Path, name: str) -> str | None:
    try:
        with _open(root, name) as file:
            return _Hashing(file).rest()
    except ArchiveError:
        return None


def _open(root: Path, name: str) -> IO[bytes]:
    path = inside(root, name)
    try:
        return path.open("rb")
    except OSError as error:
        raise ArchiveError(f"{name} cannot be read: {error.strerror}") from error
