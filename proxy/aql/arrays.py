"""Array operators: expansions [*], tests [?], and comparisons with ALL, ANY, NONE, AT LEAST (semantics, section 5)."""

from __future__ import annotations

from collections.abc import Generator

from proxy.aql.compiled_types import Compiled, Frame, Plain, Stepwise, evaluate
from proxy.aql.functions.arrays import flatten
from proxy.aql.operators import COMPARISONS
from proxy.aql.requests import StoreRequest
from proxy.aql.values import Value, to_integer, truthy


def _elements(base: Value, levels: int) -> list[Value]:
    if base.__class__ is not list:
        return []
    return flatten(base, levels - 1) if levels > 1 else base


def expand(
    base: Plain,
    slot: int,
    levels: int,
    condition: Compiled | None,
    offset: Plain | None,
    count: Plain | None,
    result: Compiled,
) -> Compiled:
    """Return the function of base[* FILTER condition LIMIT offset, count RETURN result]; [] if it is not an array."""
    if isinstance(condition, Stepwise) or isinstance(result, Stepwise):
        return _expand_stepwise(base, slot, levels, condition, offset, count, result)
    if condition is None and count is None:
        return _expand_all(base, slot, levels, result)
    project, test = result, condition

    def selective(frame: Frame) -> Value:
        built: list[Value] = []
        skip, rest = _bounds(frame, offset, count)
        for item in _elements(base(frame), levels) if skip >= 0 else ():
            frame[slot] = item
            if test is not None and not truthy(test(frame)):
                continue
            if skip > 0:
                skip -= 1
                continue
            if rest is not None:
                if rest <= 0:
                    break
                rest -= 1
            built.append(project(frame))
        return built

    return selective


def _expand_all(base: Plain, slot: int, levels: int, project: Plain) -> Plain:
    def plain(frame: Frame) -> Value:
        array = base(frame)
        if array.__class__ is not list:
            return []
        built: list[Value] = []
        for item in _elements(array, levels):
            frame[slot] = item
            built.append(project(frame))
        return built

    return plain


def _expand_stepwise(
    base: Plain,
    slot: int,
    levels: int,
    condition: Compiled | None,
    offset: Plain | None,
    count: Plain | None,
    result: Compiled,
) -> Stepwise:
    def steps(frame: Frame) -> Generator[StoreRequest, None, Value]:
        built: list[Value] = []
        skip, rest = _bounds(frame, offset, count)
        for item in _elements(base(frame), levels) if skip >= 0 else ():
            frame[slot] = item
            if condition is not None and not truthy((yield from evaluate(condition, frame))):
                continue
            if skip > 0:
                skip -= 1
                continue
            if rest is not None:
                if rest <= 0:
                    break
                rest -= 1
            frame[slot] = item
            built.append((yield from evaluate(result, frame)))
        return built

    return Stepwise(steps)


def _bounds(frame: Frame, offset: Plain | None, count: Plain | None) -> tuple[int, int | None]:
    skip = to_integer(offset(frame)) if offset is not None else 0
    return skip, (to_integer(count(frame)) if count is not None else None)


def quantifier_holds(quantifier: str, matched: int, total: int, least: int) -> bool:
    """Return True if `matched` of `total` elements satisfy the quantifier."""
    if quantifier == "ALL":
        return matched == total
    if quantifier == "NONE":
        return matched == 0
    return matched >= (least if quantifier == "AT LEAST" else 1)


def array_test(
    base: Plain, slot: int, levels: int, quantifier: str | None, amount: Plain | None, condition: Compiled | None
) -> Compiled:
    """Return the function of base[? quantifier FILTER condition]; false if the base is not an array."""

    def judged(frame: Frame, matched: int, total: int) -> bool:
        wanted = amount(frame) if amount is not None else None
        if quantifier == "":  # a number or a range
            if wanted.__class__ is list:
                return bool(wanted) and min(wanted) <= matched <= max(wanted)
            return matched == to_integer(wanted)
        return quantifier_holds(quantifier or "ANY", matched, total, to_integer(wanted))

    if isinstance(condition, Stepwise):
        asking = condition.steps

        def steps(frame: Frame) -> Generator[StoreRequest, None, Value]:
            array = base(frame)
            if array.__class__ is not list:
                return False
            items, matched = _elements(array, levels), 0
            for item in items:
                frame[slot] = item
                matched += truthy((yield from asking(frame)))
            return judged(frame, matched, len(items))

        return Stepwise(steps)
    check = condition

    def test(frame: Frame) -> bool:
        array = base(frame)
        if array.__class__ is not list:
            return False
        items = _elements(array, levels)
        if check is None:
            return bool(items)
        matched = 0
        for item in items:
            frame[slot] = item
            matched += truthy(check(frame))
        return judged(frame, matched, len(items))

    return test


def quantified(quantifier: str, amount: Plain | None, op: str, left: Plain, right: Plain) -> Plain:
    """Return the function of left ALL|ANY|NONE|AT LEAST op right; false if the left operand is not an array."""
    compare = COMPARISONS[op]
    needs_array = op in ("IN", "NOT IN")

    def test(frame: Frame) -> bool:
        array, other = left(frame), right(frame)
        if array.__class__ is not list or (needs_array and other.__class__ is not list):
            return False
        matched = sum(1 for item in array if compare(item, other))
        least = to_integer(amount(frame)) if amount is not None else 1
        return quantifier_holds(quantifier, matched, len(array), least)

    return test
