"""Judges which revisions in the origin are out-of-band writes, and when that is known. Pure.

The argument (I10). A **sighting** is one version that the origin's log showed: written, or removed, between two
moments, `after` (the read before this one had not shown it) and `seen` (when it was shown). Every proxy process reports
its writes (proxy.replication.write_reports), and until when the reports are **complete**: every write whose intent was
opened before is closed and reported by then. An intent is opened before a write is forwarded, so before the version is
in the log. Hence, once the reports of *every* registered process are complete beyond `seen`, a version that came
through any of them has been reported, in one of these ways:

- by its revision (of a removal: that of the removed version), where an answer showed it;
- by its key, which was read again since: a lost answer, a full queue, a query whose keys alone are known, a restart's
  journal;
- with its whole collection: truncated, dropped, renamed, filled by an import that overwrites;
- not at all; then its collection (or database) is marked as in need of a verification, and the mark is still there, or
  a verification that covers it began later than the write.

Anything else is an out-of-band write. PostgreSQL's rows are not consulted: backfill, verification and repair copy every
write, so that a row proves nothing, and a row that is still missing is lag. One exception: a process that was killed
has reported everything up to half a second before, but not what it closed since. For versions that may be of that time
a row of that revision (or a newer one) counts as proof: it may hide an out-of-band write that a backfill copied in that
second, and never accuses a write that came through a proxy.

A silent process delays the judgement and causes no alarm; the gate is inconclusive then (I9). Not seen: what is written
out of band and undone within one transaction of the origin; in the mode of scans, removals, and versions that were
overwritten between two reads (a verification finds the first, and the last version is seen).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from proxy.replication.versions import Stored, is_superseded

T = TypeVar("T")

MOST: Final = 200_000  # sightings that may wait
_REMEMBERED: Final = 300.0  # seconds for which reports and judgements are remembered at least


@dataclass(frozen=True, slots=True)
class OriginVersion:
    """One version that the origin has. Times: seconds, PostgreSQL's clock. rev: of a removal, the removed one."""

    collection: str
    key: str
    rev: int
    removed: bool
    after: float
    seen: float

    @property
    def mark(self) -> int:
        """The revision as proxies report it: negative for a removal."""
        return -self.rev if self.removed else self.rev


@dataclass(frozen=True, slots=True)
class ReportedWrites:
    """One row of _crossfade.reported_write. at: when it was reported."""

    collection: str
    revisions: Sequence[int]
    keys: Sequence[str]
    whole: bool
    at: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A period in which a process may have unreported writes: it was killed, or had too many."""

    since: float
    until: float


class _Remembered(Generic[T]):
    """A set of two generations that forgets what was added longer ago than _REMEMBERED."""

    def __init__(self) -> None:
        self._new: set[T] = set()
        self._old: set[T] = set()
        self._turned = float("-inf")

    def __contains__(self, item: object) -> bool:
        return item in self._new or item in self._old

    def add(self, item: T) -> None:
        self._new.add(item)

    def turn(self, now: float) -> bool:
        """Drop the older generation once in _REMEMBERED seconds. Return True then."""
        if now - self._turned < _REMEMBERED:
            return False
        self._turned, self._old, self._new = now, self._new, set()
        return True


class PendingVersions:
    """Sightings that no proxy has reported yet, and what was reported; memory is bounded.

    overflowed: sightings had to be dropped before they were judged, since the watch last asked.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._pending: dict[tuple[str, str, int], OriginVersion] = {}
        self._revisions: _Remembered[tuple[str, int]] = _Remembered()
        self._judged: _Remembered[tuple[str, str, int]] = _Remembered()
        self._keys: dict[tuple[str, str], float] = {}
        self._wholes: dict[str, float] = {}
        self.overflowed = False

    def __len__(self) -> int:
        return len(self._pending)

    def saw(self, sightings: Iterable[OriginVersion]) -> None:
        """Note what the origin showed."""
        for one in sightings:
            name = (one.collection, one.key, one.mark)
            if (one.collection, one.mark) in self._revisions or name in self._judged or name in self._pending:
                continue
            if len(self._pending) >= self._most:
                self.overflowed = True
                del self._pending[next(iter(self._pending))]
            self._pending[name] = one

    def dismiss(self, sightings: Iterable[OriginVersion]) -> None:
        """Note what the origin showed from before the watch began."""
        for one in sightings:
            self._judged.add((one.collection, one.key, one.mark))

    def learn(self, reports: Iterable[ReportedWrites], now: float) -> None:
        """Note what proxies reported."""
        for row in reports:
            for revision in row.revisions:
                self._revisions.add((row.collection, revision))
            for key in row.keys:
                self._keys[row.collection, key] = max(row.at, self._keys.get((row.collection, key), row.at))
            if row.whole:
                self._wholes[row.collection] = max(row.at, self._wholes.get(row.collection, row.at))
        for name in [name for name in self._pending if (name[0], name[2]) in self._revisions]:
            del self._pending[name]
        if self._revisions.turn(now):
            self._keys = {name: at for name, at in self._keys.items() if at > now - 2 * _REMEMBERED}
            self._wholes = {name: at for name, at in self._wholes.items() if at > now - 2 * _REMEMBERED}
        self._judged.turn(now)

    def forget(self, collections: Iterable[str]) -> None:
        """Drop the sightings of these collections, which are not watched any more."""
        dropped = set(collections)
        self._pending = {name: one for name, one in self._pending.items() if name[0] not in dropped}

    def count(self) -> dict[str, int]:
        """Return how many wait, by collection."""
        found: dict[str, int] = {}
        for collection, _, _ in self._pending:
            found[collection] = found.get(collection, 0) + 1
        return found

    def due(self, reached: float) -> list[OriginVersion]:
        """Return those that no process reported, now that all reports are complete up to `reached`.

        Those that a re-read of their key, or a change of their whole collection, explains are dropped here.
        """
        found = []
        for name, one in list(self._pending.items()):
            if one.seen >= reached:
                continue
            if self._explained(one):
                self._drop(name)
            else:
                found.append(one)
        return found

    def _explained(self, one: OriginVersion) -> bool:
        at = self._keys.get((one.collection, one.key))
        if at is not None and at >= one.after:
            return True
        everything = one.collection.partition("/")[0] + "/*"
        return any(self._wholes.get(name, -1.0) >= one.after for name in (one.collection, everything))

    def judge(
        self,
        due: Iterable[OriginVersion],
        *,
        unverified: Mapping[str, float],
        gaps: Sequence[Gap],
        stored: Mapping[tuple[str, str], Stored],
    ) -> list[OriginVersion]:
        """Return those of `due` that are out-of-band writes. All of them wait until they are `done`.

        unverified: until when marks of a collection explain writes: when the verification that covers the newest mark
        began, infinity while none does. stored: what PostgreSQL has of the keys.
        """
        unexplained = []
        for one in due:
            marked = unverified.get(one.collection, -1.0) >= one.after
            missed = any(gap.since <= one.seen and gap.until >= one.after for gap in gaps)
            known = missed and is_superseded(one, stored.get((one.collection, one.key)))
            if not marked and not known:
                unexplained.append(one)
        return unexplained

    def done(self, judged: Iterable[OriginVersion]) -> None:
        """Drop sightings that were judged, once the out-of-band writes are stored; they do not come again."""
        for one in judged:
            self._drop((one.collection, one.key, one.mark))

    def _drop(self, name: tuple[str, str, int]) -> None:
        self._pending.pop(name, None)
        self._judged.add(name)
