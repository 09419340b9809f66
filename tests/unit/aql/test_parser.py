"""The grammar: which texts are queries, their trees, and the positions of errors."""

from __future__ import annotations

import pytest

from proxy.aql import ast, parse, print_query
from proxy.base.errors import ArangoError


def tree(expression: str) -> ast.Expr:
    final = parse(f"LET a = 1, b = 2, c = 3, x = [], n = 4 RETURN {expression}").statements[-1]
    assert isinstance(final, ast.Return)
    return final.value


def same(left: str, right: str) -> bool:
    return tree(left) == tree(right)


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("NOT a == b", "(NOT a) == b"),
        ("!a IN x", "(!a) IN x"),
        ('NOT a LIKE "x%"', '(NOT a) LIKE "x%"'),
        ("a == b IN x", "a == (b IN x)"),
        ("1..n+1", "1..(n+1)"),
        ("a < b == c", "(a < b) == c"),
        ("a OR b AND c", "a OR (b AND c)"),
        ("a || b && c", "a OR (b AND c)"),
        ("a - b - c", "(a - b) - c"),
        ("a + b * c", "a + (b * c)"),
        ("-a * b", "(-a) * b"),
        ("a ? b : c ? 1 : 2", "a ? b : (c ? 1 : 2)"),
        ("a ?: b ?: c", "a ?: (b ?: c)"),
        ("a AND b ? 1 : 2", "(a AND b) ? 1 : 2"),
        ("a NOT IN x AND b", "(a NOT IN x) AND b"),
        ("x ANY == 1 AND b", "(x ANY == 1) AND b"),
        ("x ALL IN [1] OR c", "(x ALL IN [1]) OR c"),
        ("a NOT =~ 'x'", "a !~ 'x'"),
        ("a NOT !~ 'x'", "a =~ 'x'"),
        ("a < 1..2", "a < (1..2)"),
    ],
)
def test_precedence_is_arangodbs(text: str, grouped: str) -> None:
    assert same(text, grouped)


