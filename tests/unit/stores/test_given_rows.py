"""The rows of a compiled INSERT or UPSERT: the columns of parameters, and what is left to evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from proxy.aql import parse
from proxy.aql.compile import CompiledTable, CompiledTables
from proxy.aql.compile.writes import CompiledWrite, compile_write
from proxy.aql.requests import QueryOptions
from proxy.semantics.unique_index import UniqueIndex
from proxy.stores.postgres.modifications.given_rows import BoundWrite, NotExactError, bound, computed_rows
from proxy.stores.postgres.modifications.reserved_numbers import NumberRange, ReservedNumbers

TABLES = CompiledTables({"c": CompiledTable("db.c", indexed=frozenset("i")), "e": CompiledTable("db.e", edge=True)})


async def rows_of(
    text: str, given: Any, *, makes_keys: bool = True, unique: Sequence[str] = (), **options: Any
) -> BoundWrite:
    binds = {"d": given}
    plan = compile_write(parse(text), binds, TABLES)
    assert isinstance(plan, CompiledWrite)
    assert plan.given is not None
    rows = await computed_rows(plan.given, binds, QueryOptions())
    numbers = ReservedNumbers(options, NumberRange(10, 99), [])
    uniques = [UniqueIndex("1", "one", "persistent", tuple(unique), sparse=False, deduplicate=True)] if unique else []
    return await bound(plan, rows, binds, numbers, uniques, makes_keys=makes_keys)


def columns(found: BoundWrite) -> dict[str, str]:
    """Return the lines of each column."""
    return {name[1:]: text for name, text in found.binds.items() if name[0] == "#" != name[1]}


async def test_a_document_is_its_key_and_the_attributes_that_are_not_the_systems() -> None:
    given = [{"_key": "a", "_id": 1, "n": 1.0, "o": {"_key": 2}}, {"_rev": "x"}, {"_from": "c/a", "t": "ü\n"}]
    found = await rows_of("FOR d IN @d INSERT d INTO c", given)
    assert columns(found) == {"key": "a\n11\n12", "body": ',"n":1,"o":{"_key":2}\n\n,"t":"ü\\n"'}
    assert (found.lacking, found.used(3), found.used(0)) == (2, (2, 12), (0, 10))
    assert found.plan.given is None
    assert found.plan.parameters[0] == "a\n11\n12"


async def test_an_edge_has_its_ends() -> None:
    given = {"_key": "a", "_to": "c/2", "n": 1, "_from": "c/1"}
    found = await rows_of("INSERT @d INTO e OPTIONS {overwriteMode: 'update'}", given)
    assert columns(found) == {
        "key": "a", "k": "a", "body_ends": '"_from":"c/1","_to":"c/2",', "body": ',"n":1', "patch": '{"n":1}',
        "changes": "t", "kept_ends": '{"_from":"c/1","_to":"c/2"}',
    }  # fmt: skip


async def test_what_is_looked_for() -> None:
    text = "FOR d IN @d UPSERT {n: d.n, o: {x: d.x}} INSERT MERGE(d, {o: {x: d.x}}) UPDATE {m: OLD.n} IN c RETURN d.n"
    found = await rows_of(text, [{"n": 1}, {"n": "\u00e9", "x": True}], makes_keys=False)
    assert columns(found) == {
        "key": "\n", "body": ',"n":1,"o":{"x":null}\n,"n":"é","x":true,"o":{"x":true}',
        "s0": '1\n"é"', "s1": "null\ntrue", "c": '{"n":1}\n{"n":"é","o":{"x":true}}',
    }  # fmt: skip
    assert found.binds["##d"] == [{"n": 1}, {"n": "é", "x": True}]


async def test_a_patch_of_nothing_changes_nothing() -> None:
    found = await rows_of("FOR d IN @d UPSERT {_key: d} INSERT {_key: d} UPDATE {_rev: d} IN c", ["a", "b"])
    assert columns(found)["changes"] == "\n"
    assert found.unchanged
    assert not (await rows_of("UPSERT {_key: @d} INSERT {_key: @d} UPDATE {n: 1} IN c", "a")).unchanged
    assert (await rows_of("INSERT @d INTO c OPTIONS {overwriteMode: 'ignore'}", {})).unchanged


UPSERT = "FOR d IN @d UPSERT {n: d.n} INSERT d UPDATE"


@pytest.mark.parametrize(
    ("text", "given", "reason"),
    [
        ("INSERT @d INTO c", 1, "a document that is not an object"),
        ("INSERT @d INTO c", {"_key": "a b"}, "a key that is not allowed"),
        ("INSERT @d INTO c", {"t": "\x00"}, "text that jsonb does not hold"),
        ("INSERT @d INTO e", {"_from": "c/a"}, "an edge without ends"),
        ("INSERT {n: 1 / @d} INTO c", 0, "rows that give a warning"),
        ("FOR d IN @d INSERT d INTO c", [{"t": "x" * (1 << 20)}] * 5, "rows of many megabytes"),
        ("FOR d IN @d INSERT d INTO c", [{"_key": "a"}, {"_key": "a"}], "documents with the same key"),
        ("FOR d IN @d INSERT d INTO c OPTIONS {overwriteMode: 'ignore'}", [{"_key": "a"}, {"_key": "a"}],
         "rows that look for the same document"),
        (f"{UPSERT} {{m: 1}} IN c", [{"n": 1}, {"n": 1.0}], "rows that look for the same document"),
        (f"{UPSERT} {{m: 1}} IN c", [{}, {}], "rows that look for the same document"),
        (f"{UPSERT} {{n: 7}} IN c", [{"n": 1}, {"n": 2}], "a document that another row might find"),
        ("FOR d IN @d UPSERT {n: d.n} INSERT {m: d.n} UPDATE {} IN c", [{"n": 1}, {"n": 2}],
         "a document that another row might find"),
        ("FOR d IN @d UPSERT {n: d.n} INSERT d REPLACE {m: 1} IN c", [{"n": 1}],
         "a document that another row might find"),
        ("UPSERT {n: @d} INSERT {} UPDATE {} IN c", [1], "an UPSERT that looks for an array"),
        ("UPSERT {n: @d} INSERT {} UPDATE {} IN c", 1 << 53, "an UPSERT that looks for an array"),
        ("UPSERT {i: @d} INSERT {} UPDATE {} IN c", None, "an UPSERT that looks for null in an index"),
        ("UPSERT {_key: @d} INSERT {} UPDATE {} IN c", 1, "a key that is not allowed"),
        ("UPSERT {n: 1} INSERT {} UPDATE @d IN c", {"\x01": 1}, "an attribute name that is escaped"),
        ("UPSERT {n: 1} INSERT {} REPLACE @d IN e", {}, "an edge without ends"),
    ],
)  # fmt: skip
async def test_what_is_left_to_evaluation(text: str, given: Any, reason: str) -> None:
    with pytest.raises(NotExactError, match=f"^{reason}"):
        await rows_of(text, given)


async def test_an_error_of_a_row_is_left_to_evaluation() -> None:
    with pytest.raises(NotExactError, match="rows that are an error: "):
        await rows_of("INSERT {n: ASSERT(@d, 'no')} INTO c", given=False)
    with pytest.raises(NotExactError, match="a key that is not allowed"):
        await rows_of("INSERT @d INTO c", {"_key": "a"}, allowUserKeys=False)


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("FOR d IN @d UPSERT {u: d.u} INSERT d UPDATE d IN c", True),
        ("FOR d IN @d UPSERT {_key: d._key} INSERT d UPDATE {m: d.u} IN c", True),
        ("FOR d IN @d UPSERT {_key: d._key} INSERT d UPDATE {u: d.u} IN c", False),
        ("FOR d IN @d UPSERT {_key: d._key} INSERT d UPDATE {u: OLD.m} IN c", False),
        ("FOR d IN @d UPSERT {_key: d._key} INSERT d REPLACE {m: 1} IN c", False),
        ("FOR d IN @d UPSERT {u: d.u} INSERT d REPLACE d IN c", True),
        ("FOR d IN @d INSERT d INTO c OPTIONS {overwriteMode: 'ignore'}", True),
        ("FOR d IN @d INSERT d INTO c", True),
        ("UPSERT {_key: 'a'} INSERT {} UPDATE {u: @d} IN c", True),
    ],
)
async def test_unique_values_that_several_rows_change_are_left_to_evaluation(text: str, exact: bool) -> None:
    given = [{"_key": "a", "u": 1}, {"_key": "b", "u": 2}]
    if exact:
        await rows_of(text, given, unique=["u"])
    else:
        with pytest.raises(NotExactError, match="changes of unique values"):
            await rows_of(text, given, unique=["u"])
    assert await rows_of(text, given, unique=["v.w"] if "REPLACE" not in text else [])
