"""Traversals and path searches over a small graph: a → b → c → d → a, a → c (5), b → d (3)."""

from __future__ import annotations

import pytest

from proxy.aql import Fetch
from proxy.base.errors import ArangoError
from tests.unit.aql.store import Store


def edge(key: str, start: str, end: str, weight: object = 1) -> dict[str, object]:
    return {"_key": key, "_from": f"v/{start}", "_to": f"v/{end}", "w": weight, "kind": "x"}


@pytest.fixture
def store() -> Store:
    return Store(
        v=[{"_key": key, "n": key} for key in "abcdz"],
        e=[edge("1", "a", "b"), edge("2", "b", "c"), edge("3", "a", "c", 5), edge("4", "c", "d"), edge("5", "d", "a"),
           edge("6", "b", "d", 3)],
        f=[edge("7", "d", "z"), edge("8", "z", "gone"), edge("9", "z", "z")],
        _graphs=[{"_key": "g", "edgeDefinitions": [{"collection": "e", "from": ["v"], "to": ["v"]}]}],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("FOR v IN OUTBOUND 'v/a' e RETURN v.n", ["b", "c"]),
        ("FOR v IN INBOUND 'v/a' e RETURN v.n", ["d"]),
        ("FOR v IN ANY 'v/a' e SORT v.n RETURN v.n", ["b", "c", "d"]),
        ("FOR v, x, p IN 1..2 OUTBOUND 'v/a' e RETURN CONCAT(p.vertices[*].n)", ["ab", "abc", "abd", "ac", "acd"]),
        ("FOR v, x, p IN 2 OUTBOUND 'v/a' e RETURN p.edges[*]._key", [["1", "2"], ["1", "6"], ["3", "4"]]),
        ("FOR v, x IN 0..0 OUTBOUND 'v/a' e RETURN [v.n, x]", [["a", None]]),
        ("FOR v IN 1..9 OUTBOUND 'v/a' e OPTIONS {order: 'bfs', uniqueVertices: 'global'} RETURN v.n", ["b", "c", "d"]),
        ("FOR v, x, p IN 1..9 OUTBOUND 'v/a' e OPTIONS {uniqueVertices: 'path'} RETURN CONCAT(p.vertices[*].n)",
         ["ab", "abc", "abcd", "abd", "ac", "acd"]),
        ("FOR v, x, p IN 0..4 OUTBOUND 'v/a' e PRUNE c = v.n == 'c' OPTIONS {uniqueVertices: 'path'} RETURN [v.n, c]",
         [["a", False], ["b", False], ["c", True], ["d", False], ["c", True]]),
        ("FOR v IN 1..2 OUTBOUND 'v/d' e, f SORT v.n RETURN v.n", [None, "a", "b", "c", "z", "z"]),
        ("FOR v IN 1 ANY 'v/z' f SORT v.n RETURN v.n", [None, "d", "z"]),
        ("FOR v IN OUTBOUND 'v/c' e, INBOUND f RETURN v.n", ["d"]),
        ("FOR d IN v FILTER d.n == 'b' FOR w IN OUTBOUND d e SORT w.n RETURN w.n", ["c", "d"]),
        ("FOR v IN OUTBOUND 'v/a' GRAPH 'g' RETURN v.n", ["b", "c"]),
        ("FOR v, x IN 1..3 OUTBOUND 'v/a' e OPTIONS {order: 'weighted', weightAttribute: 'w', uniqueVertices: 'global'}"
         " RETURN v.n", ["b", "c", "d"]),
        ("FOR v, x, p IN 1 OUTBOUND 'v/a' e OPTIONS {order: 'weighted', weightAttribute: 'w'} RETURN p.weights",
         [[0, 1], [0, 5]]),
        ("FOR v IN 1..2 OUTBOUND 'v/a' e OPTIONS {edgeCollections: 'f'} RETURN v", []),
        ("FOR v IN 1..2 OUTBOUND 'v/a' e OPTIONS {vertexCollections: ['w']} RETURN v", []),
        ("FOR v IN OUTBOUND 5 e RETURN v", []),
        ("FOR v IN OUTBOUND {_id: 'nowhere/1'} e RETURN v", []),
        ("RETURN (FOR v IN OUTBOUND 'v/a' e LIMIT 1 RETURN v.n)", [["b"]]),
        ("FOR v, x IN OUTBOUND SHORTEST_PATH 'v/a' TO 'v/d' e RETURN [v.n, x._key]",
         [["a", None], ["b", "1"], ["d", "6"]]),
        ("FOR v IN OUTBOUND SHORTEST_PATH 'v/a' TO 'v/d' e OPTIONS {weightAttribute: 'w'} RETURN v.n",
         ["a", "b", "c", "d"]),
        ("FOR v IN OUTBOUND SHORTEST_PATH 'v/a' TO 'v/z' e RETURN v.n", []),
        ("FOR v IN ANY SHORTEST_PATH 'v/a' TO 'v/a' e RETURN v.n", ["a"]),
        ("FOR p IN OUTBOUND K_SHORTEST_PATHS 'v/a' TO 'v/d' GRAPH 'g' OPTIONS {weightAttribute: 'w', defaultWeight: 2} "
         "RETURN [CONCAT(p.vertices[*].n), p.weight]", [["abcd", 3], ["abd", 4], ["acd", 6]]),
        ("FOR p IN OUTBOUND K_SHORTEST_PATHS 'v/a' TO 'v/z' e RETURN p", []),
        ("FOR p IN OUTBOUND ALL_SHORTEST_PATHS 'v/a' TO 'v/d' e SORT p.vertices[1].n RETURN CONCAT(p.vertices[*].n)",
         ["abd", "acd"]),
        ("FOR p IN OUTBOUND ALL_SHORTEST_PATHS 'v/a' TO 'v/a' e RETURN LENGTH(p.edges)", [0]),
        ("FOR p IN OUTBOUND ALL_SHORTEST_PATHS 'v/a' TO 'v/z' e RETURN p", []),
        ("FOR p IN 2..3 OUTBOUND K_PATHS 'v/a' TO 'v/d' e SORT LENGTH(p.edges), p.vertices[1].n "
         "RETURN CONCAT(p.vertices[*].n)", ["abd", "acd", "abcd"]),
        ("FOR v IN OUTBOUND SHORTEST_PATH 5 TO 'v/d' e RETURN v", []),
    ],
)  # fmt: skip
def test_graph_queries(store: Store, text: str, rows: list[object]) -> None:
    assert store.rows(text) == rows


