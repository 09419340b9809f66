"""Gate: No client sends requests with the ArangoDB account of Crossfade."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "own account"
_HOURS: Final = 1.0  # that each proxy must have watched


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
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
    figures = f"{found.user}: none in {found.seconds / 3600:.1f} h"
    if found.seconds < 3600 * min(_HOURS, limits.flipped_hours):
        remedy = f"wait: clients are to use each proxy for {_HOURS:g} h after its start"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, figures, threshold)


GATE: Final = GateRule(
    NAME,
    position=250,
    describe="No client sends requests with the ArangoDB account of Crossfade.",
    decide=_decide,
    judges=PROMOTIONS,
)
