"""Gate: Each query shape that clients sent was compared at least once, or is exempt."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import judged, named

NAME: Final = "every query compared"


def _decide(evidence: GateEvidence, _limits: GateLimits) -> Gate:
    threshold = "no shape that was seen and never compared, but those exempt by name"
    if not evidence.shapes:
        return Gate(
            NAME, GateVerdict.INCONCLUSIVE, "no read was seen", threshold, "let clients read it through a proxy"
        )
    exempt = sum(1 for shape in evidence.shapes if shape.exempt is not None)
    missing = [shape for shape in judged(evidence) if not shape.compared]
    if missing:
        remedy = (
            f"`crossfade queries {evidence.collection}` shows why and what to do; "
            f"or `crossfade queries exempt {missing[0].shape} --reason …`"
        )
        figures = named(missing, f"of {len(evidence.shapes)} never", lambda shape: f"seen {shape.seen}")
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    figures = f"{len(evidence.shapes)} seen" + (f", {exempt} exempt" if exempt else "")
    return Gate(NAME, GateVerdict.PASSED, figures, threshold)


GATE: Final = GateRule(
    NAME,
    position=80,
    describe="Each query shape that clients sent was compared at least once, or is exempt.",
    decide=_decide,
)
