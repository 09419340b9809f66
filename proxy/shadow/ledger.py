"""Counts and samples of comparisons: kept in memory as deltas, written to PostgreSQL in batches.

A flush is one transaction. Where its answer is lost, the next flush asks for that transaction's fate before it writes
anything, so that nothing is counted twice or lost. While PostgreSQL is away, deltas are kept, bounded: new shapes are
then counted together under OTHER, and new fingerprints beyond the bound without samples.

compared = matched + mismatched + unsettled; matched includes what had only lagged (`lagged` counts that part).
A mismatch whose fingerprint is ignored is counted by its fingerprint and shape, not by the gate's figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog

from proxy import metrics
from proxy.config import Settings
from proxy.database import Database, Session
from proxy.errors import DatabaseError, DatabaseUnavailable
from proxy.shadow.compare import MAX_KEYS, Difference
from proxy.shadow.samples import Evidence, sample
from proxy.shadow.shapes import Shape
from sql.loader import queries

log = structlog.get_logger(__name__)

MAX_SAMPLES: Final = 5
_MAX_SHAPES: Final = 5000
_MAX_FINGERPRINTS: Final = 500
_MAX_SAMPLE_BYTES: Final = 8 << 20
_MAX_KNOWN: Final = 10_000
_SLICE: Final = 0.25  # seconds: moments of mismatches are kept so finely
_MAX_SLICES: Final = 1000


OTHER: Final = Shape("other", "(shapes beyond the bound of memory)")


@dataclass(slots=True)
class _ShapeDelta:
    text: str
    seen: int = 0
    compared: int = 0
    matched: int = 0
    mismatched: int = 0
    unsettled: int = 0
    unsupported: int = 0
    skipped: int = 0
    origin_seconds: float = 0.0
    target_seconds: float = 0.0


@dataclass(slots=True)
class _ComparisonDelta:
    oldest: float
    compared: int = 0
    matched: int = 0
    unsettled: int = 0
    unsupported: int = 0
    lagged: int = 0


@dataclass(slots=True)
class _MismatchDelta:
    difference: Difference
    moments: dict[int, int] = field(default_factory=dict)  # slice of time -> number
    keys: dict[str, None] = field(default_factory=dict)
    samples: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Deltas:
    shapes: dict[tuple[str, str], _ShapeDelta] = field(default_factory=dict)
    comparisons: dict[str, _ComparisonDelta] = field(default_factory=dict)
    mismatches: dict[tuple[str, str], _MismatchDelta] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.shapes or self.comparisons or self.mismatches)


def fingerprint(collection: str, difference: Difference) -> str:
    """What makes two mismatches one: collection, class, paths."""
    text = "\0".join((collection, difference.kind.value, *difference.paths))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class Ledger:
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
        self._redact = settings.redact
        self._interval = interval
        self._clock = clock
        self._deltas = _Deltas()
        self._writing: tuple[str, _Deltas] | None = None  # a transaction whose end is unknown, and what it wrote
        self._sample_bytes = 0
        self._known: set[str] = set()  # fingerprints met by this process: explained once
        self._figures: dict[str, dict[str, float]] = {}
        self._flushing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    # ---- what happened

    def seen(self, collections: Iterable[str], shape: Shape) -> None:
        """A read came that can be compared."""
        for collection in collections:
            self._shape(collection, shape).seen += 1

    def skipped(self, collections: Iterable[str], shape: Shape, reason: str) -> None:
        """It was not compared, and why."""
        for collection in collections:
            metrics.SKIPPED.labels(collection, reason).inc()
            self._shape(collection, shape).skipped += 1

    def matched(self, collections: Iterable[str], shape: Shape, *, began: float, lagged: bool = False) -> None:
        """Both sides said the same, at once or (lagged) once the mirror had caught up. began: the look's moment."""
        for collection in collections:
            metrics.COMPARED.labels(collection, "lag" if lagged else "match").inc()
            delta, figures = self._shape(collection, shape), self._comparison(collection, began)
            delta.compared += 1
            delta.matched += 1
            figures.compared += 1
            figures.matched += 1
            figures.lagged += lagged

    def unsettled(self, collections: Iterable[str], shape: Shape, *, began: float) -> None:
        """They differed, and it could not be told within the bound whether that was a race."""
        for collection in collections:
            metrics.COMPARED.labels(collection, "unsettled").inc()
            delta, figures = self._shape(collection, shape), self._comparison(collection, began)
            delta.compared += 1
            delta.unsettled += 1
            figures.compared += 1
            figures.unsettled += 1

    def unsupported(self, collections: Iterable[str], shape: Shape, *, began: float) -> None:
        """PostgreSQL cannot answer it yet."""
        for collection in collections:
            metrics.COMPARED.labels(collection, "unsupported").inc()
            self._shape(collection, shape).unsupported += 1
            self._comparison(collection, began).unsupported += 1

    def seconds(self, collections: Iterable[str], shape: Shape, *, origin: float, target: float) -> None:
        """How long both sides took for one read, in seconds."""
        for collection in collections:
            delta = self._shape(collection, shape)
            delta.origin_seconds += origin
            delta.target_seconds += target

    def mismatched(self, collections: Iterable[str], shape: Shape, evidence: Evidence, *, began: float) -> None:
        """A confirmed mismatch. began: the moment of the look that confirmed it."""
        for collection in collections:
            metrics.COMPARED.labels(collection, evidence.difference.kind.value).inc()
            delta = self._shape(collection, shape)
            delta.compared += 1
            delta.mismatched += 1
            self._mismatch(collection, shape, evidence, began)

    def is_new(self, collections: Iterable[str], difference: Difference) -> bool:
        """Whether a fingerprint of it has not been met yet by this process: then an explanation is worth its price."""
        return any(fingerprint(collection, difference) not in self._known for collection in collections)

    def figures(self, collection: str) -> dict[str, float]:
        """The gate's figures of a collection as they were last written; empty before the first flush."""
        return dict(self._figures.get(collection, {}))

    # ---- memory

    def _shape(self, collection: str, shape: Shape) -> _ShapeDelta:
        key = (collection, shape.name)
        delta = self._deltas.shapes.get(key)
        if delta is None:
            if len(self._deltas.shapes) >= _MAX_SHAPES and shape is not OTHER:
                return self._shape(collection, OTHER)
            delta = self._deltas.shapes[key] = _ShapeDelta(shape.text)
        return delta

    def _comparison(self, collection: str, began: float) -> _ComparisonDelta:
        delta = self._deltas.comparisons.get(collection)
        if delta is None:
            delta = self._deltas.comparisons[collection] = _ComparisonDelta(began)
        delta.oldest = min(delta.oldest, began)
        return delta

    def _mismatch(self, collection: str, shape: Shape, evidence: Evidence, began: float) -> None:
        print_ = fingerprint(collection, evidence.difference)
        if len(self._known) < _MAX_KNOWN:
            self._known.add(print_)
        delta = self._deltas.mismatches.get((collection, print_))
        if delta is None:
            if len(self._deltas.mismatches) >= _MAX_FINGERPRINTS:
                difference = Difference(evidence.difference.kind, ("…",))
                print_ = fingerprint(collection, difference)
                delta = self._deltas.mismatches.get((collection, print_)) or _MismatchDelta(difference)
            else:
                delta = _MismatchDelta(evidence.difference)
            self._deltas.mismatches[collection, print_] = delta
        moment = int(began / _SLICE)
        if moment not in delta.moments and len(delta.moments) >= _MAX_SLICES:
            moment = max(delta.moments)
        delta.moments[moment] = delta.moments.get(moment, 0) + 1
        for key in evidence.difference.keys[: MAX_KEYS - len(delta.keys)]:
            delta.keys[_storable(key)] = None
        if len(delta.samples) < MAX_SAMPLES and self._sample_bytes < _MAX_SAMPLE_BYTES:
            text = orjson.dumps(_storable(sample(evidence, text=shape.text, redact=self._redact)))
            delta.samples.append(text)
            self._sample_bytes += len(text)

    # ---- PostgreSQL

    async def flush(self) -> None:
        """Writes what has gathered. Raises DatabaseError, and then nothing is lost: the next flush goes on."""
        async with self._flushing:
            if self._writing is not None:
                await self._settle()
            if not self._deltas:
                return
            deltas, self._deltas, self._sample_bytes = self._deltas, _Deltas(), 0
            transaction: str | None = None
            try:
                async with self._database.transaction() as session:
                    transaction = await session.fetchval(queries("shadow")["transaction_id"].text)
                    await self._write(session, deltas)
            except BaseException:
                if transaction is None:
                    self._restore(deltas)
                else:
                    self._writing = (transaction, deltas)
                raise
            await self._look(sorted({*deltas.comparisons, *(collection for collection, _ in deltas.mismatches)}))

    async def _settle(self) -> None:
        assert self._writing is not None
        transaction, deltas = self._writing
        status = await self._database.fetchval(queries("shadow")["transaction_status"].text, transaction)
        if status == "in progress":  # its connection is dying
            raise DatabaseUnavailable("the end of the last flush is not known yet")
        self._writing = None
        if status == "aborted":
            self._restore(deltas)

    def _restore(self, deltas: _Deltas) -> None:
        """Puts deltas back before the newer ones."""
        newer, self._deltas = self._deltas, deltas
        for (collection, name), shape in newer.shapes.items():
            mine = self._shape(collection, Shape(name, shape.text))
            for counter in _SHAPE_COUNTERS:
                setattr(mine, counter, getattr(mine, counter) + getattr(shape, counter))
        for collection, figures in newer.comparisons.items():
            known = self._comparison(collection, figures.oldest)
            for counter in _FIGURES:
                setattr(known, counter, getattr(known, counter) + getattr(figures, counter))
        for key, mismatch in newer.mismatches.items():
            mine_too = self._deltas.mismatches.setdefault(key, mismatch)
            if mine_too is not mismatch:
                for moment, number in mismatch.moments.items():
                    mine_too.moments[moment] = mine_too.moments.get(moment, 0) + number
                mine_too.keys = dict.fromkeys([*mine_too.keys, *mismatch.keys][:MAX_KEYS])
                mine_too.samples = [*mine_too.samples, *mismatch.samples][:MAX_SAMPLES]
        self._sample_bytes = sum(len(text) for one in self._deltas.mismatches.values() for text in one.samples)

    async def _write(self, session: Session, deltas: _Deltas) -> None:
        sql, now = queries("shadow"), self._clock()
        if deltas.shapes:
            rows: Iterable[Sequence[object]] = (
                (*key, delta.text, *(getattr(delta, counter) for counter in _SHAPE_COUNTERS))
                for key, delta in deltas.shapes.items()
            )
            await session.execute(sql["add_shapes"].text, *_columns(rows))
        counted: list[tuple[str, float, int]] = []
        for (collection, print_), delta in sorted(deltas.mismatches.items()):
            ages = {moment: max(0.0, now - (moment + 1) * _SLICE) for moment in delta.moments}
            state = await session.fetchval(
                sql["add_mismatch"].text,
                collection,
                print_,
                delta.difference.kind.value,
                list(delta.difference.paths),
                sum(delta.moments.values()),
                min(ages.values()),
                list(delta.keys),
                (b"[" + b",".join(delta.samples) + b"]").decode(),
            )
            if state != "ignored":
                counted += [(collection, ages[moment], number) for moment, number in delta.moments.items()]
        # every row that is touched below is locked here, in order: two proxies cannot deadlock
        locked = deltas.comparisons | {
            collection: _ComparisonDelta(now) for collection, _, _ in counted if collection not in deltas.comparisons
        }
        if locked:
            rows = (
                (name, max(0.0, now - delta.oldest), *(getattr(delta, counter) for counter in _FIGURES))
                for name, delta in locked.items()
            )
            await session.execute(sql["add_comparisons"].text, *_columns(rows))
        if counted:
            await session.execute(sql["count_mismatches"].text, *_columns(counted))

    async def _look(self, collections: Sequence[str]) -> None:
        """Reads the figures back: other proxies add to them, and a repair resets them."""
        for row in await self._database.fetch(queries("shadow")["figures"].text, list(collections)):
            figures: dict[str, float] = {name: row[name] for name in ("compared", "mismatched", *_FIGURES[1:])}
            base = row["matched"] + row["mismatched"]
            figures["mismatch_rate"] = row["mismatched"] / base if base else 0.0
            self._figures[row["collection"]] = figures
            metrics.MISMATCH_RATE.labels(row["collection"]).set(figures["mismatch_rate"])

    # ---- life

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="shadow ledger")

    async def close(self) -> None:
        """The last flush; what PostgreSQL does not take then is lost, and said."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        try:
            await self.flush()
        except DatabaseError as error:
            log.warning("counts of the last comparisons are lost", error=str(error))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.flush()
            except DatabaseError as error:
                log.debug("counts are kept until PostgreSQL is back", error=str(error))


_SHAPE_COUNTERS: Final = (
    "seen",
    "compared",
    "matched",
    "mismatched",
    "unsettled",
    "unsupported",
    "skipped",
    "origin_seconds",
    "target_seconds",
)
_FIGURES: Final = ("compared", "matched", "unsettled", "unsupported", "lagged")


def _columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _storable(value: Any) -> Any:
    """Text that jsonb holds: U+0000 and lone surrogates, which only bind variables can bring here, are replaced."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_storable(name): _storable(child) for name, child in value.items()}
    return [_storable(child) for child in value] if isinstance(value, list) else value
