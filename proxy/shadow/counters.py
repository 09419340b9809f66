"""Results of comparisons since the last flush: deltas in memory, bounded, that add up. No I/O.

compared = matched + ignored + mismatched + undecided; matched includes lag (`lagged` counts it).
Beyond the bounds new shapes are counted together under OTHER, new fingerprints by their class without samples.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from proxy.routing.query_shapes import OTHER, Shape
from proxy.shadow.diff.documents import MAX_KEYS, Difference

MAX_SAMPLES: Final = 5
MAX_SHAPES: Final = 5000
MAX_FINGERPRINTS: Final = 500
MAX_SAMPLE_BYTES: Final = 8 << 20
MAX_REASONS: Final = 20_000
SLICE: Final = 0.25  # seconds: the resolution at which moments of mismatches are kept
MAX_SLICES: Final = 1000


@dataclass(slots=True)
class Counts:
    """Reads by what comparing them resulted in."""

    compared: int = 0
    matched: int = 0
    ignored: int = 0
    undecided: int = 0
    unsupported: int = 0

    def add(self, other: Counts) -> None:
        """Add other counts to these."""
        self.compared += other.compared
        self.matched += other.matched
        self.ignored += other.ignored
        self.undecided += other.undecided
        self.unsupported += other.unsupported


@dataclass(slots=True)
class ShapeDelta:
    """One shape of one collection. mismatched: reads among the compared."""

    text: str
    counts: Counts = field(default_factory=Counts)
    seen: int = 0
    mismatched: int = 0
    skipped: int = 0

    def absorb(self, newer: ShapeDelta) -> None:
        """Add a delta that came after this one."""
        self.counts.add(newer.counts)
        self.seen += newer.seen
        self.mismatched += newer.mismatched
        self.skipped += newer.skipped


@dataclass(slots=True)
class ComparisonDelta:
    """The gate's figures of one collection; mismatches are counted by their moments (MismatchDelta)."""

    oldest: float
    counts: Counts = field(default_factory=Counts)
    lagged: int = 0


@dataclass(slots=True)
class MismatchDelta:
    """The mismatches of one fingerprint."""

    difference: Difference
    moments: dict[int, int] = field(default_factory=dict)  # slice of time -> number
    keys: dict[str, None] = field(default_factory=dict)
    samples: list[bytes] = field(default_factory=list)


def fingerprint(collection: str, difference: Difference) -> str:
    """Return what identifies a kind of mismatch: a digest of collection, class and paths."""
    return _fingerprint(collection, difference.kind.value, difference.paths)


@lru_cache(maxsize=2048)  # many mismatches at a time have few fingerprints
def _fingerprint(collection: str, kind: str, paths: tuple[str, ...]) -> str:
    text = "\0".join((collection, kind, *paths))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


