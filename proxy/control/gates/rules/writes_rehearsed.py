"""Gate: Each write shape that clients sent was rehearsed, and PostgreSQL would have done what ArangoDB did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.promotion_evidence import RehearsedShape
from proxy.control.gates.shape_text import listed, short

NAME: Final = "writes rehearsed"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "every write shape that was seen was rehearsed, 0 differ"
    rehearsal = evidence.promotion.rehearsal
    if rehearsal is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not read", threshold, "check the gates of a promotion")
    if rehearsal.open_mismatches:
        different = [shape for shape in rehearsal.shapes if shape.different]
        figures = _shapes(different, "differ", lambda one: f"{one.different} of {one.rehearsed}")
        remedy = f"`crossfade mismatches list {evidence.collection}` shows what differs"
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    if not rehearsal.shapes:
        remedy = "let clients write to it through a proxy"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "no write was seen", threshold, remedy)
    never = [shape for shape in rehearsal.shapes if not shape.rehearsed]
    if never:
        figures = _shapes(never, f"of {len(rehearsal.shapes)} never rehearsed", lambda one: f"seen {one.seen}")
        remedy = "let clients write through a proxy; raise the share of writes that are rehearsed"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    total = sum(shape.rehearsed for shape in rehearsal.shapes)
    return Gate(NAME, GateVerdict.PASSED, f"0 of {total} writes differ, {len(rehearsal.shapes)} shapes", threshold)


def _shapes(shapes: Sequence[RehearsedShape], what: str, figure: Callable[[RehearsedShape], str]) -> str:
    return f"{len(shapes)} {what}: {listed([f'{short(one.text)} ({figure(one)})' for one in shapes])}"


GATE: Final = GateRule(
    NAME,
    position=160,
    describe="Each write shape that clients sent was rehearsed, and PostgreSQL would have done what ArangoDB did.",
    decide=_decide,
    judges=PROMOTIONS,
)
