"""Finds writes whose keys never became known by the time of their revisions (DESIGN section 6, Journal).

A crash between forwarding an insert and reading its answer leaves an intent without a key, and so does an answer
without keys. Whatever was written has a revision that is not older than what ArangoDB's clock had shown before the
intent, so one scan of the collection finds it, and only what PostgreSQL does not have of that is read again. All times
are those of ArangoDB's clock (`model.clock`). In case that clock was set back since, its time now less the age of the
intent is computed too, which is also before the write: the earlier of both counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from proxy.base.sql_values import storable
from proxy.journal.records import DocumentWrite, Note
from proxy.model.clock import age

# milliseconds by which the clocks of a cluster may differ from each other
MARGIN: Final = 60_000
_LIMIT: Final = 50_000  # keys that one scan may return; beyond, a verification is cheaper


class OriginScanner(Protocol):
    """Searches ArangoDB by time. Times are milliseconds of its own clock. Raises ArangoError, UpstreamError."""

    async def written_since(self, database: str, collection: str, since: int, limit: int) -> Sequence[tuple[str, int]]:
        """Return (key, revision) of at most `limit` documents whose revision is not older than `since`."""
        ...

    async def time_now(self, database: str) -> int:
        """Return the time that its clock shows now."""
        ...


class TooMany(Exception):
    """A scan found more than its limit."""


def can_scan(note: Note) -> bool:
    """Return True if a scan finds whatever that intent wrote. A removal leaves no revision to find."""
    write = note.write
    known = not isinstance(write, DocumentWrite) or write.keys or not write.revised
    return not known and storable(note.collection) == note.collection


class Scans:
    """Remembers what each scan covered: one is enough for all that an earlier process left of a collection.

    own: intents with lower numbers are of an earlier process, all of whose requests ended before the first scan.
    """

    def __init__(self, origin: OriginScanner) -> None:
        self._origin = origin
        self._covered: dict[str, int] = {}

    def covered(self, note: Note, own: int) -> bool:
        """Return True if an earlier scan, whose keys are repaired, covered this intent as well."""
        since = self._covered.get(note.collection)
        return since is not None and note.seq < own and note.since >= since

    async def found(
        self, collection: str, notes: Iterable[Note], oldest: Note | None
    ) -> tuple[Sequence[tuple[str, int]], int]:
        """Return what was written, and since when: for `done`, once all of it is repaired. oldest: open intent of all.

        Raise TooMany, and as OriginScanner.
        """
        looked = [*notes, oldest] if oldest is not None else list(notes)
        database, _, name = collection.partition("/")
        now = await self._origin.time_now(database)
        since = min(min(note.since, now - int(1000 * age(note.time, note.up))) for note in looked)
        found = await self._origin.written_since(database, name, max(0, since - MARGIN), _LIMIT + 1)
        if len(found) > _LIMIT:
            raise TooMany(f"more than {_LIMIT} documents were written since")
        return found, since

    def done(self, collection: str, since: int) -> None:
        """Note that whatever was written since then and before the scan is in PostgreSQL."""
        self._covered[collection] = min(since, self._covered.get(collection, since))
