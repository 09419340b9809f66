"""Surprises of the protocol page that would break a naive mirror, through a proxy: both databases stay the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, eventually, running

BOOKS, LINKS = "_system/books", "_system/links"
DOCUMENT = "/_api/document/books"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path, lease=0.3) as started:
        edges = [{"collection": "links", "from": ["books"], "to": ["books"]}]
        await started.client.post("/_api/gharial", json={"name": "g", "edgeDefinitions": edges})
        await started.move(CollectionState(Stage.MIRROR), "_system/*", BOOKS, LINKS)
        yield started


async def send(stack: Running, method: str, target: str, body: Any = None, **headers: str) -> Any:
    answer = await stack.client.request(method, target, json=body, headers=headers)
    assert answer.status_code < 400, answer.text
    return answer.json() if answer.content else None


async def assert_same(stack: Running, *collections: str) -> None:
    await stack.drained()
    for collection in collections or (BOOKS,):
        assert await stack.differences(collection) == []
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.unverified") == 0


async def test_1_2_3_4_6_7_8_10_writes_of_one_document_and_of_many_are_mirrored(stack: Running) -> None:
    await send(stack, "POST", DOCUMENT, [{"_key": key, "v": 1, "a": {"b": 1}} for key in "abcdef"] + [{"_key": "a"}])
    await send(stack, "PATCH", f"{DOCUMENT}/a?keepNull=false", {"a": {"b": None}, "n": {"x": None, "y": {"z": None}}})
    await send(stack, "PATCH", f"{DOCUMENT}/b", {})
    await send(stack, "POST", f"{DOCUMENT}?overwriteMode=update", {"_key": "c", "v": None, "w": 1})
    await send(stack, "POST", f"{DOCUMENT}?overwriteMode=ignore", {"_key": "d", "v": 9})
    await send(stack, "PUT", f"{DOCUMENT}/e?versionAttribute=v", {"v": 1, "lost": True})
    await send(stack, "PUT", f"{DOCUMENT}?onlyget=false", ["a", "none"])
    await send(stack, "DELETE", DOCUMENT, ["links/f", "none"])
    await send(stack, "POST", DOCUMENT, {"_key": "g", "_from": "books/a", "_to": "books/b"})
    await assert_same(stack)
    assert await stack.database.fetchval("SELECT count(*) FROM _system.books WHERE doc IS NOT NULL") == 6


async def test_5_9_writes_that_answers_do_not_show_are_mirrored(stack: Running) -> None:
    """I3: silent writes, imports, queries, by keys and by example, cascades of a graph, truncation, jobs."""
    await send(stack, "POST", f"{DOCUMENT}?silent=true", [{"_key": key} for key in "abc"])
    await send(stack, "POST", "/_api/import?collection=books&type=list", [{"_key": "d"}, {"n": 1}])
    await send(stack, "POST", "/_api/cursor", {"query": "FOR d IN books UPDATE d WITH {x: d._key} IN books"})
    await send(stack, "PUT", "/_api/simple/remove-by-keys", {"collection": "books", "keys": ["c", "none"]})
    example = {"collection": "books", "example": {"n": 1}, "newValue": {"m": 1}}
    await send(stack, "PUT", "/_api/simple/update-by-example", example)
    await send(stack, "POST", "/_api/document/links", {"_key": "e", "_from": "books/a", "_to": "books/b"})
    await send(stack, "DELETE", "/_api/gharial/g/vertex/books/a")
    await assert_same(stack, BOOKS, LINKS)
    await send(stack, "PUT", "/_api/collection/books/truncate")
    await send(stack, "POST", "/_api/import?collection=books&type=list&overwrite=true", [{"_key": "z"}])
    await send(stack, "POST", DOCUMENT, {"_key": "later"}, **{"x-arango-async": "true"})

    async def written() -> bool:
        return (await stack.direct.get(f"{DOCUMENT}/later")).status_code == 200

    await eventually(written, "the job has run")
    await assert_same(stack, BOOKS, LINKS)


async def test_5_writes_that_cannot_be_captured_mark_the_collection(stack: Running) -> None:
    """I10: documents that expire. A write by example is found by its revisions."""
    await send(stack, "POST", DOCUMENT, {"_key": "a", "n": 1})
    example = {"collection": "books", "example": {"n": 1}, "newValue": {"m": 1}}
    await send(stack, "PUT", "/_api/simple/update-by-example", example)
    await assert_same(stack, BOOKS)
    await send(stack, "POST", "/_api/index?collection=books", {"type": "ttl", "fields": ["until"], "expireAfter": 0})

    async def marked() -> bool:
        rows = await stack.database.fetch("SELECT collection FROM _crossfade.unverified")
        return {row["collection"] for row in rows} == {BOOKS}

    await eventually(marked, "the collection is unverified")


async def test_9_a_rename_moves_the_documents(stack: Running) -> None:
    await send(stack, "POST", "/_api/collection", {"name": "old"})
    await send(stack, "POST", "/_api/document/old", {"_key": "a"})
    await send(stack, "PUT", "/_api/collection/old/rename", {"name": "new"})
    await send(stack, "POST", "/_api/document/new", {"_key": "b"})
    await assert_same(stack, "_system/old", "_system/new")
    assert await stack.database.fetchval("SELECT count(*) FROM _system.new WHERE doc IS NOT NULL") == 2


async def test_11_postgresql_serves_the_bytes_that_arangodb_printed(stack: Running) -> None:
    """I6, after the flip: NUL, forms of numbers, order of attributes."""
    text = (
        '{"_key":"k","z":1.0,"a":1e5,"n":-0,"m":-0.0,"u":18446744073709551615,"w":9007199254740993.0,"t":"a\\u0000b"}'
    )
    assert (await stack.client.post(DOCUMENT, content=text)).status_code == 202
    await assert_same(stack)
    for state in (CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)):
        await stack.move(state, BOOKS)

    async def served_by_postgresql() -> bool:
        answer = await stack.client.get(f"{DOCUMENT}/k", headers={"x-crossfade-explain": "1"})
        return answer.headers["x-crossfade-served-by"] == "postgresql"

    await eventually(served_by_postgresql, "PostgreSQL serves the document")
    through_proxy, direct = await stack.client.get(f"{DOCUMENT}/k"), await stack.direct.get(f"{DOCUMENT}/k")
    assert through_proxy.content == direct.content
    assert through_proxy.headers["etag"] == direct.headers["etag"]


async def test_12_documents_that_a_failed_query_may_have_written_are_read_again(stack: Running) -> None:
    """I5: a failed query's answer proves nothing; what it may have changed is read again."""
    await send(stack, "POST", DOCUMENT, {"_key": "5", "n": 1})
    query = "FOR i IN 1..9 INSERT {_key: TO_STRING(i)} INTO books"
    assert (await stack.client.post("/_api/cursor", json={"query": query})).status_code == 409
    await stack.drained()
    assert await stack.differences(BOOKS) == []