def test_edges_are_asked_for_by_the_vertex_at_their_end(store: Store) -> None:
    store.query("FOR v IN OUTBOUND 'v/a' @@e LIMIT 1 RETURN 1", {"@e": "e"})
    assert Fetch("e", ((("_from",), "v/a"),)) in store.fetches


def test_a_bad_start_gives_a_warning(store: Store) -> None:
    assert [w.code for w in store.query("FOR v IN OUTBOUND 'x' e RETURN v").warnings] == [10]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("FOR v IN 2..1 OUTBOUND 'v/a' e RETURN v", 1501),
        ("FOR v IN OUTBOUND 'v/a' e OPTIONS {uniqueVertices: 'global'} RETURN v", 10),
        ("FOR v IN OUTBOUND 'v/a' e OPTIONS {order: 'odd'} RETURN v", 10),
        ("LET o = true FOR v IN OUTBOUND 'v/a' e OPTIONS {bfs: o} RETURN v", 1501),
        ("FOR v IN OUTBOUND 'v/a' nosuch RETURN v", 1203),
        ("FOR v IN OUTBOUND SHORTEST_PATH 'v/n' TO 'v/m' neg OPTIONS {weightAttribute: 'w'} RETURN v", 1948),
    ],
)
def test_what_is_refused(store: Store, text: str, number: int) -> None:
    store.collections["neg"] = {"1": {**edge("1", "n", "m", -1), "_id": "neg/1"}}
    with pytest.raises(ArangoError) as caught:
        store.query(text)
    assert caught.value.number == number


def test_weights_that_are_no_numbers_count_the_default(store: Store) -> None:
    store.collections["e"]["2"]["w"] = "heavy"
    rows = store.rows(
        "FOR p IN OUTBOUND K_SHORTEST_PATHS 'v/a' TO 'v/c' e "
        "OPTIONS {weightAttribute: 'w', defaultWeight: 9} RETURN p.weight"
    )
    assert rows == [5, 10]
