"""The interface of a database that an import writes to, and the result of a write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from backfill.archive.manifest import CollectionEntry
from backfill.origin_pages import Document

Refused = tuple[str, str]  # key, reason


@dataclass(frozen=True, slots=True)
class TargetResult:
    """The result of writing documents. kept: number of keys that got a newer version meanwhile, which was kept."""

    written: int = 0
    kept: int = 0
    refused: tuple[Refused, ...] = ()


class ArchiveTarget(Protocol):
    """A database that documents are written to. Collections are 'database/name'.

    Its methods raise UpstreamError or DatabaseUnavailable if it does not answer; the page can then be retried.
    """

    @property
    def keeps_revisions(self) -> bool | None:
        """True if documents got the revisions of the archive; None before the first write."""
        ...

    async def prepare(self, entry: CollectionEntry) -> None:
        """Create the collection if it is missing."""
        ...

    async def revisions(self, collection: str, keys: Sequence[str]) -> dict[str, int]:
        """Return the present revisions of these keys, recorded deletions included; none if there is no collection."""
        ...

    async def write(
        self, collection: str, new: Sequence[Document], older: Sequence[tuple[Document, int]]
    ) -> TargetResult:
        """Write new documents, and replace those that have the given older revision; never replace a newer version."""
        ...

    async def overwrite(self, collection: str, documents: Sequence[Document]) -> TargetResult:
        """Write documents over any present versions."""
        ...

    async def finish(self, entry: CollectionEntry) -> list[str]:
        """Finish after the load (indexes, …); return a sentence for each thing that failed."""
        ...
