"""A cached query gives the same statement as if it were compiled again, for all values of its bind variables then and
now."""

from __future__ import annotations

import random
from typing import Any

from proxy.aql import ast, parse
from proxy.aql.compile import Compiled, CompiledTable, CompiledTables, NotCompiled, compile_query
from proxy.aql.compile.outcomes import CachedOutcome
from tests.property.aql_queries import ODD, PLAIN, Maker

TABLES = CompiledTables(
    {
        "c": CompiledTable("db.c"),
        "f": CompiledTable("db.f", indexed=frozenset({"s"})),
        "g": CompiledTable("db.g", True),
        "h": CompiledTable("db.h", True),
    }
)
TEXTS = ["a", "", "é", "%a", "_b%", "x\\", "1", "c/1", "a\0b", "'; --"]
QUERIES_WITH_BINDS = [
    ("FOR d IN c FILTER d.user == @a SORT d.at DESC LIMIT @n, @m RETURN d", "anm"),
    ("FOR d IN c FILTER d._key == @a OR d._id == @b LIMIT @m RETURN [d, @c]", "abmc"),
    ("FOR d IN c FILTER d.x IN @l AND d._key IN @l AND d._id IN @l RETURN d.x", "l"),
    ("FOR d IN c LET o = @o FILTER d.x == o.k AND d.y > o[0] RETURN d", "o"),
    ("FOR d IN c FILTER d.x LIKE @a AND CONTAINS(d.y, @b) AND STARTS_WITH(d.z, @a) RETURN d.@p", "abp"),
    ("FOR d IN c FILTER d.@p == @a SORT d.@p RETURN @b", "pab"),
    ("FOR d IN c FILTER LENGTH(d.t) > @n AND @a != null AND d.n < @n + 1 RETURN DOCUMENT('f', @a)", "na"),
    ("RETURN DOCUMENT(@a)", "a"),
    ("FOR d IN @@c FILTER d.a == @a RETURN d", "ca"),
    ("FOR d IN c FILTER d.x < DATE_NOW() - @n RETURN d", "n"),
    ("FOR d IN f FILTER @a IN d.t AND d.s == @b COLLECT g = d.u INTO x = @a RETURN {g, x}", "ab"),
]


def value(rng: random.Random, name: str) -> Any:
    if name in "nm":
        return rng.choice([0, 1, 5, 20, -1, 2.5, None, "x", 1 << 60])
    if name == "l":
        return rng.choice([["a"], ["a", "c/1"], [], [1, "a", None], [[1]], None, "a", ["a\0b"]])
    if name == "o":
        return rng.choice([{"k": 1}, {"k": "a"}, {}, [1, 2], None, "text"])
    if name == "p":
        return rng.choice(["a", "b", ["a", "b"], "a b", 1])
    return rng.choice(PLAIN + ODD + TEXTS)


def assert_same_statement(cached: Compiled | NotCompiled, fresh: Compiled | NotCompiled, about: object) -> None:
    if isinstance(fresh, Compiled) and isinstance(cached, Compiled):
        assert (cached.sql, repr(cached.parameters)) == (fresh.sql, repr(fresh.parameters)), about
    assert repr(cached) == repr(fresh), about


def test_a_cached_compilation_equals_a_fresh_one_for_random_queries() -> None:
    rng = random.Random(7)
    maker = Maker(rng)
    for _ in range(700):
        text = maker.query()
        query, binds = parse(text), maker.binds
        compile_query(query, {name: value(rng, "a") for name in binds}, TABLES)
        assert_same_statement(
            compile_query(query, binds, TABLES), compile_query(parse(text), binds, TABLES), (text, binds)
        )


def test_a_cached_compilation_equals_a_fresh_one_for_bind_variables_everywhere() -> None:
    rng = random.Random(11)
    for text, names in QUERIES_WITH_BINDS:
        query = parse(text)
        for _ in range(60):
            binds = {name: value(rng, name) for name in names}
            if "c" in binds and "@@c" in text:
                binds["@c"] = rng.choice(["c", "f"])
                del binds["c"]
            cached = compile_query(query, binds, TABLES)
            if "DATE_NOW" in text:
                continue
            assert_same_statement(cached, compile_query(parse(text), binds, TABLES), (text, binds))


def _cached_compilations(query: ast.Query) -> list[CachedOutcome[Any]]:
    known: Any = query.memo["plans"]
    return [kept for group in known.values() for kept in group]


def test_a_query_independent_of_its_values_is_compiled_once() -> None:
    query = parse("FOR d IN c FILTER d.user == @u AND d.state IN @s SORT d.at DESC LIMIT @o, @n RETURN d")
    for number in range(20):
        binds = {"u": f"u{number}", "s": ["a", f"b{number}"], "o": number * 10, "n": 10 + number}
        found = compile_query(query, binds, TABLES)
        assert isinstance(found, Compiled)
        assert found.most == 10 + number
        assert found.parameters[-2:] == (10 + number, number * 10)
        assert found.compared is not None
        assert (found.compared.offset, found.compared.count) == (number * 10, 10 + number)
    (cached,) = _cached_compilations(query)
    assert cached.names == ()


def test_cached_compilations_are_bounded_and_never_depend_on_the_time() -> None:
    query = parse("FOR d IN c FILTER d.x == LOWER(@x) RETURN d")
    for number in range(100):
        found = compile_query(query, {"x": f"X{number}"}, TABLES)
        assert isinstance(found, Compiled)
        assert f'"x{number}"' in found.parameters
    assert len(_cached_compilations(query)) <= 8
    moment = parse("FOR d IN c FILTER d.x < DATE_NOW() RETURN d")
    compile_query(moment, {}, TABLES)
    assert _cached_compilations(moment) == []
