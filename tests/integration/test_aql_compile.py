"""Compiled queries on PostgreSQL: surprising rules by name, a résumé service's queries, hostile text, refusals."""

from __future__ import annotations

import re
from typing import Any

import pytest

from proxy.aql.compile import Compiled, NotCompiled
from proxy.aql.requests import QueryOptions
from proxy.base.errors import StatementError
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.compiled_queries import Statements
from proxy.stores.postgres.read_fence import QueryLimits
from tests.ad_hoc import Database
from tests.integration.compile_fixtures import BothDatabases
from tests.unit.aql.test_resume_queries import LIST, REPORTS, SEARCH, STATISTICS, resume

MIXED: list[dict[str, Any]] = [
    {"x": None}, {}, {"x": False}, {"x": True}, {"x": 0}, {"x": 39}, {"x": 40.5}, {"x": ""}, {"x": "a"}, {"x": "A"},
    {"x": "_"}, {"x": "-"}, {"x": "?"}, {"x": "0"}, {"x": "é"}, {"x": "e\u0301"}, {"x": "P"}, {"x": "j"},
]  # fmt: skip
DEEP: list[dict[str, Any]] = [
    {"x": []}, {"x": [1]}, {"x": [1, None]}, {"x": [None]}, {"x": {}}, {"x": {"a": None}}, {"x": {"a": 0}},
    {"x": {"b": 1}}, {"x": [[1, None]]}, {"x": 1}, {"x": 1.0}, {"x": "1"}, {"x": None}, {"x": False}, {"x": 0},
]  # fmt: skip


@pytest.fixture
async def both(database: Database) -> BothDatabases:
    databases = BothDatabases(database)
    await databases.fill("c", MIXED)
    await databases.fill("e", DEEP)
    return databases


async def agree(both: BothDatabases, text: str, binds: dict[str, Any] | None = None) -> list[Any]:
    """Return the rows that both give, in order if the query decides it."""
    answer = await both.answered(text, binds)
    assert not isinstance(answer, str), (text, answer)
    plan, rows = answer
    expected = both.evaluated(text, binds).rows
    if not plan.order:
        expected, rows = sorted(expected, key=repr), sorted(rows, key=repr)
    assert rows == expected, text
    assert list(map(repr, rows)) == list(map(repr, expected)), text  # 1 is not 1.0, true is not 1
    return rows


