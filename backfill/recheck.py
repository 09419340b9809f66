"""Compares keys of both sides again, until a difference outlives the mirror's lag (I8).

One look reads the target first, then the origin (mirror-protocol, answer 10): the other way round, a document that was
inserted between the two would look like one to delete. A difference is *confirmed* if a second look shows the same one,
with the same version in the origin, and the mirror had by then applied everything that the origin took before the first
(`model.recheck`). What keeps changing, or what the mirror does not reach in time, is undecided: neither equal nor a
mismatch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sql
from backfill.origin_pages import OriginDisorder
from backfill.run_store import CollectionTable
from backfill.source import ArangoSource
from proxy.base.database import Database
from proxy.model.documents import to_jsonb
from proxy.model.json_reader import load
from proxy.model.json_values import same
from proxy.model.recheck import Schedule, Streak
from sql.statements.backfill import CaughtUpRow

FAST_KEYS: Final = 500  # compared together: revisions only
FULL_KEYS: Final = 20  # compared together: their documents are in memory, from both sides
TIMEOUT: Final = 30.0  # seconds until a key is undecided
_PAUSES: Final = (0.05, 2.0)  # seconds between two checks: the first pause, and the longest
_SYSTEM: Final = ("_key", "_id", "_rev")


@dataclass(frozen=True, slots=True)
class KeyState:
    """One check of a key. kind: a class of difference, None if both are equal; at: PostgreSQL's time after it."""

    kind: str | None
    origin_rev: int | None
    at: datetime

    def differs_as(self, other: KeyState) -> bool:
        """Return True if both checks show the same difference, with the same version in the origin."""
        return (self.kind, self.origin_rev) == (other.kind, other.origin_rev)


@dataclass(frozen=True, slots=True)
class Rechecked:
    """The result of rechecking keys: confirmed differences, and undecided keys. The others are equal."""

    confirmed: Mapping[str, str]
    undecided: tuple[str, ...]

    @property
    def keys(self) -> list[str]:
        """All keys that are not equal."""
        return sorted({*self.confirmed, *self.undecided})


