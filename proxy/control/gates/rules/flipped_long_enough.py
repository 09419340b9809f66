"""Gate: PostgreSQL has served all reads for long enough, and no mismatch was found in that time."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.model.stages import Stage

NAME: Final = "flipped long enough"
_ALL: Final = 100  # percent


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    threshold = f"flipped at 100 % for {limits.flipped_hours:g} h, 0 mismatches in that time, none open"
    flipped = evidence.promotion.flipped
    if flipped is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not read", threshold, "check the gates of a promotion")
    if flipped.stage != Stage.FLIPPED or flipped.weight < _ALL:
        figures = f"stage {flipped.stage}" + (f" at {flipped.weight} %" if flipped.stage == Stage.FLIPPED else "")
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, f"`crossfade flip {evidence.collection}`")
    hours = flipped.seconds / 3600
    figures = f"flipped at 100 % for {hours:.1f} h, {flipped.mismatches} mismatches, {evidence.open_mismatches} open"
    if flipped.mismatches or evidence.open_mismatches:
        remedy = f"`crossfade mismatches list {evidence.collection}`; then repair or ignore what it shows"
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    if hours < limits.flipped_hours:
        remedy = (
            f"wait {limits.flipped_hours - hours:.1f} h, or set another limit: `crossfade gates limits set "
            "flipped_hours HOURS --reason …`"
        )
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    if not flipped.compared:
        remedy = "let clients read it through a proxy, and let a share of the reads be compared: `crossfade sampling`"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, f"{figures}, no read compared", threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, f"{figures}, {flipped.compared} reads compared", threshold)


GATE: Final = GateRule(
    NAME,
    position=150,
    describe="PostgreSQL has served all reads for long enough, and no mismatch was found in that time.",
    decide=_decide,
    judges=PROMOTIONS,
)
