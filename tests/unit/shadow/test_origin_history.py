"""Lag is proven if the target shows a state that the origin had at the read, or later."""

from __future__ import annotations

from typing import Any

import orjson

from proxy.base.errors import ArangoError
from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.compare_answers import QueryAnswer
from proxy.shadow.diff.documents import TargetRows
from proxy.shadow.diff.tolerances import Tolerance
from proxy.shadow.origin_history import OriginHistory
from proxy.wire.endpoints import named

READ = Operation(named("document.read"), "GET", "db", "c", "k")
MANY = Operation(named("document.read_many"), "PUT", "db", "c")
QUERY = Operation(named("cursor.create"), "POST", "db")
GONE = Outcome(404, b'{"error":true,"errorNum":1202}')


def doc(n: int, key: str = "k") -> dict[str, Any]:
    return {"_key": key, "_id": f"c/{key}", "_rev": f"_l6zhVTW--{'ABCDEFGH'[n]}", "n": n}


def one(n: int) -> Outcome:
    return Outcome(200, orjson.dumps(doc(n)))


def batch(*rows: object) -> Outcome:
    return Outcome(201, orjson.dumps({"result": rows, "hasMore": False}))


def target(*rows: object) -> QueryAnswer:
    return QueryAnswer(TargetRows(rows, None))


def test_a_document_has_lagged_where_it_shows_what_was_read_or_came_later() -> None:
    history = OriginHistory(READ, one(2), one(1))
    assert not history.explains(one(1))  # older than what was read: that is no lag of this read
    assert history.explains(one(2))
    assert not history.explains(one(3))
    history.add(one(3))
    assert history.explains(one(3))
    assert not history.explains(GONE)
    history.add(GONE)
    assert history.explains(ArangoError(1202))


def test_rows_are_explained_one_by_one() -> None:
    """No moment shows both documents as the target has them, and still both have only lagged."""
    history = OriginHistory(QUERY, batch(doc(1, "a"), doc(1, "b")), target(doc(0, "a"), doc(0, "b")))
    history.add(batch(doc(2, "a"), doc(1, "b")))
    history.add(batch(doc(2, "a"), doc(2, "b")))
    assert not history.explains(target(doc(0, "a"), doc(2, "b")))
    assert history.explains(target(doc(1, "a"), doc(5, "b")))  # b was explained a look ago


def test_a_row_that_left_the_result_may_be_missing() -> None:
    history = OriginHistory(QUERY, batch(doc(1, "a")), target())
    assert not history.explains(target())
    history.add(batch())
    assert history.explains(target())


def test_a_row_that_the_origin_never_showed_is_explained_by_nothing() -> None:
    history = OriginHistory(QUERY, batch(), target(doc(1, "ghost")))
    for n in range(5):
        history.add(batch(doc(n, "other")))
    assert not history.explains(target(doc(1, "ghost")))


def test_rows_of_values_are_explained_as_a_whole() -> None:
    history = OriginHistory(QUERY, batch(1), target(2))
    assert not history.explains(target(2))
    history.add(batch(2))
    assert history.explains(target(2))


def test_a_wrong_order_is_no_matter_of_documents() -> None:
    history = OriginHistory(
        QUERY, batch(doc(1, "a"), doc(1, "b")), QueryAnswer(TargetRows([doc(1, "b"), doc(1, "a")], (1, 1)))
    )
    assert not history.explains(QueryAnswer(TargetRows([doc(1, "b"), doc(1, "a")], (1, 1))))


def test_many_documents_are_explained_place_by_place() -> None:
    absent = {"error": True, "errorNum": 1202, "errorMessage": "here"}
    history = OriginHistory(
        MANY, Outcome(200, orjson.dumps([doc(1), absent])), Outcome(200, orjson.dumps([doc(0), doc(0)]))
    )
    history.add(Outcome(200, orjson.dumps([doc(2), absent])))
    assert not history.explains(Outcome(200, orjson.dumps([doc(2), doc(0)])))
    assert history.explains(Outcome(200, orjson.dumps([doc(3), {**absent, "errorMessage": "there"}])))


def test_it_is_bounded_and_keeps_what_was_read() -> None:
    history = OriginHistory(READ, one(1), GONE)
    for number in range(200):
        history.add(Outcome(200, orjson.dumps({"n": number, "text": "x" * 5000})))
    assert len(history._answers) <= 24
    assert history._bytes <= 256 << 10
    assert history.explains(one(1))
    huge = OriginHistory(READ, Outcome(200, b'{"x":"%s"}' % (b"x" * (300 << 10))), GONE)
    huge.add(one(1))
    assert len(huge._answers) == 1


def test_noise_does_not_stand_in_the_way() -> None:
    history = OriginHistory(READ, one(1), GONE, (Tolerance("db/c", "noise", "ignore"),))
    assert history.explains(Outcome(200, orjson.dumps(doc(1) | {"noise": 1})))
