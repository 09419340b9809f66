"""Unmodified python-arango-async on the three servers: its calls for documents and cursors."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from arangoasync import ArangoClient
from arangoasync.auth import Auth
from arangoasync.exceptions import (
    AQLQueryExecuteError,
    CursorNextError,
    DocumentGetError,
    DocumentInsertError,
    DocumentRevisionError,
    DocumentUpdateError,
)

from tests.acceptance.servers import ServerUnderTest

# a warning of the driver with current versions of aiohttp
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]


@pytest.fixture
async def database(server: ServerUnderTest) -> AsyncIterator[Any]:
    name = f"async_{uuid.uuid4().hex[:8]}"
    async with ArangoClient(hosts=server.url) as client:
        auth = Auth(username="root", password="")
        system = await client.db("_system", auth=auth)
        await system.create_database(name)
        yield await client.db(name, auth_method="jwt", auth=auth, verify=True)
        await system.delete_database(name)


async def test_single_documents_are_written_and_read(database: Any) -> None:
    people = await database.create_collection("people")
    inserted = await people.insert({"_key": "ann", "age": 30.0, "tags": [1e5]}, return_new=True)
    assert inserted["new"]["age"] == 30
    read = await people.get("ann")
    assert (read["_rev"], read["tags"]) == (inserted["_rev"], [100000])
    assert await people.has("ann")
    assert await people.get("none") is None
    changed = await people.update({"_key": "ann", "age": None}, keep_null=False, return_old=True)
    assert changed["old"]["age"] == 30
    assert "age" not in await people.get("ann")
    replaced = await people.replace({"_key": "ann", "name": "Ann"})
    assert replaced["_oldRev"] == changed["_rev"]
    with pytest.raises(DocumentRevisionError):
        await people.replace({"_key": "ann"}, if_match=inserted["_rev"])
    with pytest.raises((DocumentRevisionError, DocumentGetError)):
        await people.get("ann", if_match=inserted["_rev"])
    with pytest.raises(DocumentInsertError) as refused:
        await people.insert({"_key": "ann"})
    assert refused.value.error_code == 1210
    with pytest.raises(DocumentUpdateError):
        await people.update({"_key": "none"})
    assert (await people.delete("ann", return_old=True))["old"]["name"] == "Ann"
    assert await people.delete("ann", ignore_missing=True) is False
    assert await people.count() == 0


async def test_arrays_of_documents_are_written_and_read(database: Any) -> None:
    people = await database.create_collection("people")
    inserted = await people.insert_many([{"_key": "a"}, {"_key": "b"}, {"_key": "a"}])
    assert [one.get("errorNum", 0) for one in inserted] == [0, 0, 1210]
    read = await people.get_many(["b", "none", "a"])
    assert [one["_key"] for one in read] == ["b", "a"]  # the driver leaves out what is not found
    await people.update_many([{"_key": "a", "n": 1}, {"_key": "b", "n": 2}])
    assert {one["_key"]: one["n"] async for one in await people.find({})} == {"a": 1, "b": 2}
    assert [one["_key"] async for one in await people.find({"n": 2})] == ["b"]
    await people.replace_many([{"_key": "a", "m": 1}])
    assert (await people.get("a")).get("n") is None
    removed = await people.delete_many(["a", "b", "none"])
    assert [one.get("errorNum", 0) for one in removed] == [0, 0, 1202]
    imported = await people.import_bulk('{"_key":"x"}\n{"_key":"y"}', doc_type="documents")
    assert imported["created"] == 2
    await people.truncate()
    assert await people.count() == 0


async def test_cursors(database: Any) -> None:
    people = await database.create_collection("people")
    await people.insert_many([{"_key": str(number), "n": number} for number in range(25)])
    text = "FOR d IN @@c FILTER d.n >= @low SORT d.n LIMIT 2, 10 RETURN d.n"
    async with await database.aql.execute(
        text, bind_vars={"@c": "people", "low": 5}, count=True, batch_size=4, options={"fullCount": True}
    ) as cursor:
        assert cursor.count == 10
        assert cursor.statistics.full_count == 20
        assert [row async for row in cursor] == list(range(7, 17))
    retriable = await database.aql.execute("FOR i IN 1..5 RETURN i", batch_size=2, options={"allowRetry": True})
    assert [row async for row in retriable] == [1, 2, 3, 4, 5]
    assert await retriable.close()
    unread = await database.aql.execute("FOR d IN people RETURN d", batch_size=3)
    assert await unread.close()
    with pytest.raises(CursorNextError):
        await unread.fetch()
    with pytest.raises(AQLQueryExecuteError) as refused:
        await database.aql.execute("FOR d IN nowhere RETURN d")
    assert refused.value.error_code == 1203
    changed = await database.aql.execute(
        "FOR d IN people FILTER d.n > 22 UPDATE d WITH {n: d.n * 10} IN people RETURN NEW.n"
    )
    assert sorted([row async for row in changed]) == [230, 240]
    inside = await database.begin_transaction(read="people", write="people")
    await inside.collection("people").insert({"_key": "new"})
    await inside.commit_transaction()
    assert await people.has("new")
