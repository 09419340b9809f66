"""Verdicts by shape of write, kept in memory and written to PostgreSQL in batches.

Memory is bounded, and so are the rows (`shadow.bounds`). While PostgreSQL is unavailable, counts wait. A flush whose
outcome is unknown may count twice, which does no harm: gates look at whether a shape was rehearsed, not how often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import sql
from proxy.base import metrics
from proxy.base.database import Database
from proxy.base.periodic import Periodic
from proxy.base.sql_values import columns, storable
from proxy.rehearsal.verdicts import Different, Equal, Verdict
from proxy.routing.query_shapes import OTHER, Shape
from proxy.shadow.bounds import Bound

SHAPES_KEPT: Final = 300  # of one collection


@dataclass(slots=True)
class _Counts:
    text: str
    seen: int = 0
    equal: int = 0
    different: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: _Counts) -> None:
        self.seen += other.seen
        self.equal += other.equal
        self.different += other.different
        self.reasons += other.reasons


class ShapeResults:
    """Counts without blocking; `flush` writes. Start and close it with its owner."""

    def __init__(self, database: Database, *, interval: float = 1.0) -> None:
        self._database = database
        self._bound = Bound(SHAPES_KEPT)
        self._counts: dict[tuple[str, str], _Counts] = {}
        self._periodic = Periodic(self.flush, "rehearsal", interval, first=self._learn)

    def seen(self, collection: str, shape: Shape) -> None:
        """Count a write."""
        self._of(collection, shape).seen += 1

    def without_verdict(self, collection: str, shape: Shape, reason: str) -> None:
        """Count a write that was to be rehearsed, or cannot be. reason: of a closed set."""
        metrics.REHEARSALS_WITHOUT_VERDICT.labels(reason).inc()
        self._of(collection, shape).reasons[reason] += 1

    def decided(self, collection: str, shape: Shape, verdict: Verdict) -> None:
        """Count a verdict."""
        if isinstance(verdict, Equal):
            metrics.REHEARSALS.labels(collection, "equal").inc()
            self._of(collection, shape).equal += 1
        elif isinstance(verdict, Different):
            metrics.REHEARSALS.labels(collection, "different").inc()
            self._of(collection, shape).different += 1
        else:
            self.without_verdict(collection, shape, verdict.reason)

    def _of(self, collection: str, shape: Shape) -> _Counts:
        found = self._counts.get((collection, shape.name))
        if found is None:
            kept = self._bound.of((collection,), shape)
            found = self._counts.setdefault((collection, kept.name), _Counts(kept.text))
        return found

    # ---- PostgreSQL

    async def flush(self) -> None:
        """Write the counts. Raise DatabaseError; they are kept then."""
        if not self._counts:
            return
        counts, self._counts = self._counts, {}
        try:
            await self._database.execute(sql.rehearsal.ADD_SHAPES, *columns(_rows(counts)))
            reasons = [
                (storable(collection), shape, reason, number)
                for (collection, shape), one in counts.items()
                for reason, number in one.reasons.items()
            ]
            if reasons:
                await self._database.execute(sql.rehearsal.ADD_REASONS, *columns(reasons))
        except BaseException:
            for key, newer in self._counts.items():
                if key in counts:
                    counts[key].add(newer)
                else:
                    counts[key] = newer
            self._counts = counts
            raise

    async def _learn(self) -> None:
        """Read which shapes have rows already."""
        rows = await self._database.fetch(sql.rehearsal.KEPT)
        self._bound.learn((row.collection, row.shape) for row in rows if row.shape != OTHER.name)

    # ---- life

    async def start(self) -> None:
        self._periodic.start()

    async def close(self) -> None:
        """Flush once more."""
        await self._periodic.finish(self.flush)


def _rows(counts: dict[tuple[str, str], _Counts]) -> Iterable[tuple[object, ...]]:
    for (collection, shape), one in counts.items():
        numbers = (one.seen, one.equal, one.different, one.reasons.total())
        yield storable(collection), shape, one.text, *numbers
