"""Hostile text in every place of a query and of its bind variables never changes the structure of a statement.

The statement of a query with harmless text is compared with that of the same query with hostile text in the same place.
They are identical except for text in quotes (plain names of attributes, by which indexes are found) and for parameters.
PostgreSQL accepts all of them.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.aql import analyse, parse
from proxy.aql.compile import Compiled, CompiledTable, CompiledTables, compile_query
from proxy.base.errors import ArangoError, StatementError
from tests.ad_hoc import Database

HOSTILE = [
    "'; DROP TABLE db.docs; --", "\\'; SELECT pg_sleep(9); --", '"; DROP TABLE db.docs; --', "$1", "${generation}",
    "{query}", "%s", "{relation}", "' OR '1'='1", "\\", "\\\\'", "/*", "*/ --", "''", "$$; SELECT 1; $$", "x\ny",
    "a,b}", "{a,b}", "[0]",
    "\u2019", "\ufdd0", "E'\\''", "U&'\\0027'", "::regclass", "?", "$tag$", "\t;",
]  # fmt: skip
# {s} is a string, {n} the name of an attribute
TEMPLATES = [
    "FOR d IN docs FILTER d.a == {s} SORT d.b LIMIT 5 RETURN d",
    "FOR d IN docs FILTER d[{s}] == 1 RETURN d",
    "FOR d IN docs FILTER d.{n} == {s} AND d.{n}.x != {s} SORT d.{n} DESC RETURN d.{n}",
    "FOR d IN docs FILTER d.a IN [{s}, 1, {s}] RETURN {{[{s}]: d.a, {n}: {s}}}",
    "FOR d IN docs FILTER d.a LIKE {s} OR CONTAINS(d.b, {s}) RETURN CONCAT(d.a, {s})",
    "FOR d IN docs FILTER d._key == {s} OR d._id == {s} RETURN d",
    "FOR d IN docs COLLECT g = d.{n} AGGREGATE m = MAX(d[{s}]) RETURN {{g, m}}",
    "FOR d IN docs FOR e IN docs FILTER e.{n} == d.{n} AND e.b > {s} RETURN [d.a, e[{s}]]",
    "FOR d IN docs LET x = (FOR e IN docs FILTER e.a == d[{s}] AND e.b == {s} RETURN e) RETURN {{d, x}}",
    "FOR d IN docs FILTER d.a >= {s} AND d.a < {s} AND HAS(d, {s}) RETURN LENGTH(d.{n})",
    "RETURN DOCUMENT('docs', {s})",
    "FOR v, e IN 1..2 ANY {s} edges FILTER v.{n} == {s} RETURN [v, e.{n}]",
    "FOR d IN docs FILTER {s} IN d.t[* FILTER CURRENT.{n} != {s}].{n} OR d.{n} ANY == {s} RETURN d",
    "FOR d IN docs FILTER d.t[? ANY FILTER CURRENT.{n} == {s}] SORT d.{n}.{n} DESC, d[{s}] RETURN d",
    "FOR d IN docs FILTER LENGTH(MINUS(d.{n}, [{s}])) > 0 AND STARTS_WITH(d.a, {s}) RETURN d",
]
QUERIES_WITH_BINDS = [
    "FOR d IN docs FILTER d.a == @x SORT d.b LIMIT 5 RETURN d",
    "FOR d IN docs FILTER d[@x] == @x OR d.@x == 1 SORT d.@x RETURN d.@x",
    "FOR d IN docs FILTER d.a IN [@x] OR d.b LIKE @x OR d._key == @x RETURN {[@x]: d}",
    "FOR d IN docs FILTER CONTAINS(d.a, @x) AND d.b > @x COLLECT g = d[@x] RETURN g",
    "FOR d IN docs FOR e IN docs FILTER d.a == e[@x] AND e._id == @x RETURN [d, e]",
    "FOR v, e IN OUTBOUND @x edges FILTER v.a == @x RETURN e[@x]",
    "FOR d IN docs FILTER d.t ANY == @x AND @x IN d.t[*].@x SORT d.@x LIMIT 3 RETURN DOCUMENT('docs', @x)",
]
TABLES = CompiledTables({"docs": CompiledTable("db.docs"), "edges": CompiledTable("db.edges", True)})
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")

_PARAMETER = re.compile(r"\$\d+::\w+(?:\[\])?")

texts = st.sampled_from(HOSTILE) | st.text(max_size=12) | st.lists(st.sampled_from(HOSTILE), max_size=3).map("".join)


def literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def name(text: str) -> str:
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def compiled(text: str, binds: dict[str, Any] | None = None) -> Compiled | None:
    try:
        query = parse(text)
        analyse(query, binds)
        found = compile_query(query, binds or {}, TABLES)
    except ArangoError:
        return None
    return found if isinstance(found, Compiled) else None


def without_quoted_text(sql: str) -> str:
    """Return the statement with one mark in place of each quoted text and each parameter."""
    without = _PARAMETER.sub("?", _QUOTED.sub("?", sql))
    assert "'" not in without
    assert '"' not in without
    assert "$" not in without
    return without


@given(st.sampled_from(TEMPLATES), texts, texts)
@settings(max_examples=400, deadline=None)
def test_text_in_a_query_is_never_a_part_of_the_statement(template: str, string: str, attribute: str) -> None:
    hostile = compiled(template.format(s=literal(string), n=name(attribute or "a")))
    harmless = compiled(template.format(s='"harmless"', n="`attribute`"))
    if hostile is None or harmless is None:
        return
    assert without_quoted_text(hostile.sql) == without_quoted_text(harmless.sql)


@given(st.sampled_from(QUERIES_WITH_BINDS), texts)
@settings(max_examples=300, deadline=None)
def test_a_bind_value_is_never_a_part_of_the_statement(text: str, value: str) -> None:
    hostile, harmless = compiled(text, {"x": value}), compiled(text, {"x": "harmless"})
    if hostile is None or harmless is None:
        return
    assert without_quoted_text(hostile.sql) == without_quoted_text(harmless.sql)


@given(st.sampled_from(QUERIES_WITH_BINDS), texts, texts)
@settings(max_examples=200, deadline=None)
def test_a_cached_statement_takes_later_values_as_parameters(text: str, first: str, later: str) -> None:
    """The same tree, so that the second call may find the cached statement."""
    query = parse(text)
    compiled = [compile_query(query, {"x": value}, TABLES) for value in (first, later)]
    fresh = compile_query(parse(text), {"x": later}, TABLES)
    assert repr(compiled[1]) == repr(fresh)


class Inexact(Exception):
    """The statement may refuse its data: SQLSTATE class 22."""


async def fetched(database: Database, statement: Compiled) -> None:
    try:
        await database.fetch(statement.sql, *statement.parameters)
    except StatementError as error:
        if error.sqlstate.startswith("22"):
            raise Inexact from error
        raise


async def test_postgresql_takes_every_statement_and_no_table_is_lost(database: Database) -> None:
    await database.fetchrow("SELECT _crossfade.ensure_collection('db', 'docs', false)")
    await database.fetchrow("SELECT _crossfade.ensure_collection('db', 'edges', true)")
    await database.execute("INSERT INTO db.docs (key, rev, raw, doc) VALUES ('k', 1, '{}', '{\"a\": \"x\"}')")
    ran = 0
    for text in HOSTILE:
        queries: list[tuple[str, dict[str, Any]]] = [
            (template.format(s=literal(text), n=name(text)), {}) for template in TEMPLATES
        ]
        queries += [(bound, {"x": text}) for bound in QUERIES_WITH_BINDS]
        for query, binds in queries:
            found = compiled(query, binds)
            if found is None:
                continue
            ran += 1
            with contextlib.suppress(Inexact):
                await fetched(database, found)
    assert ran > 200
    assert await database.fetchval("SELECT count(*) FROM db.docs") == 1
