"""Gate: both databases were read, and have the same documents."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import COMPLETIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "both sides equal"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "no document is different when both databases are read"
    sides = evidence.completion.sides
    if sides is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not read", threshold, "check the gates of a completion")
    if sides.trouble:
        remedy = "both databases must answer: `crossfade doctor`"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, sides.trouble, threshold, remedy)
    if sides.different:
        remedy = (
            "look at these documents in both databases: PostgreSQL's stay, and what only ArangoDB has is lost; a "
            "write of such a document through a proxy makes them equal"
        )
        figures = f"{sides.different:,} of {sides.documents:,} documents: {listed(sides.keys)}"
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, f"{sides.documents:,} documents are equal", threshold)


GATE: Final = GateRule(
    NAME,
    position=350,
    describe="Both databases were read directly, and have the same documents with the same revisions.",
    decide=_decide,
    judges=COMPLETIONS,
)
