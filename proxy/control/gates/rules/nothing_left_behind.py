"""Gate: nothing is left in ArangoDB that PostgreSQL does not get."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import COMPLETIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "nothing left behind"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "no views, analyzers, services or functions, no collection that is not mirrored"
    lost = evidence.completion.lost
    if lost is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not read", threshold, "check the gates of a completion")
    if lost.trouble:
        remedy = "ArangoDB must answer: `crossfade doctor`"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, lost.trouble, threshold, remedy)
    if lost.things:
        remedy = "keep what you need of it elsewhere, then accept that it is lost: `--force --reason …`"
        return Gate(NAME, GateVerdict.FAILED, "; ".join(lost.things), threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, "nothing", threshold)


GATE: Final = GateRule(
    NAME,
    position=360,
    describe="The database has nothing beside documents that PostgreSQL does not get.",
    decide=_decide,
    judges=COMPLETIONS,
)
