"""Gate: PostgreSQL has taken the writes for long enough."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import COMPLETIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.model.stages import Stage

NAME: Final = "promoted long enough"
_DAY: Final = 86_400  # seconds


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    threshold = f"promoted for {limits.promoted_days:g} days"
    promoted = evidence.completion.promoted
    if promoted is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not read", threshold, "check the gates of a completion")
    if promoted.stage != Stage.PROMOTED:
        remedy = f"`crossfade promote {evidence.collection}`"
        return Gate(NAME, GateVerdict.FAILED, f"stage {promoted.stage}", threshold, remedy)
    days = promoted.seconds / _DAY
    figures = f"promoted for {days:.1f} days"
    if days < limits.promoted_days:
        remedy = (
            f"wait {limits.promoted_days - days:.1f} days, or set another limit: `crossfade gates limits set "
            "promoted_days DAYS --reason …`"
        )
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, figures, threshold)


GATE: Final = GateRule(
    NAME,
    position=300,
    describe="PostgreSQL has taken all writes of the collection for long enough.",
    decide=_decide,
    judges=COMPLETIONS,
)
