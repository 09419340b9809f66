"""Large and encoded bodies through the proxy: mirrored if they can be parsed, else counted (I10)."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.devserver.serve import DevelopmentServer
from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, eventually, running

MIRROR = CollectionState(Stage.MIRROR)
BOOKS = "_system/books"
PATH = "/_api/document/books"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """Run a stack that streams above 1,000 bytes, and does not parse above 5,000."""
    async with running(dsn, tmp_path, max_buffered_body=1000, max_captured_body=5000, capture_memory=5000) as found:
        assert (await found.client.post("/_api/collection", json={"name": "books"})).status_code == 200
        await found.move(MIRROR, BOOKS)
        yield found


async def unverified(stack: Running) -> bool:
    marked: str | None = await stack.database.fetchval("SELECT max(collection) FROM _crossfade.unverified")
    return marked in (BOOKS, "_system/*")


async def test_compressed_bodies_are_mirrored(stack: Running) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
    for number, (encoding, pack) in enumerate(packers.items()):
        headers = {"content-encoding": encoding}
        document = pack(json.dumps({"_key": f"k{number}", "text": "x" * 3000}).encode())
        assert (await stack.client.post(PATH, content=document, headers=headers)).status_code == 202
        query = {"query": "UPDATE @k WITH {n: 1} IN books", "bindVars": {"k": f"k{number}"}}
        packed = pack(json.dumps(query).encode())
        assert (await stack.client.post("/_api/cursor", content=packed, headers=headers)).status_code == 201
    broken = await stack.client.post(PATH, content=b"no gzip", headers={"content-encoding": "gzip"})
    assert (broken.status_code, broken.json()["errorNum"]) == (400, 10)
    assert broken.json()["errorMessage"] == "a decoding error occurred while handling Content-Encoding: gzip"
    await stack.drained()
    assert await stack.differences(BOOKS) == []


async def test_a_streamed_write_is_buffered_and_mirrored(stack: Running) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"_key":"long","text":"'
        yield b"x" * 4000
        yield b'"}'

    assert (await stack.client.post(PATH, content=pieces())).status_code == 202
    text = json.dumps({"_key": "declared", "text": "y" * 4000})
    assert (await stack.client.post(PATH, content=text)).status_code == 202
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert not await unverified(stack)


@pytest.mark.parametrize("query", [False, True])
async def test_a_write_too_large_to_parse_marks_the_collections_it_may_change(stack: Running, query: bool) -> None:
    if query:
        body = {"query": "INSERT @d IN books", "bindVars": {"d": {"_key": "huge", "text": "x" * 6000}}}
        answer = await stack.client.post("/_api/cursor", json=body)
        assert answer.status_code == 201
    else:
        answer = await stack.client.post(PATH, json={"_key": "huge", "text": "x" * 6000})
        assert answer.status_code == 202
    assert len((await stack.direct.get(f"{PATH}/huge")).json()["text"]) == 6000
    await eventually(lambda: unverified(stack), "the collection is unverified")


@pytest.mark.parametrize("size", [10, 2000, 8000], ids=["whole", "put together", "streamed"])
async def test_no_request_is_sent_to_arangodb_in_chunks(stack: Running, size: int) -> None:
    """ArangoDB refuses chunked requests (501), and so does the development server: the proxy declares each length."""

    def pieces(body: Any) -> AsyncIterator[bytes]:
        text = json.dumps(body).encode()

        async def halves() -> AsyncIterator[bytes]:
            yield text[: len(text) // 2]
            yield text[len(text) // 2 :]

        return halves()

    long = "x" * size
    refused = await stack.direct.post(PATH, content=pieces({"text": long}))
    assert (refused.status_code, refused.json()["errorNum"]) == (501, 9)
    for method, path, body in (
        ("POST", PATH, {"_key": "a", "text": long}),
        ("PUT", f"{PATH}/a", {"text": long}),
        ("PATCH", f"{PATH}/a", {"text": long}),
        ("POST", "/_api/cursor", {"query": "RETURN LENGTH(@text)", "bindVars": {"text": long}}),
        ("POST", "/_api/explain", {"query": "RETURN @text", "bindVars": {"text": long}}),
        ("POST", "/_api/import?collection=books&type=documents", {"_key": "b", "text": long}),
        ("PUT", "/_api/simple/by-example", {"collection": "books", "example": {"text": long}}),
        ("POST", "/_api/user", {"user": f"u{size}", "extra": {"text": long}}),
        ("POST", "/_admin/echo", {"text": long}),
    ):
        answer = await stack.client.request(method, path, content=pieces(body))
        assert answer.status_code < 300, (method, path, answer.text)


async def test_the_development_server_decodes_compressed_bodies() -> None:
    async with DevelopmentServer() as server, httpx.AsyncClient(base_url=server.url) as client:
        created = await client.post(
            "/_api/collection", content=gzip.compress(b'{"name":"c"}'), headers={"content-encoding": "gzip"}
        )
        assert created.status_code == 200
        lz4 = await client.post("/_api/document/c", content=b"\x01", headers={"content-encoding": "x-arango-lz4"})
        assert (lz4.status_code, lz4.json()["errorNum"]) == (501, 9)
