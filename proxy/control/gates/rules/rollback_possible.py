"""Gate: ArangoDB responds, accepts writes, and still has the documents that were copied from it."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import EVERY_CHANGE, Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "rollback possible"
_SHOWN: Final = 5  # keys that a gate names


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "ArangoDB responds, accepts writes, and has the documents that were copied from it"
    origin = evidence.origin
    if origin is None:
        remedy = "set CROSSFADE_ORIGIN to where ArangoDB runs"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "ArangoDB was not asked", threshold, remedy)
    if origin.trouble:
        return Gate(NAME, GateVerdict.FAILED, origin.trouble, threshold, "repair ArangoDB: a rollback needs it")
    if origin.lost:
        shown = ", ".join(origin.lost[:_SHOWN]) + (
            f" and {len(origin.lost) - _SHOWN} more" if len(origin.lost) > _SHOWN else ""
        )
        figures = f"{len(origin.lost)} of {origin.looked} looked up are not in ArangoDB: {shown}"
        remedy = (
            "ArangoDB lost writes that it had acknowledged (restored, failed over?): see the runbook before any repair"
        )
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, f"answers, has {origin.looked} of {origin.looked} looked up", threshold)


GATE: Final = GateRule(
    NAME,
    position=140,
    describe="ArangoDB responds, accepts writes, and still has the documents that were copied from it.",
    decide=_decide,
    judges=EVERY_CHANGE,
)