RULES = {
    "a number is above null, missing and booleans": "FOR d IN c FILTER d.x < 39 RETURN d._key",
    "strings are above numbers": "FOR d IN c FILTER d.x > 39 RETURN d._key",
    "unequal includes missing": "FOR d IN c FILTER d.x != 'a' RETURN d._key",
    "NOT IN includes missing": "FOR d IN c FILTER d.x NOT IN ['a', 1] RETURN d._key",
    "null is in a list that has it": "FOR d IN c FILTER d.x IN [null, 0] RETURN d._key",
    "NOT IN of no array is false": "FOR d IN c FILTER d.x NOT IN null RETURN d",
    "missing equals null": "FOR d IN c FILTER d.x == null RETURN d._key",
    "no casts: texts": "FOR d IN e FILTER d.x == '1' RETURN d._key",
    "no casts: booleans": "FOR d IN e FILTER d.x == false RETURN d._key",
    "one is 1.0": "FOR d IN e FILTER d.x == 1 RETURN d._key",
    "trailing nulls of arrays": "FOR d IN e FILTER d.x == [1] RETURN d._key",
    "nulls of objects": "FOR d IN e FILTER d.x == {} RETURN d._key",
    "order of arrays": "FOR d IN e FILTER d.x < [0] RETURN d._key",
    "order of objects": "FOR d IN e FILTER d.x < {a: 0} RETURN d._key",
    "deep membership": "FOR d IN e FILTER d.x IN [[1, null], {a: null}] RETURN d._key",
    "joins of equal values": "FOR a IN e FOR b IN e FILTER a.x == b.x RETURN [a._key, b._key]",
    "comparison of two attributes": "FOR a IN e FOR b IN e FILTER a.x <= b.x RETURN [a._key, b._key]",
    "equality is by bytes": "FOR d IN c FILTER d.x == 'é' RETURN d._key",
    "order is by ICU": "FOR d IN c FILTER IS_STRING(d.x) SORT d.x RETURN d.x",
    "order over all types, downwards": "FOR d IN c SORT d.x DESC, d._key RETURN d._key",
    "NOT binds tighter than ==": "FOR d IN c FILTER NOT d.x == true RETURN d._key",
    "truth of empty arrays and objects": "FOR d IN e FILTER d.x RETURN d._key",
    "OR gives an operand": "FOR d IN c FILTER (d.x || 'none') == 'none' RETURN d._key",
    "AND gives an operand": "FOR d IN c FILTER (d.x && d._key) == d.x RETURN d._key",
    "arithmetic of what is no number": "FOR d IN c FILTER d.x + 1 == 1 RETURN d._key",
    "doubles, never whole divisions": "FOR d IN c FILTER d.x / 2 == 19.5 RETURN d.x / 2",
    "indexes of what is no array": "FOR d IN c FILTER d.x[0] == 'a' RETURN d",
    "text functions take null": "FOR d IN c FILTER LOWER(d.x) == '' RETURN d._key",
    "null is like anything": "FOR d IN c FILTER d.x LIKE '%' RETURN d._key",
    "a stored null is there": "FOR d IN c FILTER HAS(d, 'x') RETURN d._key",
    "groups: null and missing are one": "FOR d IN c COLLECT x = d.x WITH COUNT INTO n RETURN {x, n}",
    "no groups: one row of nothing": "FOR d IN c FILTER d.nope COLLECT WITH COUNT INTO n RETURN n",
    "aggregates of nothing": "FOR d IN c FILTER d.nope COLLECT AGGREGATE s = SUM(d.x), m = MAX(d.x) RETURN [s, m]",
    "aggregates of mixed values": "FOR d IN c "
    "COLLECT AGGREGATE s = SUM(d.x), a = AVG(d.x), n = COUNT(d.x) RETURN [s, a, n]",
    "aggregates skip null": "FOR d IN c FILTER d.x < 99 && d.x >= 0 || !d.x && d.x == null "
    "COLLECT AGGREGATE s = SUM(d.x), a = AVG(d.x), m = MIN(d.x) RETURN [s, a, m]",
    "LIMIT before FILTER cuts first": "FOR d IN c SORT d._key LIMIT 3 FILTER d.x == false RETURN d._key",
    "LIMIT null is no row": "FOR d IN c SORT d._key LIMIT null RETURN d._key",
    "a group of doubles prints as one": "FOR d IN c COLLECT x = d.x * 1e14 RETURN [x, CONCAT(x, '')]",
    "an empty subquery is an array": "FOR d IN e RETURN (FOR f IN c FILTER f.x == 'nope' RETURN f)",
    "nulls stay in a subquery": "RETURN (FOR d IN c FILTER d.x == null RETURN d.x)",
    "FIRST of nothing": "LET f = FIRST(FOR d IN c FILTER d.x == 'nope' RETURN d) FILTER f == null RETURN f.x",
    "DISTINCT is deep": "FOR d IN e RETURN DISTINCT [d.x]",
    "LENGTH of a collection": "RETURN LENGTH(c)",
    "IN after a quantifier wants an array": "FOR d IN e FILTER d.x ANY IN 'a' OR d.x NONE IN d.x RETURN d._key",
    "quantifiers of no elements": "FOR d IN e FILTER d.x ALL == 7 RETURN d._key",
    "a test of elements that looks at none": "FOR d IN e FILTER d.x[? ANY FILTER d._key > '3'] RETURN d._key",
    "nothing is in an empty text": "FOR d IN c FILTER CONTAINS(d.x, '') RETURN d",
}  # fmt: skip


async def test_surprising_rules_give_the_same_result_compiled_and_evaluated(both: BothDatabases) -> None:
    """One database for all rules; a failure names its rule."""
    failures = []
    for rule, text in RULES.items():
        try:
            await agree(both, text)
        except AssertionError as error:
            failures.append((rule, str(error)))
    assert failures == []


