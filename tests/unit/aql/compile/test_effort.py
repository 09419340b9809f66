"""The result builder runs where clients wait only if its time is proportional to the rows of the statement."""

from __future__ import annotations

import pytest

from proxy.aql import parse
from proxy.aql.compile import Compiled, CompiledTable, CompiledTables, compile_query
from proxy.aql.compile.effort import is_proportional

TABLES = CompiledTables({"c": CompiledTable("db.c"), "f": CompiledTable("db.f")})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("RETURN d", True),
        ("RETURN {a: d.a, b: [d.b.c, d.t[0]], n: d.n + 1, e: d.e ? 1 : 2}", True),
        ("RETURN MERGE(d, {n: LENGTH(d.t)})", True),
        ("RETURN d.t[*].name", True),
        ("RETURN d.t[*].u[*].name", False),
        ("RETURN REGEX_TEST(d.v, '^(a+)+$')", False),
        ("RETURN d.v =~ '^(a+)+$'", False),
        ("RETURN LENGTH(1..d.n)", False),
        ("RETURN REPEAT(d.v, 1000000)", False),
        ("RETURN d.v IN d.t", False),
        ("LET x = (FOR i IN 1..3000 FOR j IN 1..3000 RETURN i) RETURN LENGTH(x)", False),
    ],
)
def test_light_and_heavy_rows(text: str, wanted: bool) -> None:
    plan = compile_query(parse(f"FOR d IN c {text}"), {}, TABLES)
    assert not isinstance(plan, Compiled) or is_proportional(plan.finish) is wanted
    if wanted:
        assert isinstance(plan, Compiled)
