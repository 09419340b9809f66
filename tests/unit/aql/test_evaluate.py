"""Statements: the rows of a query, their order, and the requests to the store."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.aql import Fetch, parse, run
from proxy.aql.evaluate import sorts_inside
from proxy.base.errors import ArangoError, Unsupported
from tests.unit.aql.store import Store, value_of

PEOPLE: list[dict[str, Any]] = [
    {"name": "Ann", "age": 30, "city": {"zip": "1"}, "tags": ["a", "b"]},
    {"name": "Bob", "age": 25, "city": {"zip": "2"}, "tags": []},
    {"name": "Cid", "age": 30, "city": {"zip": "1"}},
    {"name": "Dee", "city": None, "tags": ["b"]},
]


@pytest.fixture
def store() -> Store:
    return Store(people=PEOPLE, orders=[{"who": "1", "sum": 10}, {"who": "1", "sum": 5}, {"who": "2", "sum": 7}])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("FOR p IN people SORT p.name RETURN p.name", ["Ann", "Bob", "Cid", "Dee"]),
        ("FOR p IN people FILTER p.age == 30 FILTER p.tags SORT p.name RETURN p.name", ["Ann"]),
        ("FOR p IN people SORT p.age, p.name DESC RETURN p.name", ["Dee", "Bob", "Cid", "Ann"]),
        ("FOR p IN people SORT p.age DESC, p.name LIMIT 1, 2 RETURN p.name", ["Cid", "Bob"]),
        ("FOR p IN people SORT p.name LIMIT 2 FILTER p.age < 30 RETURN p.name", ["Bob"]),
        ("FOR p IN people SORT p.name LIMIT 2, null RETURN p.name", ["Cid", "Dee"]),
        ("FOR p IN people SORT p.name SORT p.age, p.name LIMIT 1 RETURN p.name", ["Dee"]),
        ("FOR p IN people COLLECT a = p.age RETURN a", [None, 25, 30]),
        ("FOR p IN people SORT p._key RETURN DISTINCT p.city", [{"zip": "1"}, {"zip": "2"}, None]),
        (
            "FOR p IN people FOR o IN orders FILTER o.who == p._key SORT o.sum RETURN [p.name, o.sum]",
            [["Ann", 5], ["Bob", 7], ["Ann", 10]],
        ),
        (
            "FOR p IN people LET n = (FOR o IN orders FILTER o.who == p._key SORT o.sum RETURN o.sum) "
            "FILTER LENGTH(n) SORT p.name RETURN {[p.name]: n}",
            [{"Ann": [5, 10]}, {"Bob": [7]}],
        ),
        ("LET x = FIRST(FOR p IN people FILTER p.name == 'Cid' RETURN p) RETURN x.city.zip", ["1"]),
        ("RETURN (FOR p IN people FILTER p.name == 'none' RETURN p)[0]", [None]),
        ("RETURN LENGTH(people)", [4]),
        ("RETURN COUNT(FOR p IN people FILTER p.age RETURN 1)", [3]),
        ("RETURN DOCUMENT('people/2').name", ["Bob"]),
        ("RETURN DOCUMENT(people, ['1', '9', 'people/3'])[*].name", [["Ann", "Cid"]]),
        (
            "RETURN [DOCUMENT('people/9'), DOCUMENT('x'), DOCUMENT(1), DOCUMENT('people', {_id: 'orders/1'})]",
            [[None] * 4],
        ),
        ("FOR i IN 3..1 RETURN i", [3, 2, 1]),
        ("FOR i IN 1..1000000000 LIMIT 2 RETURN i", [1, 2]),
        ("LET {name, city: {zip}} = DOCUMENT('people/1') RETURN [name, zip]", [["Ann", "1"]]),
        ("FOR [k, v] IN ENTRIES({a: 1}) LET [, x] = [1, 2] RETURN {k, v, x}", [{"k": "a", "v": 1, "x": 2}]),
        ("LET [a, b] = [1] LET {c} = null RETURN [a, b, c]", [[1, None, None]]),
        ("LET {, a, , b,} = {a: 1, b: 2} FOR {, c} IN [{c: 3}] RETURN [a, b, c]", [[1, 2, 3]]),
        ("FOR p IN people FILTER IS_SAME_COLLECTION(people, p) COLLECT WITH COUNT INTO n RETURN n", [4]),
        (
            "FOR p IN people FILTER p.age == 30 ? DOCUMENT('people/1').age == 30 : false SORT p.name RETURN p.name",
            ["Ann", "Cid"],
        ),
        ("FOR p IN people FILTER p.name != 'x' AND DOCUMENT(p._id).age == 25 RETURN p.name", ["Bob"]),
        ("FOR p IN people FILTER DOCUMENT('people/9') || p.age == 25 RETURN p.name", ["Bob"]),
        (
            "RETURN ['people/1', 'people/2'][* FILTER DOCUMENT(CURRENT).age == 30 RETURN DOCUMENT(CURRENT).name]",
            [["Ann"]],
        ),
        ("FOR p IN people SORT DOCUMENT(p._id).name DESC LIMIT 1 RETURN p.name", ["Dee"]),
        ("RETURN DOCUMENT('people/9') ?: 'none'", ["none"]),
        ("FOR p IN people SORT null COLLECT WITH COUNT INTO n RETURN n", [4]),
        ("FOR p IN people LIMIT 0 RETURN p", []),
    ],
)
def test_rows(store: Store, text: str, rows: list[object]) -> None:
    assert store.rows(text) == rows


@pytest.mark.parametrize(
    ("text", "fetch"),
    [
        ("FOR p IN people FILTER p.age == 30 AND p.city.zip == 'a' RETURN p",
         Fetch("people", ((("age",), 30), (("city", "zip"), "a")))),
        ("FOR p IN people LET x = p.a FILTER 'Ann' == p.name RETURN p", Fetch("people", ((("name",), "Ann"),))),
        ("FOR p IN people FILTER p._key == '1' RETURN p", Fetch("people", (), ("1",))),
        ("FOR p IN people FILTER p._key IN ['1', 2, '3'] FILTER p._id == 'people/3' RETURN p",
         Fetch("people", (), ("3",))),
        ("FOR p IN people FILTER p._id IN ['people/1', 'orders/2'] RETURN p", Fetch("people", (), ("1",))),
        ("FOR p IN people FILTER p._key == 1 RETURN p", Fetch("people", (), ())),
        ("FOR p IN people FILTER p._rev == 'x' RETURN p", Fetch("people")),
        ("FOR p IN people FILTER p.age == null RETURN p", Fetch("people")),
        ("FOR p IN people FILTER p.tags == ['a'] RETURN p", Fetch("people")),
        ("FOR p IN people FILTER p.age == 30 OR p.age == 25 RETURN p", Fetch("people")),
        ("FOR p IN people FILTER p._key == '1' OR '3' == p._key OR p._key IN ['1', '2'] RETURN p",
         Fetch("people", (), ("1", "3", "2"))),
        ("FOR p IN people FILTER (p._id == 'people/1' OR p._id == 'x/2') AND p.age == 30 RETURN p",
         Fetch("people", ((("age",), 30),), ("1",))),
        ("FOR p IN people FILTER p._key == '1' OR p._id == 'people/2' RETURN p", Fetch("people")),
        ("FOR p IN people FILTER p._key == '1' OR p.age == 30 RETURN p", Fetch("people")),
        ("FOR p IN people FILTER p._key == '1' OR (p._key == '2' AND p.age == 30) RETURN p", Fetch("people")),
        ("FOR p IN people FILTER p.age == p.other RETURN p", Fetch("people")),
        ("FOR p IN people FILTER p.age == RAND() RETURN p", Fetch("people")),
        ("FOR p IN people FILTER p.age == (FOR x IN [1] RETURN x)[0] RETURN p", Fetch("people")),
        ("FOR p IN people LIMIT 1 FILTER p.age == 30 RETURN p", Fetch("people")),
        ("FOR p IN people FILTER NOT p.age == 30 RETURN p", Fetch("people")),
        ("FOR p IN people FILTER p.name == CONCAT('A', 'nn') RETURN p", Fetch("people", ((("name",), "Ann"),))),
    ],
)  # fmt: skip
def test_what_narrows_a_fetch(store: Store, text: str, fetch: Fetch) -> None:
    store.query(text)
    assert store.fetches[0] == fetch


def test_an_inner_loop_is_narrowed_by_the_outer_row_and_equal_fetches_are_made_once(store: Store) -> None:
    store.query("FOR p IN people FOR o IN orders FILTER o.who == p._key FOR q IN people FILTER q._key == '1' RETURN 1")
    assert [f.equalities for f in store.fetches if f.collection == "orders"] == [
        ((("who",), str(n)),) for n in range(1, 5)
    ]
    assert [f.keys for f in store.fetches if f.collection == "people"] == [None, ("1",)]


def test_bind_variables_are_allowed_everywhere(store: Store) -> None:
    rows = store.rows(
        "FOR p IN @@c FILTER p.@path == @zip SORT p[@attribute] @way LIMIT @n - 1, @n "
        "RETURN {[@name]: p.name, @other: 1}",
        {"@c": "people", "path": ["city", "zip"], "zip": "1", "attribute": "name", "way": "desc", "n": 1,
         "name": "n", "other": "o"},
    )  # fmt: skip
    assert rows == [{"n": "Cid", "o": 1}]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("FOR x IN null RETURN x", 1563),
        ("FOR x IN nosuch RETURN x", 1203),
        ("RETURN people", 1568),
        ("LET n = 1 FOR p IN people LIMIT n RETURN p", 1501),
        ("FOR p IN people LIMIT -1 RETURN p", 1504),
        ("FOR p IN people LIMIT 'x' RETURN p", 1504),
        ("FOR p IN people SORT p.a 'up' RETURN p", 1501),
        ("RETURN 1..100000000", 32),
        ("RETURN RANGE(0, 1e308, 1e-10)", 32),
        ("RETURN RANGE(1e21, 1e21, 1)", 32),
        ("RETURN ASSERT(false, 'why')", 1593),
        ("RETURN FAIL('no')", 1569),
        ("RETURN CALL('nosuch')", 1540),
        ("FOR v IN OUTBOUND 'a/1' GRAPH 'nosuch' RETURN v", 1924),
    ],
)
def test_errors(text: str, number: int) -> None:
    store = Store(people=[], _graphs=[])
    with pytest.raises(ArangoError) as caught:
        store.query(text)
    assert caught.value.number == number


def test_a_bound_path_must_be_a_name_or_names() -> None:
    with pytest.raises(ArangoError, match="invalid value or type"):
        Store().query("LET d = {} RETURN d.@p", {"p": 1})


@pytest.mark.parametrize(
    "text",
    [
        "FOR d IN v SEARCH d.a == 1 RETURN d",
        "RETURN GEO_DISTANCE([0, 0], [1, 1])",
        "RETURN NS::MINE(1)",
        "RETURN COLLECTIONS()",
        "RETURN SLEEP(1)",
        "RETURN CALL('DOCUMENT', 'a/1')",
    ],
)
def test_what_is_unsupported_says_so_by_name(text: str) -> None:
    with pytest.raises(Unsupported) as caught:
        Store().query(text)
    assert caught.value.feature


def test_a_run_is_bounded_in_time_and_memory() -> None:
    with pytest.raises(ArangoError) as caught:
        Store().query("FOR a IN 1..100000 FOR b IN 1..100000 FILTER a < 0 RETURN 1", max_runtime=0.05)
    assert (caught.value.number, caught.value.status) == (1500, 410)
    with pytest.raises(ArangoError) as caught:
        Store().query("FOR a IN 1..100000 RETURN a", memory_limit=1_000_000)
    assert caught.value.number == 32


def test_warnings_are_collected_up_to_a_number_or_fail_the_query() -> None:
    assert [w.code for w in Store().query("FOR i IN 1..3 RETURN i / 0", max_warnings=2).warnings] == [1562, 1562]
    with pytest.raises(ArangoError) as caught:
        Store().query("RETURN 1 / 0", fail_on_warning=True)
    assert caught.value.number == 1562


def test_full_count_is_what_reached_the_last_limit(store: Store) -> None:
    result = store.query("FOR p IN people FILTER p.age SORT p.age LIMIT 1, 1 RETURN p.name", full_count=True)
    assert (len(result.rows), result.full_count) == (1, 3)
    assert store.query("FOR p IN people LIMIT 0 RETURN p", full_count=True).full_count == 4
    assert store.query("FOR p IN people RETURN p", full_count=True).full_count is None


def test_statistics_count_what_was_scanned_and_filtered(store: Store) -> None:
    result = store.query("FOR p IN people FILTER p.age > 25 RETURN p", full_count=True)
    assert (result.stats.scanned, result.stats.filtered) == (4, 2)
    body = result.stats.as_json(7, 0.5)
    assert (body["scannedFull"], body["filtered"], body["fullCount"], body["executionTime"]) == (4, 2, 7, 0.5)
    assert "fullCount" not in result.stats.as_json(None, 0.5)


def test_statistics_count_what_is_found_by_its_key_as_found_in_an_index(store: Store) -> None:
    text = "FOR p IN people FILTER p._key == '1' OR p._key == '2' UPDATE p WITH {seen: 1} IN people RETURN NEW"
    body = store.query(text).stats.as_json(None, 0.5)
    assert (body["writesExecuted"], body["scannedIndex"], body["scannedFull"], body["filtered"]) == (2, 2, 0, 0)


@pytest.mark.parametrize(
    ("text", "groups", "cut"),
    [
        ("FOR p IN people SORT p.age RETURN p.name", (1, 1, 2), None),
        ("FOR p IN people SORT p.age DESC LIMIT 1 RETURN p.name", (1,), (["Ann", "Cid"], ["Ann", "Cid"])),
        ("FOR p IN people SORT p.age DESC LIMIT 1, 1 RETURN p.name", (1,), (["Ann", "Cid"], ["Ann", "Cid"])),
        ("FOR p IN people SORT p.age DESC LIMIT 1, 2 RETURN p.name", (1, 1), (["Ann", "Cid"], None)),
        ("FOR p IN people SORT p.age LIMIT 3 LET n = p.name RETURN n", (1, 1, 1), (None, ["Ann", "Cid"])),
        ("FOR p IN people SORT p.age LIMIT 2 RETURN p.name", (1, 1), None),
        ("FOR p IN people SORT p.age LIMIT 3 RETURN DOCUMENT(p._id).name", (1, 1, 1), (None, ["Ann", "Cid"])),
        ("FOR p IN people SORT null LIMIT 1 RETURN p._key", (1,), (["1", "2", "3", "4"], ["1", "2", "3", "4"])),
        ("FOR p IN people COLLECT a = p.age WITH COUNT INTO n RETURN [a, n]", (1, 1, 1), None),
        ("FOR p IN people RETURN p.name", None, None),
        ("FOR p IN people SORT p.age RETURN DISTINCT p.age", None, None),
        ("FOR p IN people SORT p.age FOR x IN [1] RETURN p.age", None, None),
        ("FOR p IN people SORT p.age LIMIT 3 LIMIT 1 RETURN p.age", None, None),
        ("FOR p IN people SORT p.age LIMIT 9, 1 RETURN p.age", (), None),
    ],
)
def test_what_the_order_of_rows_is_worth(store: Store, text: str, groups: object, cut: object) -> None:
    result = store.query(text)
    assert (result.groups, result.cut) == (groups, cut)


def test_the_runner_is_a_plain_generator() -> None:
    runner = run(parse("FOR d IN c RETURN d.a"))
    assert next(runner) == Fetch("c")
    with pytest.raises(StopIteration) as stopped:
        runner.send([{"_key": "1", "a": 5}])
    assert stopped.value.value.rows == [5]


def test_functions_of_the_run() -> None:
    store = Store()
    assert store.query("RETURN [CURRENT_DATABASE(), CURRENT_USER()]", database="d", user="u").rows == [["d", "u"]]
    assert value_of("DATE_NOW() == DATE_NOW() AND DATE_NOW() > 1600000000000") is True
    assert store.query("FOR i IN 1..2 LET r = RAND() FILTER r >= 0 AND r < 1 RETURN 1").rows == [1, 1]


def test_values_nested_too_deeply_for_the_machine_give_an_error() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ArangoError) as caught:
        Store().query("RETURN @a == @b", {"a": deep, "b": [deep]})
    assert caught.value.number == 1524
    while deep:
        deep = deep.pop()  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("text", "order_undetermined"),
    [
        # two of three people are 30
        ("FOR p IN (FOR x IN people SORT x.age DESC LIMIT 1 RETURN x) RETURN p.name", True),
        ("FOR p IN (FOR x IN people SORT x.age DESC LIMIT 2 RETURN x) RETURN p.name", True),
        ("FOR p IN (FOR x IN people SORT x.age LIMIT 2 RETURN x) RETURN p.name", False),
        ("FOR p IN (FOR x IN people SORT x.age LIMIT 1, 2 RETURN x) RETURN p.name", True),
        ("FOR p IN (FOR x IN people SORT x.age DESC LIMIT 2, 2 RETURN x) RETURN p.name", False),
        ("FOR p IN (FOR x IN people SORT x.age DESC LIMIT 1, 2 RETURN x) RETURN p.name", True),
        ("FOR p IN (FOR x IN people SORT x.age DESC, x.name LIMIT 1 RETURN x) RETURN p.name", False),
        ("FOR p IN (FOR x IN people SORT x._key LIMIT 1 RETURN x) RETURN p.name", False),
        ("RETURN (FOR x IN people SORT x.age RETURN x.name)", True),
        ("RETURN (FOR x IN people SORT x.name RETURN x.name)", False),
        ("FOR x IN people SORT x.age DESC LIMIT 1 SORT x.name RETURN x.name", True),
        ("FOR x IN people SORT x.age DESC LIMIT 1 COLLECT n = x.name RETURN n", True),
        # the runs of the last SORT are compared as multisets
        ("FOR x IN people SORT x.age DESC LIMIT 1 RETURN x.name", False),
        ("FOR x IN people COLLECT a = x.age SORT a LIMIT 1 RETURN a", False),
    ],
)
def test_equal_sort_keys_inside_a_query_are_recorded_on_request(
    store: Store, text: str, order_undetermined: bool
) -> None:
    """I8: a difference that such keys leave open is not a mismatch."""
    found, unasked = store.query(text, ties=True), store.query(text)
    assert found.order_undetermined is order_undetermined
    assert (found.rows, unasked.order_undetermined) == (unasked.rows, False)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("FOR p IN people SORT p.age LIMIT 2 RETURN p", False),
        ("FOR p IN people FILTER p.sorted > 3 RETURN p.sorting", False),
        ("FOR p IN people SORT p._key LIMIT 2 FOR o IN orders RETURN o", False),
        ("FOR p IN people SORT p.age LIMIT 2 FOR o IN orders RETURN o", True),
        ("FOR p IN people LET o = (FOR o IN orders SORT o.sum RETURN o) RETURN o", True),
    ],
)
def test_only_a_sort_inside_is_worth_a_look_for_equal_keys(text: str, inside: bool) -> None:
    """Otherwise every difference of a sorted query would cost an evaluation."""
    assert sorts_inside(parse(text)) is inside
