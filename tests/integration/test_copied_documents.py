"""Many new documents of one write, which are copied: the same rows, answers and conflicts as those of INSERT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from proxy.model.revision import decode_rev
from proxy.stores.postgres.writes import DocumentWriter
from tests.ad_hoc import Database
from tests.harness import straight
from tests.integration.target_fixtures import take_writes
from tests.integration.test_target_writes import C, Target


@pytest.fixture
async def target(database: Database, dsn: str) -> AsyncIterator[Target]:
    relation = await take_writes(database, C, {})
    async with straight(dsn) as other:
        yield Target(database, DocumentWriter(database, lock_wait=30.0, group_wait=30.0), relation, other)


@pytest.mark.parametrize("sized", [99, 100], ids=["inserted", "copied"])
async def test_many_documents_that_waited_for_a_key_are_written_without_it(target: Target, sized: int) -> None:
    documents = [{"_key": f"k{number}"} for number in range(sized)]
    async with target.other.transaction():
        await target.other.execute(
            f"INSERT INTO {target.relation} (key, rev, raw, doc) VALUES ('k7', 7, $1::json, '{{}}')",
            '{"_key":"k7","_id":"c/k7","_rev":"7"}',
        )
        write = asyncio.create_task(target.send("POST", "/_api/document/c", documents))
        await target.waiting()
    status, answer = await write
    assert status == 202
    assert [number for number, one in enumerate(answer) if one.get("errorNum") == 1210] == [7]
    assert sum("errorNum" in one for one in answer) == 1
    assert (await target.document("k7"))["_rev"] == "7"


@pytest.mark.parametrize("kind", [2, 3])
async def test_copied_documents_have_the_rows_of_inserted_ones(target: Target, kind: int) -> None:
    """Apart from their revisions: 40 of each text are 120 documents, which are copied together, and inserted alone."""
    texts: list[dict[str, Any]] = [
        {},
        {"a": {"_key": 1.5, "b": [None, True]}},
        {"t": 'ü\t"\\ \x00\ufdd0\n', "\x00": 1e300},
    ]
    relations = [await take_writes(target.database, f"_system/{name}", {"type": kind}) for name in ("d", "e")]
    await target.database.execute("UPDATE _crossfade.era SET era = 77")
    ends = {"_from": "c/a", "_to": "c/b"} if kind == 3 else {}
    documents = [{"_key": f"k{number}", **ends, **texts[number % 3]} for number in range(120)]
    assert (await target.send("POST", "/_api/document/d", documents))[0] == 202
    for document in documents:
        assert (await target.send("POST", "/_api/document/e", document))[0] == 202
    columns = "key, doc, mark" + (", from_id, to_id" if kind == 3 else "")
    rows = [await target.database.fetch(f"SELECT {columns} FROM {one} ORDER BY key") for one in relations]
    assert rows[0] == rows[1]
    assert {row["mark"] for row in rows[0]} == {77}
    raws = [await target.database.fetch(f"SELECT rev, raw::text FROM {one} ORDER BY key") for one in relations]
    shown = [[{**orjson.loads(row["raw"]), "_id": "", "_rev": ""} for row in some] for some in raws]
    assert shown[0] == shown[1]
    assert all(decode_rev(orjson.loads(row["raw"])["_rev"]) == row["rev"] for row in raws[0])
