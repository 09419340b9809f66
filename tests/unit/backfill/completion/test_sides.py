"""What makes two printed documents different, and when two sides are equal."""

from __future__ import annotations

import pytest

from backfill.completion.sides import Compared, Side, difference

A = b'{"_key":"a","_rev":"_1","n":1,"x":[true,null,{"y":"z"}]}'


@pytest.mark.parametrize(
    ("postgresql", "arangodb", "what"),
    [
        (A, A, ""),
        (None, None, ""),
        (A, None, "only in PostgreSQL"),
        (None, A, "only in ArangoDB"),
        (A, A.replace(b"_1", b"_2"), "another revision"),
        (A, A.replace(b'"n":1', b'"n":2'), "other content"),
        (A, A.replace(b'"n":1', b'"n":1.0'), ""),
        (A, b'{"n":1,"_key":"a","x":[true,null,{"y":"z"}],"_rev":"_1"}', ""),
        (A, A.replace(b"true", b"1"), "other content"),
        (A, A.replace(b"null", b"false"), "other content"),
        (A, A.replace(b",null", b""), "other content"),
        (A, A.replace(b'"y"', b'"w"'), "other content"),
    ],
)
def test_documents(postgresql: bytes | None, arangodb: bytes | None, what: str) -> None:
    assert difference(postgresql, arangodb) == what


@pytest.mark.parametrize(
    ("found", "equal"),
    [
        (Compared("a/b"), True),
        (Compared("a/b", Side(2, "ab"), Side(2, "ab")), True),
        (Compared("a/b", Side(2, "ab"), Side(2, "cd")), False),
        (Compared("a/b", Side(2, "ab"), Side(2, "cd"), reprinted=1), True),
        (Compared("a/b", Side(2, "ab"), Side(3, "ab")), False),
        (Compared("a/b", Side(2, "ab"), Side(2, "ab"), number=1), False),
    ],
)
def test_sides(found: Compared, *, equal: bool) -> None:
    assert found.equal is equal
