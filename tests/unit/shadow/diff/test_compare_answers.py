"""Two answers to one operation: errors, conditions, arrays, queries, counts."""

from __future__ import annotations

import orjson
import pytest

from proxy.base.errors import ArangoError
from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.compare_answers import QueryAnswer, compare_answers, error_of, stable
from proxy.shadow.diff.documents import Difference, Kind, NotComparable, TargetRows
from proxy.wire.endpoints import named

OLD, NEW = "_l6zhVTW---", "_l6zhVTW--A"
READ = Operation(named("document.read"), "GET", "db", "c", "k")
HEAD = Operation(named("document.head"), "HEAD", "db", "c", "k")
MANY = Operation(named("document.read_many"), "PUT", "db", "c")
COUNT = Operation(named("collection.count"), "GET", "db", "c")
QUERY = Operation(named("cursor.create"), "POST", "db")


def document(rev: str = NEW, status: int = 200, **content: object) -> Outcome:
    body = orjson.dumps({"_key": "k", "_id": "c/k", "_rev": rev, **content})
    return Outcome(status, body if status == 200 else b"", ((b"etag", f'"{rev}"'.encode()),))


def error(status: int, number: int) -> Outcome:
    return Outcome(status, orjson.dumps({"code": status, "error": True, "errorNum": number, "errorMessage": "…"}))


def answer(value: object, status: int = 200) -> Outcome:
    return Outcome(status, orjson.dumps(value))


def batch(*rows: object, more: bool = False, **extra: object) -> Outcome:
    return answer({"result": rows, "hasMore": more, **extra}, 201)


def test_both_refuse_alike() -> None:
    assert compare_answers(READ, error(404, 1202), error(404, 1202)) is None
    assert compare_answers(READ, error(404, 1203), ArangoError(1203)) is None


def test_only_one_side_has_it() -> None:
    assert compare_answers(READ, document(), error(404, 1202)) == Difference(Kind.MISSING, (), ("k",))
    assert compare_answers(READ, error(404, 1202), document()) == Difference(Kind.EXTRA, (), ("k",))


def test_only_one_side_refuses() -> None:
    assert compare_answers(READ, document(), error(404, 1203)) == Difference(
        Kind.ERROR, ("origin answer, target 404/1203",), ("k",)
    )
    assert compare_answers(QUERY, error(400, 1501), QueryAnswer(TargetRows([], None))) == Difference(
        Kind.ERROR, ("origin 400/1501, target answer",)
    )


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_what_says_nothing_of_the_data_is_not_compared(status: int) -> None:
    with pytest.raises(NotComparable, match=str(status)):
        compare_answers(READ, error(status, 11), document())


def test_heads_compare_by_their_revision() -> None:
    assert compare_answers(HEAD, document(), document()) is None
    assert compare_answers(HEAD, document(), document(OLD)) == Difference(Kind.STALE, (), ("k",))
    assert compare_answers(HEAD, Outcome(404), error(404, 1202)) is None
    assert compare_answers(HEAD, document(), error(404, 1202)) == Difference(Kind.MISSING, (), ("k",))
    assert compare_answers(HEAD, Outcome(404), document()) == Difference(Kind.EXTRA, (), ("k",))


def test_conditional_reads_compare_by_what_they_say_of_the_revision() -> None:
    assert compare_answers(READ, document(status=304), document(status=304)) is None
    assert compare_answers(READ, document(status=412), document(status=412)) is None
    assert compare_answers(READ, document(status=304), document(OLD)) == Difference(Kind.STALE, (), ("k",))
    assert compare_answers(READ, document(OLD), document(status=304)) == Difference(Kind.VALUE, ("_rev",), ("k",))
    assert compare_answers(READ, document(status=304), document(status=412)) == Difference(
        Kind.ERROR, ("origin 304, target 412",), ("k",)
    )


