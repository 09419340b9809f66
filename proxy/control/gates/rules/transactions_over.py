"""Gate: No stream transaction that wrote has been open at ArangoDB for longer than a promotion waits for it."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "no open transaction"


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    threshold = f"none that wrote more than {limits.transaction_seconds:g} s ago is open"
    found = evidence.promotion.transactions
    if found is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not read", threshold, "check the gates of a promotion")
    remedy = "let its client end it, or abort it: DELETE /_api/transaction/ID"
    held = [one for one in found if one.seconds > limits.transaction_seconds]
    open_ = [f"{one.id} ({one.instance}, {one.seconds:.0f} s)" for one in held if not one.lost]
    if open_:
        return Gate(NAME, GateVerdict.FAILED, f"{len(open_)} open: {listed(open_)}", threshold, remedy)
    if held:
        lost = listed([f"{one.id} ({one.instance} has ended since, {one.seconds:.0f} s ago)" for one in held])
        return Gate(NAME, GateVerdict.INCONCLUSIVE, f"{len(held)} of unknown end: {lost}", threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, f"none ({len(found)} younger)" if found else "none", threshold)


GATE: Final = GateRule(
    NAME,
    position=240,
    describe="No stream transaction that wrote has been open at ArangoDB for longer than a promotion waits for it.",
    decide=_decide,
    judges=PROMOTIONS,
    protects_writes="ArangoDB could commit its writes after the promotion",
)
