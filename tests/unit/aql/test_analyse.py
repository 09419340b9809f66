"""What is known of a query without running it."""

from __future__ import annotations

import json

import pytest

from proxy.aql import analyse, parse, shape_of
from proxy.base.errors import ArangoError
from proxy.shadow.unordered_limit import choice
from proxy.wire.decode import decode_parts


def test_collections_at_any_depth_read_and_written() -> None:
    found = analyse(
        parse(
            "WITH w FOR a IN @@c LET d = DOCUMENT('named/1') LET n = LENGTH(counted) "
            "LET x = FIRST(UPSERT {k: 1} INSERT {} UPDATE {} IN u RETURN NEW) RETURN x"
        ),
        {"@c": "real"},
    )
    assert found.reads == {"w", "real", "u", "named", "counted"}
    assert found.writes == {"u"}
    assert found.modifies
    assert not found.dynamic


def test_computed_collections_and_named_graphs_are_dynamic() -> None:
    assert analyse(parse("FOR d IN c RETURN DOCUMENT(d.ref)")).dynamic
    assert analyse(parse("RETURN DOCUMENT(CONCAT('a/', RAND()))")).dynamic
    found = analyse(parse("FOR v IN OUTBOUND 'a/1' GRAPH @g RETURN v"), {"g": "knows"})
    assert found.dynamic
    assert found.graphs == {"knows"}
    assert not analyse(parse("RETURN DOCUMENT(docs, '1')")).dynamic


@pytest.mark.parametrize(
    ("text", "binds", "reads"),
    [
        ("RETURN DOCUMENT(@id)", {"id": "a/1"}, {"a"}),
        ("RETURN DOCUMENT(@id)", {"id": ["a/1", "b/2", 3, "none"]}, {"a", "b"}),
        ("RETURN DOCUMENT(@id)", {"id": None}, set()),
        ("RETURN DOCUMENT(@id)", {"id": "no-slash"}, set()),
        ("RETURN DOCUMENT(['a/1', @id])", {"id": "b/2"}, {"a", "b"}),
        ("RETURN DOCUMENT(NOOPT(CONCAT(@c, '/', @k)))", {"c": "a", "k": "1"}, {"a"}),
        ("FOR d IN d RETURN DOCUMENT(@c, d.k)", {"c": "a"}, {"a", "d"}),
        ("RETURN DOCUMENT(a, @key)", {"key": "b/1"}, {"a"}),
    ],
)
def test_bind_variables_decide_which_collections_document_reads(
    text: str, binds: dict[str, object], reads: set[str]
) -> None:
    found = analyse(parse(text), binds)
    assert (set(found.reads), found.dynamic, found.by_values) == (reads, False, True)


@pytest.mark.parametrize(
    ("text", "binds", "number"),
    [
        ("RETURN @a", {}, 1551),
        ("RETURN 1", {"a": 1}, 1552),
        ("FOR d IN @@c RETURN d", {"@c": 5}, 1553),
        ("RETURN NOSUCH(1)", {}, 1540),
        ("RETURN LOWER()", {}, 1541),
        ("RETURN LOWER(1, 2)", {}, 1541),
        ("FOR d IN c COLLECT AGGREGATE x = LOWER(d.a) RETURN x", {}, 1574),
        ("FOR d IN c REMOVE d IN c FOR e IN c RETURN e", {}, 1579),
        ("INSERT {} INTO c LET x = DOCUMENT('c/1') RETURN x", {}, 1579),
        ("INSERT {} INTO c FOR v IN OUTBOUND 'a/1' e RETURN v", {}, 1579),
        # a second modification of the same collection, by any name and at any depth
        ("INSERT {} INTO c INSERT {} INTO c", {}, 1579),
        ("INSERT {} INTO @@a REMOVE '1' IN @@b", {"@a": "c", "@b": "c"}, 1579),
        ("INSERT {} INTO c UPSERT {} INSERT {} UPDATE {} IN @@b", {"@b": "c"}, 1579),
        ("LET a = (INSERT {} INTO c) LET b = (INSERT {} INTO c) RETURN 1", {}, 1579),
        ("INSERT {} INTO c RETURN LENGTH(d)", {}, 1579),
        # options must be constants
        ("FOR d IN c REMOVE d IN c OPTIONS {keepNull: d.a}", {}, 1575),
        ("INSERT {} INTO c OPTIONS {keepNull: NOOPT(true)}", {}, 1575),
        ("WITH @c FOR i IN 1..2 RETURN i", {}, 1553),
        ("UPSERT @a INSERT {} UPDATE {} IN c", {"a": []}, 1501),
        # the number of arguments outside AGGREGATE, also of functions that are not evaluated
        ("RETURN PUSH([])", {}, 1541),
        ("RETURN LENGTH()", {}, 1541),
        ("RETURN GEO_DISTANCE(1)", {}, 1541),
        ("RETURN COUNT_DISTINCT(1, 2)", {}, 1541),
    ],
)
def test_what_arangodb_refuses_beyond_the_grammar(text: str, binds: dict[str, object], number: int) -> None:
    with pytest.raises(ArangoError) as caught:
        analyse(parse(text), binds)
    assert (caught.value.number, caught.value.status) == (number, 400)


