"""Gate: No client sends requests with the ArangoDB account of Crossfade."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "own account"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "no request of a client has Crossfade's own account, which keeps the right to write"
    found = evidence.promotion.own_account
    if found is None:
        remedy = "check that every proxy answers: `crossfade instances`"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not read", threshold, remedy)
    if found.clients:
        shown = listed([f"{number} through {instance}" for instance, number in found.clients])
        remedy = (
            "give Crossfade an account of its own (CROSSFADE_ORIGIN_USER) that no client has: the rights of the others "
            "are taken, and this one could still write around the proxies"
        )
        return Gate(NAME, GateVerdict.FAILED, f"{found.user}: {shown}", threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, f"{found.user}: none in {found.seconds / 3600:.1f} h", threshold)


GATE: Final = GateRule(
    NAME,
    position=250,
    describe="No client sends requests with the ArangoDB account of Crossfade.",
    decide=_decide,
    judges=PROMOTIONS,
)