SHAPES = (
    "FOR d IN f FILTER SPLIT(d.s, '/')[1] == 'x' RETURN d._key",
    "FOR d IN f FILTER SPLIT(d.s, ',') == [''] RETURN d._key",
    "FOR d IN f FILTER TRIM(d.s) == 'b' OR LEFT(d.s, 1) == 'a' OR SUBSTRING(d.s, 1, 2) == 'bc' RETURN d.s",
    "FOR d IN f FILTER SUBSTRING(d.s, 2) == 'c' RETURN d.s",
    "FOR d IN f FILTER UPPER(d.s) == 'ABC' AND TO_STRING(d.i) == '3' RETURN d.s",
    "FOR d IN f FILTER d._key == '1' FILTER PARSE_IDENTIFIER(d.r).key == '2' AND PARSE_KEY(d.r) == '2' RETURN d",
    "FOR d IN f FILTER d.t != null AND POSITION(d.t, 2) AND FIRST(d.t) == 1 AND LAST(d.t) == 2 RETURN d",
    "FOR d IN f FILTER d.t != null AND CONTAINS_ARRAY(d.t, 2) RETURN d",
    "FOR d IN f FILTER IS_NULL(d.t) OR IS_ARRAY(d.t) AND TO_BOOL(d.i) RETURN d.i",
    "FOR d IN f FILTER NOOPT(d.i) % 2 == 1 RETURN d.i",
    "FOR d IN f FILTER CONTAINS(d.s, 'c', true) == 2 RETURN d.s",
    "FOR d IN f FILTER STARTS_WITH(d._key, '1') OR d._id IN ['f/2', 'c/3'] OR d._rev == '_r3' RETURN d._key",
    "FOR d IN f FILTER d._id == 'f/2' RETURN d.s",
    "FOR d IN f FILTER d._id != 'f/2' AND d._key IN ['1', 2, 'f/1'] RETURN d.s",
    "FOR d IN f FILTER d.@p == 3 AND d[@q] == 3 RETURN d.s",
    "FOR d IN f FILTER @role[d.s] == 1 RETURN d.s",
    "FOR d IN f FILTER d.i == (@yes ? 3 : d.i) AND (d.i ?: 7) < 7 RETURN d.i",
    "FOR d IN f SORT d.i @way, d._key LIMIT 1, null RETURN d.i",
    "FOR i IN 1..3 FOR d IN f FILTER d.i == i RETURN [i, d.s]",
    "FOR d IN f FOR i IN 1..LENGTH(d.s) RETURN [d._key, i]",
    "FOR x IN [3, 1, 2] FOR d IN f FILTER d.i == x RETURN [x, d.s]",
    "RETURN (FOR x IN [3, 1, 2] LET n = LENGTH(FOR d IN f FILTER d.i == x RETURN 1) RETURN [x, n])",
    "FOR d IN f LET o = {a: d.i, b: {c: d.s}} FILTER o.b.c == 'abc' && o.nothing == null RETURN o",
    "LET d = DOCUMENT('f/1') LET e = DOCUMENT('f', 'none') RETURN {d, e}",
    "FOR d IN f LET e = DOCUMENT('f', d.r) FILTER e != null RETURN e._id",
    "FOR d IN f FILTER DOCUMENT('f', d.r).i == 3 RETURN d._key",
    "FOR d IN f COLLECT i = d.i INTO g KEEP d RETURN {i, n: LENGTH(g), k: SORTED(g[*].d._key)}",
    "FOR d IN f COLLECT i = d.i INTO g = d._key FILTER LENGTH(g) > 0 RETURN i",
    "FOR d IN f COLLECT AGGREGATE n = LENGTH(d.i), u = COUNT_DISTINCT(d.i), a = AVERAGE(d.i) RETURN [n, u, a]",
    "FOR d IN f LET m = (FOR e IN f FILTER e.i == d.i RETURN DISTINCT e.i) RETURN m",
    "LET rows = (FOR d IN f SORT d._key RETURN {k: d._key, i: d.i}) FOR r IN rows FILTER r.i == 3 RETURN r.k",
    "LET rows = (FOR d IN f RETURN d) RETURN [LENGTH(rows), COUNT(FOR d IN f RETURN d)]",
    "FOR d IN f SORT d.i DESC, d._key LIMIT 2 LET e = (FOR x IN f FILTER x.i == d.i SORT x._key RETURN x.s) RETURN e",
    "FOR d IN f RETURN {n: COUNT(f), same: (FOR t IN d.t || [] RETURN t * 2)}",
    "FOR d IN f FILTER [d.i] == [3] OR {i: d.i} == {i: 0} RETURN d.i",
    "FOR x IN (FOR d IN f COLLECT i = d.i WITH COUNT INTO n RETURN {i, n}) FILTER x.n > 1 RETURN x",
    "FOR e IN edges FILTER e._from == 'f/1' FOR d IN f FILTER d._id == e._to RETURN d._key",
    "FOR d IN f FOR e IN edges FILTER e._to == d._id RETURN [d._key, e._from]",
    "FOR v, e IN OUTBOUND 'f/1' edges RETURN [v._id, e._to, v.s]",
    "FOR d IN f FOR v IN 1..2 ANY d edges FILTER v.i != 3 RETURN [d._key, v]",
    "FOR d IN f LET near = (FOR v IN 1 INBOUND d edges RETURN v._key) FILTER LENGTH(near) > 0 RETURN [d._key, near]",
    "FOR v, e IN 0..2 OUTBOUND DOCUMENT('f/1') edges RETURN [v.s, e._from]",
    "FOR d IN edges FILTER STARTS_WITH(d._from, 'f/') RETURN d._to",
    "FOR d IN f FILTER STARTS_WITH(d.s, 'a') RETURN d._key",
    "FOR d IN f FILTER DATE_YEAR(NOT_NULL(d.w, '2024-02-29T10:00:00Z')) == 2024 RETURN d._key",
    "LET o = @role FOR d IN f FILTER d.i == o.abc + 2 RETURN d._key",
    "LET a = [3, {b: 0}] FOR d IN f FILTER d.i == a[0] OR d.i == a[1].b RETURN d._key",
    "FOR d IN f FILTER d._id == @id LET e = DOCUMENT('f', @id) FILTER e.i == d.i RETURN e._key",
    "FOR d IN f SORT d.i, d._key LIMIT @from, @most RETURN d._key",
)


