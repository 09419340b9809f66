"""Checks an archive against its checksums and against a database, in key order and constant memory."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from backfill.archive import reader
from backfill.archive.export import Progress
from backfill.archive.manifest import CollectionEntry
from backfill.archive.reader import PartDamage, Sum
from backfill.archive.sources import ArchiveSource
from backfill.archive.writer import SUM_DIGITS

SAMPLES: Final = 20
_SUMS: Final = 5_000  # checksums read from a file in one batch


@dataclass(frozen=True, slots=True)
class VerifiedCollection:
    """The verification of one collection. damaged: number of damages; complete: its export was finished.

    missing: only in the archive; extra: only in the database; different: not the same bytes; None: not compared.
    """

    collection: str
    complete: bool
    parts: int = 0
    documents: int = 0
    bytes: int = 0
    damaged: int = 0
    damages: tuple[PartDamage, ...] = ()
    digest: str = ""
    missing: int | None = None
    extra: int | None = None
    different: int | None = None
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def right(self) -> bool:
        return self.complete and not (self.damaged or self.missing or self.extra or self.different)

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "collection": self.collection,
            "right": self.right,
            "complete": self.complete,
            "parts": self.parts,
            "documents": self.documents,
            "bytes": self.bytes,
            "digest": self.digest,
            "damaged": self.damaged,
            "damages": [
                {"file": one.file, "line": one.line, "key": one.key, "reason": one.reason} for one in self.damages
            ],
        }
        if self.missing is not None:
            found |= {"missing": self.missing, "extra": self.extra, "different": self.different}
            found["keys"] = [{"key": key, "class": kind} for key, kind in self.keys]
        return found


async def check(root: Path, entry: CollectionEntry, progress: Progress, stop: asyncio.Event) -> VerifiedCollection:
    """Check every line and file of every part. Stop between parts if `stop` is set (the result is then incomplete)."""
    found = VerifiedCollection(entry.collection, complete=entry.state == "done", digest=entry.digest)
    for part in entry.parts:
        if stop.is_set():
            return replace(found, complete=False)
        checked = await asyncio.to_thread(reader.check, root, part)
        found = replace(
            found,
            parts=found.parts + 1,
            documents=found.documents + checked.documents,
            bytes=found.bytes + checked.bytes,
            damaged=found.damaged + checked.damaged,
            damages=(*found.damages, *checked.damages)[: reader.SAMPLES],
        )
        progress.show(entry.collection, found.documents, found.bytes, entry.documents)
    return found


async def compare(
    root: Path,
    entry: CollectionEntry,
    store: ArchiveSource,
    found: VerifiedCollection,
    progress: Progress,
    stop: asyncio.Event,
) -> VerifiedCollection:
    """Compare the archive with a database by the bytes of each document. No client may write to it meanwhile."""
    counts: Counter[str] = Counter()
    keys: list[tuple[str, str]] = []

    def note(key: str, kind: str) -> None:
        counts[kind] += 1
        if len(keys) < SAMPLES:
            keys.append((key, kind))

    ours, theirs = _ours(root, entry), _theirs(store, entry.collection)
    left, right = await anext(ours, None), await anext(theirs, None)
    seen = 0
    while (left is not None or right is not None) and not stop.is_set():
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            note(left[0], "missing")
            left = await anext(ours, None)
        elif left is None or right[0] < left[0]:
            note(right[0], "extra")
            right = await anext(theirs, None)
        else:
            if left[1] != right[1]:
                note(left[0], "different")
            left, right = await anext(ours, None), await anext(theirs, None)
        seen += 1
        if seen % _SUMS == 0:
            progress.show(entry.collection, seen, 0, entry.documents)
    await ours.aclose()
    await theirs.aclose()
    complete = found.complete and not stop.is_set()
    return replace(
        found,
        complete=complete,
        keys=tuple(keys),
        missing=counts["missing"],
        extra=counts["extra"],
        different=counts["different"],
    )


async def _ours(root: Path, entry: CollectionEntry) -> AsyncGenerator[tuple[str, str], None]:
    for part in entry.parts:
        noted = reader.sums(root, part)
        while few := await asyncio.to_thread(_take, noted):
            for one in few:
                yield one.key, one.short


def _take(noted: Iterator[Sum]) -> list[Sum]:
    return list(itertools.islice(noted, _SUMS))


async def _theirs(store: ArchiveSource, collection: str) -> AsyncGenerator[tuple[str, str], None]:
    after, limit = "", 0
    while True:
        page = await store.page(collection, after, limit)
        for document in page.documents:
            yield document.key, hashlib.sha256(document.raw).hexdigest()[:SUM_DIGITS]
        if page.last:
            return
        after, limit = page.documents[-1].key, page.limit
