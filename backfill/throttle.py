"""How fast a worker may go, and why not faster. Pure: figures in, a wait and its reason out."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST = 1.0  # seconds that one decision waits at most, so that a change of figures is noticed
LAG_WAIT = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    """max_rate: documents a second and worker; max_lag: seconds that the mirror may be behind. None: no limit."""

    max_rate: float | None = None
    max_lag: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a decision is made of: documents done and seconds gone since the worker began; the mirror's lag, seconds."""

    documents: int
    seconds: float
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """Seconds to wait before the next page, and the reason; 0 and "" where there is none."""

    wait: float = 0.0
    reason: str = ""


def decide(limits: Limits, figures: Figures) -> Decision:
    """The longer of the waits that the limits ask for."""
    if limits.max_lag is not None and figures.lag > limits.max_lag:
        return Decision(LAG_WAIT, f"the mirror is {figures.lag:.1f} s behind, more than {limits.max_lag:g} s")
    if limits.max_rate is not None:
        early = figures.documents / limits.max_rate - figures.seconds
        if early > 0:
            return Decision(min(early, LONGEST), f"the rate limit is {limits.max_rate:g} documents/s")
    return Decision()
