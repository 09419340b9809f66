"""Counts and samples of comparisons: kept in memory as deltas (`counters`), written to PostgreSQL in batches.

A flush is one transaction. If its answer is lost, the next flush asks for that transaction's outcome before it writes
anything, so that nothing is counted twice or lost. While PostgreSQL is unavailable, deltas are kept, bounded.

A mismatch whose fingerprint is ignored is counted by its fingerprint and shape, not by the gate's figures.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import orjson

import sql
from proxy.base import metrics
from proxy.base.config import Settings
from proxy.base.database import Database, Session
from proxy.base.errors import ConfigurationError, DatabaseUnavailable
from proxy.base.periodic import Periodic
from proxy.base.sql_values import columns, storable, storable_json
from proxy.routing.query_shapes import Shape
from proxy.shadow.counters import SLICE, ComparisonDelta, Counts, Deltas, ShapeDelta, fingerprint
from proxy.shadow.diff.documents import MAX_KEYS, Difference, Kind
from proxy.shadow.diff.paths import tokens
from proxy.shadow.diff.tolerances import Tolerance
from proxy.shadow.samples import MismatchEvidence, Redaction, sample
from sql.statement import Statement

SAMPLED_OUT: Final = "sampled out"
_MAX_KNOWN: Final = 10_000
_PURGE_EVERY: Final = 600.0  # seconds


class ResultStore:
    """Counts without blocking; `flush` writes. Start and close it with its owner."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        interval: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._redaction = redaction_of(settings)
        self._retention = settings.sample_days * 86400.0
        self._clock = clock
        self._deltas = Deltas()
        self._writing: tuple[str, Deltas] | None = None  # a transaction whose outcome is unknown, and what it wrote
        self._known: set[str] = set()  # fingerprints met by this process: explained once
        self._figures: dict[str, dict[str, float]] = {}
        self._passed: dict[tuple[str, str], list[Any]] = {}  # [number, shape] of reads outside the sampled share
        self._skipped: Counter[tuple[str, str]] = Counter()  # collection, reason: since this process began
        self._flushing = asyncio.Lock()
        self._purged = 0.0
        self._periodic = Periodic(self._flush_and_purge, "shadow ledger", interval)

    # ---- counting

    def seen(self, collections: Iterable[str], shape: Shape) -> None:
        """Count a read that can be compared."""
        for collection in collections:
            self._deltas.shape(collection, shape).seen += 1

    def sampled_out(self, collections: Iterable[str], shape: Shape) -> None:
        """Count a read that can be compared, but is not in the sampled share."""
        for collection in collections:
            passed = self._passed.get((collection, shape.name))
            if passed is None:
                passed = self._passed[collection, shape.name] = [0, shape]
            passed[0] += 1

    def _fold(self) -> None:
        """Move the sampled-out reads to the deltas.

        Each costs one addition until then: with a small share they are nearly all reads.
        """
        for (collection, _), (number, shape) in self._passed.items():
            metrics.SHADOW.skipped(collection, SAMPLED_OUT, number)
            self._skipped[collection, SAMPLED_OUT] += number
            self._deltas.skip(collection, shape, SAMPLED_OUT, number).seen += number
        self._passed.clear()

    def skipped(self, collections: Iterable[str], shape: Shape, reason: str) -> None:
        """Count a read that was not compared, with the reason."""
        for collection in collections:
            metrics.SHADOW.skipped(collection, reason)
            self._skipped[collection, reason] += 1
            self._deltas.skip(collection, shape, reason)

    def matched(
        self, collections: Iterable[str], shape: Shape, *, began: float, lagged: bool = False, number: int = 1
    ) -> None:
        """Count reads that both sides answered alike, immediately or (lagged) once the mirror had caught up.

        began: the moment of the check.
        """
        counts = Counts(compared=number, matched=number)
        for collection in collections:
            metrics.SHADOW.compared(collection, "lag" if lagged else "match", number)
            self._deltas.count(collection, shape, counts, began=began, lagged=number if lagged else 0)

    def ignored(
        self, collections: Iterable[str], shape: Shape, *, began: float, rules: Iterable[Tolerance] = ()
    ) -> None:
        """Count a read whose answers differ in tolerated ways only. rules: the tolerances that applied."""
        for collection in collections:
            metrics.SHADOW.compared(collection, "ignored")
            self._deltas.count(collection, shape, Counts(compared=1, ignored=1), began=began)
        self._deltas.tolerated.update((rule.collection, rule.path, rule.rule) for rule in rules)

    def count_undecided(self, collections: Iterable[str], shape: Shape, *, began: float) -> None:
        """Count a read whose answers differed, and that could not be distinguished from a race in time."""
        for collection in collections:
            metrics.SHADOW.compared(collection, "undecided")
            self._deltas.count(collection, shape, Counts(compared=1, undecided=1), began=began)

    def unsupported(self, collections: Iterable[str], shape: Shape, *, began: float) -> None:
        """Count a read that PostgreSQL cannot answer yet."""
        for collection in collections:
            metrics.SHADOW.compared(collection, "unsupported")
            self._deltas.count(collection, shape, Counts(unsupported=1), began=began)

    def mismatched(
        self,
        collections: Sequence[str],
        shape: Shape,
        difference: Difference,
        examples: Sequence[MismatchEvidence],
        *,
        began: float,
        number: int = 1,
    ) -> None:
        """Count confirmed mismatches of one class and paths: of `number` reads. As `found`, and the reads count too."""
        for collection in collections:
            metrics.SHADOW.compared(collection, difference.kind.value, number)
            delta = self._deltas.shape(collection, shape)
            delta.counts.compared += number
            delta.mismatched += number
        self.found(collections, shape, difference, examples, began=began, number=number)

    def found(
        self,
        collections: Sequence[str],
        shape: Shape,
        difference: Difference,
        examples: Sequence[MismatchEvidence],
        *,
        began: float,
        number: int = 1,
    ) -> None:
        """Count the fingerprint only: a further difference of reads that are counted as mismatches.

        difference: with the keys of all of them. examples: at least as many as `wanted` returned, if there are. began:
        the moment of the check that confirmed it.
        """
        for collection in collections:
            if len(self._known) < _MAX_KNOWN:
                self._known.add(fingerprint(collection, difference))
            delta = self._deltas.mismatch(collection, difference, began, number)
            for key in difference.keys:
                if len(delta.keys) >= MAX_KEYS:
                    break
                delta.keys[storable(key)] = None
            for example in examples:
                if not self._deltas.wants_sample(delta):
                    break
                text = orjson.dumps(storable_json(sample(example, text=shape.text, redaction=self._redaction)))
                self._deltas.add_sample(delta, text)

    def explained(self, collections: Iterable[str], evidence: MismatchEvidence, text: str) -> None:
        """Add an explanation to the sample of a mismatch that has been counted."""
        for collection in collections:
            key = (collection, fingerprint(collection, evidence.difference), evidence.id)
            self._deltas.explanations[key] = storable(text)

    def baseline(self, collections: Iterable[str], shape: Shape, found: Iterable[tuple[str, str]]) -> None:
        """Count a comparison of ArangoDB with itself: (class, path) of each difference; none if it agreed."""
        for collection in collections:
            self._deltas.baseline.update((collection, shape.name, *one) for one in (tuple(found) or (("", ""),)))

    def count_subtracted(self, collections: Iterable[str], shape: Shape, found: Iterable[tuple[str, str]]) -> None:
        """Count differences that were attributed to ArangoDB itself."""
        for collection in collections:
            self._deltas.subtracted.update((collection, shape.name, *one) for one in found)

    def is_new(self, collections: Iterable[str], difference: Difference) -> bool:
        """Return True if this process has not met its fingerprint in all collections: then it is explained."""
        return any(fingerprint(collection, difference) not in self._known for collection in collections)

    def wanted(self, collections: Iterable[str], difference: Difference) -> int:
        """Return how many examples of it may still be kept."""
        return max((self._deltas.room(collection, difference) for collection in collections), default=0)

    def figures(self, collection: str) -> dict[str, float]:
        """Return the gate's figures of a collection as they were last written; empty before the first flush."""
        return dict(self._figures.get(collection, {}))

    def skips(self, collection: str) -> dict[str, int]:
        """Return how many reads this process has not compared since it began, by reason."""
        self._fold()
        return {reason: number for (name, reason), number in sorted(self._skipped.items()) if name == collection}

    # ---- PostgreSQL

    async def flush(self) -> None:
        """Write the deltas. Raise DatabaseError; nothing is lost then: the next flush writes them."""
        async with self._flushing:
            self._fold()
            if self._writing is not None:
                await self._settle()
            if not self._deltas:
                return
            deltas, self._deltas = self._deltas, Deltas()
            transaction: str | None = None
            try:
                async with self._database.transaction() as session:
                    transaction = await session.fetchval(sql.shadow.TRANSACTION_ID)
                    await self._write(session, deltas)
            except BaseException:
                if transaction is None:
                    self._restore(deltas)
                else:
                    self._writing = (transaction, deltas)
                raise
            await self._refresh(sorted({*deltas.comparisons, *(collection for collection, _ in deltas.mismatches)}))

    async def purge(self) -> int:
        """Delete repaired and ignored mismatches that are older than the retention, and the samples of all others.

        An open mismatch stays, without values of documents. Return how many rows were changed. Raise DatabaseError.
        """
        gone = await self._database.fetchval(sql.shadow.FORGET_MISMATCHES, self._retention)
        return gone + await self._database.fetchval(sql.shadow.FORGET_SAMPLES, self._retention)

    async def _settle(self) -> None:
        assert self._writing is not None
        transaction, deltas = self._writing
        status = await self._database.fetchval(sql.shadow.TRANSACTION_STATUS, transaction)
        if status == "in progress":  # its connection is dying
            raise DatabaseUnavailable("the end of the last flush is not known yet")
        self._writing = None
        if status == "aborted":
            self._restore(deltas)

    def _restore(self, deltas: Deltas) -> None:
        """Put deltas back before the newer ones."""
        newer, self._deltas = self._deltas, deltas
        deltas.absorb(newer)

    async def _write(self, session: Session, deltas: Deltas) -> None:
        now = self._clock()
        if deltas.shapes:
            rows: Iterable[Sequence[object]] = (_shape_row(*key, delta) for key, delta in deltas.shapes.items())
            await session.execute(sql.shadow.ADD_SHAPES, *columns(rows))
        counters: tuple[tuple[Statement[None], Counter[Any]], ...] = (
            (sql.shadow.ADD_SKIPPED, deltas.skipped),
            (sql.shadow.ADD_TOLERATED, deltas.tolerated),
            (sql.shadow.ADD_BASELINE, deltas.baseline),
            (sql.shadow.ADD_SUBTRACTED, deltas.subtracted),
        )
        for statement, counter in counters:
            if counter:
                await session.execute(statement, *columns((*key, number) for key, number in counter.items()))
        counted = await self._write_mismatches(session, deltas, now)
        for key, text in sorted(deltas.explanations.items()):
            await session.execute(sql.shadow.EXPLAIN_MISMATCH, *key, text)
        # every row that is touched below is locked here, in order: two proxies cannot deadlock
        locked = deltas.comparisons | {
            collection: ComparisonDelta(now) for collection, _, _ in counted if collection not in deltas.comparisons
        }
        if locked:
            rows = (_figures_row(name, max(0.0, now - delta.oldest), delta) for name, delta in locked.items())
            await session.execute(sql.shadow.ADD_COMPARISONS, *columns(rows))
        if counted:
            await session.execute(sql.shadow.COUNT_MISMATCHES, *columns(counted))

    async def _write_mismatches(self, session: Session, deltas: Deltas, now: float) -> list[tuple[str, float, int]]:
        """Write the mismatches; return (collection, age in seconds, number) of those that count, that is, are not
        ignored.
        """
        counted: list[tuple[str, float, int]] = []
        for (collection, print_), delta in sorted(deltas.mismatches.items()):
            ages = {moment: max(0.0, now - (moment + 1) * SLICE) for moment in delta.moments}
            state = await session.fetchval(
                sql.shadow.ADD_MISMATCH,
                collection,
                print_,
                delta.difference.kind.value,
                list(delta.difference.paths),
                sum(delta.moments.values()),
                min(ages.values()),
                list(delta.keys),
                (b"[" + b",".join(delta.samples) + b"]").decode(),
            )
            if state != "ignored" and delta.difference.kind is not Kind.WRITE:  # which concerns no read
                counted += [(collection, ages[moment], number) for moment, number in delta.moments.items()]
        return counted

    async def _refresh(self, collections: Sequence[str]) -> None:
        """Read the figures back: other proxies add to them, and a repair resets them."""
        for row in await self._database.fetch(sql.shadow.FIGURES, list(collections)):
            base = row.matched + row.mismatched
            figures: dict[str, float] = {
                "compared": row.compared,
                "mismatched": row.mismatched,
                "matched": row.matched,
                "ignored": row.ignored,
                "undecided": row.undecided,
                "unsupported": row.unsupported,
                "lagged": row.lagged,
                "mismatch_rate": row.mismatched / base if base else 0.0,
            }
            self._figures[row.collection] = figures
            metrics.MISMATCH_RATE.labels(row.collection).set(figures["mismatch_rate"])

    # ---- life

    async def start(self) -> None:
        self._periodic.start()

    async def close(self) -> None:
        """Flush once more."""
        await self._periodic.finish(self.flush)

    async def _flush_and_purge(self) -> None:
        await self.flush()
        if self._clock() > self._purged + _PURGE_EVERY:
            self._purged = self._clock()
            await self.purge()


def _shape_row(collection: str, shape: str, delta: ShapeDelta) -> tuple[object, ...]:
    """Return the parameters of `add_shapes`."""
    counts = delta.counts
    return (
        *(collection, shape, delta.text, delta.seen, counts.compared, counts.matched, counts.ignored),
        *(delta.mismatched, counts.undecided, counts.unsupported, delta.skipped),
    )


def _figures_row(collection: str, age: float, delta: ComparisonDelta) -> tuple[object, ...]:
    """Return the parameters of `add_comparisons`."""
    counts = delta.counts
    decided = (counts.compared, counts.matched, counts.ignored, counts.undecided, counts.unsupported)
    return (collection, age, *decided, delta.lagged)


def redaction_of(settings: Settings) -> Redaction:
    """Return what the settings forbid samples to contain. Raise ConfigurationError if a pattern is not a path."""
    try:
        for pattern in settings.redact_paths:
            tokens(pattern)
    except ValueError as error:
        raise ConfigurationError(f"set CROSSFADE_REDACT_PATHS to a JSON array of paths: {error}") from error
    return Redaction(settings.redact, tuple(settings.redact_paths))
