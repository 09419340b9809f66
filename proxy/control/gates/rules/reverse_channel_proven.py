"""Gate: A document went in both directions through each proxy, written and removed, and kept its revision."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "reverse channel proven"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "a document written, read back and removed in both directions through every proxy, revision kept"
    canaries = evidence.promotion.canaries
    if canaries is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not tried", threshold, "check the gates of a promotion")
    failed = [f"{one.instance}: {one.trouble}" for one in canaries if one.trouble]
    if failed:
        remedy = "without the way back a promotion could not be undone: `crossfade doctor`, the proxy's log"
        return Gate(NAME, GateVerdict.FAILED, listed(failed), threshold, remedy)
    if not canaries:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "no proxy", threshold, "start a proxy")
    slowest = max(one.seconds for one in canaries)
    return Gate(NAME, GateVerdict.PASSED, f"{len(canaries)} proxies, at most {slowest:.2f} s", threshold)


GATE: Final = GateRule(
    NAME,
    position=210,
    describe="A document went in both directions through each proxy, written and removed, and kept its revision.",
    decide=_decide,
    judges=PROMOTIONS,
    protects_writes="a promotion could not be undone",
)
