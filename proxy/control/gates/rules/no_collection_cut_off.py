"""Gate: when the last collection is completed, ArangoDB has none that clients could still ask for."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import COMPLETIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "no collection cut off"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "every collection of ArangoDB is promoted before the last one is completed"
    lost = evidence.completion.lost
    if lost is None or lost.trouble:
        figures = "not read" if lost is None else lost.trouble
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, "ArangoDB must answer: `crossfade doctor`")
    if lost.cut_off:
        remedy = "promote them too, or drop them in ArangoDB: after this change proxies ask ArangoDB for nothing"
        return Gate(NAME, GateVerdict.FAILED, listed(lost.cut_off), threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, "none", threshold)


GATE: Final = GateRule(
    NAME,
    position=370,
    describe="When the last collection is completed, ArangoDB has no collection that was not promoted.",
    decide=_decide,
    judges=COMPLETIONS,
    protects_writes="clients of the other collections would find nothing",
)
