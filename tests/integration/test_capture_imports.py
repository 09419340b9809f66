"""Imports through a proxy: the same summary as from ArangoDB, and both databases the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, running

BOOKS, LINKS = "_system/books", "_system/links"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        await started.client.post("/_api/collection", json={"name": "plain"})  # not mirrored: ArangoDB's own answers
        await started.client.post("/_api/collection", json={"name": "links", "type": 3})
        await started.move(CollectionState(Stage.MIRROR), BOOKS, LINKS)
        yield started


LINES = '{"_key":"a","n":1}\n\n{"_key":"b","n":2}\nnonsense\n{"_key":"a","n":3,"m":{"x":null}}\n{"n":4}\n[1]\n'
KEYED = '{"_key":"a","n":1}\n{"_key":"b","n":2}\n{"_key":"a","n":3}\n{"_key":"!bad/"}\n'
ROWS = '["_key","n"]\n["a",1]\n["c",null]\n[1]\n'


@pytest.mark.parametrize(
    ("params", "body"),
    [
        ("type=documents", LINES),
        ("type=documents&onDuplicate=update", LINES),
        ("type=documents&onDuplicate=replace", LINES),
        ("type=documents&onDuplicate=ignore", LINES),
        ("type=documents&onDuplicate=odd", LINES),
        ("type=documents&details=true", KEYED),
        ("type=documents&complete=true", KEYED),
        ("type=array&onDuplicate=update", json.dumps([{"_key": "a", "x": 1}, {"x": 2}, 5])),
        ("type=auto", json.dumps([{"x": 1}])),
        ("", ROWS),
        ("type=documents&overwrite=true", LINES),
        ("type=documents&overwrite=true&details=true", KEYED),
        ("type=array", "no json"),
        ("type=documents&details=true", LINES),
        ("type=documents&details=true&onDuplicate=update", LINES),
        ("type=documents&complete=true", LINES),
        ("type=array&complete=true", json.dumps([{"n": 1}, {"n": 2}])),
    ],
)
async def test_an_import_is_captured_and_answers_as_arangodb(stack: Running, params: str, body: str) -> None:
    """I3, I6, I10: nothing becomes unverified."""
    seed = [{"_key": "a", "old": {"y": 1}}, {"_key": "z"}]
    for name in ("books", "plain"):
        await stack.client.post(f"/_api/document/{name}", json=seed)
    proxied = await stack.client.post(f"/_api/import?collection=books&{params}", content=body)
    direct = await stack.direct.post(f"/_api/import?collection=plain&{params}", content=body)
    assert (proxied.status_code, proxied.json()) == (direct.status_code, direct.json())
    assert dict(proxied.headers) == dict(direct.headers)
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.unverified") == 0


async def test_imported_edges_get_the_prefixes_of_the_request(stack: Running) -> None:
    answer = await stack.client.post(
        "/_api/import?collection=links&type=documents&fromPrefix=p&toPrefix=q", content='{"_from":"1","_to":"x/2"}\n'
    )
    assert answer.json()["created"] == 1
    await stack.drained()
    assert await stack.differences(LINKS) == []
    row = await stack.database.fetchrow("SELECT doc ->> '_from' AS f, doc ->> '_to' AS t FROM _system.links")
    assert row is not None
    assert (row["f"], row["t"]) == ("p/1", "x/2")


async def test_a_large_import_is_streamed_and_mirrored_completely(stack: Running) -> None:
    """The body is larger than the buffer for bodies that are only forwarded."""
    lines = "".join(json.dumps({"_key": f"k{n}", "t": "x" * 1500}) + "\n" for n in range(3000))
    answer = await stack.client.post("/_api/import?collection=books&type=documents", content=lines)
    assert answer.json()["created"] == 3000
    await stack.drained()
    assert await stack.differences(BOOKS) == []


async def test_an_import_into_a_flipped_collection_is_in_both_before_the_answer(stack: Running) -> None:
    """I7."""
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    await stack.client.post("/_api/import?collection=books&type=documents", content='{"_key":"a"}\n{"n":1}\n')
    assert await stack.database.fetchval("SELECT count(*) FROM _system.books") == 2
    await stack.client.post("/_api/import?collection=books&type=documents", content='{"_key":"b"}\n')
    assert await stack.database.fetchval("SELECT count(*) FROM _system.books") == 3
    assert (
        await stack.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS)
        == "flipped"
    )
