"""LIMIT without SORT: any rows of the right number are valid, and no others."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.model.operations import Operation
from proxy.shadow.diff.documents import Difference, Kind, NotComparable, TargetRows, compare_rows
from proxy.shadow.unordered_limit import MOST, choice
from proxy.wire.endpoints import named


def query(text: str, **binds: Any) -> Operation:
    body = orjson.dumps({"query": text, "bindVars": {name.replace("__", "@"): value for name, value in binds.items()}})
    return Operation(named("cursor.create"), "POST", "db", body=body)


def doc(key: str, n: int = 1, rev: str = "_l6zhVTW--A") -> dict[str, Any]:
    return {"_key": key, "_id": f"c/{key}", "_rev": rev, "n": n}


@pytest.mark.parametrize(
    ("text", "binds", "offset", "count", "widened"),
    [
        ("FOR d IN c LIMIT 5 RETURN d", {}, 0, 5, f"FOR d IN c LIMIT {MOST + 1} RETURN d"),
        ("FOR d IN c FILTER d.x LIMIT 2, 5 LET y = d.y RETURN y", {}, 2, 5, None),
        ("FOR d IN c LIMIT 3, 5 LIMIT 1, 9 RETURN d", {}, 4, 4, f"FOR d IN c LIMIT {MOST + 1} RETURN d"),
        ("FOR d IN c LIMIT 2 LIMIT 5, 1 RETURN d", {}, 5, 0, None),
        ("FOR d IN c LIMIT 5 SORT d.x RETURN d", {}, 0, 5, f"FOR d IN c LIMIT {MOST + 1} SORT d.x RETURN d"),
        ("FOR d IN @@c LIMIT @skip, @n RETURN d.@n2", {"__c": "c", "skip": 1, "n": 3, "n2": "x"}, 1, 3, None),
    ],
)
def test_the_limit_is_widened(text: str, binds: dict[str, Any], offset: int, count: int, widened: str | None) -> None:
    found = choice(query(text, **binds))
    assert found is not None
    assert (found.offset, found.count) == (offset, count)
    body = orjson.loads(found.operation.body)
    assert f"LIMIT {MOST + 1} " in body["query"]
    assert widened is None or body["query"] == widened
    assert set(body["bindVars"]) == {name.replace("__", "@") for name in binds} - {"skip", "n"}


@pytest.mark.parametrize(
    "text",
    [
        "FOR d IN c RETURN d",
        "FOR d IN c LIMIT 5 FILTER d.x RETURN d",
        "FOR d IN c LIMIT 5 FOR e IN d.list RETURN e",
        "FOR d IN c LIMIT 5 RETURN DISTINCT d.x",
        "FOR d IN c LIMIT 5 SORT d.x LIMIT 2 RETURN d",
        "LET first = (FOR d IN c LIMIT 1 RETURN d) RETURN first",
        "FOR d IN c LIMIT @missing RETURN d",
        "FOR d IN c LIMIT 1.5 RETURN d",
    ],
)
def test_where_something_is_made_of_the_choice_nothing_is_widened(text: str) -> None:
    assert choice(query(text)) is None


def test_the_full_count_of_several_limits_is_not_that_of_one() -> None:
    body = {"query": "FOR d IN c LIMIT 5 LIMIT 1 RETURN d", "options": {"fullCount": True}}
    asked = Operation(named("cursor.create"), "POST", "db", body=orjson.dumps(body))
    assert choice(asked) is None


def test_rows_are_looked_for_among_all_that_would_do() -> None:
    found = choice(query("FOR d IN c LIMIT 1, 2 RETURN d"))
    assert found is not None
    rows = found.rows(TargetRows([doc("a"), doc("b"), doc("c"), doc("d")], None))

    assert compare_rows([doc("d"), doc("b")], rows) is None
    assert compare_rows([doc("d"), doc("d")], rows) is not None
    assert compare_rows([doc("d"), doc("x")], rows) == Difference(Kind.MISSING, (), ("x",))
    assert compare_rows([doc("d"), doc("b", n=2)], rows) == Difference(
        Kind.VALUE, ("[].n",), ("b",), same_revision=True
    )
    assert compare_rows([doc("d")], rows) == Difference(Kind.EXTRA, ("count",))
    assert compare_rows([doc("a"), doc("b"), doc("c")], rows) == Difference(Kind.MISSING, ("count",))
    assert compare_rows([1, 9], found.rows(TargetRows([1, 2, 3], None))) == Difference(Kind.MISSING)


def test_behind_the_last_row_there_is_none() -> None:
    found = choice(query("FOR d IN c LIMIT 5, 2 RETURN d"))
    assert found is not None
    assert compare_rows([], found.rows(TargetRows([1, 2], None))) is None


def test_too_many_candidates_are_not_compared() -> None:
    found = choice(query("FOR d IN c LIMIT 2 RETURN d"))
    assert found is not None
    with pytest.raises(NotComparable, match="not deterministic"):
        found.rows(TargetRows(list(range(MOST + 1)), None))