async def test_query_shapes_of_applications_give_the_same_result_compiled_and_evaluated(both: BothDatabases) -> None:
    """Queries as applications write them, over one small collection and its edges."""
    rows: list[dict[str, Any]] = [
        {"s": "abc", "i": 3, "t": [1, 2], "r": "f/2"},
        {"s": " b ", "i": 0, "t": [], "r": "3"},
        {"s": "a/x", "i": 3, "t": None},
        {"s": "", "i": 1, "t": [2]},
    ]
    await both.fill("f", rows)
    edges = [{"_from": "f/1", "_to": "f/2"}, {"_from": "f/1", "_to": "f/3"}, {"_from": "f/2", "_to": "c/1"}]
    await both.fill("edges", edges, edge=True)
    binds = {"p": "i", "q": "i", "role": {"abc": 1}, "yes": True, "way": "desc", "id": "f/2", "from": 1, "most": 2}
    wrong = []
    for text in SHAPES:
        try:
            await agree(both, text, {name: value for name, value in binds.items() if f"@{name}" in text})
        except AssertionError as error:
            wrong.append((text, str(error)))
    assert wrong == []


async def test_every_query_of_the_resume_service_compiles_and_gives_documents_as_stored(both: BothDatabases) -> None:
    job = {"skills": ["Python", "SQL"], "company": "Ärzte GmbH", "position": "Dev", "description": None}
    rows = [
        resume("a", 3, "parsed", work_experience=[job]),
        resume("b", 1, "parsed", summary="writes PYTHON"),
        resume("c", None, "parsed", education=[{"institution": "MIT", "degree": "python studies"}]),
        resume("d", 2, "manual"),
        {"user_id": "u1", "status": "parsing", "resume_data": None},
    ]
    await both.fill("resumes", rows)
    await both.fill(
        "jobs", [{"user_id": "u1", "status": s, "created_at": f"2025-08-0{n}"} for n, s in enumerate("ppfp")]
    )
    await both.fill("documents", [{"user_id": "u1", "type": t, "created_at": t} for t in ("research", "score")])
    lists = {"user_id": "u1", "offset": 1, "limit": 2}

    assert [row["created_at"] for row in await agree(both, LIST, {**lists, "status": "p"})] == [
        "2025-08-01",
        "2025-08-00",
    ]
    assert len(await agree(both, LIST.replace("jobs", "resumes"), {**lists, "status": "parsed"})) == 2
    found = await agree(both, SEARCH, {"user_id": "u1", "term": "Python", "limit": 10})
    assert [row["_key"] for row in found] == ["a", "b", "c"]
    assert await agree(both, SEARCH, {"user_id": "u1", "term": "ÄRZTE", "limit": 10}) == found[:1]
    assert len(await agree(both, STATISTICS, {"user_id": "u1"})) == 3
    assert len(await agree(both, REPORTS, {"user_id": "u1", "limit": 5})) == 1


