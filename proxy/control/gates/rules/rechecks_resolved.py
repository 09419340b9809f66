"""Gate: Rechecks decided for nearly every difference whether it was lag or a mismatch."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "rechecks resolved"


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    threshold = f"at most {limits.undecided_share:.1%} of comparisons undecided"
    if not evidence.compared:
        remedy = "keep it at stage shadow under traffic"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "no comparison", threshold, remedy)
    figures = f"{evidence.undecided} of {evidence.compared}"
    if evidence.undecided > limits.undecided_share * evidence.compared:
        remedy = "documents change faster than both sides can be read: raise CROSSFADE_RECHECK_TIMEOUT, or see the lag"
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, figures, threshold)


GATE: Final = GateRule(
    NAME,
    position=70,
    describe="Rechecks decided for nearly every difference whether it was lag or a mismatch.",
    decide=_decide,
)
