"""Gate: since the promotion no client has sent a request that only ArangoDB answers."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import COMPLETIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "ArangoDB not needed"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "no request since the promotion that only ArangoDB answers"
    needed = evidence.completion.needed
    if needed is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not read", threshold, "check the gates of a completion")
    if needed.requests:
        remedy = "change those clients, or accept that their requests get 501: `--force --reason …`"
        return Gate(NAME, GateVerdict.FAILED, listed(needed.requests), threshold, remedy)
    figures = f"{needed.looked} endpoints were seen, PostgreSQL answers them" if needed.looked else "none"
    return Gate(NAME, GateVerdict.PASSED, figures, threshold)


GATE: Final = GateRule(
    NAME,
    position=310,
    describe="No request since the promotion needed ArangoDB.",
    decide=_decide,
    judges=COMPLETIONS,
)