def test_arrays_compare_place_by_place() -> None:
    absent = {"error": True, "errorNum": 1202, "errorMessage": "document not found"}
    one, two = {"_key": "a", "_rev": NEW, "x": 1}, {"_key": "b", "_rev": NEW, "x": [1]}

    assert compare_answers(MANY, answer([one, absent]), answer([dict(reversed(one.items())), absent])) is None
    assert compare_answers(MANY, answer([one, two]), answer([one, absent])) == Difference(Kind.MISSING, (), ("b",))
    assert compare_answers(MANY, answer([absent, two]), answer([one, two])) == Difference(Kind.EXTRA, (), ("a",))
    assert compare_answers(MANY, answer([one, two]), answer([one | {"x": 2}, two | {"x": [2]}])) == Difference(
        Kind.VALUE, ("x",), ("a",), same_revision=True, also=(Difference(Kind.VALUE, ("x[]",), ("b",), True),)
    )
    conflict = {"error": True, "errorNum": 1200}
    assert compare_answers(MANY, answer([one]), answer([conflict])) == Difference(
        Kind.ERROR, ("origin None, target 1200",), ("a",)
    )
    assert compare_answers(MANY, answer([one]), answer([])) == Difference(Kind.ERROR, ("[]",))


def test_queries_compare_rows_and_counts() -> None:
    target = QueryAnswer(TargetRows([1, 2], (1, 1)), full_count=7)

    assert compare_answers(QUERY, batch(1, 2), target) is None
    assert compare_answers(QUERY, batch(1, 2, count=2, extra={"stats": {"fullCount": 7}}), target) is None
    assert compare_answers(QUERY, batch(2, 1), target) == Difference(Kind.ORDER, ("[]",))
    assert compare_answers(QUERY, batch(1, more=True, count=3), target) == Difference(Kind.MISSING, ("count",))
    assert compare_answers(QUERY, batch(1, more=True, count=1), target) == Difference(Kind.EXTRA, ("count",))
    assert compare_answers(QUERY, batch(1, 2, extra={"stats": {"fullCount": 8}}), target) == Difference(
        Kind.VALUE, ("fullCount",)
    )


def test_counts_compare_by_the_number_alone() -> None:
    assert compare_answers(COUNT, answer({"count": 3, "id": "77"}), answer({"count": 3})) is None
    assert compare_answers(COUNT, answer({"count": 3}), answer({"count": 2})) == Difference(Kind.VALUE, ("count",))


def test_an_answer_stands_still() -> None:
    assert stable(READ, document(), document())
    assert not stable(READ, document(), document(OLD))
    assert not stable(READ, document(), error(404, 1202))
    assert stable(READ, error(404, 1202), Outcome(404, error(404, 1202).body + b" "))
    assert not stable(HEAD, document(), document(OLD))
    assert stable(QUERY, batch(1, 2, extra={"time": 1}), batch(2, 1, extra={"time": 2}))
    assert not stable(QUERY, batch(1, 2), batch(1, 3))


def test_the_number_of_an_error() -> None:
    assert error_of(error(404, 1202)) == (404, 1202)
    assert error_of(Outcome(404, b"<html>")) == (404, 0)
    assert error_of(document(status=412)) is None


def test_a_collection_that_is_gone_holds_nothing() -> None:
    """A dropped collection stays in PostgreSQL without documents; one that was never written is unknown there."""
    for gone in (error(404, 1203), error(404, 1228)):
        assert compare_answers(READ, gone, error(404, 1202)) is None
        assert compare_answers(READ, gone, ArangoError(1203)) is None
        assert compare_answers(READ, gone, document()) == Difference(Kind.EXTRA, (), ("k",))
        assert compare_answers(HEAD, gone, document()) == Difference(Kind.EXTRA, (), ("k",))
        nothing = answer([{"error": True, "errorNum": 1202}])
        assert compare_answers(MANY, gone, nothing) is None
        assert compare_answers(MANY, gone, answer([{"_key": "k"}])) == Difference(Kind.EXTRA, (), ("k",))
        with pytest.raises(NotComparable, match="is gone"):
            compare_answers(QUERY, gone, QueryAnswer(TargetRows([], None)))
    assert compare_answers(READ, error(404, 1202), ArangoError(1203)) is None
    with pytest.raises(NotComparable, match="not in PostgreSQL"):
        compare_answers(QUERY, batch(), ArangoError(1203))
    assert compare_answers(QUERY, batch(1), ArangoError(1203)) is not None
