"""Any text and any bind variables give a result or an ArangoDB error: no crash, no hang."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.aql import Fetch, QueryOptions, analyse, ast, parse, print_query, run
from proxy.aql.compile import CompiledTable, CompiledTables, compile_query
from proxy.base.errors import ArangoError

SEEDS = [
    "FOR d IN docs FILTER d.a == @x AND d.b IN [1, 'a', null] SORT d.a DESC, d.b LIMIT 1, 5 RETURN "
    "MERGE(d, {n: d.c[*].x})",
    "LET n = (FOR d IN docs FILTER LENGTH(d.tags) > 1 OR NOT d.y RETURN d)[0] RETURN n ? n.a : (1..3)[** "
    "FILTER CURRENT]",
    "FOR v, e, p IN 1..3 ANY 'a/1' docs PRUNE v.x == 1 OPTIONS {bfs: true} RETURN DISTINCT CONCAT(p.vertices[*]._key)",
    "FOR d IN docs COLLECT g = d.a AGGREGATE s = SUM(d.b), m = MAX(d.c) INTO all KEEP d RETURN {g, s, [m]: all[0].d}",
    "UPSERT {a: @x} INSERT {a: 1} UPDATE {n: OLD.n + 1 * -2 % 3} IN docs OPTIONS {ignoreErrors: true} "
    "RETURN [OLD, NEW]",
    "FOR d IN docs WINDOW d.a WITH {preceding: 1, following: 'P1D'} AGGREGATE c = COUNT() RETURN [c, d.`a "
    "b`, d['x'], d.@x]",
    "RETURN [SUBSTITUTE('abc', ['a'], 'b'), DATE_ADD('2020-01-31', 1, 'm'), REGEX_SPLIT('a1b', '[0-9]'), "
    "'x' LIKE '%x_']",
    "FOR d IN docs REMOVE d IN docs RETURN OLD",
]
WORDS = [
    "FOR", "LET", "FILTER", "RETURN", "COLLECT", "SORT", "LIMIT", "IN", "NOT", "AND", "OR", "LIKE", "ANY",
    "ALL", "NONE", "INTO", "WITH", "KEEP", "AGGREGATE", "DISTINCT", "NULL", "TRUE", "docs", "d", "x", "OLD",
    "NEW", "CURRENT", "1", "0.5", "-1", "'a'", "@x", "@@c", "(", ")", "[", "]", "{", "}", ",", ":", ".", "..",
    "?", "*", "**", "+", "-", "/", "%", "==", "!=", "<", ">=", "=~", "&&", "||", "!", "::", "LENGTH(",
    "DOCUMENT(", "RANGE(", "REPEAT(", "FLATTEN(", "OUTBOUND", "GRAPH", "PRUNE", "OPTIONS", "UPDATE", "INSERT",
    "UPSERT", "REMOVE", "1e308", "/*", "//", "\"", "`",
]  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Return a query with words inserted, removed, doubled or replaced."""
    words = draw(st.sampled_from(SEEDS)).replace("(", "( ").replace(".", " . ").split()
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(words) - 1)))
        change = draw(st.integers(0, 3))
        word = draw(st.sampled_from(WORDS) | st.text(max_size=4))
        if change == 0:
            words.insert(at, word)
        elif change == 1:
            words[at : at + 1] = []
        elif change == 2:
            words[at : at + 1] = words[at : at + 1] * 2
        else:
            words[at : at + 1] = [word]
    return " ".join(words)


DOCUMENTS = [
    {"_key": str(n), "_id": f"docs/{n}", "_from": f"docs/{n}", "_to": f"docs/{(n + 1) % 4}", "a": n, "tags": [1, n]}
    for n in range(4)
]


def evaluate(text: str, binds: dict[str, Any]) -> None:
    runner = run(parse(text), binds, QueryOptions(max_runtime=1.0, memory_limit=20_000_000))
    try:
        action = next(runner)
        for _ in range(2000):
            action = runner.send(DOCUMENTS if isinstance(action, Fetch) else (None, {"_key": "1"}))
    except StopIteration:
        pass
    finally:
        runner.close()


@given(texts(), VALUES)
@settings(max_examples=400, deadline=None)
def test_mutated_queries_end_in_a_result_or_an_error(text: str, value: Any) -> None:
    try:
        query = parse(text)
        assert parse(print_query(query)) == query
        found = analyse(query, None) if not query_parameters(query) else None
        assert found is None or found.shape
        binds = dict.fromkeys(query_parameters(query), value)
        analyse(query, binds)
        compile_query(query, binds, CompiledTables({"docs": CompiledTable("db.docs", edge=True)}))
        evaluate(text, binds)
    except ArangoError:
        pass


def query_parameters(query: Any) -> list[str]:
    """Return the names of a query's bind variables."""
    return sorted({node.name for node in ast.walk(query) if isinstance(node, ast.Parameter)})


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_query_or_an_error(text: str) -> None:
    try:
        query = parse(text)
    except ArangoError:
        return
    assert parse(print_query(query)) == query
