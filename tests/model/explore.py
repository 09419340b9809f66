"""Explores the models breadth-first: `python -m tests.model.explore`, or `make model`. Exit code 1 if one is broken.

Every state within the bounds is visited. A violation is printed with its shortest trace.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from array import array
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.model import flipped, journal
from tests.model.mirror import Model, canonical
from tests.model.mirror_state import BATCH, CURSOR, DELETE, POISON, PUT, TRANSACTION, TRUNCATE, Bounds, Broken, Rules

PROPERTIES = (
    "no lost write",
    "no ghost",
    "no older version over a newer",
    "never stuck: from every state rest can be reached",
)

# what `make model` explores: name -> bounds. Two run at a time
LARGE: dict[str, Bounds] = {
    "one key, crash, lost answer, purge": Bounds(writes=3, crashes=1, lost=1, purges=1),
    "one key, backfill, crash, purge": Bounds(writes=2, crashes=1, lost=1, purges=1, copies=1, history=True),
    "one key, three writes, two crashes": Bounds(writes=3, crashes=2, lost=0),
    "two keys, batches": Bounds(writes=2, crashes=1, lost=1, purges=1, keys=2, kinds=(PUT, DELETE, BATCH)),
    "two keys, transactions": Bounds(writes=2, crashes=1, lost=1, purges=1, keys=2, kinds=(PUT, DELETE, TRANSACTION)),
    "two keys, cursors": Bounds(writes=2, crashes=1, lost=1, purges=1, keys=2, kinds=(PUT, DELETE, CURSOR)),
    "dead letters": Bounds(writes=3, crashes=1, lost=1, purges=1, kinds=(PUT, DELETE, POISON)),
    "truncations": Bounds(writes=3, crashes=1, lost=1, purges=1, kinds=(PUT, DELETE, TRUNCATE)),
    "two keys, truncations": Bounds(writes=2, crashes=1, lost=1, purges=1, keys=2, kinds=(PUT, TRUNCATE)),
    "one key, every kind": Bounds(writes=3, crashes=1, lost=1, purges=1, kinds=(PUT, DELETE, POISON, TRUNCATE)),
}
SMALL: dict[str, Bounds] = {
    "two writes, crash, lost answer, purge": Bounds(writes=2, crashes=1, lost=1, purges=1),
    "backfill": Bounds(writes=1, crashes=1, lost=0, purges=1, copies=1, history=True),
    "batches": Bounds(writes=2, crashes=1, lost=0, keys=2, kinds=(DELETE, BATCH)),
    "transactions": Bounds(writes=2, crashes=1, lost=0, keys=2, kinds=(PUT, TRANSACTION)),
    "cursors": Bounds(writes=2, crashes=0, lost=1, keys=2, kinds=(PUT, CURSOR)),
    "dead letters": Bounds(writes=2, crashes=1, lost=0, kinds=(PUT, DELETE, POISON)),
    "truncations": Bounds(writes=2, crashes=1, lost=1, kinds=(PUT, TRUNCATE)),
}

# operations of the journal's histories that are cut at every byte, and of those that get a wrong byte
FILES, FILES_SMALL = (5, 3), (2, 1)


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


def explore(name: str, bounds: Bounds, rules: Rules | None = None, limit: int = 20_000_000) -> Found:
    """Visit all states of the bounds, or stop at the first wrong one. Raise ValueError beyond the limit."""
    begun = time.perf_counter()
    gc.disable()  # states are tuples of tuples: nothing to collect, and much to traverse
    model = Model(bounds, rules)
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
    return f"{found.name:42}{figures}  {said}"


HEAD = f"{'bounds':42}{'states':>11}{'steps':>12}{'at rest':>10}{'depth':>7}{'s':>8}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model.explore")
    parser.add_argument("--small", action="store_true", help="the bounds of the test suite")
    options = parser.parse_args()
    print(HEAD, flush=True)
    runs = SMALL if options.small else LARGE
    total, wrong = 0, False
    with ProcessPoolExecutor(2, max_tasks_per_child=1) as pool:  # a process gives its memory back
        files = pool.submit(journal.explore, *(FILES_SMALL if options.small else FILES))
        for found in [pool.submit(explore, name, bounds) for name, bounds in runs.items()]:
            result = found.result()
            print(line(result), flush=True)
            for step in result.trace:
                print("   ", step)
            total += result.states
            wrong = wrong or bool(result.wrong)
        print(journal.line(files.result()), flush=True)
        given_up = flipped.explore(flipped.initial(writes=2 if options.small else 3))
        said = " -> ".join(given_up.trace) or "holds"
        print(f"given up, or killed, while flipped: {given_up.states:,} states: {said}", flush=True)
        wrong = wrong or bool(given_up.trace)
        wrong = wrong or bool(files.result().wrong)
    print(f"{total:,} states explored, every one of these bounds")
    for name in PROPERTIES:
        print(f"{'BROKEN: see above' if wrong else 'held'}: {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
