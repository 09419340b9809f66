"""Requests to operations: paths, parameters, headers, effects."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from proxy.model.endpoint import Effect
from proxy.model.message import Request
from proxy.wire import decode as decoding
from proxy.wire.decode import decode, decode_parts, peek


def test_a_document_read() -> None:
    operation = decode(Request("GET", b"/_db/hr/_api/document/people/k%C3%A9y%2F1", [(b"If-None-Match", b'"_r"')]))
    assert operation.endpoint.name == "document.read"
    assert operation.effect is Effect.READ
    assert (operation.database, operation.collection, operation.key) == ("hr", "people", "kéy/1")
    assert operation.path == ("_api", "document", "people", "kéy/1")
    assert operation.headers == {"if-none-match": '"_r"'}
    assert operation.qualified == "hr/people"


@pytest.mark.parametrize(
    ("method", "target", "endpoint", "effect", "collection", "key"),
    [
        ("HEAD", "/_api/document/c/k", "document.head", Effect.READ, "c", "k"),
        ("POST", "/_api/document/c?returnNew=1", "document.insert", Effect.WRITE, "c", None),
        ("POST", "/_api/document?collection=c", "document.insert", Effect.WRITE, "c", None),
        ("POST", "/_api/document", "document.insert", Effect.WRITE, None, None),
        ("PUT", "/_api/document/c/k", "document.replace", Effect.WRITE, "c", "k"),
        ("PATCH", "/_api/document/c/k", "document.update", Effect.WRITE, "c", "k"),
        ("DELETE", "/_api/document/c/k", "document.remove", Effect.WRITE, "c", "k"),
        ("PUT", "/_api/document/c", "document.replace_many", Effect.WRITE, "c", None),
        ("PUT", "/_api/document/c?onlyget=false", "document.read_many", Effect.READ, "c", None),
        ("PATCH", "/_api/document/c", "document.update_many", Effect.WRITE, "c", None),
        ("DELETE", "/_api/document/c", "document.remove_many", Effect.WRITE, "c", None),
        ("POST", "/_api/cursor", "cursor.create", Effect.QUERY, None, None),
        ("POST", "/_api/cursor/1/2", "cursor.next", Effect.PASSTHROUGH, None, None),
        ("PUT", "/_api/cursor/1", "cursor.next", Effect.PASSTHROUGH, None, None),
        ("DELETE", "/_api/cursor/1", "cursor.delete", Effect.PASSTHROUGH, None, None),
        ("GET", "/_api/collection", "collection.list", Effect.PASSTHROUGH, None, None),
        ("PUT", "/_api/collection/c/truncate", "collection.truncate", Effect.CONTROL, "c", None),
        ("GET", "/_api/collection/c/count", "collection.count", Effect.PASSTHROUGH, "c", None),
        ("DELETE", "/_api/index/c/7", "index.drop", Effect.CONTROL, "c", None),
        ("DELETE", "/_api/database/x", "database.drop", Effect.CONTROL, None, None),
        ("POST", "/_api/import?collection=c", "import", Effect.OPAQUE, "c", None),
        ("POST", "/_api/transaction/begin", "transaction.begin", Effect.OPAQUE, None, None),
        ("PUT", "/_api/transaction/9", "transaction.commit", Effect.OPAQUE, None, None),
        ("GET", "/_api/transaction/9", "transaction.status", Effect.PASSTHROUGH, None, None),
        ("DELETE", "/_api/gharial/g/vertex/c/k", "gharial.vertex_remove", Effect.OPAQUE, "c", "k"),
        ("PUT", "/_api/simple/all", "simple.all", Effect.PASSTHROUGH, None, None),
        ("PUT", "/_api/simple/update-by-example", "simple.update-by-example", Effect.OPAQUE, None, None),
        ("GET", "/_api/job/done?count=1", "job", Effect.PASSTHROUGH, None, None),
        ("GET", "/_api/user/root/database/x", "user.permission", Effect.PASSTHROUGH, None, None),
        ("GET", "/_api/version", "version", Effect.PASSTHROUGH, None, None),
        ("GET", "/_admin/usage-metrics", "admin.metrics", Effect.PASSTHROUGH, None, None),
        ("POST", "/_admin/backup/create", "admin.backup", Effect.PASSTHROUGH, None, None),
        ("POST", "/_admin/backup/restore", "unknown", Effect.OPAQUE, None, None),
        ("POST", "/_api/batch", "batch", Effect.OPAQUE, None, None),
        ("GET", "/my/foxx/service", "foxx", Effect.OPAQUE, None, None),
        ("GET", "/_api/foxx", "foxx", Effect.PASSTHROUGH, None, None),
        # what the table does not know
        ("GET", "/_api/nothing/known", "unknown", Effect.PASSTHROUGH, None, None),
        ("OPTIONS", "/_api/document/c/k", "unknown", Effect.PASSTHROUGH, None, None),
        ("POST", "/_api/nothing", "unknown", Effect.OPAQUE, None, None),
        ("LOCK", "/_api/document/c/k", "unknown", Effect.OPAQUE, None, None),
        ("DELETE", "/_api/document", "unknown", Effect.OPAQUE, None, None),
        ("GET", "/", "unknown", Effect.PASSTHROUGH, None, None),
    ],
)
def test_endpoints(
    method: str, target: str, endpoint: str, effect: Effect, collection: str | None, key: str | None
) -> None:
    for prefix in ("", "/_db/shop", "/_arango/v0/_db/shop"):
        operation = decode(Request(method, (prefix + target).encode()))
        assert (operation.endpoint.name, operation.effect) == (endpoint, effect)
        assert (operation.collection, operation.key) == (collection, key)
        assert operation.database == ("shop" if prefix else "_system")


def test_parameters_are_decoded_and_the_last_one_wins() -> None:
    operation = decode(Request("GET", b"/_api/index?a=1&collection=x+y%26&flag&a=2&&"))
    assert operation.params == {"a": "2", "collection": "x y&", "flag": ""}


def test_only_headers_that_change_a_meaning_are_kept() -> None:
    headers = [
        (b"X-ARANGO-TRX-ID", b"17"),
        (b"Content-Type", b"application/json"),
        (b"Accept", b"*/*"),
        (b"Authorization", b"Basic x"),
        (b"user-agent", b"x"),
    ]
    assert decode_parts("GET", b"/_api/document/c/k", headers).headers == {"x-arango-trx-id": "17"}
    binary = [(b"content-type", b"application/x-velocypack"), (b"accept", b"application/x-velocypack")]
    assert decode_parts("POST", b"/_api/document/c", binary).headers == {
        "content-type": "application/x-velocypack",
        "accept": "application/x-velocypack",
    }
    assert decode_parts("GET", b"/_api/database/user", headers).headers["authorization"] == "Basic x"


def test_a_streamed_body_is_left_alone() -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"{}"

    assert decode(Request("POST", b"/_api/document/c", [], stream())).body == b""
    assert decode(Request("POST", b"/_api/document/c", [], b"{}")).body == b"{}"


@pytest.mark.parametrize(
    "target", [b"", b"/%", b"/_db", b"/_db/", b"/_db/%ff/_api/document/c/\xff", b"?", b"//_api//version/"]
)
def test_any_target_is_decoded(target: bytes) -> None:
    assert decode(Request("GET", target)).endpoint.name


def test_empty_segments_do_not_count_and_absolute_targets_are_understood() -> None:
    assert decode(Request("GET", b"//_api//version/")).endpoint.name == "version"
    assert decode(Request("GET", b"http://host:1/_db/d/_api/version")).database == "d"


def test_peek_tells_the_row_alone() -> None:
    assert peek("GET", b"/_db/never_seen/_api/engine").name == "engine"
    decode(Request("GET", b"/_db/seen/_api/engine"))
    assert peek("GET", b"/_db/seen/_api/engine").name == "engine"


def test_what_is_remembered_is_bounded() -> None:
    for number in range(decoding._REMEMBER + 2):
        decode(Request("GET", b"/_db/d%d/_api/version" % number))
    assert len(decoding._remembered) <= decoding._REMEMBER
