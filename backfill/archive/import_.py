"""Imports an archive into a database. The target's revisions show what is left, so an import can be resumed.

Each part is checked completely before any of its documents is written. Before a page is written, its keys are looked up
in the target: a document with the same revision is done, and a newer one stays unless the operator overrides that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from backfill.archive import reader
from backfill.archive.export import Progress
from backfill.archive.manifest import CollectionEntry, Part
from backfill.archive.reader import PartDamage
from backfill.archive.targets import ArchiveTarget, Refused, TargetResult
from backfill.key_ranges import PAGE_BYTES, PAGE_DOCUMENTS
from backfill.origin_pages import Document
from proxy.base.errors import CrossfadeError, DatabaseUnavailable, StatementError, UpstreamError
from proxy.base.sqlstates import is_a_conflict

T = TypeVar("T")
SAMPLES: Final = 20  # refusals that are named; all are counted
log = structlog.get_logger(__name__)

_LONGEST_PAUSE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Imported:
    """The import of one collection. documents: number of archived documents that were processed.

    written: missing or older in the target; same: present already; newer: not written, since the target has a newer
    version or deleted the document later; overwritten: written over a newer one; damaged: skipped parts; done: all
    parts were processed.
    """

    collection: str
    documents: int = 0
    written: int = 0
    same: int = 0
    newer: int = 0
    overwritten: int = 0
    refused: int = 0
    refusals: tuple[Refused, ...] = ()
    damaged: int = 0
    damages: tuple[PartDamage, ...] = ()
    notes: tuple[str, ...] = ()
    done: bool = False
    revisions_kept: bool | None = None

    @property
    def complete(self) -> bool:
        """True if the target has every document of the archive, in that version or a newer one."""
        return self.done and not self.refused and not self.damaged

    def as_json(self) -> dict[str, Any]:
        return {
            "collection": self.collection,
            "complete": self.complete,
            "documents": self.documents,
            "written": self.written,
            "same": self.same,
            "newer_kept": self.newer,
            "newer_overwritten": self.overwritten,
            "refused": self.refused,
            "refusals": [{"key": key, "reason": reason} for key, reason in self.refusals],
            "damaged_parts": self.damaged,
            "damages": [str(damage) for damage in self.damages],
            "revisions_kept": self.revisions_kept,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Sorted:
    """The documents of a page, by the versions in the target."""

    new: tuple[Document, ...]
    older: tuple[tuple[Document, int], ...]
    same: tuple[Document, ...]
    newer: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """overwrite: also replace newer versions. dry_run: write nothing. retry_seconds: seconds to retry the target."""

    overwrite: bool = False
    dry_run: bool = False
    retry_seconds: float = 60.0


@dataclass(slots=True)
class Import:
    """Writes collections of one archive into one target."""

    root: Path
    target: ArchiveTarget
    progress: Progress
    stop: asyncio.Event
    options: ImportOptions = field(default_factory=ImportOptions)

    async def run(self, entries: Sequence[CollectionEntry]) -> list[Imported]:
        """Import the collections and return a result for each one that was started before `stop` was set.

        Raise ArchiveError, and errors of the target that persist for longer than `retry_seconds`.
        """
        found = []
        for entry in entries:
            if self.stop.is_set():
                break
            found.append(await self._one(entry))
        return found

    async def _one(self, entry: CollectionEntry) -> Imported:
        tally = Imported(entry.collection)
        if not self.options.dry_run:
            await self._retried(lambda: self.target.prepare(entry))
        size = 0
        for part in entry.parts:
            if self.stop.is_set():
                return replace(tally, revisions_kept=self.target.keeps_revisions)
            checked = await asyncio.to_thread(reader.check, self.root, part)
            if checked.damaged:
                damages = (*tally.damages, *checked.damages)[: reader.SAMPLES]
                tally = replace(tally, damaged=tally.damaged + 1, damages=damages)
                continue
            tally, size = await self._part(entry, part, tally, size)
        if self.stop.is_set():
            return replace(tally, revisions_kept=self.target.keeps_revisions)
        notes = () if self.options.dry_run else tuple(await self._retried(lambda: self.target.finish(entry)))
        return replace(tally, done=True, notes=notes, revisions_kept=self.target.keeps_revisions)

    async def _part(self, entry: CollectionEntry, part: Part, tally: Imported, size: int) -> tuple[Imported, int]:
        pages = batches(reader.documents(self.root, part))
        while not self.stop.is_set():
            page = await asyncio.to_thread(next, pages, None)
            if page is None:
                break
            tally = await self._retried(lambda page=page, tally=tally: self._page(entry.collection, page, tally))  # type: ignore[misc]
            size += sum(len(document.raw) for document in page)
            self.progress.show(entry.collection, tally.documents, size, entry.documents)
        return tally, size

    async def _page(self, collection: str, page: Sequence[Document], tally: Imported) -> Imported:
        present = await self.target.revisions(collection, [document.key for document in page])
        found = sort(page, present)
        done, forced = TargetResult(), TargetResult()
        if self.options.dry_run:
            done = TargetResult(len(found.new) + len(found.older))
            forced = TargetResult(len(found.newer) if self.options.overwrite else 0)
        else:
            if found.new or found.older:
                done = await self.target.write(collection, found.new, found.older)
            if self.options.overwrite and (found.newer or found.same):
                # equal revisions too: their content can still differ
                forced = await self.target.overwrite(collection, [*found.newer, *found.same])
                forced = replace(forced, written=forced.written - len(found.same))
        refused = (*done.refused, *forced.refused)
        return replace(
            tally,
            documents=tally.documents + len(page),
            written=tally.written + done.written,
            same=tally.same + len(found.same),
            newer=tally.newer + done.kept + (0 if self.options.overwrite else len(found.newer)),
            overwritten=tally.overwritten + max(0, forced.written),
            refused=tally.refused + len(refused),
            refusals=(*tally.refusals, *refused)[:SAMPLES],
        )

    async def _retried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Run `attempt`, and retry it while the target does not answer: every attempt looks up its page again."""
        until = time.monotonic() + self.options.retry_seconds
        pause = 0.1
        while True:
            try:
                return await attempt()
            except CrossfadeError as error:
                if not _is_temporary(error) or time.monotonic() + pause > until or self.stop.is_set():
                    raise
                log.warning("import_retried", error=str(error), seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def sort(page: Sequence[Document], present: dict[str, int]) -> Sorted:
    """Sort the documents of a page by the present versions. Pure."""
    new, older, same, newer = [], [], [], []
    for document in page:
        stored = present.get(document.key)
        if stored is None:
            new.append(document)
        elif stored < document.rev:
            older.append((document, stored))
        elif stored == document.rev:
            same.append(document)
        else:
            newer.append(document)
    return Sorted(tuple(new), tuple(older), tuple(same), tuple(newer))


def batches(
    documents: Iterator[Document], most: int = PAGE_DOCUMENTS, size: int = PAGE_BYTES
) -> Iterator[list[Document]]:
    """Yield pages of at most `most` documents and about `size` bytes."""
    page: list[Document] = []
    total = 0
    for document in documents:
        if page and (len(page) == most or total + len(document.raw) > size):
            yield page
            page, total = [], 0
        page.append(document)
        total += len(document.raw)
    if page:
        yield page


def _is_temporary(error: CrossfadeError) -> bool:
    if isinstance(error, StatementError):
        return is_a_conflict(error.sqlstate)
    return isinstance(error, UpstreamError | DatabaseUnavailable)
