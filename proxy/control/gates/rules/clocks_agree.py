"""Gate: The clocks of ArangoDB, PostgreSQL and each proxy agree within the limit."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "clocks agree"
_OWN: Final = "PostgreSQL"


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    threshold = f"at most {limits.clock_seconds:g} s between any two clocks"
    clocks = evidence.promotion.clocks
    if not clocks:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not read", threshold, "check the gates of a promotion")
    silent = [f"{one.name}: {one.trouble}" for one in clocks if one.trouble]
    if silent:
        remedy = "check that it answers: `crossfade doctor`"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, listed(silent), threshold, remedy)
    # PostgreSQL's own is the one that the others were compared with
    last = max(clocks, key=lambda one: one.ahead)
    first = min(clocks, key=lambda one: one.ahead)
    high, low = max(last.ahead, 0.0), min(first.ahead, 0.0)
    names = (last.name if last.ahead > 0 else _OWN, first.name if first.ahead < 0 else _OWN)
    uncertain = max(one.uncertain for one in clocks)
    figures = f"{high - low:.3f} s (±{uncertain:.3f}) between {names[0]} and {names[1]}"
    remedy = "synchronise the clocks (NTP): a demotion waits until ArangoDB's clock has passed PostgreSQL's revisions"
    if high - low - 2 * uncertain > limits.clock_seconds:
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    if high - low + 2 * uncertain > limits.clock_seconds:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, f"{figures}: too uncertain", threshold, f"try again; {remedy}")
    return Gate(NAME, GateVerdict.PASSED, figures, threshold)


GATE: Final = GateRule(
    NAME,
    position=220,
    describe="The clocks of ArangoDB, PostgreSQL and each proxy agree within the limit.",
    decide=_decide,
    judges=PROMOTIONS,
)
