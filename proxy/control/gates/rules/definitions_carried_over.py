"""Gate: PostgreSQL can enforce the schema, computed values, key generator and indexes of the collection."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "definitions carried over"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "schema, computed values, key generator, unique and TTL indexes are enforced by PostgreSQL"
    found = evidence.promotion.definitions
    if found is None or found.trouble:
        figures = "not read" if found is None else found.trouble
        remedy = "check that ArangoDB answers Crossfade's account: `crossfade doctor`"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    if found.refused:
        remedy = "change the definition in ArangoDB"
        return Gate(NAME, GateVerdict.FAILED, listed(found.refused), threshold, remedy)
    shown = f"; without effect: {listed(found.kept_only)}" if found.kept_only else ""
    return Gate(NAME, GateVerdict.PASSED, f"all{shown}", threshold)


GATE: Final = GateRule(
    NAME,
    position=180,
    describe="PostgreSQL can enforce the schema, computed values, key generator and indexes of the collection.",
    decide=_decide,
    judges=PROMOTIONS,
    protects_writes="PostgreSQL would accept writes that ArangoDB refuses",
)