class KeyRechecker:
    """Rechecks keys of one collection. full: content too. recheck_timeout: seconds for each batch."""

    def __init__(
        self,
        database: Database,
        source: ArangoSource,
        table: CollectionTable,
        *,
        full: bool,
        recheck_timeout: float = TIMEOUT,
    ) -> None:
        self._database = database
        self._source = source
        self._table = table
        self._full = full
        self._recheck_timeout = recheck_timeout

    async def recheck(self, suspects: Mapping[str, int | None], keep: Callable[[], Awaitable[None]]) -> Rechecked:
        """Check each key until it is equal, confirmed different, or out of time. keep: called between checks.

        suspects: with the revision that the target showed before a page of the origin left the key out (else None).
        If the origin turns out to have that very version, its page was wrong, and OriginDisorder is raised.
        """
        confirmed: dict[str, str] = {}
        undecided: list[str] = []
        size = FULL_KEYS if self._full else FAST_KEYS
        keys = sorted(suspects)
        for at in range(0, len(keys), size):
            part = {key: suspects[key] for key in keys[at : at + size]}
            rechecked = await self._recheck_part(part, keep)
            confirmed.update(rechecked.confirmed)
            undecided += rechecked.undecided
        return Rechecked(confirmed, tuple(undecided))

    async def _recheck_part(self, suspects: Mapping[str, int | None], keep: Callable[[], Awaitable[None]]) -> Rechecked:
        confirmed: dict[str, str] = {}
        streaks: dict[str, Streak[KeyState]] = {}
        open_keys = list(suspects)
        schedule = Schedule(*_PAUSES, until=time.monotonic() + self._recheck_timeout)
        while True:
            reached = (await self._clock()).until
            states = await self.read_states(open_keys)
            self._refuse_disorder(suspects, states)
            open_keys = []
            for key, state in states.items():
                if state.kind is None:
                    continue
                streak = streaks.get(key)
                if streak is None:
                    streak = Streak(state)
                else:
                    repeated, caught_up = state.differs_as(streak.seen), streak.seen.at < reached
                    streak = streak.then(state, repeated=repeated, caught_up=caught_up)
                streaks[key] = streak
                if streak.proves():
                    confirmed[key] = state.kind
                else:
                    open_keys.append(key)
            pause = schedule.next()
            if not open_keys or pause > schedule.left(time.monotonic()):
                return Rechecked(confirmed, tuple(open_keys))
            await asyncio.sleep(pause)
            await keep()

    async def read_states(self, keys: Sequence[str]) -> dict[str, KeyState]:
        """Return each key as it is now. The target is read first, then the origin."""
        if not keys:
            return {}
        kinds = await (self._read_documents(keys) if self._full else self._read_revisions(keys))
        now = (await self._clock()).now
        return {key: KeyState(kind, rev, now) for key, (kind, rev) in kinds.items()}

    async def _read_revisions(self, keys: Sequence[str]) -> dict[str, tuple[str | None, int | None]]:
        rows = await self._database.fetch(sql.documents.REVISIONS.on(self._table.relation), list(keys))
        target = {row.key: row.rev for row in rows if row.alive}
        origin = await self._source.revisions_of(self._table.database, self._table.name, keys)
        return {key: (classify(origin.get(key), target.get(key)), origin.get(key)) for key in keys}

    async def _read_documents(self, keys: Sequence[str]) -> dict[str, tuple[str | None, int | None]]:
        documents = await self.documents(keys)
        origin = await self._source.lookup(self._table.database, self._table.name, keys)
        found: dict[str, tuple[str | None, int | None]] = {}
        for key in keys:
            ours, theirs = documents.get(key), origin[key]
            rev = theirs.rev if theirs is not None else None
            kind = classify(rev, ours[0] if ours is not None else None)
            if kind is None and ours is not None and theirs is not None:
                _, raw, doc = ours
                if not equal(theirs.raw, raw.encode()) or not intact(raw, doc):
                    kind = "different"
            found[key] = (kind, rev)
        return found

    async def documents(self, keys: Sequence[str]) -> dict[str, tuple[int, str, str]]:
        """Return the target's (revision, raw, doc) of these keys."""
        rows = await self._database.fetch(sql.backfill.TARGET_DOCUMENTS.on(self._table.relation), list(keys))
        return {row.key: (row.rev, row.raw, row.doc) for row in rows}

    async def _clock(self) -> CaughtUpRow:
        """Return PostgreSQL's time, and until when every mirror has applied what the origin took."""
        return await self._database.fetchval(sql.backfill.MIRROR_CAUGHT_UP)

    def _refuse_disorder(self, suspects: Mapping[str, int | None], states: Mapping[str, KeyState]) -> None:
        # only while the origin takes every write first does a version in the target prove that the origin had it
        if self._table.stage in ("promoted", "complete"):
            return
        for key, state in states.items():
            expected = suspects[key]
            if expected is not None and state.origin_rev == expected:
                raise OriginDisorder(
                    f"a page of {self._table.collection} left out the key {key!r}, which ArangoDB has: its pages are "
                    "not in byte order of keys, and no verification by pages can be trusted; read from a single server"
                )


def classify(origin: int | None, target: int | None) -> str | None:
    """Return how two revisions of a key differ (None: no document); None if they do not.

    A target that is ahead of the origin, which happens only if the origin lost writes, is `different`.
    """
    if origin == target:
        return None
    if target is None:
        return "missing"
    if origin is None:
        return "extra"
    return "stale" if origin > target else "different"


def equal(origin: bytes, target: bytes) -> bool:
    """Return True if two printed documents are one value: order of attributes and forms of numbers do not count."""
    return origin == target or same(load(origin), load(target))


def intact(raw: str, doc: str) -> bool:
    """Return True if `doc`, which queries read, is what `raw`, which clients are served, gives.

    Both were printed by servers, and PostgreSQL prints 1e300 with all its digits: `json_reader` reads them.
    """
    escaped = to_jsonb(raw.encode())
    expected = load((escaped if escaped is not None else raw).encode())
    if escaped is None:
        expected = {name: value for name, value in expected.items() if name not in _SYSTEM}
    return same(expected, load(doc.encode()))
