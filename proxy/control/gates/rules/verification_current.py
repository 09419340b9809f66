"""Gate: No write is marked as possibly missing since the last verification began."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import EVERY_CHANGE, Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "verification current"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "no mark newer than the last verification"
    mark, run = evidence.mark, evidence.verification
    if mark is None:
        return Gate(NAME, GateVerdict.PASSED, "no mark", threshold)
    if run is not None and run.unverified_before >= mark.id:
        return Gate(NAME, GateVerdict.PASSED, f"marks up to {mark.id} are covered by run {run.id}", threshold)
    figures = f"mark {mark.id}: {mark.reason} (instance {mark.instance})"
    return Gate(NAME, GateVerdict.FAILED, figures, threshold, f"`crossfade verify {evidence.collection}`")


GATE: Final = GateRule(
    NAME,
    position=30,
    describe="No write is marked as possibly missing since the last verification began.",
    decide=_decide,
    judges=EVERY_CHANGE,
    protects_writes="PostgreSQL may lack a write, which would then be lost",
)
