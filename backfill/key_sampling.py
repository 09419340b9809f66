"""Finds keys that cut a large collection into parts of about equal size without reading it (DESIGN section 10).

Skipping through the key index to every n-th key is exact, but costs as many steps as there are documents. Above EXACT
documents the keys are *probed* instead: the first key above a point between two known keys splits that range in two,
and the distance between LOCAL neighbours gives an estimate of its density. The range with the largest estimate is
probed next. The number of probes per part is fixed, so the cost depends on the number of parts, not of documents.

Accuracy, which the tests check: for evenly distributed identifiers (UUIDs, hashes, counters, times, several prefixes of
very different size) the largest part is at most three times the mean. Other keys can give worse results; so parts are
also split during a run (`find_cut`). The estimates decide only which worker copies a document, never whether.

`Step` is the only request to the origin: the n-th key after another, or None.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

Step = Callable[[str, int], Awaitable[str | None]]

EXACT: Final = 2_000_000  # documents: up to here quantiles are exact, which takes a second or two
LOCAL: Final = 200  # neighbours that the density is estimated from
PROBES: Final = 6  # for each part
_WIDTH: Final = 16  # characters after the common prefix that determine a position
_BREADTH: Final = 32  # ranges to split before densities are used


class Scale:
    """Maps keys to numbers, by the characters that occur in keys, to measure distances and find keys in between."""

    def __init__(self, seen: Iterable[str], low: str, high: str | None) -> None:
        self._prefix = _common(low, high) if high is not None else ""
        self._letters = sorted({character for key in seen for character in key} | {"0", "z"})
        self._base = len(self._letters) + 1

    def number(self, key: str | None) -> int:
        """Return the position of a key, 0 or more. None, which is above every key, gives the maximum."""
        if key is None:
            return int(self._base**_WIDTH)
        rest = key[len(self._prefix) :][:_WIDTH]
        number = 0
        for character in rest:
            number = number * self._base + bisect.bisect_right(self._letters, character)
        return int(number * self._base ** (_WIDTH - len(rest)))

    def text(self, number: int) -> str:
        """Return a string near that position."""
        text = ""
        for _ in range(_WIDTH):
            number, rank = divmod(number, self._base)
            if rank or text:
                # the rank of the end of a key has no character: inside a key the lowest character is used
                text = self._letters[max(rank, 1) - 1] + text
        return self._prefix + text


def _common(low: str, high: str) -> str:
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False))
    return "".join(one for one, _ in pairs)


def between(seen: Iterable[str], low: str, high: str | None, share: float = 0.5) -> str | None:
    """Return a string between `low` and `high`, at about `share` of the distance; None if there is no room."""
    scale = Scale(seen, low, high)
    bottom, top = scale.number(low), scale.number(high)
    middle = scale.text(bottom + int((top - bottom) * share))
    return middle if low < middle and (high is None or middle < high) else None


@dataclass(slots=True)
class _Part:
    """Keys above `low` up to and including `high` (None: the last). Only `high` itself is above `room`."""

    low: str
    high: str | None
    room: str | None
    weight: float = 0.0
    settled: bool = False


async def spread(step: Step, count: int, parts: int) -> list[str]:
    """Return at most `parts - 1` keys, in order, that cut about `count` documents into parts of about equal size."""
    first = await step("", 1)
    if first is None or parts < 2:
        return []
    seen = {first}
    open_parts = [_Part("", None, None)]
    await _weigh(step, open_parts[0], seen, count)
    for probe in range(PROBES * parts):
        candidates = [part for part in open_parts if not part.settled]
        if not candidates:
            break
        # at first split in turn, whatever the estimated densities are
        widest = probe < _BREADTH and probe < 2 * parts
        part = candidates[probe % len(candidates)] if widest else max(candidates, key=lambda one: one.weight)
        middle = between(seen, part.low, part.room)
        if middle is None:
            part.settled = True
            continue
        key = await step(middle, 1)
        if key is None or (part.high is not None and key >= part.high):
            part.room = middle  # above `middle` there is only the last key itself
            await _weigh(step, part, seen, count)
            continue
        seen.add(key)
        upper = _Part(key, part.high, part.room)
        part.high, part.room = key, middle
        open_parts.append(upper)
        await _weigh(step, part, seen, count)
        await _weigh(step, upper, seen, count)
    return _quantiles(sorted(open_parts, key=lambda one: one.low), parts)


async def _weigh(step: Step, part: _Part, seen: set[str], count: int) -> None:
    # at the lower end and in the middle: the density at an end next to a gap is too low
    near = await step(part.low, LOCAL)
    if near is None or (part.high is not None and near >= part.high):
        part.weight, part.settled = LOCAL / 2, True
        return
    seen.add(near)
    found = [_density(part, seen, part.low, near)]
    middle = between(seen, part.low, part.room)
    begin = await step(middle, 1) if middle is not None else None
    if begin is not None and (part.high is None or begin < part.high):
        end = await step(begin, LOCAL)
        if end is not None and (part.high is None or end < part.high):
            seen |= {begin, end}
            found.append(_density(part, seen, begin, end))
    part.weight = min(max(*found, LOCAL), count)


def _density(part: _Part, seen: set[str], begin: str, end: str) -> float:
    scale = Scale(seen, part.low, part.room)
    span = scale.number(part.room) - scale.number(part.low)
    return LOCAL * span / max(1, scale.number(end) - scale.number(begin))


def _quantiles(parts: list[_Part], wanted: int) -> list[str]:
    total = sum(part.weight for part in parts)
    cuts: list[str] = []
    reached = 0.0
    for part in parts:
        reached += part.weight
        if part.high is not None and len(cuts) < wanted - 1 and reached >= total * (len(cuts) + 1) / wanted:
            cuts.append(part.high)
    return cuts


async def find_cut(step: Step, after: str, upper: str | None, least: int) -> str | None:
    """Return a key in (after, upper] with at least `least` documents on both sides of it, or None if there is none.

    Costs a few probes, at worst 64 times `least` steps through the index.
    """

    def inside(key: str | None) -> bool:
        return key is not None and (upper is None or key <= upper)

    floor = await step(after, least)
    if floor is None or not inside(floor):
        return None
    seen = {after, floor} | ({upper} if upper is not None else set())
    low, high = after, upper
    for _ in range(6):
        middle = between(seen, low, high)
        if middle is None:
            break
        key = await step(middle, 1)
        if key is None or not inside(key) or not inside(await step(key, least)):
            high = middle
        elif key < floor:
            low = middle
        else:
            return key
        if key is not None:
            seen.add(key)
    found = [floor]
    for doubling in range(6):
        key = await step(found[-1], least << doubling)
        if key is None or not inside(key):
            break
        found.append(key)
    if inside(await step(found[-1], least)):
        return found[-1]
    return found[-2] if len(found) > 1 else None
