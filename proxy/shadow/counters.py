"""What comparisons came to since the last flush: deltas in memory, bounded, that add up. No I/O.

compared = matched + ignored + mismatched + unsettled; matched includes what had only lagged (`lagged` counts them).
Beyond the bounds new shapes are counted together under OTHER, and new fingerprints by their class, without samples.
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
SLICE: Final = 0.25  # seconds: moments of mismatches are kept so finely
MAX_SLICES: Final = 1000

SHAPE_COUNTERS: Final = (
    "seen",
    "compared",
    "matched",
    "ignored",
    "mismatched",
    "unsettled",
    "unsupported",
    "skipped",
    "origin_seconds",
    "target_seconds",
)
FIGURES: Final = ("compared", "matched", "ignored", "unsettled", "unsupported", "lagged")


@dataclass(slots=True)
class ShapeDelta:
    """One shape of one collection; seconds are sums over what was compared."""

    text: str
    seen: int = 0
    compared: int = 0
    matched: int = 0
    ignored: int = 0
    mismatched: int = 0
    unsettled: int = 0
    unsupported: int = 0
    skipped: int = 0
    origin_seconds: float = 0.0
    target_seconds: float = 0.0


@dataclass(slots=True)
class ComparisonDelta:
    """The gate's figures of one collection; mismatches are counted apart, by their moments."""

    oldest: float
    compared: int = 0
    matched: int = 0
    ignored: int = 0
    unsettled: int = 0
    unsupported: int = 0
    lagged: int = 0


@dataclass(slots=True)
class MismatchDelta:
    """One fingerprint."""

    difference: Difference
    moments: dict[int, int] = field(default_factory=dict)  # slice of time -> number
    keys: dict[str, None] = field(default_factory=dict)
    samples: list[bytes] = field(default_factory=list)


def fingerprint(collection: str, difference: Difference) -> str:
    """What makes two mismatches one: collection, class, paths."""
    return _fingerprint(collection, difference.kind.value, difference.paths)


@lru_cache(maxsize=2048)  # a storm of mismatches is one of few fingerprints
def _fingerprint(collection: str, kind: str, paths: tuple[str, ...]) -> str:
    text = "\0".join((collection, kind, *paths))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


@dataclass(slots=True)
class Deltas:
    """Everything since the last flush.

    skipped: (collection, shape, reason); noise: (collection, path, rule) of the rules that made answers equal; twice:
    (collection, shape, class, path) of ArangoDB against itself, class '' where it agreed; subtracted: the same, of
    mismatches that were taken for it. explanations: (collection, fingerprint, id of the sample) -> text.
    """

    shapes: dict[tuple[str, str], ShapeDelta] = field(default_factory=dict)
    comparisons: dict[str, ComparisonDelta] = field(default_factory=dict)
    mismatches: dict[tuple[str, str], MismatchDelta] = field(default_factory=dict)
    skipped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    noise: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    twice: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    subtracted: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    explanations: dict[tuple[str, str, str], str] = field(default_factory=dict)
    sample_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(
            self.shapes
            or self.comparisons
            or self.mismatches
            or self.skipped
            or self.noise
            or self.twice
            or self.subtracted
            or self.explanations
        )

    def shape(self, collection: str, shape: Shape) -> ShapeDelta:
        """The delta of a shape, perhaps that of OTHER."""
        delta = self.shapes.get((collection, shape.name))
        if delta is None:
            if len(self.shapes) >= MAX_SHAPES and shape is not OTHER:
                return self.shape(collection, OTHER)
            delta = self.shapes[collection, shape.name] = ShapeDelta(shape.text)
        return delta

    def comparison(self, collection: str, began: float) -> ComparisonDelta:
        """The figures of a collection; began: the moment of what is to be counted."""
        delta = self.comparisons.get(collection)
        if delta is None:
            delta = self.comparisons[collection] = ComparisonDelta(began)
        elif began < delta.oldest:
            delta.oldest = began
        return delta

    def skip(self, collection: str, shape: Shape, reason: str, number: int = 1) -> ShapeDelta:
        """Reads that were not compared; their shape's delta."""
        delta = self.shape(collection, shape)
        delta.skipped += number
        key = (collection, shape.name, reason)
        if key not in self.skipped and len(self.skipped) >= MAX_REASONS:
            key = (collection, OTHER.name, reason)
        self.skipped[key] += number
        return delta

    def mismatch(self, collection: str, difference: Difference, began: float, number: int = 1) -> MismatchDelta:
        """Confirmed mismatches at that moment; samples and keys are the caller's to add."""
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
        """Whether one more sample of it is within the bounds."""
        return len(delta.samples) < MAX_SAMPLES and self.sample_bytes < MAX_SAMPLE_BYTES

    def room(self, collection: str, difference: Difference) -> int:
        """How many samples of a mismatch may still be kept."""
        if self.sample_bytes >= MAX_SAMPLE_BYTES:
            return 0
        delta = self.mismatches.get((collection, fingerprint(collection, difference)))
        return MAX_SAMPLES - len(delta.samples) if delta is not None else MAX_SAMPLES

    def add_sample(self, delta: MismatchDelta, text: bytes) -> None:
        """Keeps one more sample, which `wants_sample` has said yes to."""
        delta.samples.append(text)
        self.sample_bytes += len(text)

    def absorb(self, newer: Deltas) -> None:
        """Adds deltas that came after these."""
        for (collection, name), shape in newer.shapes.items():
            mine = self.shape(collection, Shape(name, shape.text))
            for counter in SHAPE_COUNTERS:
                setattr(mine, counter, getattr(mine, counter) + getattr(shape, counter))
        for collection, figures in newer.comparisons.items():
            known = self.comparison(collection, figures.oldest)
            for counter in FIGURES:
                setattr(known, counter, getattr(known, counter) + getattr(figures, counter))
        for key, mismatch in newer.mismatches.items():
            mine_too = self.mismatches.setdefault(key, mismatch)
            if mine_too is not mismatch:
                for moment, number in mismatch.moments.items():
                    mine_too.moments[moment] = mine_too.moments.get(moment, 0) + number
                mine_too.keys = dict.fromkeys([*mine_too.keys, *mismatch.keys][:MAX_KEYS])
                mine_too.samples = [*mine_too.samples, *mismatch.samples][:MAX_SAMPLES]
        self.skipped.update(newer.skipped)
        self.noise.update(newer.noise)
        self.twice.update(newer.twice)
        self.subtracted.update(newer.subtracted)
        self.explanations.update(newer.explanations)
        self.sample_bytes = sum(len(text) for one in self.mismatches.values() for text in one.samples)
