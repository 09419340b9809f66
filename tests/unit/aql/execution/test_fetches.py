"""The requests of the evaluator to its store: counts, batches, and how much it holds."""

from __future__ import annotations

import pytest

from proxy.aql import Fetch, QueryOptions, parse, run
from proxy.base.errors import ArangoError
from tests.unit.aql.store import Store


def tree(depth: int, width: int) -> Store:
    """A tree: each vertex has `width` children; vertices are in `v`, edges in `e`."""
    vertices, edges, level = [{"_key": "0"}], [], ["0"]
    for _ in range(depth):
        following = [f"{key}-{n}" for key in level for n in range(width)]
        vertices += [{"_key": key} for key in following]
        edges += [{"_key": key, "_from": f"v/{key.rpartition('-')[0]}", "_to": f"v/{key}"} for key in following]
        level = following
    return Store(v=vertices, e=edges)


def test_a_collection_is_counted_and_not_read() -> None:
    store = Store(docs=[{}, {}, {}])

    assert store.rows("RETURN [LENGTH(docs), COUNT(docs), COLLECTION_COUNT('docs')]") == [[3, 3, 3]]
    assert store.fetches == [Fetch("docs", count=True)] * 3


def test_the_one_shard_of_a_collection_is_called_like_it() -> None:
    store = Store(docs=[{}])
    rows = store.rows("FOR d IN docs LIMIT 1 RETURN [SHARD_ID('docs', d), (RETURN SHARD_ID('docs', {}))]")
    assert rows == [["docs", ["docs"]]]


def test_a_store_may_answer_a_count_with_documents() -> None:
    runner = run(parse("RETURN LENGTH(docs)"), {}, QueryOptions())
    assert next(runner) == Fetch("docs", count=True)
    with pytest.raises(StopIteration) as stop:
        runner.send([{"_key": "1"}, {"_key": "2"}])
    assert stop.value.value.rows == [2]


@pytest.mark.parametrize("order", ["dfs", "bfs", "weighted"])
def test_a_traversal_asks_for_vertices_and_edges_in_batches(order: str) -> None:
    store = tree(depth=3, width=5)
    text = f"FOR v IN 1..3 OUTBOUND 'v/0' e OPTIONS {{order: '{order}'}} RETURN v._key"

    rows = store.rows(text)

    assert len(rows) == 5 + 25 + 125
    assert len(set(rows)) == len(rows)
    # start and its edges; then vertices and edges of all children together, for each of the 31 inner vertices
    assert len(store.fetches) <= 2 + 31 * 2


def test_a_traversal_over_a_vertex_that_is_not_there_gives_null() -> None:
    store = Store(v=[{"_key": "a"}], e=[{"_from": "v/a", "_to": "v/gone"}, {"_from": "v/a", "_to": "none/x"}])
    assert store.rows("FOR v IN 1..1 OUTBOUND 'v/a' e RETURN v") == [None, None]


def test_an_array_test_may_contain_a_subquery() -> None:
    store = Store(tags=[{"_key": "a"}, {"_key": "b"}])
    test = "d.tags[? {} FILTER LENGTH(FOR t IN tags FILTER t._key == CURRENT RETURN 1) > 0]"
    cases = {"ANY": True, "ALL": False, "2": True, "1..3": True, "NONE": False, "AT LEAST (3)": False}
    for quantifier, wanted in cases.items():
        text = f"LET d = {{tags: ['a', 'x', 'b']}} RETURN {test.format(quantifier)}"
        assert store.rows(text) == [wanted], quantifier
    assert store.rows(f"LET d = {{tags: 1}} RETURN {test.format('ANY')}") == [False]


# ---- order of keys


KEYS = [{"_key": key} for key in ("b", "A", "a", "B", "_x", "-1", "10", "9")]
BYTES = ["-1", "10", "9", "A", "B", "_x", "a", "b"]
ICU = ["_x", "-1", "10", "9", "A", "a", "B", "b"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FOR d IN c SORT d._key RETURN d._key", BYTES),
        ("FOR d IN c SORT d._key DESC RETURN d._key", BYTES[::-1]),
        ("LET x = 1 FOR d IN c FILTER d.a == null LET y = d SORT d._key LIMIT 2, 2 RETURN y._key", BYTES[2:4]),
        ("RETURN (FOR d IN c FILTER d._key > '' SORT d._key RETURN d._key)", [BYTES]),
        ("FOR d IN c FILTER d._key > 'B' SORT d._key LIMIT 2 RETURN d._key", BYTES[5:7]),
        ("FOR d IN c FILTER 'a' >= d._key AND d._key > 'A' SORT d._key DESC RETURN d._key", ["a", "_x", "B"]),
        ("FOR d IN c FILTER d._key > 5 SORT d._key RETURN d._key", BYTES),
        ("FOR d IN c FILTER d._key > 'B' SORT d.a, d._key RETURN d._key", ["b"]),
        ("FOR d IN c SORT d._key, d.a RETURN d._key", ICU),
        ("FOR d IN c SORT d._id RETURN d._key", ICU),
        ("FOR d IN c FILTER d._key IN ['b', 'B', 'a'] SORT d._key RETURN d._key", ["a", "B", "b"]),
        ("FOR x IN 1..1 FOR d IN c SORT d._key RETURN d._key", ICU),
        ("FOR d IN c COLLECT k = d._key SORT k RETURN k", ICU),
        ("FOR d IN (FOR e IN c RETURN e) SORT d._key RETURN d._key", ICU),
    ],
)
def test_keys_are_in_byte_order_if_the_primary_index_sorts_them(text: str, wanted: list[str]) -> None:
    assert Store(c=KEYS).rows(text) == wanted


# ---- limits


def test_the_memory_limit_is_in_bytes_of_documents_and_rows() -> None:
    store = Store(docs=[{"text": "x" * 1000} for _ in range(500)])

    assert len(store.query("FOR d IN docs RETURN d.text", memory_limit=2_000_000).rows) == 500
    with pytest.raises(ArangoError) as over:
        store.query("FOR d IN docs RETURN d.text", memory_limit=200_000)
    assert over.value.number == 32


@pytest.mark.parametrize(
    "text",
    [
        "FOR a IN 1..100000 FOR b IN 1..100000 FILTER a + b == -1 RETURN a",
        "FOR a IN 1..3000 FOR b IN 1..3000 SORT a * b RETURN a",
        "FOR a IN 1..3000 FOR b IN 1..3000 COLLECT c = a * b RETURN c",
    ],
)
def test_the_run_time_is_bounded(text: str) -> None:
    with pytest.raises(ArangoError) as over:
        Store().query(text, max_runtime=0.05)
    assert over.value.number == 1500
