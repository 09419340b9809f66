"""Gate: the reverse mirror has carried the writes to ArangoDB, but those of a moment ago."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import COMPLETIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "reverse mirror current"


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    threshold = f"the oldest write that ArangoDB lacks is at most {limits.lag_seconds:g} s old, none is refused"
    carried = evidence.completion.carried
    if carried is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not read", threshold, "check the gates of a completion")
    if carried.refused:
        remedy = "change these documents, or what ArangoDB refuses them for: `crossfade status` names the reasons"
        return Gate(NAME, GateVerdict.FAILED, f"refused: {listed(carried.refused)}", threshold, remedy)
    figures = f"ArangoDB lacks {carried.rows:,} writes, the oldest is {carried.age:.1f} s old"
    if carried.age > limits.lag_seconds:
        remedy = "see `crossfade status` for what the reverse mirror waits for: ArangoDB must answer"
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, figures, threshold)


GATE: Final = GateRule(
    NAME,
    position=320,
    describe="ArangoDB has what PostgreSQL wrote, except for the last moment, and refuses nothing.",
    decide=_decide,
    judges=COMPLETIONS,
)