def test_a_write_may_follow_a_read_and_another_collection_may_be_read_after_it() -> None:
    analyse(parse("FOR d IN c INSERT d INTO e FOR f IN g RETURN f"))
    analyse(parse("FOR d IN c UPDATE d WITH {a: 1} IN c LET x = (INSERT {} INTO e) RETURN [OLD, NEW]"))
    analyse(parse("FOR d IN c INSERT d INTO @@a"), {"@a": "c"})
    analyse(parse("FOR d IN c COLLECT AGGREGATE n = COUNT(), a = PUSH(d.x) RETURN [n, a]"))


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("FOR d IN c SORT d.a LIMIT 1 RETURN d", ()),
        ("FOR d IN c LIMIT 1 RETURN d", ("LIMIT without SORT",)),
        ("FOR d IN c COLLECT a = d.a LIMIT 1 RETURN a", ()),
        ("FOR d IN c COLLECT a = d.a INTO g RETURN g", ("COLLECT INTO keeps the order of a scan",)),
        ("FOR d IN c COLLECT a = d.a INTO g RETURN [LENGTH(g), g[0]]", ("COLLECT INTO keeps the order of a scan",)),
        ("FOR d IN c COLLECT a = d.a INTO g RETURN FIRST(g)", ("COLLECT INTO keeps the order of a scan",)),
        ("FOR d IN c COLLECT a = d.a INTO g RETURN MAX(g[* LIMIT 1].d.n)", ("COLLECT INTO keeps the order of a scan",)),
        ("FOR d IN c COLLECT a = d.a INTO g FILTER COUNT(g) > 1 RETURN [a, LENGTH(g), MAX(g[*].d.n)]", ()),
        ("FOR x IN @list LIMIT 1 RETURN x", ()),
        ("RETURN [RAND(), DATE_NOW()]", ("DATE_NOW()", "RAND()")),
        ("RETURN (FOR d IN c LIMIT 1 RETURN d)[0]", ("LIMIT without SORT",)),
    ],
)
def test_what_the_data_does_not_decide(text: str, choices: tuple[str, ...]) -> None:
    found = analyse(parse(text), {"list": []} if "@list" in text else {})
    assert found.choices == choices
    assert found.deterministic == (not choices)


@pytest.mark.parametrize(
    ("text", "takes_any"),
    [
        ("FOR d IN c LIMIT 1 RETURN d", True),
        ("FOR d IN c FILTER d.a LIMIT @a, 10 LET x = d.a RETURN x", True),
        ("FOR d IN c FOR e IN d.list LIMIT 3 RETURN e", True),
        ("FOR d IN c SORT d.a LIMIT 1 RETURN d", False),
        ("FOR d IN c LIMIT 1 RETURN RAND()", False),
        ("FOR d IN c LIMIT 1 RETURN DISTINCT d.a", False),
        ("FOR d IN c LIMIT 1 SORT d.a RETURN d", True),
        ("FOR d IN c LIMIT 1 SORT (FOR e IN d.list RETURN e) RETURN d", False),
        ("FOR d IN c LIMIT 1 SORT d.a LIMIT 1 RETURN d", False),
        ("FOR d IN c LIMIT 5 LIMIT 1 RETURN d", True),
        ("FOR d IN c LIMIT 5 FILTER d.a LIMIT 1 RETURN d", False),
        ("FOR d IN c LIMIT 5 LET x = d.a LIMIT 1 RETURN d", False),
        ("FOR d IN c LIMIT 1 COLLECT a = d.a RETURN a", False),
        ("FOR d IN c LIMIT 1 RETURN (FOR e IN d.list RETURN e)", False),
        ("FOR d IN c LIMIT 1 RETURN d.list[* LIMIT 1]", False),
        ("RETURN (FOR d IN c LIMIT 1 RETURN d)", False),
    ],
)
def test_queries_that_any_rows_answer_are_those_that_the_comparison_recognizes(text: str, takes_any: bool) -> None:
    binds = {"a": 5} if "@a" in text else {}
    assert analyse(parse(text), binds).takes_any == takes_any
    body = json.dumps({"query": text, "bindVars": binds}).encode()
    # the comparison does not check this if the query has other choices, or none
    if "SORT d.a LIMIT" not in text and "RAND" not in text:
        assert (choice(decode_parts("POST", b"/_api/cursor", [], body)) is not None) == takes_any


def test_arrays_in_the_order_of_a_scan_are_unordered() -> None:
    assert analyse(parse("RETURN (FOR d IN c RETURN d)")).unordered
    assert not analyse(parse("RETURN (FOR d IN c SORT d.a RETURN d)")).unordered
    assert not analyse(parse("RETURN (FOR d IN [1] RETURN d)")).unordered


def test_unsupported_features_have_names() -> None:
    found = analyse(parse("FOR d IN v SEARCH PHRASE(d.a, 'x') SORT BM25(d) RETURN d"))
    assert set(found.unsupported) == {"SEARCH", "function PHRASE", "function BM25"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("FOR d IN c FILTER d.a == 1 RETURN d", "for d in c\n  filter d.a == @x // why\n return d"),
        ("RETURN ['a', 'b', 'c']", "RETURN [1]"),
        ("RETURN lower('X')", "RETURN LOWER('y')"),
        ("RETURN true && false", "RETURN 1 AND 2"),
    ],
)
def test_shapes_forget_literals_binds_and_spelling(one: str, other: str) -> None:
    assert shape_of(one) == shape_of(other)


def test_shapes_keep_names() -> None:
    assert shape_of("FOR d IN c RETURN d.a") != shape_of("FOR d IN c RETURN d.b")
    assert shape_of("RETURN {'a': 1}") != shape_of("RETURN {'b': 1}")
    assert shape_of("FOR d IN @@c RETURN d") == "FOR d IN @@ RETURN d"
