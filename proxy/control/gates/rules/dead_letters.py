"""Gate: PostgreSQL has refused no document that it still lacks."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import EVERY_CHANGE, Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "no dead letter"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "0 documents that PostgreSQL refused"
    if not evidence.dead_letters:
        return Gate(NAME, GateVerdict.PASSED, "0", threshold)
    remedy = "see the reason in _crossfade.dead_letter, change the documents; the next write of each clears it"
    return Gate(NAME, GateVerdict.FAILED, str(evidence.dead_letters), threshold, remedy)


GATE: Final = GateRule(
    NAME,
    position=110,
    describe="PostgreSQL has refused no document that it still lacks.",
    decide=_decide,
    protects_reads="PostgreSQL would return an older version than the one that it refused",
    judges=EVERY_CHANGE,
    protects_writes="the version that PostgreSQL refused would be lost",
)
