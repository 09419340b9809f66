"""Rules of one proxy's comparisons: shares of reads, tolerances, where ArangoDB differs from itself. From PostgreSQL.

Commands write the tables; every proxy reads them once a second. While PostgreSQL is unavailable the last rules stay in
force: they are only shares of reads, and tolerances that an operator has set.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

import sql
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import DatabaseError
from proxy.base.periodic import Periodic
from proxy.shadow.diff.tolerances import Tolerance

_EVERY: Final = 1.0  # seconds
_REMEMBERED: Final = 10_000
_NONE: Final[frozenset[tuple[str, str]]] = frozenset()


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of the reads of one shape, from 0 to 1.

    sampled: of all reads, those that are compared. baseline: of these, those for which ArangoDB is compared with
    itself.
    """

    sampled: float
    baseline: float


@dataclass(frozen=True, slots=True)
class _Table:
    """The content of the tables. sampling: (collection, shape or '') -> (percent, percent), None if not set."""

    sampling: Mapping[tuple[str, str], tuple[float | None, float | None]]
    tolerances: Mapping[str, tuple[Tolerance, ...]]
    own: Mapping[tuple[str, str], frozenset[tuple[str, str]]]


class SamplingRules:
    """Answers from memory; `refresh` reads the tables. Start and close it with its owner."""

    def __init__(self, settings: Settings, database: Database | None = None) -> None:
        """database: None for rules that never change: those of the settings."""
        self._database = database
        self._default = (settings.sample_percent, settings.baseline_percent)
        self._table = _Table({}, {}, {})
        self._text = ""
        self._shares: dict[tuple[tuple[str, ...], str], Shares] = {}
        self._periodic = Periodic(self.refresh, "shadow rules", _EVERY)

    def shares(self, collections: tuple[str, ...], shape: str) -> Shares:
        """Return the shares for a read of these collections: the smallest of each."""
        found = self._shares.get((collections, shape))
        if found is None:
            if len(self._shares) >= _REMEMBERED:
                self._shares.clear()
            each = [self._of(collection, shape) for collection in collections] or [self._default]
            found = Shares(min(one[0] for one in each) / 100, min(one[1] for one in each) / 100)
            self._shares[collections, shape] = found
        return found

    def tolerances(self, collections: Sequence[str]) -> tuple[Tolerance, ...]:
        """Return the tolerances of these collections, in the order in which they were made."""
        table = self._table.tolerances
        return tuple(rule for name in collections for rule in table.get(name, ())) if table else ()

    def own(self, collections: Sequence[str], shape: str) -> frozenset[tuple[str, str]]:
        """Return the (class, path) in which ArangoDB differs from itself when it answers this shape."""
        table = self._table.own
        return frozenset().union(*(table.get((name, shape), _NONE) for name in collections)) if table else _NONE

    def _of(self, collection: str, shape: str) -> tuple[float, float]:
        """Return the most specific shares that are set: of the shape, of the collection, of the settings."""
        said = [self._table.sampling.get((collection, key)) for key in (shape, "")]
        percents = [next((one[n] for one in said if one is not None and one[n] is not None), None) for n in (0, 1)]
        sampled, baseline = (d if p is None else p for p, d in zip(percents, self._default, strict=True))
        return sampled, baseline

    # ---- PostgreSQL

    async def refresh(self) -> None:
        """Read the tables. Raise DatabaseError, and then nothing has changed."""
        if self._database is None:
            return
        row = await self._database.fetchval(sql.shadow.RULES)
        text = "\0".join((row.sampling, row.tolerances, row.baseline))
        if text == self._text:
            return
        tolerances: dict[str, tuple[Tolerance, ...]] = {}
        for collection, path, rule, argument in orjson.loads(row.tolerances):
            tolerances[collection] = (*tolerances.get(collection, ()), Tolerance(collection, path, rule, argument))
        own: dict[tuple[str, str], frozenset[tuple[str, str]]] = {}
        for collection, shape, kind, path in orjson.loads(row.baseline):
            own[collection, shape] = own.get((collection, shape), _NONE) | {(kind, path)}
        sampling = {(name, shape): (percent, baseline) for name, shape, percent, baseline in orjson.loads(row.sampling)}
        self._table, self._text = _Table(sampling, tolerances, own), text
        self._shares.clear()

    async def start(self) -> None:
        """Read the tables, and then again every second. Without a database there is nothing to read."""
        if self._database is not None:
            with contextlib.suppress(DatabaseError):
                await self.refresh()
            self._periodic.start()

    async def close(self) -> None:
        """End the reading."""
        await self._periodic.close()