HOSTILE = [
    "'",
    "''",
    '"',
    "\\",
    "$1",
    "{query}",
    "{generation}",
    "%s",
    "--",
    "/*",
    "; SELECT 1",
    "\x01",
    "a'b\"c",
    "é\n",
    "0",
]


async def test_hostile_text_never_reaches_the_statement(both: BothDatabases) -> None:
    """In names, paths, values and patterns: the statement's text is that of a harmless word, its parameters differ."""
    for text in HOSTILE:
        await harmless(both, text)


async def harmless(both: BothDatabases, text: str) -> None:
    """Query with one hostile text in every place."""
    await both.fill("c", [{text: 1, "x": text, "y": {text: text}}, {"x": "other"}])
    query = (
        "FOR d IN c FILTER d[@p] == 1 AND d.y[@p] == @p AND d.x == @p AND d.x LIKE @p AND CONTAINS(d.x, @p) "
        "AND HAS(d, @p) AND d.x IN [@p, 'z'] AND d.@p == 1 SORT d[@p] RETURN {[@p]: d[@p], same: d.x == @p}"
    )
    if text in ("\\", "a'b\"c"):
        query = query.replace("AND d.x LIKE @p ", "")  # a lone backslash has another meaning in a pattern
    plan = both.compiled(query, {"p": text})
    if text == "0":
        assert isinstance(plan, NotCompiled)  # digits may be an index of an array
        return
    assert isinstance(plan, Compiled)
    word = both.compiled(query, {"p": "?"})
    assert isinstance(word, Compiled)
    assert _shape(plan.sql) == _shape(word.sql)
    rows = await agree(both, query, {"p": text})
    assert "LIKE" not in query or "%" in text or rows == [{text: 1, "same": True}]


def _shape(sql: str) -> str:
    return re.sub(r"\$\d+", "$", sql)


async def test_values_that_sql_does_not_represent_exactly_are_refused_and_evaluated(
    database: Database, both: BothDatabases
) -> None:
    await both.fill("c", [{"x": [2], "t": "a\0b"}, {"x": [1], "t": "b"}, {"x": None, "m": 1e15}])
    for text in (
        "FOR d IN c SORT d.x RETURN d._key",  # the order of arrays
        "FOR d IN c FILTER LENGTH(d.t) == 3 RETURN d",
        "FOR d IN c FILTER 1 / d.n > 0 RETURN d",  # a division by zero warns
        "FOR d IN c FOR x IN d.x RETURN x",  # null is not an array: error 1563
        "FOR d IN c COLLECT m = d.m RETURN m",  # 1e+15: jsonb has the same for the integer, which prints otherwise
        "FOR d IN c COLLECT AGGREGATE m = MAX(d.m) RETURN m",
    ):
        answer = await both.answered(text)
        assert isinstance(answer, str), text
        assert answer.startswith("refused"), answer
    statements = Statements(database, Catalog(database), QueryLimits())
    plan = both.compiled("FOR d IN c SORT d.x LIMIT 2 RETURN d._key")
    assert isinstance(plan, Compiled)
    with pytest.raises(StatementError, match="order"):
        (await statements.unfinished(plan, {}, QueryOptions())).result()


