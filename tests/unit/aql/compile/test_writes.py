"""Which queries that write compile to one statement, and what is left to the evaluator."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.aql import parse
from proxy.aql.compile import CompiledTable, CompiledTables, NotCompiled
from proxy.aql.compile.writes import (
    BatchedWrite,
    CompiledWrite,
    GivenChange,
    batched_write,
    compile_write,
)

TABLES = CompiledTables(
    {
        "c": CompiledTable("db.c", indexed=frozenset("i")),
        "d": CompiledTable("db.d"),
        "e": CompiledTable("db.e", edge=True),
    }
)


def compiled(text: str, binds: dict[str, Any] | None = None) -> CompiledWrite | BatchedWrite | NotCompiled:
    return compile_write(parse(text), binds, TABLES)


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        ("FOR x IN c UPDATE x WITH {n: x.n + 1} IN c", {}),
        ("FOR x IN c FILTER x.n > 1 REPLACE x._key WITH {a: x.o, l: [x.n, 'a']} IN c RETURN NEW", {}),
        ("FOR x IN c SORT x.n LIMIT 3 REMOVE {_key: x._key} IN c RETURN {o: OLD, n: x.n}", {}),
        ("FOR x IN @@c UPDATE x WITH @patch IN @@c OPTIONS {keepNull: false}", {"@c": "c", "patch": {"a": {"b": 1}}}),
        ("LET x = DOCUMENT(c, @k) UPDATE x WITH {n: x.n || 1, m: x.m ? 'a' : x.s} IN c", {"k": "a"}),
        ("UPDATE @k WITH {n: DOCUMENT(c, @k).n + 1} IN c RETURN NEW.n", {"k": "a"}),
        ("REMOVE @k IN c", {"k": "a"}),
        ("UPDATE @d IN c", {"d": {"_key": "a", "n": 1}}),
        ("FOR k IN @l FOR x IN c FILTER x.n == k REMOVE x IN c RETURN k", {"l": [1, 2]}),
        ("FOR x IN e FILTER x._from == 'c/1' UPDATE x WITH {n: NOT_NULL(x.n, [])} IN e COLLECT n = NEW.n RETURN n", {}),
        ("FOR x IN c LET y = FIRST(FOR z IN d FILTER z.n == x.n RETURN z.n) UPDATE x WITH {y: y} IN c", {}),
    ],
)  # fmt: skip
def test_what_compiles(text: str, binds: dict[str, Any]) -> None:
    found = compiled(text, binds)
    assert isinstance(found, CompiledWrite), found
    assert (found.finish is None) is ("RETURN" not in text.rpartition(" IN ")[2])
    assert found.sql.endswith(") w") is (found.finish is None)
    assert f"${len(found.parameters) + 1}::text" in found.sql


@pytest.mark.parametrize(
    ("text", "columns", "change"),
    [
        ("INSERT @d INTO c", "key body", None),
        ("INSERT {a: RAND()} INTO c RETURN NEW", "key body", None),
        ("FOR x IN @d INSERT x IN e LET n = x.n RETURN [n, NEW]", "key body body_ends", None),
        ("FOR x IN @d INSERT x IN c FILTER x.n > 1 RETURN NEW", "key body w0", None),
        ("INSERT @d INTO c OPTIONS {overwriteMode: 'ignore'}", "key body k", GivenChange("IGNORE", own=False)),
        ("INSERT @d INTO c OPTIONS {overwrite: true}", "key body k change_body", GivenChange("REPLACE", own=True)),
        ("UPSERT {_key: @d} INSERT {a: 1} UPDATE {} IN c", "key body k patch changes",
         GivenChange("UPDATE", own=True)),
        ("UPSERT {a: @d, b: {c: 1}} INSERT {a: 1} REPLACE {a: 2} IN c", "key body c s0 s1 change_body",
         GivenChange("REPLACE", own=True)),
        ("UPSERT {i: @d, b: 1} INSERT {a: 1} UPDATE MERGE(OLD, {a: 2}) IN c", "key body s0 s1 patch changes",
         GivenChange("UPDATE", own=True, merged=True)),
        ("UPSERT {a: @d} INSERT {a: 1} REPLACE MERGE(OLD, {a: 2}) IN c", "key body c s0 patch",
         GivenChange("UPDATE", own=True, always=True)),
        ("UPSERT {_from: @d} INSERT {a: 1} UPDATE OLD IN e", "key body body_ends c s0 patch kept_ends",
         GivenChange("UPDATE", own=True, merged=True)),
        ("FOR x IN @d LET y = x.y UPSERT {_key: x.k} INSERT x UPDATE {n: OLD.n + y, z: y} IN c", "key body k w1",
         GivenChange("UPDATE", own=False, names=frozenset("nz"))),
    ],
)  # fmt: skip
def test_insert_and_upsert_of_given_rows(text: str, columns: str, change: GivenChange | None) -> None:
    found = compiled(text, {"d": []} if "@d" in text else {})
    assert isinstance(found, CompiledWrite), found
    assert found.given is not None
    assert found.given.columns == set(columns.split())
    assert found.given.change == change


def test_the_statement_of_given_rows_serves_all_values() -> None:
    """It depends on no document, so that it is compiled once."""
    query = parse("UPSERT {n: @n} INSERT @d UPDATE @d IN c")
    one, other = (compile_write(query, {"n": "a", "d": document}, TABLES) for document in ({}, {"a": {"b": 1}}))
    assert one is other


def test_only_what_cannot_be_found_again_is_changed() -> None:
    """A row must not find what another one has written."""
    for text in (
        "FOR x IN @l UPSERT {_key: x.k} INSERT x REPLACE {n: OLD.n} IN c",
        "FOR x IN @l UPSERT {n: x.n} INSERT x UPDATE {m: OLD.n} IN c",
        "UPSERT {n: @l} INSERT {n: 1} UPDATE {n: OLD.n + 1} IN c",
    ):
        assert isinstance(compiled(text, {"l": []}), CompiledWrite)


@pytest.mark.parametrize(
    ("text", "binds", "reason"),
    [
        ("UPSERT @s INSERT {a: 1} UPDATE {} IN c", {"s": {"a": 1}}, "an UPSERT that looks for a computed object"),
        ("UPSERT {} INSERT {a: 1} UPDATE {} IN c", {}, "an UPSERT that looks for a computed object"),
        ("UPSERT FILTER $CURRENT.a == 1 INSERT {a: 1} UPDATE {} IN c", {}, "UPSERT with FILTER"),
        ("UPSERT {_rev: 'a'} INSERT {a: 1} UPDATE {} IN c", {}, "an UPSERT that looks for _rev"),
        ("UPSERT {_from: 'c/1'} INSERT {a: 1} UPDATE {} IN c", {}, "an UPSERT that looks for _from"),
        ("UPSERT {a: 1} INSERT {a: 1} UPDATE {n: LENGTH(FOR x IN d FILTER x.n == OLD.n RETURN 1)} IN c", {}, "a change "
         "that reads documents, perhaps those that were changed for another row"),
        ("UPSERT {a: 1} INSERT {a: 1} UPDATE UNSET(OLD, 'b') IN c", {}, "a change that is computed as a whole"),
        ("UPSERT {a: 1} INSERT {a: 1} UPDATE MERGE(OLD, {b: 1}) IN c OPTIONS {keepNull: false}", {}, "MERGE that is "
         "merged in another way"),
        ("FOR x IN @l UPSERT {n: x} INSERT {n: x} UPDATE {n: OLD.n + 1} IN c", {"l": []}, "a change of what UPSERT "
         "looks for"),
        ("FOR x IN @l UPSERT {n: x} INSERT {n: x} REPLACE {m: OLD.n} IN c", {"l": []}, "a change of what UPSERT looks "
         "for"),
        ("FOR x IN d INSERT x INTO c", {}, "documents that are read before others are inserted"),
        ("INSERT DOCUMENT('d/1') INTO c", {}, "documents that are read before others are inserted"),
        ("FOR x IN @l COLLECT n = x.n INSERT {n} INTO c", {"l": []}, "COLLECT before a modification"),
        ("INSERT {n: 1} INTO c OPTIONS {overwriteMode: 'update', versionAttribute: 'n'}", {}, "versionAttribute"),
        ("FOR x IN c UPDATE x WITH {a: 1} IN c REMOVE x IN d", {}, "several modifications"),
        ("LET a = (FOR x IN c REMOVE x IN c RETURN 1) RETURN a", {}, "a modification inside"),
        ("FOR x IN c UPDATE x WITH {r: RAND()} IN c", {}, "function RAND in a condition"),
        ("FOR x IN c UPDATE x WITH {n: LENGTH(FOR y IN c RETURN 1)} IN c", {}, "a change that reads documents, perhaps "
         "those that were changed for another row"),
        ("FOR x IN c UPDATE x WITH {} IN c", {}, "a change of nothing"),
        ("FOR x IN c UPDATE x WITH {_rev: 1, _from: 2} IN c", {}, "a change of nothing"),
        ("FOR x IN e UPDATE x WITH {_from: 'c/1'} IN e", {}, "a change of the ends of an edge"),
        ("FOR x IN e REPLACE x WITH {a: 1} IN e", {}, "REPLACE of an edge"),
        ("FOR x IN c UPDATE x WITH MERGE(x, {a: 1}) IN c", {}, "a change that is computed as a whole"),
        ("FOR x IN c UPDATE x WITH @p IN c", {"p": [1]}, "a change that is not an object"),
        ("FOR x IN c UPDATE x WITH {n: 1} IN c OPTIONS {versionAttribute: 'n'}", {}, "versionAttribute"),
        ("FOR x IN d UPDATE x WITH {n: 1} IN c", {}, "a document of another collection"),
        ("FOR x IN d UPDATE CONCAT(x._key, '') WITH {n: 1} IN c", {}, "a key that is computed"),
        ("UPDATE @k WITH {n: 1} IN c", {"k": 1}, "a key that is not a text"),
        ("UPDATE {_key: 'a', _rev: ''} WITH {n: 1} IN c OPTIONS {ignoreRevs: false}", {}, "a revision that must match"),
        ("FOR x IN c UPDATE x WITH {[x.n]: 1} IN c", {}, "an attribute name that is computed"),
        ("FOR x IN c UPDATE x WITH {'a\\\\': 1} IN c", {}, "an attribute name that is escaped"),
    ],
)  # fmt: skip
def test_what_is_left_to_the_evaluator(text: str, binds: dict[str, Any], reason: str) -> None:
    found = compiled(text, binds)
    assert isinstance(found, NotCompiled | BatchedWrite)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("text", "binds", "rows", "keys"),
    [
        ("INSERT {a: 1} INTO c", {}, 1, 1),
        ("INSERT @d INTO c RETURN NEW", {"d": {"a": 1}}, 1, 1),
        ("INSERT @d INTO c", {"d": {"_key": "a"}}, 1, 0),
        ("LET n = 1 FOR d IN @l LET m = d.a INSERT d INTO c RETURN m", {"l": [{"_key": "a"}, {}, {"a": 1}, 1]}, 4, 2),
        ("FOR d IN [{_key: 'a'}, {a: 1}, {[CONCAT('a')]: 1}] INSERT d INTO c", {}, 3, 1),
        ("FOR d IN @l INSERT {n: d} INTO c", {"l": [1, 2]}, 2, 2),
        ("FOR d IN @l INSERT MERGE(d, {n: 1}) INTO c", {"l": [{}, {}]}, 2, 0),
        ("FOR d IN @l FILTER d.n INSERT d INTO c", {"l": [{}, {}]}, 0, 0),
        ("FOR d IN @l FOR e IN d INSERT e INTO c", {"l": [[{}], [{}]]}, 0, 0),
        ("FOR i IN 1..9 INSERT {n: i} INTO c", {}, 0, 0),
        ("UPSERT {a: 1} INSERT {a: 1} UPDATE {} IN c", {}, 1, 0),
        ("FOR d IN @l UPSERT {_key: d._key} INSERT d REPLACE d IN c RETURN OLD", {"l": [{}, {}]}, 2, 0),
        ("FOR k IN @l UPDATE CONCAT('k', k) WITH {n: 1} IN c", {"l": [1, 2]}, 2, 0),
        ("FOR k IN @l REMOVE CONCAT('k', k) IN c", {"l": [1, 2]}, 2, 0),
    ],
)  # fmt: skip
def test_what_is_foreseen_of_batches(text: str, binds: dict[str, Any], rows: int, keys: int) -> None:
    found = batched_write(parse(text), binds, "")
    assert isinstance(found, BatchedWrite), found
    assert (found.rows, found.keys) == (rows, keys)


@pytest.mark.parametrize(
    "text",
    [
        "FOR x IN d INSERT x INTO c",
        "INSERT DOCUMENT('d/1') INTO c",
        "INSERT {a: 1} INTO c LET n = LENGTH(FOR x IN d RETURN 1) RETURN n",
        "UPSERT FILTER $CURRENT.a == 1 INSERT {a: 1} UPDATE {} IN c",
        "UPSERT {a: RAND()} INSERT {a: 1} UPDATE {} IN c",
        "UPSERT {a: 1} INSERT {a: 1} UPDATE {n: DOCUMENT('d/1').n} IN c",
        "INSERT {a: 1} INTO c INSERT {a: 1} INTO d",
        "LET a = (INSERT {a: 1} INTO c RETURN 1) RETURN a",
    ],
)
def test_what_is_not_in_batches(text: str) -> None:
    assert batched_write(parse(text), {}, "") is None


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("FOR x IN c UPDATE x WITH {n: 1} IN c", False),
        ("FOR x IN c LET y = x UPDATE y._key WITH {n: 1} IN c", False),
        ("FOR x IN c REPLACE 'a' WITH {n: x.n} IN c", True),
        ("FOR x IN c UPDATE {_key: 'a'} WITH {n: x.n} IN c", True),
        ("FOR x IN c LET y = DOCUMENT(c, x.parent) REMOVE y IN c", True),
        ("FOR k IN [1, 2] FOR x IN c FILTER x.n == k REMOVE x IN c", True),
    ],
)
def test_a_statement_refuses_rows_that_name_the_same_document(text: str, repeats: bool) -> None:
    """The order of the rows decides which of them writes last."""
    found = compiled(text)
    assert isinstance(found, CompiledWrite), found
    assert ("PARTITION BY b.key) > 1" in found.sql) is repeats


def test_rows_of_equal_sort_keys_keep_their_order() -> None:
    """A LIMIT decides which documents are written: those that the evaluator would take."""
    found = compiled("FOR x IN c SORT x.n LIMIT 1 REMOVE x IN c")
    assert isinstance(found, CompiledWrite)
    assert "AS k0, d1.key AS k1" in found.sql
    assert "ORDER BY k0, k1 LIMIT" in found.sql


def test_the_statement_of_a_key_serves_every_key() -> None:
    query = parse("UPDATE @k WITH {n: @n} IN c")
    one, other = (compile_write(query, {"k": key, "n": n}, TABLES) for key, n in (("a", 1), ("b", 2)))
    assert isinstance(one, CompiledWrite)
    assert isinstance(other, CompiledWrite)
    assert one.sql == other.sql
    assert one.parameters != other.parameters


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("FOR x IN c FILTER x.n == 1 OR x.n == 2 SORT x.n UPDATE x WITH {n: 1} IN c RETURN NEW", True),
        ("FOR x IN c LET n = x.n FILTER n > 1 FILTER x.m REMOVE x IN c", True),
        ("FOR x IN c UPDATE x WITH {n: 1} IN c", False),
        ("FOR x IN c FILTER x._key == 'a' REMOVE x IN c", False),
        ("FOR x IN c LET k = x._key FILTER k == 'a' REMOVE x IN c", False),
        ("FOR x IN i FILTER x.n == 1 REMOVE x IN i", False),
        ("FOR x IN c FILTER @n == 1 REMOVE x IN c", False),
        ("FOR x IN c FILTER x.n == 1 LIMIT 2 REMOVE x IN c", False),
        ("FOR x IN c FILTER x.n == 1 REMOVE x IN c FILTER OLD.m RETURN 1", False),
        ("FOR n IN [1] FOR x IN c FILTER x.n == n REMOVE x IN c", False),
        ("FOR x IN c FILTER LENGTH(FOR y IN d FILTER y.n == x.n RETURN 1) == 0 REMOVE x IN c", False),
        ("FOR x IN d FILTER x.n == 1 UPDATE 'a' WITH {n: 1} IN c", False),
    ],
)
def test_dropped_documents_are_counted_if_they_are_all_others(text: str, counted: bool) -> None:
    tables = CompiledTables({**TABLES.tables, "i": CompiledTable("db.i", indexed=frozenset({"n"}))})
    found = compile_write(parse(text), {"n": 1} if "@n" in text else {}, tables)
    assert isinstance(found, CompiledWrite), found
    assert ("_crossfade.count_of" in found.sql) is counted
