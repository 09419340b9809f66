"""Writes whose keys never became known, found in the origin by the time of their revisions (DESIGN section 6, Journal).

A crash between forwarding an insert and reading its answer leaves an intent without a key, and so does an answer that
tells no keys. Whatever was written has a revision that is not older than the intent, so one scan of the collection
finds it, and only what PostgreSQL does not have of that is read again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from proxy.errors import UpstreamLost
from proxy.mirror.records import REVISED, Note
from proxy.mirror.target import storable_text

# seconds by which clocks may have moved against each other between the intent and the scan, and the scan been late
MARGIN: Final = 60.0
_LIMIT: Final = 50_000  # keys that one scan may give; beyond, a verification is the better way


class OriginScanner(Protocol):
    """(key, revision) of documents whose revision is not older than so many seconds, by the origin's own clock.

    At most `limit`. Raises ArangoError, UpstreamError.
    """

    async def written_since(
        self, database: str, collection: str, seconds: float, limit: int
    ) -> Sequence[tuple[str, int]]: ...


class TooMany(Exception):
    """More than a scan should give."""


def can_scan(note: Note) -> bool:
    """Whether a scan finds whatever that intent wrote: a removal leaves no revision to find."""
    return not note.keys and bool(note.flags & REVISED) and storable_text(note.collection) == note.collection


class Scans:
    """Remembers what a scan covered: one is enough for all that an earlier process left of a collection.

    own: intents below are of an earlier process; all its requests have ended before the first scan.
    """

    def __init__(self, origin: OriginScanner, clock: Callable[[], float] = time.monotonic) -> None:
        self._origin = origin
        self._clock = clock
        self._covered: dict[str, float] = {}
        self._margin = MARGIN

    def covered(self, note: Note, own: int) -> bool:
        """Whether an earlier scan, whose keys are done, was for this intent as well."""
        since = self._covered.get(note.collection)
        return since is not None and note.seq < own and note.time >= since

    async def found(
        self, collection: str, notes: Iterable[Note], oldest: float | None
    ) -> tuple[Sequence[tuple[str, int]], float]:
        """What was written, and the time since which (tell `done` once it is seen to). oldest: open intent of all.

        The origin counts back from when it runs the scan: one that was on its way for longer than the margin may have
        missed something, and the next has a greater one. Raises TooMany, UpstreamLost for that, and as OriginScanner.
        """
        since = min(note.time for note in notes)
        if oldest is not None:
            since = min(since, oldest)
        database, _, name = collection.partition("/")
        begun = self._clock()
        age = max(0.0, time.time() - since) + self._margin
        found = await self._origin.written_since(database, name, age, _LIMIT + 1)
        took = self._clock() - begun
        if took > self._margin / 2:
            self._margin = 4 * took
            raise UpstreamLost("a scan took longer than its margin allows")
        if len(found) > _LIMIT:
            raise TooMany(f"more than {_LIMIT} documents were written since")
        return found, since

    def done(self, collection: str, since: float) -> None:
        """Whatever was written since then and before the scan is in PostgreSQL."""
        self._covered[collection] = min(since, self._covered.get(collection, since))