async def test_13_15_conflicts_keep_their_status_and_reach_no_mirror(stack: Running) -> None:
    await send(stack, "POST", DOCUMENT, {"_key": "k", "n": 1})
    for header in ({"if-match": "*"}, {"if-match": '"_other"'}):
        refused = await stack.client.put(f"{DOCUMENT}/k", json={"n": 2}, headers=header)
        assert (refused.status_code, refused.json()["errorNum"]) == (412, 1200)
    assert (await stack.client.get(f"{DOCUMENT}/k", headers={"if-none-match": "*"})).status_code == 200
    await assert_same(stack)


async def test_17_a_cursor_stays_with_the_store_that_opened_it(stack: Running) -> None:
    await send(stack, "POST", DOCUMENT, [{"_key": key} for key in "abc"])
    await stack.drained()
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    question = {"query": "FOR d IN books SORT d._key RETURN d._key", "batchSize": 2}
    before = await send(stack, "POST", "/_api/cursor", question)
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    after = await send(stack, "POST", "/_api/cursor", question)
    assert before["result"] == after["result"] == ["a", "b"]
    for cursor in (before, after):
        assert (await send(stack, "POST", f"/_api/cursor/{cursor['id']}"))["result"] == ["c"]


@pytest.mark.parametrize(
    ("method", "target", "text"),
    [
        ("POST", DOCUMENT, rb'{"_key":"a","t":"\ud800"}'),
        ("POST", DOCUMENT, rb'[{"_key":"\udc00"},{"_key":"b"}]'),
        ("POST", DOCUMENT, b'{"_key":"a","t":"\xed\xa0\x80"}'),
        ("POST", "/_api/cursor", rb'{"query":"FOR d IN books REMOVE @x IN books","bindVars":{"x":"\ud800"}}'),
        ("POST", "/_api/import?collection=books&type=list", rb'[{"_key":"\ud800"}]'),
        ("PUT", "/_api/simple/remove-by-keys", rb'{"collection":"books","keys":["\ud800"]}'),
    ],
)
async def test_lone_surrogates_are_refused_by_arangodb_itself_and_leave_no_mark(
    stack: Running, method: str, target: str, text: bytes
) -> None:
    """Protocol page, section 2, "JSON values": 400 since 3.11."""
    refused = await stack.client.request(method, target, content=text)
    assert (refused.status_code, refused.json()["errorNum"]) == (400, 600)
    assert refused.json()["errorMessage"] == "VPackError error: Invalid UTF-8 sequence"
    await assert_same(stack)


@pytest.mark.parametrize("by", ["FOR d IN books INSERT {_key: CONCAT(d._key, 'x')} INTO `%s`", "INSERT {} INTO @@c"])
async def test_a_query_that_names_a_collection_by_its_numeric_id_leaves_a_mark(stack: Running, by: str) -> None:
    """I10: protocol page, section 6, "Collections may be addressed by numeric id"."""
    await send(stack, "POST", DOCUMENT, {"_key": "a"})
    number = (await stack.direct.get("/_api/collection/books")).json()["id"]
    binds = {"@c": number} if "@@c" in by else {}
    await send(stack, "POST", "/_api/cursor", {"query": by.replace("%s", number), "bindVars": binds})

    async def marked() -> bool:
        return bool(await stack.database.fetchval("SELECT count(*) FROM _crossfade.unverified"))

    await eventually(marked, "what it may have written is unverified")
