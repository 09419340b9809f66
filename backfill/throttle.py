"""Throttling decisions: from limits and measurements to a pause and its reason. Pure."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

LONGEST: Final = 1.0  # longest pause of one decision in seconds, so that changed figures are noticed
LAG_WAIT: Final = 0.25
LEAST_USUAL: Final = 0.002  # seconds: shorter times reflect the machine rather than its load
_RECENT: Final = 5  # measurements that the current response time is taken from
_DRIFT: Final = (
    1.01  # growth of the usual time per measurement: a database that became slower for good is not throttled for ever
)


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """Limits of workers; None: no limit.

    max_rate: documents per second and worker; max_lag, max_replica_lag: greatest lag of the mirror, and of PostgreSQL's
    replicas, in seconds; max_slowdown: greatest response time of either database, as a multiple of the usual one;
    flag_file: workers on this machine pause while it exists; paused: all workers pause.
    """

    max_rate: float | None = None
    max_lag: float | None = None
    max_replica_lag: float | None = None
    max_slowdown: float | None = None
    flag_file: str | None = None
    paused: bool = False

    def combined_with(self, other: ThrottleLimits) -> ThrottleLimits:
        """Return the stricter of both limits. The flag file of `other` is used only if this one has none."""
        return ThrottleLimits(
            max_rate=_less(self.max_rate, other.max_rate),
            max_lag=_less(self.max_lag, other.max_lag),
            max_replica_lag=_less(self.max_replica_lag, other.max_replica_lag),
            max_slowdown=_less(self.max_slowdown, other.max_slowdown),
            flag_file=self.flag_file or other.flag_file,
            paused=self.paused or other.paused,
        )

    def shared(self, workers: int) -> ThrottleLimits:
        """Return the limits for one of `workers` workers: they share the rate equally."""
        return replace(self, max_rate=None if self.max_rate is None else self.max_rate / max(1, workers))


def _less(one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return min(known) if known else None


def as_options(limits: ThrottleLimits) -> dict[str, Any]:
    """Return the limits that are set, by the names of their options."""
    named = {name.replace("_", "-"): value for name, value in asdict(limits).items()}
    return {name: value for name, value in named.items() if value not in (None, False)}


def as_text(limits: ThrottleLimits) -> str:
    """Return the limits that are set, human-readable; empty if none is."""
    return ", ".join(name if value is True else f"{name} {value}" for name, value in as_options(limits).items())


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """The measurements that a decision is based on.

    documents, seconds: processed and elapsed since the rate was last set; lag, replica_lag: seconds (None: this account
    may not read it); origin, target: response time relative to the usual one; flagged: the flag file exists.
    """

    documents: float
    seconds: float
    lag: float = 0.0
    replica_lag: float | None = 0.0
    origin: float = 1.0
    target: float = 1.0
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Seconds to wait before the next page, and the reason; 0 and "" for no wait."""

    wait: float = 0.0
    reason: str = ""


def decide(limits: ThrottleLimits, figures: LoadFigures) -> Decision:
    """Return the first reason to wait: operators' first. An unknown measurement that has a limit is a reason (I9)."""
    if limits.paused:
        return Decision(LAG_WAIT, "paused: run `crossfade backfill resume` to continue")
    if limits.flag_file is not None and figures.flagged:
        return Decision(LAG_WAIT, f"the file {limits.flag_file} exists")
    if limits.max_lag is not None and figures.lag > limits.max_lag:
        return Decision(LAG_WAIT, f"the mirror is {figures.lag:.1f} s behind, more than {limits.max_lag:g} s")
    if limits.max_replica_lag is not None:
        if figures.replica_lag is None:
            return Decision(
                LONGEST, "the lag of PostgreSQL's replicas cannot be read: grant pg_monitor to this account"
            )
        if figures.replica_lag > limits.max_replica_lag:
            return Decision(
                LAG_WAIT,
                f"PostgreSQL's replica is {figures.replica_lag:.1f} s behind, more than {limits.max_replica_lag:g} s",
            )
    if limits.max_slowdown is not None:
        for name, times in (("ArangoDB", figures.origin), ("PostgreSQL", figures.target)):
            if times > limits.max_slowdown:
                return Decision(
                    LAG_WAIT, f"{name} takes {times:.1f} times its usual time, more than {limits.max_slowdown:g}"
                )
    if limits.max_rate is not None:
        early = figures.documents / limits.max_rate - figures.seconds
        if early > 0:
            return Decision(min(early, LONGEST), f"the rate limit is {limits.max_rate:g} documents/s")
    return Decision()


class Latency:
    """The current response time relative to the usual one, which is the least that was measured, rising slowly."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._usual: float | None = None

    def add(self, seconds: float) -> None:
        self._recent.append(seconds)
        now = statistics.median(self._recent)
        self._usual = now if self._usual is None else min(now, self._usual * _DRIFT)

    @property
    def times(self) -> float:
        """The ratio; 1.0 before the first measurement."""
        if self._usual is None:
            return 1.0
        return statistics.median(self._recent) / max(self._usual, LEAST_USUAL)


class Meter:
    """Documents and seconds since the rate was last set. Documents ahead of the old rate count against the new one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rate: float | None = None
        self._since = clock()
        self.documents = 0.0

    def add(self, documents: int, rate: float | None) -> None:
        """Count `documents` more, at the current rate."""
        if rate != self._rate:
            owed = self.documents - self.seconds * self._rate if self._rate is not None else 0.0
            self._rate, self._since, self.documents = rate, self._clock(), max(0.0, owed)
        self.documents += documents

    @property
    def seconds(self) -> float:
        return self._clock() - self._since