@pytest.mark.parametrize(
    "text",
    [
        "RETURN 1",
        "for d in docs return d",
        "WITH a b, @@c RETURN 1",
        "LET a = 1, b = a RETURN {a, b, 'c': 1, [a]: 2, @p: 3,}",
        "FOR d IN docs SEARCH d.a == 1 OPTIONS {waitForSync: true} RETURN d",
        "FOR v, e, p IN 1..@n OUTBOUND 'a/1' e1, INBOUND e2, ANY @@e3 PRUNE x = v.a OPTIONS {bfs: true} RETURN [v, x]",
        "FOR v IN ANY @s GRAPH @g RETURN v",
        "FOR v IN 2 INBOUND 'a/1' GRAPH 'g' PRUNE v.a == 1 RETURN v",
        "FOR v, e IN OUTBOUND SHORTEST_PATH 'a/1' TO 'a/2' GRAPH g RETURN v",
        "FOR p IN 1..3 ANY K_PATHS 'a/1' TO 'a/2' e OPTIONS {weightAttribute: 'w'} RETURN p",
        "FOR p IN ANY ALL_SHORTEST_PATHS 'a/1' TO 'a/2' e RETURN p",
        "FOR p IN ANY K_SHORTEST_PATHS 'a/1' TO 'a/2' e RETURN p",
        "FOR d IN docs COLLECT a = d.a, b = d.b INTO g KEEP d OPTIONS {method: 'sorted'} RETURN g",
        "FOR d IN docs COLLECT AGGREGATE m = MAX(d.a), n = COUNT() INTO g = d.b RETURN [m, n, g]",
        "FOR d IN docs COLLECT WITH COUNT INTO n RETURN n",
        "FOR d IN docs SORT d.t WINDOW {preceding: 1, following: 1} AGGREGATE s = SUM(d.v) RETURN s",
        "FOR d IN docs WINDOW d.t WITH {preceding: 'PT1H'} AGGREGATE s = AVG(d.v) RETURN s",
        "UPSERT {a: 1} INSERT {a: 1} UPDATE {n: OLD.n + 1} IN docs OPTIONS {waitForSync: true} RETURN [OLD, NEW]",
        "UPSERT FILTER CURRENT.a == 1 INSERT {a: 1} REPLACE {a: 2} IN docs",
        "UPSERT @s INSERT @d UPDATE @d IN @@c",
        "FOR d IN docs UPDATE d WITH {a: d.a IN [1]} IN docs RETURN NEW",
        "FOR d IN docs REPLACE d._key WITH {a: 1} IN 'docs' REMOVE d IN docs",
        "FOR d IN a INSERT d.x IN b RETURN LENGTH(FOR e IN c RETURN e)",
        "RETURN x[*].a[** FILTER CURRENT.b > 1 LIMIT 1, 2 RETURN CURRENT.c]",
        "LET x = [] RETURN [x[?], x[? FILTER CURRENT], x[? 2..3 FILTER CURRENT], x[? ALL FILTER CURRENT]]",
        "LET x = [] RETURN [x[? AT LEAST (2) FILTER CURRENT], x AT LEAST (1) == 2, x[*].`a b`, (x[*].a)[0], x[*].a[0]]",
        "RETURN d.@p[@q].`sort`['x'][-1]",
        "LET {a, b: {c}, 'd': [e, , f]} = {} RETURN [a, c, e, f]",
        "FOR [k, v] IN ENTRIES({}) RETURN {k, v}",
        "FOR x IN [1] SORT x @dir, x DESC LIMIT @a*@b, @b RETURN DISTINCT x",
        "RETURN NS::SUB::F(1, (FOR x IN [] RETURN x))",
        "RETURN a LIKE 'x' AND LIKE(a, 'x', true) // comment",
        "RETURN /* a * b */ [0b101, 0xFF, .5, 1.5e3, 1e-7, 9223372036854775808, 'a\\'b', \"\\u00e4\\n\"]",
        "RETURN (FOR d IN docs RETURN d)[0].a",
        "RETURN 1..3",
    ],
)
def test_every_form_is_parsed_and_printed_back(text: str) -> None:
    query = parse(text)
    assert parse(print_query(query)) == query


