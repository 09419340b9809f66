"""Looks at keys on both sides and says how they differ; a difference is believed when it outlives the mirror's lag.

One look reads the target first, then the origin (mirror-protocol, answer 10): the other way round a document that was
inserted between the two would look like one to delete. A difference is *confirmed* (I8) when a second look shows the
same one, with the same version in the origin, and the mirror had by then applied everything that the origin took before
the first. What keeps changing, or what the mirror does not reach in time, is unsettled: neither equal nor a mismatch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sql
from backfill.origin_pages import OriginDisorder
from backfill.run_store import Table
from backfill.source import Source
from proxy.base.database import Database
from proxy.model.documents import to_jsonb
from proxy.model.json_reader import load
from proxy.model.json_values import same

FAST_KEYS = 500  # looked at together: revisions only
FULL_KEYS = 20  # looked at together: their documents are in memory, from both sides
PATIENCE = 30.0
_SYSTEM = ("_key", "_id", "_rev")


@dataclass(frozen=True, slots=True)
class KeyState:
    """One key at one look. kind: a class of difference, None where both are equal; at: PostgreSQL's time after it."""

    kind: str | None
    origin_rev: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of suspects: confirmed differences by key, and keys that did not settle. The rest is equal."""

    confirmed: Mapping[str, str]
    unsettled: tuple[str, ...]

    @property
    def keys(self) -> list[str]:
        return sorted({*self.confirmed, *self.unsettled})


class Looker:
    """Looks at one collection. full: content too, not only revisions. patience: seconds until a key is unsettled."""

    def __init__(
        self, database: Database, source: Source, table: Table, *, full: bool, patience: float = PATIENCE
    ) -> None:
        self._database = database
        self._source = source
        self._table = table
        self._full = full
        self._patience = patience

    async def settle(self, suspects: Mapping[str, int | None], keep: Callable[[], Awaitable[None]]) -> Settled:
        """Looks until each key is equal, confirmed different, or out of time. keep: called between looks.

        suspects: with the revision that the target showed before a page of the origin left the key out (else None):
        where the origin turns out to have that very version, its page was wrong, and OriginDisorder is raised.
        """
        confirmed: dict[str, str] = {}
        unsettled: list[str] = []
        size = FULL_KEYS if self._full else FAST_KEYS
        keys = sorted(suspects)
        for at in range(0, len(keys), size):
            part = {key: suspects[key] for key in keys[at : at + size]}
            settled = await self._settle_part(part, keep)
            confirmed.update(settled.confirmed)
            unsettled += settled.unsettled
        return Settled(confirmed, tuple(unsettled))

    async def _settle_part(self, suspects: Mapping[str, int | None], keep: Callable[[], Awaitable[None]]) -> Settled:
        confirmed: dict[str, str] = {}
        first: dict[str, KeyState] = {}
        open_keys = list(suspects)
        until = time.monotonic() + self._patience
        pause = 0.05
        while True:
            reached: datetime = (await self._caught_up())[1]
            sights = await self.look(open_keys)
            self._refuse_disorder(suspects, sights)
            rest: list[str] = []
            for key, sight in sights.items():
                before = first.get(key)
                if sight.kind is None:
                    continue
                if before is None or (before.kind, before.origin_rev) != (sight.kind, sight.origin_rev):
                    first[key] = sight
                    rest.append(key)
                elif before.at < reached:
                    confirmed[key] = sight.kind
                else:
                    rest.append(key)
            open_keys = rest
            if not open_keys or time.monotonic() + pause > until:
                return Settled(confirmed, tuple(open_keys))
            await asyncio.sleep(pause)
            await keep()
            pause = min(2 * pause, 2.0)

    async def look(self, keys: Sequence[str]) -> dict[str, KeyState]:
        """Each key as it is now: the target is read first, then the origin."""
        if not keys:
            return {}
        if self._full:
            kinds = await self._look_full(keys)
        else:
            kinds = await self._look_fast(keys)
        now = (await self._caught_up())[0]
        return {key: KeyState(kind, rev, now) for key, (kind, rev) in kinds.items()}

    async def _look_fast(self, keys: Sequence[str]) -> dict[str, tuple[str | None, int | None]]:
        rows = await self._database.fetch(sql.documents.REVISIONS.on(self._table.relation), list(keys))
        target = {row.key: row.rev for row in rows if row.alive}
        origin = await self._source.revisions_of(self._table.database, self._table.name, keys)
        return {key: (classify(origin.get(key), target.get(key)), origin.get(key)) for key in keys}

    async def _look_full(self, keys: Sequence[str]) -> dict[str, tuple[str | None, int | None]]:
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
        """The target's (revision, raw, doc) of these keys."""
        rows = await self._database.fetch(sql.backfill.TARGET_DOCUMENTS.on(self._table.relation), list(keys))
        return {row.key: (row.rev, row.raw, row.doc) for row in rows}

    async def _caught_up(self) -> tuple[datetime, datetime]:
        row = await self._database.fetchval(sql.backfill.MIRROR_CAUGHT_UP)
        return row.now, row.until

    def _refuse_disorder(self, suspects: Mapping[str, int | None], sights: Mapping[str, KeyState]) -> None:
        # only while the origin takes every write first does a version in the target prove that the origin had it
        if self._table.stage in ("promoted", "complete"):
            return
        for key, sight in sights.items():
            expected = suspects[key]
            if expected is not None and sight.origin_rev == expected:
                raise OriginDisorder(
                    f"a page of {self._table.collection} left out the key {key!r}, which ArangoDB has: its pages are "
                    "not in byte order of keys, and no verification by pages can be trusted; read from a single server"
                )


def classify(origin: int | None, target: int | None) -> str | None:
    """How two revisions of a key differ (None: no document); None where they do not.

    A target that is ahead of the origin, which happens only where the origin lost writes, is `different`.
    """
    if origin == target:
        return None
    if target is None:
        return "missing"
    if origin is None:
        return "extra"
    return "stale" if origin > target else "different"


def equal(origin: bytes, target: bytes) -> bool:
    """Whether two printed documents are one value: order of attributes and forms of numbers do not count."""
    return origin == target or same(load(origin), load(target))


def intact(raw: str, doc: str) -> bool:
    """Whether `doc`, which queries look at, is what `raw`, which clients are served, gives.

    Both were printed by servers, and PostgreSQL prints 1e300 with all its digits: `printed` reads them.
    """
    escaped = to_jsonb(raw.encode())
    expected = load((escaped if escaped is not None else raw).encode())
    if escaped is None:
        expected = {name: value for name, value in expected.items() if name not in _SYSTEM}
    return same(expected, load(doc.encode()))
