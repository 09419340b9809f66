"""COLLECT and WINDOW."""

from __future__ import annotations

import pytest

from proxy.base.errors import ArangoError
from tests.unit.aql.store import Store


@pytest.fixture
def store() -> Store:
    return Store(
        docs=[
            {"g": "b", "v": 1, "w": None},
            {"g": "a", "v": 2},
            {"g": "b", "v": 3.5},
            {"g": None, "v": "x"},
            {"v": None},
            {"g": 1, "v": 2},
            {"g": 1.0, "v": 4},
        ],
        empty=[],
    )


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("COLLECT g = d.g WITH COUNT INTO n RETURN [g, n]", [[None, 2], [1, 2], ["a", 1], ["b", 2]]),
        ("COLLECT g = d.g AGGREGATE s = SUM(d.v), m = MIN(d.v) RETURN [g, s, m]",
         [[None, None, "x"], [1, 6, 2], ["a", 2, 2], ["b", 4.5, 1]]),
        ("COLLECT g = d.g INTO x = d.v RETURN [g, x]",
         [[None, ["x", None]], [1, [2, 4]], ["a", [2]], ["b", [1, 3.5]]]),
        ("LET k = d.v COLLECT g = d.g INTO x FILTER g == 'a' RETURN x[*].k", [[2]]),
        ("LET k = d.v COLLECT g = d.g INTO x KEEP k FILTER g == 'a' RETURN x", [[{"k": 2}]]),
        ("COLLECT g = d.g INTO x FILTER g == 'a' RETURN x[*].d.v", [[2]]),
        ("COLLECT WITH COUNT INTO n RETURN n", [7]),
        ("COLLECT AGGREGATE n = COUNT(), u = UNIQUE(d.g), a = AVG(d.w) RETURN [n, LENGTH(u), a]", [[7, 4, None]]),
        ("COLLECT a = d.g, b = d.v > 2 WITH COUNT INTO n SORT n DESC, a, b LIMIT 1 RETURN [a, b, n]",
         [[None, False, 1]]),
        ("COLLECT g = d.g COLLECT s = IS_STRING(g) WITH COUNT INTO n RETURN [s, n]", [[False, 2], [True, 2]]),
        ("COLLECT g = LENGTH(FOR e IN docs FILTER e.g == d.g RETURN 1) WITH COUNT INTO n RETURN [g, n]",
         [[1, 1], [2, 6]]),
    ],
)  # fmt: skip
def test_groups(store: Store, text: str, rows: list[object]) -> None:
    assert store.rows(f"FOR d IN docs {text}") == rows


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("COUNT(d.v)", 4), ("LENGTH(null)", 4), ("SUM(d.v)", 6), ("AVERAGE(d.v)", 3), ("MIN(d.v)", 2), ("MAX(d.v)", 4),
        ("STDDEV(d.v)", 1), ("STDDEV_SAMPLE(d.v)", 2**0.5), ("VARIANCE(d.v)", 1), ("VARIANCE_SAMPLE(d.v)", 2),
        ("UNIQUE(d.s)", ["b", "a"]), ("SORTED_UNIQUE(d.s)", ["a", "b"]), ("COUNT_DISTINCT(d.s)", 2),
        ("BIT_AND(d.v)", 0), ("BIT_OR(d.v)", 6), ("BIT_XOR(d.v)", 6), ("PUSH(d.v)", [2, None, 4, None]),
        ("SUM(d.s)", None), ("AVG(d.s)", None), ("BIT_OR(d.s)", None), ("VARIANCE(d.gone)", None), ("SUM(d.gone)", 0),
        ("MAX(d.gone)", None), ("STDDEV_SAMPLE(d.s)", None),
    ],
)  # fmt: skip
def test_aggregate_functions_skip_nulls(call: str, value: object) -> None:
    rows: list[dict[str, object]] = [{"v": 2, "s": "b"}, {"v": None, "s": "a"}, {"v": 4, "s": "b"}, {"s": "a"}]
    assert Store(d=rows).rows(f"FOR d IN d COLLECT AGGREGATE x = {call} RETURN x") == [value]


def test_without_keys_there_is_one_row_even_without_input(store: Store) -> None:
    text = "LET k = 5 FOR d IN empty COLLECT AGGREGATE n = COUNT(), s = SUM(d.v), m = MAX(d.v) RETURN [n, s, m, k]"
    assert store.rows(text) == [[0, None, None, 5]]
    assert store.rows("FOR d IN empty COLLECT g = d.g RETURN g") == []


def test_what_was_set_before_the_loop_survives_and_is_not_gathered(store: Store) -> None:
    assert store.rows(
        "LET k = 5 FOR d IN docs FILTER d.g == 'a' COLLECT g = d.g INTO x RETURN [k, ATTRIBUTES(x[0])]"
    ) == [[5, ["d"]]]
    assert store.rows("LET a = 1, b = 2 COLLECT c = a INTO x RETURN x") == [[{"a": 1, "b": 2}]]


def test_a_correlated_group_keeps_the_outer_row(store: Store) -> None:
    rows = store.rows(
        "FOR i IN ['a', 'z'] RETURN (FOR d IN docs FILTER d.g == i COLLECT WITH COUNT INTO n RETURN [i, n])[0]"
    )
    assert rows == [["a", 1], ["z", 0]]


@pytest.mark.parametrize(
    ("window", "sums"),
    [
        ("{preceding: 1, following: 1}", [3, 7, 14, 12]),
        ("{preceding: 'unbounded'}", [1, 3, 7, 15]),
        ("{following: 'unbounded', preceding: 0}", [15, 14, 12, 8]),
        ("{preceding: 1}", [1, 3, 6, 12]),
    ],
)
def test_windows_of_rows(window: str, sums: list[int]) -> None:
    rows = Store().rows(
        f"FOR v IN [1, 2, 4, 8] SORT v WINDOW {window} AGGREGATE s = SUM(v) RETURN s",
    )
    assert rows == sums


def test_windows_of_values_and_of_durations() -> None:
    store = Store(d=[{"t": 1, "v": 1}, {"t": 10, "v": 4}, {"t": 2, "v": 2}, {"t": "x", "v": 9}])
    text = "FOR d IN d WINDOW d.t WITH {preceding: 1} AGGREGATE s = SUM(d.v), n = COUNT() RETURN [d.t, s, n]"
    assert store.rows(text) == [[1, 1, 1], [2, 3, 2], [10, 4, 1], ["x", None, 0]]
    store = Store(d=[{"t": f"2024-01-0{day}T00:00:00Z", "v": day} for day in (1, 2, 4)])
    text = "FOR d IN d WINDOW d.t WITH {preceding: 'P1D', following: 'unbounded'} AGGREGATE s = SUM(d.v) RETURN s"
    assert store.rows(text) == [7, 7, 4]


@pytest.mark.parametrize(
    "window", ["{preceding: -1}", "{preceding: 'soon'}", "{following: 'PT1H'}", "{following: [1]}"]
)
def test_bounds_that_are_none(window: str) -> None:
    with pytest.raises(ArangoError, match="WINDOW bounds"):
        Store().query(f"FOR v IN [1] WINDOW {window} AGGREGATE s = SUM(v) RETURN s")