@pytest.mark.parametrize(
    ("text", "number", "part"),
    [
        ("", 1502, "query is empty"),
        (" ", 1501, "unexpected end of query string"),
        (" // nothing\n", 1501, "unexpected end of query string"),
        # the end of a query is the start of its last piece of text, as a server reports it
        ("RETURN", 1501, "unexpected end of query string near 'RETURN' at position 1:1"),
        ("RETURN 1 +", 1501, "unexpected end of query string near '+' at position 1:10"),
        ("RETURN\n", 1501, "unexpected end of query string near '' at position 2:1"),
        ("FOR d IN docs", 1501, "unexpected end of query string"),
        ("RETURN 1;", 1501, "unexpected character ';' near ';' at position 1:9"),
        ("RETURN 1 RETURN 2", 1501, "unexpected RETURN declaration, expecting end of query string"),
        ("FOR d IN docs\n  FILTR d.a\nRETURN d", 1501, "at position 2:3"),
        ("RETURN d.sort", 1501, "unexpected SORT declaration, expecting identifier near 'sort' at position 1:10"),
        ("RETURN {filter: 1}", 1501, "unexpected FILTER declaration"),
        ("RETURN 1.", 1501, "position 1:9"),
        ("RETURN 01", 1501, "unexpected number"),
        ("RETURN 'abc", 1501, "unterminated string"),
        ("RETURN `abc", 1501, "unterminated identifier"),
        ("RETURN /* 1", 1501, "unterminated multi-line comment"),
        ("RETURN DISTINCT 1", 1501, "cannot use DISTINCT"),
        ("LET a = 1 COLLECT x = a RETURN DISTINCT x", 1501, "cannot use DISTINCT"),
        ("UPSERT {[1 + 1]: true} INSERT {} UPDATE {} IN c", 1501, "expecting object literal with literal attribute"),
        ("UPSERT {a: {[b]: 1}} INSERT {} UPDATE {} IN c", 1501, "expecting object literal with literal attribute"),
        ("RETURN F(1,)", 1501, "unexpected )"),
        ("LET a = 1 LET a = 2 RETURN a", 1511, "variable 'a' is assigned multiple times"),
        ("FOR a IN (FOR b IN [] FOR b IN [] RETURN b) RETURN a", 1511, "variable 'b'"),
        ("RETURN {a}", 1512, "unknown variable 'a'"),
        ("FOR a, b IN docs RETURN a", 1501, "single return variable"),
        ("FOR a IN [] SEARCH a.x RETURN a", 1501, "SEARCH condition used on non-view"),
        ("FOR a IN docs FOO a RETURN a", 1501, "unexpected qualifier 'FOO'"),
        ("FOR a IN docs COLLECT x = a.x KEEP a RETURN x", 1501, "use of 'KEEP' without 'INTO'"),
        ("FOR a IN docs COLLECT x = a.x INTO g KEEP q RETURN x", 1501, "unknown variable 'q' for KEEP"),
        ("FOR a IN docs COLLECT AGGREGATE x = a.x RETURN x", 1574, "must be a function call"),
        ("FOR a IN docs WINDOW {} AGGREGATE x = SUM(a.x) RETURN x", 1501, "At least one WINDOW bound"),
        ("FOR a IN docs WINDOW {past: 1} AGGREGATE x = SUM(a.x) RETURN x", 1501, "Invalid WINDOW attribute"),
        ("FOR v IN OUTBOUND 'a/1' e PRUNE (FOR x IN [] RETURN x) RETURN v", 1501, "must not use a subquery"),
        ("FOR v, e, p, q IN OUTBOUND 'a/1' e RETURN v", 1501, "one, two or three"),
        ("RETURN " + "(" * 500 + "1" + ")" * 500, 1524, "nesting"),
        ("RETURN " + "-" * 5000 + "1", 1524, "nesting"),
        ("RETURN 1" + " + 1" * 5000, 1524, "nesting"),
        ("RETURN a" + ".a" * 5000, 1524, "nesting"),
    ],
)
def test_errors_have_number_text_and_position(text: str, number: int, part: str) -> None:
    with pytest.raises(ArangoError) as caught:
        parse(text)
    assert (caught.value.number, caught.value.status) == (number, 400)
    assert part in caught.value.message


def test_a_name_is_a_variable_if_one_is_in_scope_and_else_a_collection() -> None:
    assert tree("a") == ast.Variable("a")
    assert tree("elsewhere") == ast.Collection("elsewhere")
    assert tree("CURRENT") == ast.Collection("CURRENT")
    assert isinstance(parse("FOR docs IN docs RETURN docs").statements[0], ast.For)


def test_the_last_in_of_a_modification_names_the_collection() -> None:
    (remove,) = parse("REMOVE a IN b IN c").statements
    assert isinstance(remove, ast.Remove)
    assert isinstance(remove.key, ast.Binary)
    assert remove.collection == ast.Collection("c")
    (insert,) = parse("INSERT a IN (b IN c) IN d").statements
    assert isinstance(insert, ast.Insert)
    assert insert.collection == ast.Collection("d")


def test_long_chains_of_and_and_or_are_flat() -> None:
    chain = tree(" OR ".join(["a == 1"] * 3000))
    assert isinstance(chain, ast.Logical)
    assert len(chain.operands) == 3000


def test_the_same_text_gives_the_same_tree_object() -> None:
    text = "RETURN 'cached'"
    assert parse(text) is parse(text)


def test_strings_unescape_pairs_of_surrogates_and_unknown_escapes() -> None:
    assert tree(r'"\ud83d\ude00\q\/\t"') == ast.Literal("😀q/\t")