async def test_without_icu_no_query_that_orders_strings_is_compiled(both: BothDatabases) -> None:
    for text in (
        "FOR d IN c SORT d.x RETURN d",
        "FOR d IN c FILTER d.x < 'a' RETURN d",
        "FOR d IN c COLLECT x = d.x RETURN x",
        "FOR d IN c COLLECT AGGREGATE x = MAX(d.x) RETURN x",
    ):
        assert isinstance(both.compiled(text, icu=False), NotCompiled), text
    for text in ("FOR d IN c FILTER d.x < 1 RETURN d", "FOR d IN c SORT LENGTH(d.x) RETURN d"):
        assert isinstance(both.compiled(text, icu=False), Compiled), text


async def test_an_index_on_an_expression_replaces_containment(both: BothDatabases) -> None:
    before = both.compiled("FOR d IN c FILTER d.s == 1 FILTER d.u == 2 RETURN d")
    both.tables["c"] = type(both.tables["c"])(both.tables["c"].relation, False, frozenset({"u"}))
    after = both.compiled("FOR d IN c FILTER d.s == 1 FILTER d.u == 2 RETURN d")

    assert isinstance(before, Compiled)
    assert isinstance(after, Compiled)
    assert before.sql.count("@>") == 2
    assert "@>" not in after.sql


NOT_COMPILED = (
    ("INSERT {} INTO c", "modification"),
    ("FOR d IN c FILTER SHA512(d.x) == 'a' RETURN d", "function SHA512"),
    ("FOR d IN nowhere RETURN d", "no table"),
    ("FOR {x} IN c RETURN x", "destructuring"),
    ("FOR v IN 1..2 OUTBOUND 'c/1' e RETURN v", "not an edge collection"),
    ("FOR v IN 1..11 OUTBOUND 'c/1' e RETURN v", "depth"),
    ("FOR v, x, p IN 1 OUTBOUND 'c/1' e RETURN p.edges[0]", "the path"),
    ("FOR v IN 1 OUTBOUND 'c/1' e OPTIONS {uniqueVertices: 'global', bfs: true} RETURN v", "OPTIONS"),
    ("FOR v IN 1 OUTBOUND 'c/1' GRAPH 'g' RETURN v", "a named graph"),
    ("FOR v IN 1 OUTBOUND 7 e RETURN v", "the start"),
    ("FOR v IN 2..1 OUTBOUND 'c/1' e RETURN v", "depth"),
    ("FOR d IN c FOR v IN d.x OUTBOUND 'c/1' e RETURN v", "depth"),
    ("FOR d IN c FILTER d.t[**] == [] RETURN d", "flattens"),
    ("FOR d IN c FILTER d.t[? 1..2 FILTER CURRENT == d.x] RETURN d", "a range of elements"),
    ("FOR d IN c FILTER d.t[? d.x FILTER CURRENT == 1] RETURN d", "not constant"),
    ("FOR d IN c FILTER d.t AT LEAST (-1) == d.x RETURN d", "a number of elements"),
    ("FOR d IN c FILTER OUTERSECTION(d.t, d.u) == [] RETURN d", "function OUTERSECTION"),
    ("FOR d IN c FILTER DATE_TRUNC(d.x, 'week') == 'y' RETURN d", "another unit"),
    ("FOR d IN c FILTER d.x =~ 'a' RETURN d", "operator"),
    ("FOR d IN c FILTER d.x LIKE d.y RETURN d", "LIKE"),
    ("FOR d IN c COLLECT AGGREGATE u = UNIQUE(d.x) RETURN u", "UNIQUE"),
    ("FOR d IN c RETURN NS::F(d)", "user function"),
)


