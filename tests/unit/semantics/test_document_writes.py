"""Requests that write documents, before any collection: what they ask for, and which keys they name."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.base.errors import ArangoError
from proxy.semantics.document_writes import (
    DocumentAction,
    DocumentWriteRequest,
    parse_change,
    parse_insert,
    parse_remove,
)
from proxy.semantics.imports import parse_import
from proxy.semantics.key_generator import KeyGenerator
from proxy.semantics.write_rules import Mode
from proxy.wire.decode import decode_parts


def parsed(method: str, target: str, body: Any = None) -> DocumentWriteRequest:
    parse = {"POST": parse_insert, "DELETE": parse_remove}.get(method, parse_change)
    return parse(decode_parts(method, target.encode(), [], b"" if body is None else orjson.dumps(body)))


def generator(**options: Any) -> KeyGenerator:
    return KeyGenerator({"type": "autoincrement", **options}, lambda: 0)


def targets(request: DocumentWriteRequest, made: KeyGenerator | None = None) -> list[str | int]:
    prepared = request.prepare(made or generator(), edge=False)
    return [target if isinstance(target, str) else target.number for target in prepared.targets]


def test_a_generated_key_is_above_the_keys_before_it_in_the_request() -> None:
    request = parsed("POST", "/_api/document/c", [{}, {"_key": "50"}, {}, {"_key": "x"}, 3, {"_key": "/"}])
    made = generator(offset=10)
    assert targets(request, made) == ["10", "50", "51", "x", 1227, 1221]
    assert made.last == 51


def test_keys_of_clients_may_be_forbidden_but_not_to_a_restore() -> None:
    body = [{"_key": "a"}, {}]
    assert targets(parsed("POST", "/_api/document/c", body), generator(allowUserKeys=False)) == [1222, "1"]
    restore = parsed("POST", "/_api/document/c?isRestore=true", body)
    assert targets(restore, generator(allowUserKeys=False)) == ["a", 1221]


def test_changes_name_keys_by_the_path_or_by_their_documents() -> None:
    assert targets(parsed("PATCH", "/_api/document/c/k", {"_key": "other"})) == ["k"]
    assert targets(parsed("PUT", "/_api/document/c/k", {"_key": 1})) == [1221]
    body = [{"_key": "a"}, {}, {"_key": ""}, "a"]
    assert targets(parsed("PUT", "/_api/document/c", body)) == ["a", 1205, 1221, 1227]


def test_removals_name_keys_handles_or_documents() -> None:
    assert targets(parsed("DELETE", "/_api/document/c/k")) == ["k"]
    body = ["a", "other/b", {"_key": "c"}, {"_id": "c/d"}, 1]
    assert targets(parsed("DELETE", "/_api/document/c", body)) == ["a", "b", "c", 1205, 1205]
    assert targets(parsed("DELETE", "/_api/document/c", {"_key": "c"})) == ["c"]


def test_a_removal_or_a_change_leaves_the_generator_alone() -> None:
    made = generator()
    targets(parsed("DELETE", "/_api/document/c", ["7"]), made)
    targets(parsed("PATCH", "/_api/document/c/8", {}), made)
    assert made.last == 0


def test_the_mode_of_an_insert() -> None:
    asked = {"overwriteMode=update": Mode.UPDATE, "overwrite=true": Mode.REPLACE, "overwriteMode=x": Mode.CONFLICT}
    for params, mode in asked.items():
        request = parsed("POST", f"/_api/document/c?{params}", {})
        assert (request.kind, request.rules.mode) == (DocumentAction.INSERT, mode)


@pytest.mark.parametrize(
    ("method", "target", "body", "number"),
    [
        ("POST", "/_api/document", {}, 1204),
        ("PUT", "/_api/document/c/k", [], 1227),
        ("PATCH", "/_api/document/c", {}, 1227),
        ("PUT", "/_api/document", [], 400),
        ("DELETE", "/_api/document/c", None, 400),
        ("DELETE", "/_api/document/c", "a", 400),
    ],
)
def test_a_request_that_cannot_be_parsed(method: str, target: str, body: Any, number: int) -> None:
    with pytest.raises(ArangoError) as caught:
        parsed(method, target, body)
    assert caught.value.number == number


def test_an_import_names_the_keys_of_its_documents() -> None:
    body = b'{"_key":"a"}\n\n{wrong\n{"_key":"9"}\n{}\n3\n'
    request = parse_import(decode_parts("POST", b"/_api/import?collection=c&type=documents", [], body))
    prepared = request.prepare(generator(), edge=False)
    assert prepared.keys == {"a", "9", "10"}
    assert request.prepare(generator(), edge=True).keys == frozenset()  # none has ends
