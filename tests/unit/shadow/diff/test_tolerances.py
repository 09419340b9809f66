"""Tolerances: what they remove, and nothing else."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.compare_answers import QueryAnswer, compare_answers
from proxy.shadow.diff.documents import Difference, Kind, TargetRows
from proxy.shadow.diff.paths import matches, tokens
from proxy.shadow.diff.tolerances import Tolerance, apply_tolerances, without_baseline
from proxy.wire.endpoints import named

READ = Operation(named("document.read"), "GET", "db", "c", "k")
MANY = Operation(named("document.read_many"), "PUT", "db", "c")
QUERY = Operation(named("cursor.create"), "POST", "db")


def rule(path: str, kind: str, argument: float | None = None, collection: str = "db/c") -> Tolerance:
    return Tolerance(collection, path, kind, argument)


def document(**content: Any) -> Outcome:
    return Outcome(200, orjson.dumps({"_key": "k", "_id": "c/k", "_rev": "_l6zhVTW--A", **content}))


def read(left: dict[str, Any], right: dict[str, Any], *rules: Tolerance) -> Difference | None:
    return compare_answers(READ, *apply_tolerances(READ, document(**left), document(**right), rules))


def queried(left: list[Any], right: list[Any], *rules: Tolerance) -> Difference | None:
    origin = Outcome(201, orjson.dumps({"result": left, "hasMore": False}))
    return compare_answers(QUERY, *apply_tolerances(QUERY, origin, QueryAnswer(TargetRows(right, None)), rules))


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("a[].b", ("a", "[]", "b")),
        ("[].a", ("[]", "a")),
        ('a."b.c d"[]', ("a", "b.c d", "[]")),
        ('"odd name"', ("odd name",)),
        ("*.x", ("*", "x")),
        ("Zoë", ("Zoë",)),
    ],
)
def test_paths_are_read_as_they_are_printed(path: str, steps: tuple[str, ...]) -> None:
    assert tokens(path) == steps


@pytest.mark.parametrize("path", ["", ".", "a..b", "a[", "a[1]", 'a."b', "a.", ".a"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        tokens(path)


def test_a_pattern_matches_the_end_of_a_path() -> None:
    assert matches(("[]", "a", "email"), ("email",))
    assert matches(("a", "email"), ("*", "email"))
    assert not matches(("email",), ("*", "email"))
    assert not matches(("a", "[]"), ("*",))
    assert matches(("a", "[]"), ("a", "[]"))


def test_what_is_ignored_does_not_differ_and_everything_else_does() -> None:
    assert read({"x": 1, "y": 1}, {"x": 2, "y": 1}, rule("x", "ignore")) is None
    assert read({"x": 1}, {}, rule("x", "ignore")) is None
    found = read({"x": 1, "y": 1}, {"x": 2, "y": 2}, rule("x", "ignore"))
    assert found is not None
    assert found.paths == ("y",)
    assert read({"a": {"x": 1}}, {"a": {"x": 2}}, rule("x", "ignore")) is not None
    assert read({"a": {"x": 1}}, {"a": {"x": 2}}, rule("*.x", "ignore")) is None
    assert read({"a": [{"x": 1}]}, {"a": [{"x": 2}]}, rule("a[].x", "ignore")) is None


def test_numbers_are_rounded() -> None:
    assert read({"x": 0.1 + 0.2}, {"x": 0.3}, rule("x", "round", 6)) is None
    assert read({"x": 1}, {"x": 1.001}, rule("x", "round", 2)) is None
    assert read({"x": 1}, {"x": 1.01}, rule("x", "round", 2)) is not None
    assert read({"x": "1"}, {"x": 1}, rule("x", "round", 2)) is not None
    assert read({"x": True}, {"x": 1}, rule("x", "round", 2)) is not None


def test_timestamps_are_cut_to_a_precision() -> None:
    seconds = rule("at", "seconds", 1)
    assert read({"at": "2026-01-01T00:00:00.120Z"}, {"at": "2026-01-01T00:00:00.121Z"}, seconds) is None
    assert read({"at": "2026-01-01T00:00:00Z"}, {"at": "2026-01-01T00:00:01Z"}, seconds) is not None
    assert read({"at": 1767225600.1}, {"at": 1767225600.9}, seconds) is None
    assert read({"at": "yesterday"}, {"at": "today"}, seconds) is not None
    assert read({"at": "2026-01-01T01:00:00+01:00"}, {"at": "2026-01-01T00:00:00"}, seconds) is None


def test_an_array_as_a_set() -> None:
    tags = rule("tags", "set")
    assert read({"tags": ["b", "a", "a"]}, {"tags": ["a", "b"]}, tags) is None
    assert read({"tags": ["a"]}, {"tags": ["a", "b"]}, tags) is not None
    assert read({"tags": "ab"}, {"tags": "ba"}, tags) is not None


def test_system_attributes_are_never_noise() -> None:
    assert read({"_rev": "_l6zhVTW--B"}, {"_rev": "_l6zhVTW--C"}, rule("*", "ignore")) is not None


def test_rules_of_documents_hold_in_arrays_and_in_rows_of_their_collection() -> None:
    price = rule("price", "ignore")
    one, two = {"_id": "c/k", "price": 1}, {"_id": "c/k", "price": 2}
    many = [Outcome(200, orjson.dumps([value])) for value in (one, two)]
    assert compare_answers(MANY, *apply_tolerances(MANY, many[0], many[1], [price])) is None
    assert queried([one], [two], price) is None
    assert queried([{**one, "_id": "d/k"}], [{**two, "_id": "d/k"}], price) is not None
    assert queried([{"price": 1}], [{"price": 2}], price) is not None
    assert queried([{"price": 1}], [{"price": 2}], rule("[].price", "ignore")) is None
    assert queried([1.01], [1.02], rule("[]", "round", 1)) is None
    assert queried([1], [2], rule("[]", "ignore")) is None


def test_rows_that_limit_cuts_are_quieted_as_well() -> None:
    target = QueryAnswer(TargetRows([{"n": 1, "x": 1}], (1,), None, [{"n": 1, "x": 1}, {"n": 2, "x": 2}]))
    origin = Outcome(201, orjson.dumps({"result": [{"n": 2, "x": 9}], "hasMore": False}))
    assert compare_answers(QUERY, *apply_tolerances(QUERY, origin, target, [rule("[].x", "ignore")])) is None


def test_errors_are_left_as_they_are() -> None:
    missing = Outcome(404, b'{"error":true,"errorNum":1202}')
    for pair in ((missing, document()), (document(), missing)):
        assert apply_tolerances(READ, *pair, [rule("x", "ignore")]) == pair


def test_a_difference_is_arangodbs_own_where_all_of_it_is() -> None:
    own = frozenset({("value", "x"), ("order", ""), ("value", "y")})
    assert without_baseline(Difference(Kind.VALUE, ("x", "y")), own) == (None, (("value", "x"), ("value", "y")))
    assert without_baseline(Difference(Kind.ORDER), own) == (None, (("order", ""),))
    assert without_baseline(Difference(Kind.VALUE, ("x", "z")), own)[0] == Difference(Kind.VALUE, ("z",))
    for other in (Difference(Kind.TYPE, ("x",)), Difference(Kind.VALUE), Difference(Kind.MISSING)):
        assert without_baseline(other, own) == (other, ())
    parts = Difference(Kind.MISSING, (), ("k",), also=(Difference(Kind.VALUE, ("x",)),))
    assert without_baseline(parts, own)[0] == Difference(Kind.MISSING, (), ("k",))


def test_a_rule_tells_itself() -> None:
    assert str(rule("x", "round", 2)) == "round x 2"
    assert str(rule("x", "set")) == "set x"
