"""Outcomes to responses: ArangoDB's headers and error objects."""

from __future__ import annotations

from proxy.base.errors import ArangoError, Unsupported
from proxy.base.spool import SpooledAnswer, SpoolSpace
from proxy.model.operations import Outcome, streamed
from proxy.wire.encode import encode, error_outcome, json_outcome


def test_an_answer_has_arangodbs_headers() -> None:
    response = encode(json_outcome(200, {"a": 1.0}, ((b"etag", b'"r"'),)))
    assert (response.status, response.body) == (200, b'{"a":1}')
    assert response.header(b"server") == b"ArangoDB"
    assert response.header(b"x-arango-queue-time-seconds") == b"0.000000"
    assert response.header(b"content-type") == b"application/json"
    assert response.header(b"etag") == b'"r"'


def test_other_content_types() -> None:
    response = encode(Outcome(304, b"", (), b"text/plain"))
    assert response.header(b"content-type") == b"text/plain"


def test_errors_have_arangodbs_shape() -> None:
    outcome = error_outcome(ArangoError(1202))
    assert outcome.status == 404
    assert outcome.body == b'{"code":404,"error":true,"errorMessage":"document not found","errorNum":1202}'
    assert error_outcome(Unsupported("time travel")).status == 501


async def test_a_stream_takes_the_place_of_the_body() -> None:
    """Its length is a header, which the listener enforces."""
    spool = SpoolSpace().new()
    spool.append(b"1,2")
    response = encode(streamed(201, SpooledAnswer(spool, b"[", b"]")))
    assert response.header(b"content-length") == b"5"
    assert not isinstance(response.body, bytes)
    assert b"".join([piece async for piece in response.body]) == b"[1,2]"
