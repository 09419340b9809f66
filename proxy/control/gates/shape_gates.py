"""Gates on what the shadow saw: mismatches, what did not settle, every shape, latency. Pure; see gates.

0 mismatches of n comparisons say that the true rate is at most 3/n, at a confidence of 95 % (the rule of three). That
holds for reads like those that were compared, so it is asked of every shape by itself as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from proxy.control.gates.gate_types import Evidence, Gate, GateLimits, GateVerdict, ShapeFact

_SHOWN: Final = 3  # shapes that a gate names
_LENGTH: Final = 70  # characters of each


def matching(evidence: Evidence, limits: GateLimits) -> Gate:
    """No mismatch in enough comparisons of the collection."""
    name, n = "zero mismatches", limits.comparisons
    threshold = f"0 of at least {n} comparisons (true rate at most {_bound(n)} at 95 %)"
    settled = evidence.compared - evidence.unsettled  # the others were seen neither equal nor different
    figures = _mismatches(evidence, settled)
    if evidence.mismatched or evidence.open_mismatches:
        remedy = f"`crossfade mismatches list {evidence.collection}`; then repair or ignore what it shows"
        return Gate(name, GateVerdict.FAILED, figures, threshold, remedy)
    if settled < n:
        remedy = f"{n - settled} comparisons are missing: keep it at stage shadow under traffic"
        return Gate(name, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    return Gate(name, GateVerdict.PASSED, f"{figures} (true rate at most {_bound(settled)})", threshold)


def _mismatches(evidence: Evidence, reads: int) -> str:
    """`2 unresolved mismatches in 880 reads, 5 confirmed`: kinds that are open, comparisons that differed."""
    counted = f"{evidence.mismatched} confirmed" if evidence.mismatched else ""
    if not evidence.open_mismatches:
        return f"{counted or 'none'} in {reads} reads"
    kinds = f"{evidence.open_mismatches} unresolved mismatch{'' if evidence.open_mismatches == 1 else 'es'}"
    return f"{kinds} in {reads} reads" + (f", {counted}" if counted else "")


def settled(evidence: Evidence, limits: GateLimits) -> Gate:
    """Nearly every difference could be told from lag."""
    name, threshold = "rechecks resolved", f"at most {limits.unsettled_share:.1%} of comparisons unsettled"
    if not evidence.compared:
        remedy = "keep it at stage shadow under traffic"
        return Gate(name, GateVerdict.INCONCLUSIVE, "no comparison", threshold, remedy)
    figures = f"{evidence.unsettled} of {evidence.compared}"
    if evidence.unsettled > limits.unsettled_share * evidence.compared:
        remedy = "documents change faster than both sides can be read: raise CROSSFADE_RECHECK_TIMEOUT, or see the lag"
        return Gate(name, GateVerdict.FAILED, figures, threshold, remedy)
    return Gate(name, GateVerdict.PASSED, figures, threshold)


def covered(evidence: Evidence, _limits: GateLimits) -> Gate:
    """Every shape that production sent was compared at least once, or exempt by name (I9)."""
    name, threshold = "every query compared", "no shape that was seen and never compared, but those exempt by name"
    if not evidence.shapes:
        return Gate(
            name, GateVerdict.INCONCLUSIVE, "no read was seen", threshold, "let clients read it through a proxy"
        )
    exempt = sum(1 for shape in evidence.shapes if shape.exempt is not None)
    missing = [shape for shape in _judged(evidence) if not shape.compared]
    if missing:
        remedy = (
            f"`crossfade queries {evidence.collection}` shows why and what to do; "
            f"or `crossfade queries exempt {missing[0].shape} --reason …`"
        )
        figures = _named(missing, f"of {len(evidence.shapes)} never", lambda shape: f"seen {shape.seen}")
        return Gate(name, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    figures = f"{len(evidence.shapes)} seen" + (f", {exempt} exempt" if exempt else "")
    return Gate(name, GateVerdict.PASSED, figures, threshold)


def sampled(evidence: Evidence, limits: GateLimits) -> Gate:
    """Enough comparisons of each shape since the last reset."""
    name, n = "sample size per query", limits.shape_comparisons
    threshold = f"at least {n} comparisons of each shape (true rate at most {_bound(n)} at 95 %)"
    shapes = _judged(evidence)
    if not evidence.shapes:
        return Gate(
            name, GateVerdict.INCONCLUSIVE, "no read was seen", threshold, "let clients read it through a proxy"
        )
    few = [shape for shape in shapes if shape.settled < n]
    if few:
        remedy = (
            "keep it at stage shadow under traffic, or raise the share of reads that is compared; exempt a rare query "
            f"shape: `crossfade queries exempt {few[0].shape} --reason …`"
        )
        figures = _named(few, "with too few", lambda shape: f"{shape.settled} of {n}")
        return Gate(name, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    least = min((shape.settled for shape in shapes), default=None)
    figures = "all exempt" if least is None else f"{least} of the rarest (true rate at most {_bound(least)})"
    return Gate(name, GateVerdict.PASSED, figures, threshold)


def fast(evidence: Evidence, limits: GateLimits) -> Gate:
    """The target keeps up with the origin, shape by shape."""
    name = "latency budget"
    threshold = (
        f"p99 of PostgreSQL at most {limits.slowdown:g} times that of ArangoDB, or under "
        f"{1000 * limits.min_p99_seconds:g} ms, for each shape"
    )
    slow: list[tuple[float, ShapeFact]] = []
    few: list[ShapeFact] = []
    worst, shown = 0.0, ""
    for shape in _judged(evidence):
        origin, target = shape.origin_p99, shape.target_p99
        if origin is None or target is None or shape.timed < limits.shape_comparisons:
            few.append(shape)
            continue
        ratio = target / origin if origin else float("inf")
        if target > max(limits.slowdown * origin, limits.min_p99_seconds):
            slow.append((ratio, shape))
        if ratio > worst:
            worst, shown = ratio, f"at most {ratio:.2f} times: {_seconds(shape)}"
    if slow:
        slow.sort(key=lambda found: found[0], reverse=True)
        remedy = (
            f"`crossfade indexes {evidence.collection} --create` creates what its query shapes need, then "
            f"`crossfade queries reset {evidence.collection}` resets the counts; "
            f"`crossfade queries {evidence.collection}` shows both sides, `crossfade explain` what PostgreSQL does"
        )
        figures = _named([shape for _, shape in slow], "too slow", _seconds)
        return Gate(name, GateVerdict.FAILED, figures, threshold, remedy)
    if few or not evidence.shapes:
        remedy = "keep it at stage shadow under traffic"
        figures = _named(few, "timed too seldom", lambda one: f"{one.timed} of {limits.shape_comparisons}")
        return Gate(name, GateVerdict.INCONCLUSIVE, figures if few else "no read was seen", threshold, remedy)
    return Gate(name, GateVerdict.PASSED, shown or "all exempt", threshold)


def _judged(evidence: Evidence) -> list[ShapeFact]:
    return [shape for shape in evidence.shapes if shape.exempt is None]


def _bound(n: int) -> str:
    return f"{3 / n:.2%}" if n else "100%"


def _seconds(shape: ShapeFact) -> str:
    assert shape.origin_p99 is not None
    assert shape.target_p99 is not None
    return f"{1000 * shape.target_p99:.1f} ms against {1000 * shape.origin_p99:.1f} ms"


def _named(shapes: Sequence[ShapeFact], what: str, figure: Callable[[ShapeFact], str]) -> str:
    """`2 of 7 never: FOR d IN … (seen 12); document.read (seen 3)`."""
    shown = "; ".join(f"{_short(shape.text)} ({figure(shape)})" for shape in shapes[:_SHOWN])
    return f"{len(shapes)} {what}: {shown}" + (f"; and {len(shapes) - _SHOWN} more" if len(shapes) > _SHOWN else "")


def _short(text: str) -> str:
    return text if len(text) <= _LENGTH else text[: _LENGTH - 1] + "…"
