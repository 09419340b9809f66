"""VelocyPack bodies through a proxy are captured, mirrored and compared as JSON ones are (protocol page, section 8)."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.model.stages import CollectionState, Stage
from proxy.wire.velocypack import decode
from tests.harness import Running, running
from tests.unit.wire.vpack import encode

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"
PACKED = {"content-type": "application/x-velocypack"}


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", content=encode({"name": "books"}), headers=PACKED)
        await started.move(CollectionState(Stage.MIRROR), BOOKS)
        yield started


async def send(stack: Running, method: str, target: str, value: Any) -> Any:
    answer = await stack.client.request(method, target, content=encode(value), headers=PACKED)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def unverified(stack: Running) -> int:
    found: int = await stack.database.fetchval("SELECT count(*) FROM _crossfade.unverified")
    return found


async def test_velocypack_writes_and_queries_are_captured_like_json(stack: Running) -> None:
    """I3, I10: nothing is counted as a gap."""
    await send(stack, "POST", DOCUMENT, {"_key": "a", "n": 2**64 - 1, "x": [1.5, {"y": None}], "t": "é\x00"})
    await send(stack, "POST", DOCUMENT, [{"_key": "b"}, {"_key": "c"}])
    await send(stack, "PATCH", f"{DOCUMENT}/a", {"m": -1})
    await send(stack, "DELETE", DOCUMENT, ["b"])
    query = {"query": "FOR d IN books UPDATE d WITH {q: @q} IN books", "bindVars": {"q": [True]}}
    await send(stack, "POST", "/_api/cursor", query)
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    found = (await stack.client.get(f"{DOCUMENT}/a")).json()
    assert (found["n"], found["m"], found["q"], found["t"]) == (2**64 - 1, -1, [True], "é\x00")
    assert await unverified(stack) == 0


async def test_a_large_velocypack_body_is_captured(stack: Running) -> None:
    await send(stack, "POST", DOCUMENT, {"_key": "large", "text": "x" * 70000})
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await unverified(stack) == 0


DATED = b"\x14\x12" + encode("_key") + encode("d") + encode("t") + b"\x1c" + struct.pack("<q", 1)
DATED = DATED[:1] + bytes([len(DATED) + 1]) + DATED[2:] + b"\x02"


async def test_a_document_that_json_cannot_represent_is_forwarded_unchanged_and_captured_by_its_answer(
    stack: Running,
) -> None:
    """I3: ArangoDB does not convert a date to a number. A query with a date is opaque, and counted as such."""
    for method, path in (("POST", DOCUMENT), ("PUT", DOCUMENT + "/d")):
        answer = await stack.client.request(method, path, content=DATED, headers=PACKED)
        assert answer.status_code == 202, answer.text
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert (await stack.client.get(DOCUMENT + "/d")).json()["t"] == 1
    assert await unverified(stack) == 0


async def test_an_invalid_velocypack_body_gets_arangodbs_error(stack: Running) -> None:
    answer = await stack.client.post(DOCUMENT, content=b"\x0b\xff", headers=PACKED)
    assert (answer.status_code, answer.json()["errorNum"]) == (400, 600)
    assert answer.json()["errorMessage"].startswith("VPackError error: ")


ACCEPT = {"accept": "application/x-velocypack"}
FORMS = [PACKED, ACCEPT, {**PACKED, **ACCEPT}]
# every way of a write; `{n}`: another one each time
WRITES: list[tuple[str, str, Any]] = [
    ("POST", DOCUMENT, {"_key": "a{n}", "n": 1.5, "deep": {"x": [None, True, -7, 2**63]}}),
    ("POST", DOCUMENT + "?silent=true", {"_key": "s{n}"}),
    ("POST", DOCUMENT + "?returnNew=true", {"n": 2}),
    ("POST", DOCUMENT, [{"_key": "b{n}"}, {"_key": "b{n}"}, {"n": 3}]),
    (
        "POST",
        DOCUMENT + "?overwriteMode=update&keepNull=false&returnOld=true&waitForSync=true",
        {"_key": "a{n}", "n": None},
    ),
    ("PUT", DOCUMENT + "/a{n}?returnNew=true&returnOld=true", {"r": "x" * 200}),
    ("PUT", DOCUMENT + "?silent=true", [{"_key": "b{n}", "r": 1}, {"_key": "none"}]),
    ("PATCH", DOCUMENT + "/a{n}", {"u": {"é": "ü"}}),
    ("PATCH", DOCUMENT, [{"_key": "b{n}", "u": 1}]),
    ("DELETE", DOCUMENT + "/s{n}?returnOld=true", None),
    ("DELETE", DOCUMENT, ["b{n}", "none"]),
    ("POST", "/_api/import?collection=books&type=array&onDuplicate=update", [{"_key": "i{n}"}, {"n": 4}]),
    (
        "POST",
        "/_api/cursor",
        {"query": "FOR i IN 1..9 INSERT {i} INTO books RETURN NEW", "batchSize": 2, "count": True},
    ),
    ("POST", "/_api/cursor", {"query": "FOR d IN books FILTER d.i == @i REMOVE d IN books", "bindVars": {"i": 9}}),
    ("POST", "/_api/gharial/g/vertex/books", {"_key": "v{n}"}),
    ("PATCH", "/_api/gharial/g/vertex/books/v{n}", {"n": 5}),
    ("PUT", "/_api/simple/remove-by-keys", {"collection": "books", "keys": ["i{n}"]}),
    ("POST", DOCUMENT, {"_key": "a{n}"}),  # refused: it is there
    ("PUT", DOCUMENT + "/none", {}),
]


def filled(value: Any, number: int) -> Any:
    """Return the value with `{n}` replaced by the number of the round."""
    if isinstance(value, str):
        return value.replace("{n}", str(number))
    if isinstance(value, dict):
        return {name: filled(item, number) for name, item in value.items()}
    return [filled(item, number) for item in value] if isinstance(value, list) else value


async def send_and_decode(
    client: httpx.AsyncClient, method: str, path: str, body: Any, headers: dict[str, str]
) -> tuple[int, Any]:
    """Send a request; return status and value of its answer, whose body must have the requested form."""
    packs = "content-type" in headers
    content = b"" if body is None else encode(body) if packs else json.dumps(body).encode()
    answer = await client.request(method, path, content=content, headers=headers)
    expected = "application/x-velocypack" if "accept" in headers else "application/json"
    assert answer.headers["content-type"].startswith(expected) or not answer.content, (path, answer.headers)
    return answer.status_code, decode(answer.content) if "accept" in headers and answer.content else answer.json()


def shape(value: Any) -> Any:
    """Return an answer without revisions, keys, statistics and names."""
    if isinstance(value, dict):
        own = ("_rev", "_oldRev", "_key", "_id", "id", "extra", "errorMessage")
        return {name: shape(item) for name, item in value.items() if name not in own}
    return [shape(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("flipped", [False, True], ids=["mirror", "flipped"])
async def test_writes_are_captured_in_every_form_of_request_and_answer(stack: Running, flipped: bool) -> None:
    """I3, I6, I7, I10: every way of a write in every form is captured, and answered as in JSON; errors too."""
    definition = {"collection": "links", "from": ["books"], "to": ["books"]}
    await stack.direct.post("/_api/gharial", json={"name": "g", "edgeDefinitions": [definition]})
    for stage in (CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)) if flipped else ():
        await stack.move(stage, BOOKS)
    transaction = {"collections": {"write": ["books"]}}
    found = []
    for number, headers in enumerate([{}, *FORMS]):
        answers = []
        for method, path, body in WRITES:
            answers.append(
                await send_and_decode(stack.client, method, filled(path, number), filled(body, number), headers)
            )
        _, answer = await send_and_decode(stack.client, "POST", "/_api/transaction/begin", transaction, headers)
        inside = {**headers, "x-arango-trx-id": answer["result"]["id"]}
        answers.append(await send_and_decode(stack.client, "POST", DOCUMENT, {"_key": f"t{number}"}, inside))
        path = f"/_api/transaction/{answer['result']['id']}"
        answers.append(await send_and_decode(stack.client, "PUT", path, None, headers))
        _, answer = await send_and_decode(stack.client, "POST", "/_api/transaction/begin", transaction, headers)
        path = f"/_api/transaction/{answer['result']['id']}"
        answers.append(await send_and_decode(stack.client, "DELETE", path, None, headers))
        cursor = next(value["id"] for _, value in answers if "id" in value)
        answers.append(await send_and_decode(stack.client, "POST", f"/_api/cursor/{cursor}", None, headers))
        answers.append(await send_and_decode(stack.client, "DELETE", f"/_api/cursor/{cursor}", None, headers))
        answers.append(await send_and_decode(stack.client, "GET", f"{DOCUMENT}/a{number}", None, headers))
        job = {**{name: value for name, value in headers.items() if name == "accept"}, "x-arango-async": "store"}
        accepted = await stack.client.post(DOCUMENT, json={"_key": f"j{number}"}, headers=job)
        path = f"/_api/job/{accepted.headers['x-arango-async-id']}"
        while (await stack.client.get(path)).status_code == 204:
            await asyncio.sleep(0.01)
        answers.append(await send_and_decode(stack.client, "PUT", path, None, headers))
        found.append([(status, shape(value)) for status, value in answers])
    for answers in found[1:]:
        assert answers == found[0]
    if flipped:
        assert await stack.differences(BOOKS) == [], "both have it before the answer"
        query = "SELECT stage FROM _crossfade.collection WHERE collection = $1"
        assert await stack.database.fetchval(query, BOOKS) == "flipped"
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await unverified(stack) == 0


async def test_velocypack_reads_are_served_and_compared_like_json(stack: Running) -> None:
    """I9: no gap by the form of an answer."""
    await stack.client.post(DOCUMENT, json=[{"_key": "a", "n": 1}, {"_key": "large", "t": "x" * 3_000}])
    await stack.drained()
    for stage in (CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)):
        await stack.move(stage, BOOKS)
    explain = {**ACCEPT, "x-crossfade-explain": "1"}
    answer = await stack.client.get(f"{DOCUMENT}/a", headers=explain)
    assert answer.headers["x-crossfade-served-by"] == "postgresql"
    assert decode(answer.content)["n"] == 1
    body = {"query": "FOR d IN books SORT d._key RETURN d.n", "batchSize": 1}
    first = await stack.client.post("/_api/cursor", content=encode(body), headers={**PACKED, **explain})
    assert first.headers["x-crossfade-served-by"] == "postgresql"
    assert decode(first.content)["hasMore"]
    missing = await stack.client.get(f"{DOCUMENT}/none", headers=ACCEPT)
    assert (missing.status_code, decode(missing.content)["errorNum"]) == (404, 1202)


async def test_a_large_read_is_streamed_in_the_requested_format(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path, max_buffered_body=2_000) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        await stack.move(CollectionState(Stage.MIRROR), BOOKS)
        await stack.client.post(DOCUMENT, json={"_key": "large", "t": "x" * 3_000})
        answer = await stack.client.get(f"{DOCUMENT}/large", headers=ACCEPT)
        assert decode(answer.content)["t"] == "x" * 3_000
        body = {"query": "FOR d IN books RETURN d"}
        answer = await stack.client.post("/_api/cursor", content=encode(body), headers={**PACKED, **ACCEPT})
        assert len(decode(answer.content)["result"]) == 1
        body = {"query": "FOR d IN books UPDATE d WITH {m: 1} IN books RETURN NEW"}
        answer = await stack.client.post("/_api/cursor", content=encode(body), headers={**PACKED, **ACCEPT})
        assert decode(answer.content)["result"][0]["m"] == 1
        await stack.drained()
        assert await stack.differences(BOOKS) == []
