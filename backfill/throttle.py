"""How fast a worker may go, and why not faster. Pure: figures in, a wait and its reason out."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

LONGEST: Final = 1.0  # seconds that one decision waits at most, so that a change of figures is noticed
LAG_WAIT: Final = 0.25
LEAST_USUAL: Final = 0.002  # seconds: below, times say more about the machine than about its load
_RECENT: Final = 5  # looks that say how long an answer takes now
_DRIFT: Final = 1.01  # what is usual may rise by so much a look: a database that grew slower is not held against it


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """None: no limit.

    max_rate: documents a second and worker; max_lag, max_replica_lag: seconds that the mirror, or the replicas of
    PostgreSQL, may be behind; max_slowdown: how many times its usual time either database may take to answer;
    flag_file: while it exists on this machine, nothing is done; paused: nothing is done anywhere.
    """

    max_rate: float | None = None
    max_lag: float | None = None
    max_replica_lag: float | None = None
    max_slowdown: float | None = None
    flag_file: str | None = None
    paused: bool = False

    def and_also(self, other: ThrottleLimits) -> ThrottleLimits:
        """What both allow. A flag file of `other` comes second."""
        return ThrottleLimits(
            max_rate=_less(self.max_rate, other.max_rate),
            max_lag=_less(self.max_lag, other.max_lag),
            max_replica_lag=_less(self.max_replica_lag, other.max_replica_lag),
            max_slowdown=_less(self.max_slowdown, other.max_slowdown),
            flag_file=self.flag_file or other.flag_file,
            paused=self.paused or other.paused,
        )

    def shared(self, workers: int) -> ThrottleLimits:
        """The part of one of so many workers: a rate for all of them is divided."""
        return replace(self, max_rate=None if self.max_rate is None else self.max_rate / max(1, workers))


def _less(one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return min(known) if known else None


def as_options(limits: ThrottleLimits) -> dict[str, Any]:
    """The limits that are set, by their options' names."""
    named = {name.replace("_", "-"): value for name, value in asdict(limits).items()}
    return {name: value for name, value in named.items() if value not in (None, False)}


@dataclass(frozen=True, slots=True)
class Figures:
    """What a decision is made of.

    documents, seconds: done and gone since the rate was last set; lag, replica_lag: seconds (None: this account may
    not see it); origin, target: the time of an answer, in units of what is usual; flagged: the flag file exists.
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
    """Seconds to wait before the next page, and the reason; 0 and "" where there is none."""

    wait: float = 0.0
    reason: str = ""


def decide(limits: ThrottleLimits, figures: Figures) -> Decision:
    """The first reason to wait, those of operators first; an unknown figure that is limited is one (I9)."""
    if limits.paused:
        return Decision(LAG_WAIT, "paused: run `crossfade backfill resume` to continue")
    if limits.flag_file is not None and figures.flagged:
        return Decision(LAG_WAIT, f"the file {limits.flag_file} exists")
    if limits.max_lag is not None and figures.lag > limits.max_lag:
        return Decision(LAG_WAIT, f"the mirror is {figures.lag:.1f} s behind, more than {limits.max_lag:g} s")
    if limits.max_replica_lag is not None:
        if figures.replica_lag is None:
            return Decision(
                LONGEST, "the lag of PostgreSQL's replicas cannot be seen: grant pg_monitor to this account"
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
    """How long answers take now, in units of what is usual: the least that was seen, rising slowly."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._usual: float | None = None

    def add(self, seconds: float) -> None:
        self._recent.append(seconds)
        now = statistics.median(self._recent)
        self._usual = now if self._usual is None else min(now, self._usual * _DRIFT)

    @property
    def times(self) -> float:
        """1.0 before anything is known."""
        if self._usual is None:
            return 1.0
        return statistics.median(self._recent) / max(self._usual, LEAST_USUAL)


class Meter:
    """Documents and seconds since the rate was last set. What is owed by the old rate is owed by the new one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rate: float | None = None
        self._since = clock()
        self.documents = 0.0

    def add(self, documents: int, rate: float | None) -> None:
        """So many more, at the rate of now."""
        if rate != self._rate:
            owed = self.documents - self.seconds * self._rate if self._rate is not None else 0.0
            self._rate, self._since, self.documents = rate, self._clock(), max(0.0, owed)
        self.documents += documents

    @property
    def seconds(self) -> float:
        return self._clock() - self._since
