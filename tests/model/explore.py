"""Explores the models breadth-first: `python -m tests.model.explore`, or `make model`. Exit code 1 if one is broken.

Every state within the bounds is visited. A violation is printed with its shortest trace.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor

from tests.model import flipped, journal
from tests.model.mirror import Model, canonical
from tests.model.mirror_state import BATCH, CURSOR, DELETE, POISON, PUT, TRANSACTION, TRUNCATE, Bounds, Rules
from tests.model.promotion import state as promotion_state
from tests.model.promotion.model import Promotion
from tests.model.promotion.model import canonical as canonical_promotion
from tests.model.promotion.runs import LARGE as LARGE_PROMOTIONS
from tests.model.promotion.runs import SMALL as SMALL_PROMOTIONS
from tests.model.reverse import state as reverse_state
from tests.model.reverse.model import ReverseMirror
from tests.model.reverse.model import canonical as canonical_reverse
from tests.model.reverse.runs import LARGE as LARGE_REVERSE
from tests.model.reverse.runs import SMALL as SMALL_REVERSE
from tests.model.search import HEAD, Found, line, visit

PROPERTIES = (
    "no lost write",
    "no ghost",
    "no older version over a newer",
    "no revision given twice, no read or refusal older than what was seen",
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


def explore(name: str, bounds: Bounds, rules: Rules | None = None) -> Found:
    """Visit all states of the mirror's model within the bounds, or stop at the first wrong one."""
    return visit(name, Model(bounds, rules), canonical)


def explore_promotion(name: str, bounds: promotion_state.Bounds, rules: promotion_state.Rules | None = None) -> Found:
    """Visit all states of the model of promotion within the bounds, or stop at the first wrong one."""
    return visit(name, Promotion(bounds, rules), canonical_promotion)


def explore_reverse(name: str, bounds: reverse_state.Bounds, rules: reverse_state.Rules | None = None) -> Found:
    """Visit all states of the model of the reverse mirror within the bounds, or stop at the first wrong one."""
    return visit(name, ReverseMirror(bounds, rules), canonical_reverse)


def submitted(pool: Executor, small: bool) -> Iterator[tuple[str, list[Future[Found]]]]:
    """Yield the name of each model, and its explorations, which the pool runs."""
    mirrored = SMALL if small else LARGE
    yield "mirror", [pool.submit(explore, *run) for run in mirrored.items()]
    promotions = SMALL_PROMOTIONS if small else LARGE_PROMOTIONS
    yield "promotion", [pool.submit(explore_promotion, *run) for run in promotions.items()]
    reverses = SMALL_REVERSE if small else LARGE_REVERSE
    yield "reverse mirror", [pool.submit(explore_reverse, *run) for run in reverses.items()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model.explore")
    parser.add_argument("--small", action="store_true", help="the bounds of the test suite")
    options = parser.parse_args()
    totals, wrong = [], False
    with ProcessPoolExecutor(2, max_tasks_per_child=1) as pool:  # a process gives its memory back
        files = pool.submit(journal.explore, *(FILES_SMALL if options.small else FILES))
        for model, runs in list(submitted(pool, options.small)):
            print(f"{f'{model}: bounds':46}{HEAD}", flush=True)
            total = 0
            for run in runs:
                result = run.result()
                print(line(result), flush=True)
                for step in result.trace:
                    print("   ", step)
                total += result.states
                wrong = wrong or bool(result.wrong)
            totals.append(f"{total:,} states of the {model}")
        print(journal.line(files.result()), flush=True)
        given_up = flipped.explore(flipped.initial(writes=2 if options.small else 3))
        said = " -> ".join(given_up.trace) or "holds"
        print(f"given up, or killed, while flipped: {given_up.states:,} states: {said}", flush=True)
        wrong = wrong or bool(given_up.trace)
        wrong = wrong or bool(files.result().wrong)
    print(f"{', '.join(totals)}: every one of these bounds")
    for name in PROPERTIES:
        print(f"{'BROKEN: see above' if wrong else 'held'}: {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
