"""Gate: No documents in PostgreSQL violate a unique index of the collection."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "unique values"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "no two documents have the same value in a unique index"
    found = evidence.promotion.definitions
    if found is None or found.duplicates is None:
        figures = found.trouble if found is not None and found.trouble else "not looked for"
        remedy = "check the gates of a promotion while ArangoDB and PostgreSQL answer"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    if found.duplicates:
        remedy = f"ArangoDB cannot have these either: `crossfade verify {evidence.collection} --repair`"
        return Gate(NAME, GateVerdict.FAILED, listed(found.duplicates), threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, f"{found.indexes} unique indexes, no duplicate", threshold)


GATE: Final = GateRule(
    NAME,
    position=190,
    describe="No documents in PostgreSQL violate a unique index of the collection.",
    decide=_decide,
    judges=PROMOTIONS,
    protects_writes="PostgreSQL could not enforce the index",
)