@dataclass(slots=True)
class Deltas:
    """Everything since the last flush.

    skipped: (collection, shape, reason); tolerated: (collection, path, rule) of the tolerances that made answers equal;
    baseline: (collection, shape, class, path) of ArangoDB against itself, class '' if it agreed; subtracted: the same,
    of differences that were attributed to it. explanations: (collection, fingerprint, id of the sample) -> text.
    """

    shapes: dict[tuple[str, str], ShapeDelta] = field(default_factory=dict)
    comparisons: dict[str, ComparisonDelta] = field(default_factory=dict)
    mismatches: dict[tuple[str, str], MismatchDelta] = field(default_factory=dict)
    skipped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    tolerated: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    baseline: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    subtracted: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    explanations: dict[tuple[str, str, str], str] = field(default_factory=dict)
    sample_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(
            self.shapes
            or self.comparisons
            or self.mismatches
            or self.skipped
            or self.tolerated
            or self.baseline
            or self.subtracted
            or self.explanations
        )

    def shape(self, collection: str, shape: Shape) -> ShapeDelta:
        """Return the delta of a shape, or that of OTHER if there are too many."""
        delta = self.shapes.get((collection, shape.name))
        if delta is None:
            if len(self.shapes) >= MAX_SHAPES and shape is not OTHER:
                return self.shape(collection, OTHER)
            delta = self.shapes[collection, shape.name] = ShapeDelta(shape.text)
        return delta

    def comparison(self, collection: str, began: float) -> ComparisonDelta:
        """Return the figures of a collection. began: the moment of what will be counted."""
        delta = self.comparisons.get(collection)
        if delta is None:
            delta = self.comparisons[collection] = ComparisonDelta(began)
        elif began < delta.oldest:
            delta.oldest = began
        return delta

    def count(self, collection: str, shape: Shape, counts: Counts, *, began: float, lagged: int = 0) -> None:
        """Count reads by their shape and by the gate's figures. began: the moment of the check that decided."""
        self.shape(collection, shape).counts.add(counts)
        figures = self.comparison(collection, began)
        figures.counts.add(counts)
        figures.lagged += lagged

    def skip(self, collection: str, shape: Shape, reason: str, number: int = 1) -> ShapeDelta:
        """Count reads that were not compared; return their shape's delta."""
        delta = self.shape(collection, shape)
        delta.skipped += number
        key = (collection, shape.name, reason)
        if key not in self.skipped and len(self.skipped) >= MAX_REASONS:
            key = (collection, OTHER.name, reason)
        self.skipped[key] += number
        return delta

    def mismatch(self, collection: str, difference: Difference, began: float, number: int = 1) -> MismatchDelta:
        """Count confirmed mismatches at that moment; return their delta, to which the caller adds samples and keys."""
        key = (collection, fingerprint(collection, difference))
        delta = self.mismatches.get(key)
        if delta is None:
            if len(self.mismatches) >= MAX_FINGERPRINTS:
                difference = Difference(difference.kind, ("…",))
                key = (collection, fingerprint(collection, difference))
            delta = self.mismatches.setdefault(key, MismatchDelta(difference))
        moment = int(began / SLICE)
        if moment not in delta.moments and len(delta.moments) >= MAX_SLICES:
            moment = max(delta.moments)
        delta.moments[moment] = delta.moments.get(moment, 0) + number
        return delta

    def wants_sample(self, delta: MismatchDelta) -> bool:
        """Return True if one more sample is within the bounds."""
        return len(delta.samples) < MAX_SAMPLES and self.sample_bytes < MAX_SAMPLE_BYTES

    def room(self, collection: str, difference: Difference) -> int:
        """Return how many samples of a mismatch may still be kept."""
        if self.sample_bytes >= MAX_SAMPLE_BYTES:
            return 0
        delta = self.mismatches.get((collection, fingerprint(collection, difference)))
        return MAX_SAMPLES - len(delta.samples) if delta is not None else MAX_SAMPLES

    def add_sample(self, delta: MismatchDelta, text: bytes) -> None:
        """Keep one more sample; ask `wants_sample` first."""
        delta.samples.append(text)
        self.sample_bytes += len(text)

    def absorb(self, newer: Deltas) -> None:
        """Add deltas that came after these."""
        for (collection, name), shape in newer.shapes.items():
            self.shape(collection, Shape(name, shape.text)).absorb(shape)
        for collection, figures in newer.comparisons.items():
            known = self.comparison(collection, figures.oldest)
            known.counts.add(figures.counts)
            known.lagged += figures.lagged
        for key, mismatch in newer.mismatches.items():
            mine_too = self.mismatches.setdefault(key, mismatch)
            if mine_too is not mismatch:
                for moment, number in mismatch.moments.items():
                    mine_too.moments[moment] = mine_too.moments.get(moment, 0) + number
                mine_too.keys = dict.fromkeys([*mine_too.keys, *mismatch.keys][:MAX_KEYS])
                mine_too.samples = [*mine_too.samples, *mismatch.samples][:MAX_SAMPLES]
        self.skipped.update(newer.skipped)
        self.tolerated.update(newer.tolerated)
        self.baseline.update(newer.baseline)
        self.subtracted.update(newer.subtracted)
        self.explanations.update(newer.explanations)
        self.sample_bytes = sum(len(text) for one in self.mismatches.values() for text in one.samples)
