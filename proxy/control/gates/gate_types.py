"""The input and output of gates: frozen values. The gates themselves: `rules`."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from proxy.control.gates.completion_evidence import NOTHING_LOOKED_AT, CompletionEvidence
from proxy.control.gates.promotion_evidence import NOTHING_READ, PromotionEvidence


class GatedChange(enum.StrEnum):
    """A change of stages that gates judge: to `flipped`, to `promoted`, to `complete`."""

    FLIP = "flip"
    PROMOTION = "promotion"
    COMPLETION = "completion"


class GateVerdict(enum.StrEnum):
    PASSED = "pass"
    FAILED = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's answer. figures: what was found; threshold: what it takes; remedy: what to do, empty on pass.

    protects_reads: it keeps I7, and no `--force` passes it (`GateRule.protects_reads`); protects_writes: the same of a
    gate without which a promotion could lose a write (`GateRule.protects_writes`).
    """

    name: str
    verdict: GateVerdict
    figures: str
    threshold: str
    remedy: str = ""
    protects_reads: bool = False
    protects_writes: bool = False

    @property
    def protected(self) -> bool:
        """True if no `--force` passes it."""
        return self.protects_reads or self.protects_writes


@dataclass(frozen=True, slots=True)
class RunFact:
    """A backfill or verification that is done. unverified_before: marks up to that id are covered by it."""

    id: int
    started_at: datetime
    unverified_before: int
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MarkFact:
    """The newest mark that says that the collection (or its database) may have missed a write."""

    id: int
    reason: str
    instance: str


@dataclass(frozen=True, slots=True)
class InstanceFact:
    """A registered instance; seconds in PostgreSQL's time."""

    instance: str
    lease_left: float
    heartbeat_age: float
    generation: int
    diverged: bool
    backlog: int
    lag_seconds: float


@dataclass(frozen=True, slots=True)
class GapFact:
    """An endpoint that was neither captured nor compared, for this collection or its whole database."""

    endpoint: str
    effect: str
    seen: int
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class ShapeFact:
    """A shape of the collection that was seen.

    compared: ever; recent, undecided, unsupported: comparisons since the last reset, of which both sides were timed
    `timed` times. p99 in seconds, None without a sample. skips: reads that were not compared, by reason.
    """

    shape: str
    text: str
    seen: int
    compared: int
    recent: int
    undecided: int = 0
    unsupported: int = 0
    timed: int = 0
    origin_p99: float | None = None
    target_p99: float | None = None
    exempt: str | None = None
    skips: Mapping[str, int] = field(default_factory=dict)

    @property
    def decided(self) -> int:
        """Comparisons since the last reset that say something: equal or different (I9)."""
        return self.recent - self.undecided


@dataclass(frozen=True, slots=True)
class WatchFact:
    """The watch for writers that go around the proxies. since: nothing escaped it from then on.

    behind: seconds since the moment up to which everything is judged.
    """

    mode: str
    since: datetime
    behind: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class OutOfBandFact:
    """A document that was written or removed around the proxies."""

    key: str
    removed: bool
    found_at: datetime
    repaired: bool


@dataclass(frozen=True, slots=True)
class OriginFact:
    """The state of ArangoDB: a rollback needs it ready.

    trouble: why it does not take reads and writes, empty where it does. looked: documents that PostgreSQL wrote last,
    looked up in it; lost: keys of those of which it has no such version.
    """

    trouble: str
    looked: int = 0
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateEvidence:
    """Everything that the gates of one collection look at. Counts of comparisons are since the last reset.

    out_of_band_writes: the newest few of `out_of_band_count`. origin: None if it was not asked.
    """

    collection: str
    generation: int
    instances: tuple[InstanceFact, ...]
    backfill: RunFact | None
    verification: RunFact | None
    open_runs: tuple[str, ...]
    mark: MarkFact | None
    last_joined: datetime | None
    compared: int
    mismatched: int
    undecided: int
    open_mismatches: int
    dead_letters: int
    unsupported: tuple[str, ...]
    gaps: tuple[GapFact, ...]
    shapes: tuple[ShapeFact, ...] = ()
    watch: WatchFact | None = None
    out_of_band_writes: tuple[OutOfBandFact, ...] = ()
    out_of_band_count: int = 0
    origin: OriginFact | None = None
    promotion: PromotionEvidence = NOTHING_READ
    completion: CompletionEvidence = NOTHING_LOOKED_AT


@dataclass(frozen=True, slots=True)
class GateLimits:
    """The limits that gates apply, with their defaults; operators set others in PostgreSQL (`control.thresholds`).

    slowdown: the highest ratio of PostgreSQL's p99 to ArangoDB's, applied if PostgreSQL's is above min_p99_seconds. A
    lower p99 depends on pauses of the proxy's own event loop (garbage collection, a large document), which no client
    notices. clock_seconds: a demotion waits until ArangoDB's clock has passed the newest revision of PostgreSQL's.
    """

    comparisons: int = 3000
    shape_comparisons: int = 300
    lag_seconds: float = 5.0
    undecided_share: float = 0.001
    slowdown: float = 1.5
    min_p99_seconds: float = 0.005
    bypass_lag_seconds: float = 30.0
    flipped_hours: float = 24.0
    transaction_seconds: float = 5.0
    clock_seconds: float = 0.25
    promoted_days: float = 7.0


@dataclass(frozen=True, slots=True)
class GateRule:
    """One gate. describe: what it asks, for docs/gates.md. judges: the changes that need it.

    protects_reads: why `--force` does not ignore it in a flip, if it does not: without it a client might not read its
    own write (I7). protects_writes: why not in a promotion: without it a write might be lost. Nothing else decides.
    """

    name: str
    position: int
    describe: str
    decide: Callable[[GateEvidence, GateLimits], Gate]
    protects_reads: str = ""
    judges: frozenset[GatedChange] = frozenset({GatedChange.FLIP})
    protects_writes: str = ""

    def protects(self, change: GatedChange) -> str:
        """Return why no `--force` passes it in this change; empty if it does."""
        return self.protects_reads if change is GatedChange.FLIP else self.protects_writes


EVERY_CHANGE: Final = frozenset({GatedChange.FLIP, GatedChange.PROMOTION})  # those with a way back
PROMOTIONS: Final = frozenset({GatedChange.PROMOTION})
COMPLETIONS: Final = frozenset({GatedChange.COMPLETION})
