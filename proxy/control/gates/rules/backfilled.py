"""Gate: A backfill is complete that began after mirroring."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import EVERY_CHANGE, Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "backfilled"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "a backfill that began after the mirror, done"
    run = evidence.backfill
    if run is not None:
        return Gate(NAME, GateVerdict.PASSED, f"run {run.id} is done", threshold)
    remedy = f"`crossfade backfill {evidence.collection}`"
    if "backfill" in evidence.open_runs:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "a backfill is under way", threshold, f"wait for it: {remedy}")
    return Gate(NAME, GateVerdict.FAILED, "no backfill is done", threshold, remedy)


GATE: Final = GateRule(
    NAME,
    position=10,
    describe="A backfill is complete that began after mirroring.",
    decide=_decide,
    judges=EVERY_CHANGE,
    protects_writes="documents that were not copied would be lost",
)
