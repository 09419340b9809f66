"""Gate: PostgreSQL answers each query shape about as fast as ArangoDB."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import Gate, GateEvidence, GateLimits, GateRule, GateVerdict, ShapeFact
from proxy.control.gates.shape_text import judged, named, seconds_of

NAME: Final = "latency budget"


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    threshold = (
        f"p99 of PostgreSQL at most {limits.slowdown:g} times that of ArangoDB, or under "
        f"{1000 * limits.min_p99_seconds:g} ms, for each shape"
    )
    slow: list[tuple[float, ShapeFact]] = []
    few: list[ShapeFact] = []
    worst, shown = 0.0, ""
    for shape in judged(evidence):
        origin, target = shape.origin_p99, shape.target_p99
        if origin is None or target is None or shape.timed < limits.shape_comparisons:
            few.append(shape)
            continue
        ratio = target / origin if origin else float("inf")
        if target > max(limits.slowdown * origin, limits.min_p99_seconds):
            slow.append((ratio, shape))
        if ratio > worst:
            worst, shown = ratio, f"at most {ratio:.2f} times: {seconds_of(shape)}"
    if slow:
        slow.sort(key=lambda found: found[0], reverse=True)
        remedy = (
            f"`crossfade indexes {evidence.collection} --create` creates what its query shapes need, then "
            f"`crossfade queries reset {evidence.collection}` resets the counts; "
            f"`crossfade queries {evidence.collection}` shows both sides, `crossfade explain` what PostgreSQL does"
        )
        figures = named([shape for _, shape in slow], "too slow", seconds_of)
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    if few or not evidence.shapes:
        remedy = "keep it at stage shadow under traffic"
        figures = named(few, "timed too seldom", lambda one: f"{one.timed} of {limits.shape_comparisons}")
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures if few else "no read was seen", threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, shown or "all exempt", threshold)


GATE: Final = GateRule(
    NAME,
    position=100,
    describe="PostgreSQL answers each query shape about as fast as ArangoDB.",
    decide=_decide,
)
