"""Exports collections into an archive. Finished parts are durable; an interrupted export continues after the last one.

Each document is complete and as it was when its page was read. The documents of an archive are from different moments
between `started_at` and `finished_at`: stop the writers if they must be from the same moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from backfill.archive import manifest as manifests
from backfill.archive.compression import LEVEL
from backfill.archive.manifest import ArchiveManifest, CollectionEntry
from backfill.archive.sources import ArchiveSource
from backfill.archive.storage import ArchiveError, clear_partial, folder_name
from backfill.archive.writer import PartWriter
from backfill.origin_pages import Document
from proxy import __version__

PART_BYTES: Final = 128 << 20


class Progress(Protocol):
    """A display of progress: documents and bytes done in total, documents planned."""

    def show(self, collection: str, documents: int, size: int, planned: int) -> None: ...


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """part_bytes: approximate size of the documents in a part. level: zstandard level, 1 to 22."""

    part_bytes: int = PART_BYTES
    level: int = LEVEL


class Export:
    """Writes collections of one store into one archive. The caller holds the archive's lock."""

    def __init__(
        self,
        store: ArchiveSource,
        root: Path,
        progress: Progress,
        stop: asyncio.Event,
        options: ExportOptions | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._root = root
        self._progress = progress
        self._stop = stop
        self._options = options or ExportOptions()
        self._now = now

    async def run(self, collections: Sequence[str]) -> ArchiveManifest:
        """Export the collections and return the manifest. An entry is `open` if `stop` was set before it was finished.

        Raise ArchiveError if the folder holds an archive of another source or cannot be written, and errors of the
        store. Finished parts stay, and the next run continues after them.
        """
        manifest = await self._begin()
        for collection in collections:
            entry = manifest.entry(collection)
            if entry is not None and entry.state == "done":
                self._progress.show(collection, entry.documents, entry.bytes, entry.documents)
                continue
            if self._stop.is_set():
                break
            if entry is None:
                found = await self._store.describe(collection)
                entry = CollectionEntry(
                    collection=collection,
                    edge=found.edge,
                    started_at=self._time(),
                    properties=found.properties,
                    indexes=found.indexes,
                )
                manifest = manifest.with_entry(entry)
                manifests.write(self._root, manifest)
            manifest = await self._one(manifest, entry)
        return manifest

    async def _begin(self) -> ArchiveManifest:
        origin = await self._store.origin()
        if not manifests.exists(self._root):
            manifest = manifests.new(origin, __version__, self._time())
            manifests.write(self._root, manifest)
            return manifest
        manifest = manifests.read(self._root)
        if (manifest.source.kind, manifest.source.at) != (origin.kind, origin.at):
            raise ArchiveError(
                f"{self._root} is an archive of {manifest.source.kind} at {manifest.source.at}, and this would be of "
                f"{origin.kind} at {origin.at}: choose another folder"
            )
        return manifest

    async def _one(self, manifest: ArchiveManifest, entry: CollectionEntry) -> ArchiveManifest:
        folder = self._root / folder_name(entry.collection)
        planned = await self._store.count(entry.collection)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            clear_partial(folder)
        except OSError as error:
            raise ArchiveError(f"{folder} cannot be written: {error.strerror}") from error
        position, limit, through = entry.position, 0, False
        part: PartWriter | None = None
        try:
            while not (through or self._stop.is_set()):
                page = await self._store.page(entry.collection, position, limit)
                limit, through = page.limit, page.last
                position = page.documents[-1].key if page.documents else position
                for piece in pieces(page.documents, self._options.part_bytes):
                    part = part or self._part(entry)
                    await asyncio.to_thread(part.add, piece)
                    if part.bytes >= self._options.part_bytes:
                        manifest, entry = await self._finish(manifest, entry, part)
                        part = None
                so_far = (part.documents, part.bytes) if part else (0, 0)
                self._progress.show(entry.collection, entry.documents + so_far[0], entry.bytes + so_far[1], planned)
            if part is not None:
                manifest, entry = await self._finish(manifest, entry, part)
                part = None
        except OSError as error:
            raise ArchiveError(f"{folder} cannot be written: {error.strerror}") from error
        finally:
            if part is not None:
                part.abandon()
        if through:
            entry = msgspec.structs.replace(entry, state="done", finished_at=self._time())
            manifest = manifest.with_entry(entry)
            manifests.write(self._root, manifest)
            self._progress.show(entry.collection, entry.documents, entry.bytes, entry.documents)
        return manifest

    def _part(self, entry: CollectionEntry) -> PartWriter:
        return PartWriter(self._root, folder_name(entry.collection), len(entry.parts) + 1, self._options.level)

    async def _finish(
        self, manifest: ArchiveManifest, entry: CollectionEntry, part: PartWriter
    ) -> tuple[ArchiveManifest, CollectionEntry]:
        finished = await asyncio.to_thread(part.finish)
        entry = msgspec.structs.replace(entry, parts=(*entry.parts, finished), respaced=entry.respaced + part.respaced)
        manifest = manifest.with_entry(entry)
        await asyncio.to_thread(manifests.write, self._root, manifest)
        return manifest, entry

    def _time(self) -> str:
        return self._now().astimezone(UTC).isoformat(timespec="milliseconds")


def pieces(documents: Sequence[Document], size: int) -> list[Sequence[Document]]:
    """Split the documents into pieces of about `size` bytes, at least one document each. A part ends after a piece."""
    found: list[Sequence[Document]] = []
    begin, total = 0, 0
    for number, document in enumerate(documents):
        if total + len(document.raw) > size and number > begin:
            found.append(documents[begin:number])
            begin, total = number, 0
        total += len(document.raw)
    if begin < len(documents):
        found.append(documents[begin:])
    return found
