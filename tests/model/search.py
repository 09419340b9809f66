"""Breadth-first exploration of a model: every state within its bounds, a violation with its shortest trace."""

from __future__ import annotations

import gc
import time
from array import array
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tests.model.mirror_state import Broken

StateT = TypeVar("StateT", bound=Hashable)


class Explorable(Protocol[StateT]):
    """What an exploration asks of a model."""

    def initial(self) -> StateT: ...
    def successors(self, state: StateT) -> Iterable[tuple[str, StateT]]:
        """Yield every possible step. Raise Broken."""

    def check(self, state: StateT) -> str:
        """Return what is wrong, or an empty text."""

    def at_rest(self, state: StateT) -> bool: ...


@dataclass(frozen=True, slots=True)
class Found:
    """The result of an exploration. wrong: empty, or the property and its trace; resting: states at rest."""

    name: str
    states: int
    steps: int
    resting: int
    depth: int
    seconds: float
    wrong: str
    trace: tuple[str, ...]


def visit(
    name: str, model: Explorable[StateT], canonical: Callable[[StateT], StateT], limit: int = 20_000_000
) -> Found:
    """Visit all states of the model, or stop at the first wrong one. Raise ValueError beyond the limit."""
    begun = time.perf_counter()
    gc.disable()  # states are tuples of tuples: nothing to collect, and much to traverse
    first = canonical(model.initial())
    number = {first: 0}
    parents, edges_from, edges_to = array("l", [-1]), array("l"), array("l")
    labels = [""]
    depth_of = array("l", [0])
    resting = array("l")
    queue = deque([first])

    def ended(wrong: str, at: int, last: str = "") -> Found:
        trace = [last] if last else []
        while at > 0:
            trace.append(labels[at])
            at = parents[at]
        seconds = time.perf_counter() - begun
        return Found(
            name, len(number), len(edges_from), len(resting), depth_of[-1], seconds, wrong, tuple(reversed(trace))
        )

    while queue:
        state = queue.popleft()
        here = number[state]
        wrong = model.check(state)
        if wrong:
            return ended(wrong, here)
        if model.at_rest(state):
            resting.append(here)
        try:
            for label, raw in model.successors(state):
                there = number.get(raw)
                if there is None:
                    following = canonical(raw)
                    there = number.get(following)
                if there is None:
                    there = number[following] = len(number)
                    parents.append(here)
                    labels.append(label)
                    depth_of.append(depth_of[here] + 1)
                    queue.append(following)
                    if there > limit:
                        raise ValueError(f"{name}: more than {limit} states")
                edges_from.append(here)
                edges_to.append(there)
        except Broken as error:
            return ended(str(error), here, "…")
    stuck = _stuck(len(number), edges_from, edges_to, resting)
    return ended("STUCK: rest cannot be reached", stuck) if stuck >= 0 else ended("", 0)


def _stuck(total: int, edges_from: array[int], edges_to: array[int], resting: array[int]) -> int:
    """Return a state from which no state at rest can be reached, or -1."""
    starts = array("l", bytes(8 * (total + 1)))
    for there in edges_to:
        starts[there + 1] += 1
    for place in range(total):
        starts[place + 1] += starts[place]
    back, filled = array("l", bytes(8 * len(edges_to))), array("l", starts)
    for here, there in zip(edges_from, edges_to, strict=True):
        back[filled[there]] = here
        filled[there] += 1
    reached = bytearray(total)
    waiting = list(resting)
    for place in waiting:
        reached[place] = 1
    while waiting:
        place = waiting.pop()
        for index in range(starts[place], starts[place + 1]):
            before = back[index]
            if not reached[before]:
                reached[before] = 1
                waiting.append(before)
    return reached.find(b"\0")


def line(found: Found) -> str:
    """Format one exploration as text."""
    said = found.wrong or "holds"
    figures = f"{found.states:11,}{found.steps:12,}{found.resting:10,}{found.depth:7}{found.seconds:8.1f}"
    return f"{found.name:46}{figures}  {said}"


HEAD = f"{'states':>11}{'steps':>12}{'at rest':>10}{'depth':>7}{'s':>8}"
