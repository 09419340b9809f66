"""VelocyPack bodies through a proxy are captured, mirrored and compared as JSON ones are (protocol page, section 8)."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.cutover.stages import Stage, Standing
from tests.harness import Running, eventually, running
from tests.unit.wire.vpack import encode

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"
PACKED = {"content-type": "application/x-velocypack"}


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", content=encode({"name": "books"}), headers=PACKED)
        await started.move(Standing(Stage.MIRROR), BOOKS)
        yield started


async def send(stack: Running, method: str, target: str, value: Any) -> Any:
    answer = await stack.client.request(method, target, content=encode(value), headers=PACKED)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def unverified(stack: Running) -> int:
    found: int = await stack.database.fetchval("SELECT count(*) FROM crossfade.unverified")
    return found


async def test_writes_and_queries_are_captured_as_json_is(stack: Running) -> None:
    """I3, I10: nothing of it is a gap."""
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


async def test_a_large_body_is_captured_as_well(stack: Running) -> None:
    await send(stack, "POST", DOCUMENT, {"_key": "large", "text": "x" * 70000})
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await unverified(stack) == 0


async def test_what_json_cannot_say_is_forwarded_and_marks_the_collection(stack: Running) -> None:
    """I10: a date is no number to ArangoDB; the request goes on as it came, and its collection becomes unverified."""
    body = b"\x14\x12" + encode("_key") + encode("d") + encode("t") + b"\x1c" + struct.pack("<q", 1)
    body = body[:1] + bytes([len(body) + 1]) + body[2:] + b"\x02"
    answer = await stack.client.post(DOCUMENT, content=body, headers=PACKED)
    assert answer.status_code == 202, answer.text

    async def marked() -> bool:
        return await unverified(stack) == 1

    await eventually(marked, "the collection is unverified")


async def test_a_broken_body_is_arangodbs_error(stack: Running) -> None:
    answer = await stack.client.post(DOCUMENT, content=b"\x0b\xff", headers=PACKED)
    assert (answer.status_code, answer.json()["errorNum"]) == (400, 600)
    assert answer.json()["errorMessage"].startswith("VPackError error: ")
