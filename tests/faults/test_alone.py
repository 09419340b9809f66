"""Short forms of `make faults-alone`, and the judgement itself: it finds every kind of mistake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.faults.alone.judgement import Row, Stored, judge
from tests.faults.alone.memory import Claim, Memory, Place
from tests.faults.alone.races import run as race
from tests.faults.alone.run import run

A, B, GONE, LOST, LOST_TOO, REFUSED = (Place("noted", key) for key in ("a", "b", "gone", "lost", "lost too", "refused"))
SHARED: Final = Place("shared", "s0")
_SHORT: Final = ("proxy killed at a point", "connections ended", "PostgreSQL killed", "new timeline")
UNIQUE: Final = Place("unique", "u")


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_what_was_acknowledged_survives_disasters(tmp_path: Path) -> None:
    result = await run(tmp_path, 0.0, seed=3, names=_SHORT, rounds=1)
    assert result.wrong == [], result.text()
    assert sum(result.faults.values()) == len(_SHORT)
    assert result.memory.counted["insert"]
    assert result.memory.counted["transaction"]


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_of_equal_unique_values_through_two_proxies_one_is_inserted(tmp_path: Path) -> None:
    result = await race(tmp_path, clients=8, values=40)
    assert result.wrong == [], result.text()
    assert result.answers == {"202": 40, "409 1210": 280}


def remembered() -> Memory:
    """Return what clients may remember."""
    memory = Memory()
    memory.happened("insert", {A: "a1"})
    memory.saw(A, 1, "a1")
    memory.happened("change", {A: "a2"})
    memory.saw(A, 3, "a2")
    memory.happened("query", {B: "b1", GONE: "g1"})
    memory.happened("removal", {GONE: None})
    memory.lost("transaction", {LOST: "l1", LOST_TOO: "l2"}, whole=True)
    memory.refused("insert", [REFUSED])
    memory.shared[SHARED] += [(5, "s1"), (7, "s2")]
    memory.shared_open[SHARED].add("s3")
    memory.claims += [Claim("v", UNIQUE, True), Claim("v", Place("unique", "w"), False)]
    memory.collections |= {"made": True, "dropped": False, "either": None}
    return memory


def found() -> Stored:
    """Return what PostgreSQL may have then."""
    documents = {A: Row("a2", 3, 3), B: Row("b1", 4, 4), LOST: Row("l1", 6, 6), LOST_TOO: Row("l2", 7, 7)}
    documents |= {SHARED: Row("s2", 7, 7), UNIQUE: Row("None", 8, 8, "v")}
    names = {"noted", "shared", "unique", "made"}
    return Stored(
        documents,
        counts={"noted": (4, 4)},
        outbox=Counter({A: 2, B: 1, GONE: 2, LOST: 1, LOST_TOO: 1}),
        in_arangodb={"noted"},
        collections=names | {"either"},
        catalog=names | {"either"},
        entries={("unique", "v"): "u"},
    )


def test_what_agrees_with_the_answers_is_right() -> None:
    assert judge(remembered(), found()) == []
    without = found()
    for place in (LOST, LOST_TOO):
        del without.documents[place], without.outbox[place]
    without.documents[SHARED] = Row("s3", 9, 9)
    without.catalog.discard("either")
    without.collections.discard("either")
    assert judge(remembered(), without) == []


def _named(stored: Stored, name: str, *, exists: bool) -> None:
    for names in (stored.collections, stored.catalog):
        (names.add if exists else names.discard)(name)


MISTAKES: Final[dict[str, Callable[[Memory, Stored], object]]] = {
    "an acknowledged document is lost": lambda _, stored: stored.documents.pop(B),
    "an acknowledged change is lost": lambda _, stored: stored.documents.update({A: Row("a1", 3, 3)}),
    "a removed document is there": lambda _, stored: stored.documents.update({GONE: Row("g1", 4, 4)}),
    "a refused document is there": lambda _, stored: stored.documents.update({REFUSED: Row("r1", 4, 4)}),
    "nobody wrote a document": lambda _, stored: stored.documents.update({Place("noted", "x"): Row("x", 4, 4)}),
    "a half of a transaction": lambda _, stored: (stored.documents.pop(LOST), stored.outbox.pop(LOST)),
    "an attempt without an answer left another document": lambda _, stored: stored.documents.update(
        {LOST: Row("other", 6, 6), LOST_TOO: Row("other", 6, 6)}
    ),
    "an older revision than the one shown": lambda _, stored: stored.documents.update({A: Row("a2", 2, 2)}),
    "a revision that was given twice": lambda memory, _: memory.revisions[A].insert(1, (3, "a1")),
    "a revision that falls": lambda memory, _: memory.saw(A, 2, "a3"),
    "a row and its document of different revisions": lambda _, stored: stored.documents.update({B: Row("b1", 4, 5)}),
    "the newest shared version is lost": lambda _, stored: stored.documents.update({SHARED: Row("s1", 5, 5)}),
    "a shared version that no client wrote": lambda _, stored: stored.documents.update({SHARED: Row("s4", 9, 9)}),
    "a shared revision given twice": lambda memory, _: memory.shared[SHARED].append((5, "s4")),
    "a value of two documents": lambda _, stored: stored.documents.update(
        {Place("unique", "x"): replace(stored.documents[UNIQUE])}
    ),
    "a value that the index lacks": lambda _, stored: stored.entries.clear(),
    "a value that only the index has": lambda _, stored: stored.entries.update({("unique", "x"): "x"}),
    "a value that was refused, and that nothing has": lambda memory, _: memory.claims.append(
        Claim("x", Place("unique", "x"), False)
    ),
    "a claim that is lost": lambda memory, _: memory.claims.append(Claim("v", Place("unique", "x"), True)),
    "a collection without a table": lambda _, stored: stored.collections.discard("made"),
    "a table without a collection": lambda _, stored: stored.collections.add("stray"),
    "a collection is lost": lambda _, stored: _named(stored, "made", exists=False),
    "a dropped collection is there": lambda _, stored: _named(stored, "dropped", exists=True),
    "a table of no index": lambda _, stored: stored.strays.append("unique/7"),
    "a wrong count": lambda _, stored: stored.counts.update({"noted": (5, 4)}),
    "a change that is not in the outbox": lambda _, stored: stored.outbox.update({A: -1}),
    "a change that is in the outbox twice": lambda _, stored: stored.outbox.update({B: 1}),
    "a refused change in the outbox": lambda _, stored: stored.outbox.update({REFUSED: 1}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str) -> None:
    memory, stored = remembered(), found()
    MISTAKES[mistake](memory, stored)
    assert judge(memory, stored) != []
