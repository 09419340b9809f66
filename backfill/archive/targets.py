"""What an archive is written into, as an interface, and what became of documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from backfill.archive.manifest import Entry
from backfill.origin_pages import Document

Refused = tuple[str, str]  # key, reason


@dataclass(frozen=True, slots=True)
class TargetResult:
    """What became of some documents. kept: keys whose present version was found newer meanwhile."""

    written: int = 0
    kept: int = 0
    refused: tuple[Refused, ...] = ()


class ArchiveTarget(Protocol):
    """A database that documents are written into. Collections are 'database/name'.

    Its methods raise UpstreamError or DatabaseUnavailable where it does not answer: the page may be tried again.
    """

    @property
    def keeps_revisions(self) -> bool | None:
        """Whether documents have the revisions of the archive; None as long as none was written."""
        ...

    async def prepare(self, entry: Entry) -> None:
        """The collection is there."""
        ...

    async def revisions(self, collection: str, keys: Sequence[str]) -> dict[str, int]:
        """What it has of these keys, deletions that it remembers included; nothing where there is no collection."""
        ...

    async def write(
        self, collection: str, new: Sequence[Document], older: Sequence[tuple[Document, int]]
    ) -> TargetResult:
        """Writes documents whose key was not there, or was there in that older revision. Never over a newer one."""
        ...

    async def overwrite(self, collection: str, documents: Sequence[Document]) -> TargetResult:
        """Writes documents over whatever is there."""
        ...

    async def finish(self, entry: Entry) -> list[str]:
        """What comes after the load (indexes); sentences about what could not be done."""
        ...
