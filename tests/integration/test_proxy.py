"""The main path through one real proxy between a development ArangoDB and PostgreSQL, stage by stage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.base.metrics import REGISTRY
from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, eventually, running

MIRROR, SHADOW = CollectionState(Stage.MIRROR), CollectionState(Stage.SHADOW)
FLIPPED = CollectionState(Stage.FLIPPED, 100)
BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        created = await started.client.post("/_api/collection", json={"name": "books"})
        assert created.status_code == 200
        yield started


def count_answered(endpoint: str, served_by: str) -> float:
    """Return how many requests of an endpoint `origin` or `target` answered with 2xx so far, in this process."""
    labels = {"endpoint": endpoint, "status": "2xx", "served_by": served_by}
    return REGISTRY.get_sample_value("crossfade_requests_total", labels) or 0.0


def count_compared(verdict: str) -> float:
    labels = {"collection": BOOKS, "verdict": verdict}
    return REGISTRY.get_sample_value("crossfade_shadow_comparisons_total", labels) or 0.0


async def test_reads_return_the_origins_bytes(stack: Running) -> None:
    """I6: status, headers and body as the origin gave them."""
    await stack.client.post(DOCUMENT, json={"_key": "a", "n": 1.0, "t": "\u0000é", "nested": {"b": [1, None]}})
    for path in (DOCUMENT + "/a", DOCUMENT + "/nowhere", "/_api/version", "/_api/collection/none"):
        proxied, direct = await stack.client.get(path), await stack.direct.get(path)
        assert proxied.status_code == direct.status_code
        assert proxied.content == direct.content
        assert dict(proxied.headers) == dict(direct.headers)


async def test_writes_at_stage_off_leave_no_trace(stack: Running) -> None:
    await stack.client.post(DOCUMENT, json={"_key": "a"})
    assert stack.application.mirror.backlog == 0
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.collection") == 0


async def test_every_document_write_is_mirrored_and_answered_as_requested(stack: Running) -> None:
    """I1, I3, I4, I6."""
    await stack.move(MIRROR, BOOKS)
    created = await stack.client.post(DOCUMENT, json={"_key": "a", "title": "A"})
    assert (created.status_code, sorted(created.json())) == (202, ["_id", "_key", "_rev"])
    assert "etag" in created.headers
    silent = await stack.client.post(DOCUMENT + "?silent=true", json={"_key": "b"})
    assert (silent.content, "etag" in silent.headers) == (b"{}", False)
    several = await stack.client.post(DOCUMENT + "?returnNew=true", json=[{"_key": "c"}, {"_key": "a"}, {"x": 1}])
    assert [sorted(item) for item in several.json()] == [
        ["_id", "_key", "_rev", "new"],
        ["error", "errorMessage", "errorNum"],
        ["_id", "_key", "_rev", "new"],
    ]
    patched = await stack.client.patch(DOCUMENT + "/a", json={"year": 1999, "nested": {"x": None}})
    assert sorted(patched.json()) == ["_id", "_key", "_oldRev", "_rev"]
    await stack.client.put(DOCUMENT + "/b", json={"title": "B"})
    removed = await stack.client.delete(DOCUMENT + "/c")
    assert removed.status_code == 200 or removed.status_code == 202
    refused = await stack.client.post(DOCUMENT, json={"_key": "a", "lost": True})
    assert (refused.status_code, refused.json()["errorNum"]) == (409, 1210)
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await stack.database.fetchval("SELECT count(*) FROM _system.books WHERE doc IS NOT NULL") == 3


async def test_reads_are_compared_in_the_shadow(stack: Running) -> None:
    await stack.move(MIRROR, BOOKS)
    for n in range(20):
        await stack.client.post(DOCUMENT, json={"_key": f"k{n}", "n": n, "user": f"u{n % 3}"})
    await stack.move(SHADOW, BOOKS)
    before = count_compared("match")
    for n in range(20):
        await stack.client.get(f"{DOCUMENT}/k{n}")
    await stack.client.get(DOCUMENT + "/none")
    listed = await stack.client.post(
        "/_api/cursor",
        json={"query": "FOR b IN books FILTER b.user == @u SORT b.n DESC LIMIT 3 RETURN b", "bindVars": {"u": "u1"}},
    )
    assert [b["n"] for b in listed.json()["result"]] == [19, 16, 13]
    await eventually(lambda: count_compared("match") - before >= 22, "22 matches")


async def test_a_seeded_difference_is_found_and_reported(stack: Running) -> None:
    """I8: the same revision with other content counts immediately."""
    await stack.move(MIRROR, BOOKS)
    await stack.client.post(DOCUMENT, json={"_key": "a", "deep": {"value": 1}})
    await stack.drained()
    await stack.move(SHADOW, BOOKS)
    await stack.database.execute(
        "UPDATE _system.books SET raw = replace(raw::text, '\"value\":1', '\"value\":2')::json, "
        "doc = jsonb_set(doc, '{deep,value}', '2') WHERE key = 'a'"
    )
    answer = await stack.client.get(DOCUMENT + "/a")
    assert answer.json()["deep"] == {"value": 1}

    async def found() -> bool:
        row = await stack.database.fetchrow("SELECT * FROM _crossfade.mismatch WHERE collection = $1", BOOKS)
        return row is not None and row["class"] == "value" and "value" in row["paths"][0]

    await eventually(found, "the mismatch is recorded")


async def test_after_the_flip_postgresql_answers_and_writes_are_in_both(stack: Running) -> None:
    """I7: a read after an acknowledged write sees it, whichever store answers."""
    await stack.move(MIRROR, BOOKS)
    await stack.client.post(DOCUMENT, json={"_key": "a", "n": 0})
    await stack.drained()
    await stack.move(SHADOW, BOOKS)
    direct = await stack.direct.get(DOCUMENT + "/a")
    await stack.move(FLIPPED, BOOKS)
    before = count_answered("document.read", "target")
    proxied = await stack.client.get(DOCUMENT + "/a")
    assert proxied.content == direct.content
    assert {k: v for k, v in proxied.headers.items() if k != "date"} == {
        k: v for k, v in direct.headers.items() if k != "date"
    }
    for n in range(1, 30):
        await stack.client.patch(DOCUMENT + "/a", json={"n": n})
        assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == n
    listed = await stack.client.post("/_api/cursor", json={"query": "FOR b IN books RETURN b.n"})
    assert (listed.status_code, listed.json()["result"]) == (201, [29])
    assert count_answered("document.read", "target") - before == 30
    await stack.client.delete(DOCUMENT + "/a")
    missing = await stack.client.get(DOCUMENT + "/a")
    assert (missing.status_code, missing.json()["errorNum"]) == (404, 1202)
    await stack.move(SHADOW, BOOKS)
    before = count_answered("document.read", "target")
    await stack.client.post(DOCUMENT, json={"_key": "a"})
    assert (await stack.client.get(DOCUMENT + "/a")).status_code == 200
    assert count_answered("document.read", "target") == before


async def test_credentials_that_arangodb_refuses_read_nothing_from_postgresql(stack: Running) -> None:
    """DESIGN section 13; the development server accepts every password, so the origin is stopped to tell."""
    await stack.move(MIRROR, BOOKS)
    await stack.client.post(DOCUMENT, json={"_key": "a"})
    await stack.drained()
    await stack.move(SHADOW, BOOKS)
    await stack.move(FLIPPED, BOOKS)
    assert (await stack.client.get(DOCUMENT + "/a")).status_code == 200
    await stack.origin.stop()
    assert (await stack.client.get(DOCUMENT + "/a")).status_code == 200, "known credentials are kept"
    unknown_user = await stack.client.get(DOCUMENT + "/a", auth=("stranger", "x"))
    assert unknown_user.status_code == 503, "unknown ones are checked by the origin"


@pytest.mark.parametrize(
    ("method", "path", "body", "marked"),
    [
        ("POST", "/_api/document/books?isRestore=true", {"_key": "q", "_rev": "_l6zhVTW--A"}, BOOKS),
        ("POST", "/_api/index?collection=books", {"type": "ttl", "fields": ["at"], "expireAfter": 9000}, BOOKS),
    ],
)
async def test_an_uncaptured_write_marks_the_collections_it_may_change(
    stack: Running, method: str, path: str, body: Any, marked: str
) -> None:
    """I10: and such a mark blocks the flip."""
    await stack.move(MIRROR, BOOKS)
    content = body if isinstance(body, str) else json.dumps(body) if body is not None else None
    await stack.client.request(method, path, content=content)

    async def is_marked() -> bool:
        found: str | None = await stack.database.fetchval("SELECT max(collection) FROM _crossfade.unverified")
        return found == marked

    await eventually(is_marked, "the mark is in PostgreSQL")
    await stack.drained()


async def test_failing_queries_and_reads_leave_no_mark(stack: Running) -> None:
    await stack.move(MIRROR, BOOKS)
    invalid = await stack.client.post("/_api/cursor", json={"query": "FOR b IN books INSERT RETURN"})
    assert (invalid.status_code, invalid.json()["errorNum"]) == (400, 1501)
    await stack.client.post("/_api/cursor", json={"query": "FOR b IN books RETURN b"})
    await stack.drained()
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.unverified") == 0


async def test_an_unreachable_arangodb_gives_503_and_nothing_is_mirrored(stack: Running) -> None:
    """I1: a write that ArangoDB did not accept never appears in PostgreSQL."""
    await stack.move(MIRROR, BOOKS)
    await stack.origin.stop()
    refused = await stack.client.post(DOCUMENT, json={"_key": "a"})
    assert refused.status_code == 503
    assert refused.json().keys() == {"error", "code", "errorNum", "errorMessage"}
    await stack.drained()
    assert await stack.database.fetchval("SELECT count(*) FROM _system.books") == 0
    await stack.origin.start()
    assert (await stack.client.post(DOCUMENT, json={"_key": "a"})).status_code == 202


async def test_an_opaque_write_rolls_a_flipped_collection_back_before_the_answer(stack: Running) -> None:
    """PostgreSQL lacks the write: no read goes there until the collection is verified (mirror-protocol, answer 6)."""
    await stack.move(MIRROR, BOOKS)
    await stack.move(SHADOW, BOOKS)
    await stack.move(FLIPPED, BOOKS)
    restored = {"_key": "q", "_rev": "_l6zhVTW--A"}  # a revision that the client gives is not captured
    done = await stack.client.post("/_api/document/books?isRestore=true", json=restored)
    assert done.status_code == 202
    assert (await stack.client.get(DOCUMENT + "/q")).status_code == 200
    assert await stack.database.fetchval("SELECT stage FROM _crossfade.collection") == "shadow"


async def test_service_paths_go_to_the_services_with_a_trace(dsn: str, tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(head.decode().splitlines()).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running(dsn, tmp_path, services={"/resumes": f"http://127.0.0.1:{port}"}) as stack:
        lines = (await stack.client.get("/resumes/7?x=1")).json()
        assert lines[0] == "GET /resumes/7?x=1 HTTP/1.1"
        assert any(line.lower().startswith("traceparent: 00-") for line in lines)
        assert (await stack.client.get("/other")).status_code == 404
        server.close()
        await server.wait_closed()
        assert (await stack.client.get("/resumes/7")).status_code == 503
    labels = {"route": "GET /resumes/{id}", "status": "200"}
    assert REGISTRY.get_sample_value("crossfade_service_requests_total", labels) == 1
