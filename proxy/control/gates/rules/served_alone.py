"""Gate: PostgreSQL answers all that clients ask, and no query needs another collection of ArangoDB's too."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "served by PostgreSQL alone"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "every request that was seen is answered by PostgreSQL alone"
    served = evidence.promotion.served
    if served is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not read", threshold, "check the gates of a promotion")
    if served.refused:
        remedy = (
            "change those clients; `crossfade queries exempt` for a query that is no longer sent; or accept that such "
            "requests are refused: `--force --reason …`"
        )
        return Gate(NAME, GateVerdict.FAILED, listed(served.refused), threshold, remedy)
    if served.together:
        remedy = "promote these collections in one command"
        return Gate(NAME, GateVerdict.FAILED, listed(served.together), threshold, remedy)
    if served.unknown:
        remedy = "check what they do, then `--force --reason …`; `crossfade explain` examines a query"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, listed(served.unknown), threshold, remedy)
    if not served.looked:
        remedy = "let clients use it through a proxy"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "no request was seen", threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, f"{served.looked} shapes and endpoints, all answered", threshold)


GATE: Final = GateRule(
    NAME,
    position=170,
    describe="PostgreSQL answers all that clients ask, and no query needs another collection of ArangoDB's too.",
    decide=_decide,
    judges=PROMOTIONS,
)
