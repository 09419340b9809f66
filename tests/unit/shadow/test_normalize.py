"""Simple reads, edges and graph documents as the queries and documents that the shadow compares."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.model.cursor_requests import request_of
from proxy.model.operations import Operation, Outcome
from proxy.shadow.normalize import normalize, plain_outcome
from proxy.wire.decode import decode_parts

_FROM = "FOR e IN @@c FILTER e._from == @vertex RETURN e"
_TO = "FOR e IN @@c FILTER e._to == @vertex RETURN e"


def sent(send: str, body: Any = None) -> Operation:
    method, _, target = send.partition(" ")
    return decode_parts(method, target.encode(), [], b"" if body is None else orjson.dumps(body))


def text_of(operation: Operation | None) -> str:
    assert operation is not None
    assert operation.endpoint.name == "cursor.create"
    text: str = orjson.loads(operation.body)["query"]
    return text


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (sent("GET /_api/edges/e?vertex=v/1&direction=out"), _FROM),
        (sent("GET /_api/edges/e?vertex=v/1&direction=in"), _TO),
        (sent("GET /_api/edges/e?vertex=v/1"), f"FOR e IN UNION_DISTINCT(({_FROM}), ({_TO})) RETURN e"),
        (
            sent("POST /_api/edges/e?direction=in", ["v/1", "v/2"]),
            "FOR v IN @vertices FOR e IN @@c FILTER e._to == v RETURN e",
        ),
        (
            sent("PUT /_api/simple/by-example", {"collection": "c", "example": {"a.b": 1, "c`d": 2}}),
            "FOR d IN @@c FILTER d.`a`.`b` == @v0 && d.@p1_0 == @v1 RETURN d",
        ),
    ],
)
def test_a_read_over_a_collection_is_a_query(operation: Operation, text: str) -> None:
    assert text_of(normalize(operation)) == text


@pytest.mark.parametrize("size", ["abc", [1], 0, None, True])
def test_a_batch_of_no_size_is_one_of_the_usual_size(size: Any) -> None:
    meant = normalize(sent("PUT /_api/simple/all", {"collection": "c", "batchSize": size}))
    assert meant is not None
    assert request_of(meant.body).batch_size == 1000


def test_a_document_of_a_graph_is_a_document() -> None:
    operation = sent("GET /_db/d/_api/gharial/g/vertex/people/a%2Fb")
    meant = normalize(operation)
    assert meant is not None
    assert (meant.endpoint.name, meant.qualified, meant.key) == ("document.read", "d/people", "a/b")
    assert meant.path == ("_api", "document", "people", "a/b")
    raw = b'{"_key":"a","_rev":"_abc","x":1.0}'
    answer = plain_outcome(operation, Outcome(200, b'{"error":false,"code":200,"vertex":%s}' % raw))
    assert answer == Outcome(200, raw, ((b"etag", b'"_abc"'),))


@pytest.mark.parametrize(
    ("send", "body"),
    [
        ("GET /_api/edges/e?vertex=v/1&direction=up", None),
        ("POST /_api/edges/e", {"no": "array"}),
        ("PUT /_api/simple/by-example", {"collection": "c", "example": 1}),
        ("PUT /_api/simple/near", {"collection": "c"}),
        ("PUT /_api/simple/all", []),
    ],
)
def test_what_both_sides_refuse_means_nothing(send: str, body: Any) -> None:
    assert normalize(sent(send, body)) is None


def test_everything_else_is_itself() -> None:
    operation = sent("GET /_api/document/c/a")
    answer = Outcome(200, b"{}")
    assert normalize(operation) is operation
    assert plain_outcome(operation, answer) is answer


@pytest.mark.parametrize(
    ("send", "body", "rows"),
    [
        ("GET /_api/edges/e?vertex=v/1", b'{"edges":[{"a":1}],"error":false,"code":200,"stats":{}}', [{"a": 1}]),
        ("PUT /_api/simple/lookup-by-keys", b'{"documents":[],"error":false,"code":200}', []),
        ("PUT /_api/simple/first-example", b'{"document":{"a":1},"error":false,"code":200}', [{"a": 1}]),
        ("PUT /_api/simple/all", b'{"result":[1],"hasMore":false}', [1]),
    ],
)
def test_rows_are_those_of_a_cursor(send: str, body: bytes, rows: list[Any]) -> None:
    answer = plain_outcome(sent(send), Outcome(200, body))
    assert answer is not None
    assert orjson.loads(answer.body)["result"] == rows


@pytest.mark.parametrize(
    ("send", "status", "number", "told"),
    [
        ("GET /_api/gharial/g/vertex/c/a", 404, 1202, True),
        ("GET /_api/gharial/g/vertex/c/a", 404, 1924, False),
        ("GET /_api/edges/c?vertex=a", 400, 1218, False),
        ("PUT /_api/simple/all", 404, 1203, True),
        ("PUT /_api/simple/all", 401, 11, True),
        ("PUT /_api/simple/all", 503, 503, True),
    ],
)
def test_errors_that_tell_of_data_are_compared(send: str, status: int, number: int, told: bool) -> None:
    outcome = Outcome(status, orjson.dumps({"error": True, "errorNum": number}))
    assert plain_outcome(sent(send), outcome) == (outcome if told else None)


def test_nothing_that_matches_is_no_rows() -> None:
    outcome = Outcome(404, orjson.dumps({"error": True, "errorNum": 404}))
    answer = plain_outcome(sent("PUT /_api/simple/first-example"), outcome)
    assert answer is not None
    assert orjson.loads(answer.body)["result"] == []
