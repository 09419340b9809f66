"""Reads by shape (I9): every read that is seen, compared or not, and how long both sides took.

Reads that are submitted to the shadow are counted as seen by the result store, and reported here by their verdicts:
comparisons since the last reset, and histograms of latency. Reads that are not (a stage before `shadow`, a transaction,
what is never compared) are counted here, on the request path: one dictionary, about a microsecond. A query is counted
by its text; its shape is computed when the counts are written, off the path.

Memory is bounded, and so are the rows (`bounds`): beyond that, reads count under one shape per collection. While
PostgreSQL is unavailable, counts wait. A flush whose outcome is unknown counts reads as seen again, and drops its
comparisons: counting a read as seen twice does no harm, and a gate never passes on comparisons that may be counted
twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError
from proxy.base.periodic import Periodic
from proxy.base.sql_values import columns, storable
from proxy.model import histogram
from proxy.routing.query_shapes import NOT_UNDERSTOOD, OTHER, Shape, shape_of_text
from proxy.shadow.bounds import Bound
from proxy.shadow.verdicts import IGNORED, LAG, MATCH, SKIPPED, UNDECIDED, UNSUPPORTED, ReadVerdict

NOT_YET: Final = "stage before shadow"
_MOST: Final = 5000  # (collection, shape) in memory, and (collection, endpoint, reason)
_MOST_TEXTS: Final = 1000
_MOST_CHARACTERS: Final = 2 << 20  # of texts in memory
_LONGEST: Final = 16 << 10  # bytes of a query that is counted by its text
_AT_ONCE: Final = 4 << 10  # characters of texts that are processed between two turns of the event loop


class _Query(msgspec.Struct):
    query: str = ""


_QUERY: Final = msgspec.json.Decoder(_Query)
_Text = tuple[str, frozenset[str], str, str]  # database, collections' names, reason, text


@dataclass(slots=True)
class _Window:
    """Comparisons of one shape of one collection. oldest: by the clock of this process."""

    oldest: float
    compared: int = 0
    matched: int = 0
    mismatched: int = 0
    undecided: int = 0
    unsupported: int = 0
    origin: list[int] = field(default_factory=list)
    target: list[int] = field(default_factory=list)


class Coverage:
    """Counts without blocking; `flush` writes. Start and close it with its owner. It is a sink of verdicts itself."""

    def __init__(
        self,
        database: Database,
        *,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        bound: Bound | None = None,
    ) -> None:
        self._database = database
        self._bound = bound or Bound()
        self._clock = clock
        self._reads: dict[tuple[str, str, str], int] = {}  # collection, endpoint, reason
        self._texts: dict[_Text, int] = {}
        self._characters = 0
        self._seen: dict[tuple[str, Shape, str], int] = {}  # what waits to be written, by its shape
        self._windows: dict[tuple[str, str], _Window] = {}
        self._periodic = Periodic(self.flush, "coverage", interval, first=self._learn)

    # ---- the request path

    def read(self, collection: str, endpoint: str, reason: str) -> None:
        """Count one read of documents that is not submitted to the shadow. collection: `database/name`, of any name."""
        key = (collection, endpoint, reason)
        known = self._reads.get(key)
        if known is not None:
            self._reads[key] = known + 1
        elif len(self._reads) < _MOST:
            self._reads[key] = 1
        else:
            key = (collection.partition("/")[0] + "/*", endpoint, reason)
            self._reads[key] = self._reads.get(key, 0) + 1

    def query(self, database: str, body: bytes, collections: frozenset[str], reason: str) -> None:
        """Count one query that is not submitted to the shadow. collections: names without database; none: unknown."""
        text = ""
        if len(body) <= _LONGEST and len(self._texts) < _MOST_TEXTS and self._characters < _MOST_CHARACTERS:
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                text = _QUERY.decode(body).query
        key = (database, collections, reason, text)
        known = self._texts.get(key, 0)
        self._texts[key] = known + 1
        if not known:
            self._characters += len(text)

    def __call__(self, verdict: ReadVerdict) -> None:
        """Count the verdict of one read, or of several."""
        kind = verdict.kind
        if kind == SKIPPED:
            return
        for collection in verdict.collections:
            window = self._window(collection, verdict.shape)
            if kind == UNSUPPORTED:
                window.unsupported += verdict.number
                continue
            window.compared += verdict.number
            if kind in (MATCH, LAG, IGNORED):
                window.matched += verdict.number
            elif kind == UNDECIDED:
                window.undecided += verdict.number
            else:
                window.mismatched += verdict.number
            for seconds in verdict.origin_seconds:
                histogram.count(window.origin, seconds)
            if verdict.origin_seconds:
                histogram.count(window.target, verdict.target_seconds, len(verdict.origin_seconds))

    def _window(self, collection: str, shape: Shape) -> _Window:
        key = (collection, shape.name)
        found = self._windows.get(key)
        if found is None:
            if len(self._windows) >= _MOST and shape != OTHER:
                return self._window(collection, OTHER)
            found = self._windows[key] = _Window(self._clock())
        return found

    # ---- PostgreSQL

    async def flush(self) -> None:
        """Write the counts. Raise DatabaseError; reads that were seen are kept then."""
        await self._shape()
        windows = self._windows
        if windows:
            begun = False
            self._windows = {}
            try:
                async with self._database.transaction() as session:
                    begun = True
                    await session.execute(sql.coverage.ADD_COVERAGE, *columns(self._rows(windows)))
            except BaseException:
                if not begun and not self._windows:
                    self._windows = windows
                raise
        if self._seen:
            seen, self._seen = self._seen, {}
            try:
                await self._write_seen(seen)
            except BaseException:
                for key, number in seen.items():
                    self._seen[key] = self._seen.get(key, 0) + number
                raise

    async def _shape(self) -> None:
        """Compute the shapes of what was counted."""
        reads, self._reads = self._reads, {}
        texts, self._texts, self._characters = self._texts, {}, 0
        for (collection, endpoint, reason), number in reads.items():
            self._add(collection, Shape(endpoint, endpoint), reason, number)
        read = 0
        for (database, names, reason, text), number in texts.items():
            shape = shape_of_text(text) if text else NOT_UNDERSTOOD
            for name in names or ("*",):
                self._add(f"{database}/{name}", shape, reason, number)
            read += len(text)
            if read >= _AT_ONCE:
                read = 0
                await asyncio.sleep(0)

    def _add(self, collection: str, shape: Shape, reason: str, number: int) -> None:
        shape = self._bound.of((collection,), shape)
        key = (storable(collection), shape, reason)
        if key not in self._seen and len(self._seen) >= 2 * _MOST:
            key = (storable(collection.partition("/")[0]) + "/*", OTHER, reason)
        self._seen[key] = self._seen.get(key, 0) + number

    def _rows(self, windows: dict[tuple[str, str], _Window]) -> Iterable[Sequence[object]]:
        now = self._clock()
        for (collection, shape), one in windows.items():
            counts = (one.compared, one.matched, one.mismatched, one.undecided, one.unsupported)
            yield collection, shape, max(0.0, now - one.oldest), *counts, _array(one.origin), _array(one.target)

    async def _write_seen(self, seen: dict[tuple[str, Shape, str], int]) -> None:
        totals: dict[tuple[str, Shape], int] = {}
        for (collection, shape, _), number in seen.items():
            totals[collection, shape] = totals.get((collection, shape), 0) + number
        rows = [(collection, shape.name, shape.text, number) for (collection, shape), number in totals.items()]
        await self._database.execute(sql.coverage.ADD_SEEN, *columns(rows))
        reasons = [(collection, shape.name, reason, number) for (collection, shape, reason), number in seen.items()]
        with contextlib.suppress(DatabaseError):  # reasons are informational
            await self._database.execute(sql.coverage.ADD_REASONS, *columns(reasons))

    # ---- life

    async def start(self) -> None:
        self._periodic.start()

    async def close(self) -> None:
        """Flush once more."""
        await self._periodic.finish(self.flush)

    async def _learn(self) -> None:
        """Read which shapes have rows already; without that, this process makes room for them once more."""
        rows = await self._database.fetch(sql.coverage.KEPT)
        self._bound.learn((row.collection, row.shape) for row in rows)


def _array(counts: Sequence[int]) -> str:
    return "{" + ",".join(map(str, counts)) + "}"
