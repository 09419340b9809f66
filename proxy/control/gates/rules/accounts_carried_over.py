"""Gate: PostgreSQL has the users, hashes of passwords and levels that ArangoDB has."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "accounts carried over"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "users, hashes of passwords and levels are equal on both sides, which both require credentials or not"
    found = evidence.promotion.accounts
    if found is None or found.trouble:
        figures = "not read" if found is None else found.trouble
        remedy = "Crossfade's account needs `rw` on `_system`: `crossfade accounts copy --check` says what is missing"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    if found.enforcement:
        remedy = "set CROSSFADE_AUTHENTICATION of each proxy, and of this command, to what ArangoDB does"
        return Gate(NAME, GateVerdict.FAILED, listed(found.enforcement), threshold, remedy)
    if found.differences:
        return Gate(NAME, GateVerdict.FAILED, listed(found.differences), threshold, "`crossfade accounts copy`")
    shown = f"; access tokens are not copied: {listed(found.with_tokens)}" if found.with_tokens else ""
    return Gate(NAME, GateVerdict.PASSED, f"{found.users} users are equal{shown}", threshold)


GATE: Final = GateRule(
    NAME,
    position=200,
    describe="PostgreSQL has the users, hashes of passwords and levels that ArangoDB has.",
    decide=_decide,
    judges=PROMOTIONS,
    protects_writes="PostgreSQL decides by its accounts who may write",
)
