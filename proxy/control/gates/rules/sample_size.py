"""Gate: Each query shape was compared often enough since the last reset."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import bound, judged, named

NAME: Final = "sample size per query"


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    n = limits.shape_comparisons
    threshold = f"at least {n} comparisons of each shape (true rate at most {bound(n)} at 95 %)"
    shapes = judged(evidence)
    if not evidence.shapes:
        return Gate(
            NAME, GateVerdict.INCONCLUSIVE, "no read was seen", threshold, "let clients read it through a proxy"
        )
    few = [shape for shape in shapes if shape.decided < n]
    if few:
        remedy = (
            "keep it at stage shadow under traffic, or raise the share of reads that is compared; exempt a rare query "
            f"shape: `crossfade queries exempt {few[0].shape} --reason …`"
        )
        figures = named(few, "with too few", lambda shape: f"{shape.decided} of {n}")
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    least = min((shape.decided for shape in shapes), default=None)
    figures = "all exempt" if least is None else f"{least} of the rarest (true rate at most {bound(least)})"
    return Gate(NAME, GateVerdict.PASSED, figures, threshold)


GATE: Final = GateRule(
    NAME,
    position=90,
    describe="Each query shape was compared often enough since the last reset.",
    decide=_decide,
)