async def test_functions_that_depend_on_the_request_are_not_computed_ahead(both: BothDatabases) -> None:
    compiled = both.compiled("FOR d IN c FILTER d.x == CURRENT_DATABASE() RETURN d")
    assert isinstance(compiled, NotCompiled)
    assert "CURRENT_DATABASE" in compiled.reason


async def test_a_query_that_is_not_compiled_has_a_reason(both: BothDatabases) -> None:
    for text, reason in NOT_COMPILED:
        plan = both.compiled(text)

        assert isinstance(plan, NotCompiled), text
        assert reason in plan.reason


async def test_text_that_jsonb_escapes_is_sorted_correctly(both: BothDatabases) -> None:
    """A document must not be refused by an index on its sort key, nor be at another position than in ArangoDB."""
    await both.fill("c", [{"t": text} for text in ("a\0b", "ab", "aa", "\ufdd0", "\ufdd00", "\ud800", "z", "b\0", "a")])
    relation = both.tables["c"].relation
    await both.database.execute(f"CREATE INDEX ON {relation} (_crossfade.order_key(doc, 't'))")
    for text in ("FOR d IN c SORT d.t RETURN d._key", "FOR d IN c FILTER d.t >= 'ab' SORT d.t DESC RETURN d._key"):
        answer = await both.answered(text)
        assert not isinstance(answer, str), answer
        assert answer[1] == both.evaluated(text).rows


async def test_keys_are_in_the_order_of_the_primary_index_if_it_gives_the_order(both: BothDatabases) -> None:
    """By bytes if ArangoDB scans the index, else by ICU; cursors and backfills page in this order."""
    await both.fill("c", [{"_key": key, "n": 1} for key in ("b", "A", "a", "B", "_x", "-y", "0", "Z10", "z9")])
    for text in (
        "FOR d IN c SORT d._key RETURN d._key",
        "FOR d IN c FILTER d.n == 1 LET k = d._key SORT d._key DESC LIMIT 1, 4 RETURN k",
        "FOR d IN c FILTER d._key IN ['A', 'a', 'B'] SORT d._key RETURN d._key",
        "FOR d IN c SORT d._key, d.n RETURN d._key",
        "RETURN (FOR d IN c SORT d._key LIMIT 5 FILTER d.n == 1 SORT d._key DESC RETURN d._key)",
        "FOR x IN 1..2 FOR d IN c SORT d._key, x RETURN d._key",
    ):
        answer = await both.answered(text)
        assert not isinstance(answer, str), answer
        assert answer[1] == both.evaluated(text).rows, text


async def test_a_limit_bounds_and_orders_no_rows_after_a_later_loop_or_sort(
    database: Database, both: BothDatabases
) -> None:
    """Otherwise all rows of a join are fetched together, and correct results are compared in an earlier order."""
    await both.fill("c", [{"n": n, "m": n % 3} for n in range(6)])
    statements = Statements(database, Catalog(database), QueryLimits())
    for text, most in (
        ("FOR d IN c SORT d.n LIMIT 2 LET m = d.m FILTER m >= 0 RETURN d.n", 2),
        ("FOR d IN c SORT d.n LIMIT 2 FOR e IN c FILTER e.m == d.m RETURN [d.n, e.n]", None),
        ("FOR d IN c SORT d.n LIMIT 2 FOR i IN 1..d.n + 3 RETURN [d.n, i]", None),
        ("FOR d IN c SORT d.n LIMIT 2 FOR e IN c SORT e.n DESC, d.n LIMIT 3 RETURN [d.n, e.n]", 3),
        ("FOR d IN c SORT d.n DESC LIMIT 4 SORT d.n RETURN d.n", None),
        ("FOR d IN c SORT d.n DESC LIMIT 4 SORT d.m, d.n LIMIT 1, 2 LET k = d._key RETURN k", 2),
    ):
        plan = both.compiled(text)
        assert isinstance(plan, Compiled), text
        assert plan.most == most, text
        compared, expected = (
            ((await statements.unfinished(plan, {}, QueryOptions())).result()).rows,
            await agree(both, text),
        )
        assert (compared if plan.order else sorted(compared, key=repr)) == expected, text
