"""What an answer of ArangoDB to a read shows, for PostgreSQL to be brought up to date with it."""

from __future__ import annotations

import pytest

from proxy.gateway.reads import _shown
from proxy.model.message import Headers, Response
from proxy.model.operations import Change, Operation
from proxy.model.revision import decode_rev
from proxy.wire.endpoints import named

REV = "_l6zhVHK---"
BODY = b'{"_key":"a","_id":"books/a","_rev":"%s","n":1}' % REV.encode()
READ = Operation(named("document.read"), "GET", "shop", "books", "a")


def response(body: bytes = BODY, status: int = 200, headers: Headers | None = None) -> Response:
    return Response(status, headers or [], body)


def test_a_document_is_taken_from_the_answer() -> None:
    assert _shown(READ, response(), "shop/books") == Change("shop/books", "a", decode_rev(REV), BODY)


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        (READ, response(status=404)),
        (READ, response(b"[]")),
        (READ, response(b"\xff")),
        (READ, response(headers=[(b"Content-Encoding", b"gzip")])),
        (Operation(READ.endpoint, "GET", "shop", "books", "a", headers={"x-arango-trx-id": "1"}), response()),
        (Operation(named("document.head"), "HEAD", "shop", "books", "a"), response()),
        (Operation(named("gharial.vertex_read"), "GET", "shop", "books", "a"), response()),
    ],
)
def test_everything_else_is_read_again(operation: Operation, answer: Response) -> None:
    assert _shown(operation, answer, "shop/books") is None
