"""Writes with large bodies, in parts of one or two documents, that meet other writes, or fail half-way."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import msgspec
import orjson
import pytest

from proxy.base.spool import SpoolSpace
from proxy.model.operations import Operation
from proxy.semantics.large_writes import PartSize
from proxy.semantics.unique_index import uniques_of
from proxy.stores.postgres.unique_indexes import NewIndex, create
from proxy.stores.postgres.writes import DocumentWriter
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.harness import eventually, straight
from tests.integration.target_fixtures import take_writes

PARTS: Final = PartSize(1 << 20, 2)
KEYS: Final = tuple(f"k{number}" for number in range(7))
UNIQUE: Final = {"id": "77", "type": "persistent", "unique": True, "fields": ["n"], "name": "u"}


class Target:
    """A collection with a unique index. other: a separate connection."""

    def __init__(self, database: Database, relation: str, other: asyncpg.Connection[asyncpg.Record]) -> None:
        self.database = database
        self.relation = relation
        self.other = other
        self.writer = DocumentWriter(database, lock_wait=30.0, part_size=PARTS)

    async def send(self, method: str, body: Any, target: str = "/_api/document/c") -> tuple[int, Any]:
        outcome = await self.writer.execute(request(method, body, target))
        return outcome.status, orjson.loads(outcome.body)

    async def documents(self) -> dict[str, Any]:
        rows = await self.database.fetch(f"SELECT raw::text AS raw FROM {self.relation} WHERE doc IS NOT NULL")
        found = [orjson.loads(row["raw"]) for row in rows]
        return {one["_key"]: one.get("n") for one in found}

    async def waiting(self) -> None:
        """Return when a statement of another session waits for a lock."""

        async def waits() -> bool:
            text = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(await self.database.fetchval(text))

        await eventually(waits, "a statement that waits for a lock")


def request(method: str, body: Any, target: str = "/_api/document/c") -> Operation:
    spool = SpoolSpace().new()
    spool.append(body if isinstance(body, bytes) else json.dumps(body).encode())
    return msgspec.structs.replace(decode_parts(method, target.encode(), []), large=spool)


def documents(first: int = 0) -> list[dict[str, Any]]:
    return [{"_key": key, "n": number + first} for number, key in enumerate(KEYS)]


@pytest.fixture
async def target(database: Database, dsn: str) -> AsyncIterator[Target]:
    relation = await take_writes(database, "_system/c", {"indexes": [UNIQUE]})
    async with database.transaction() as session:
        await create(session, NewIndex(relation, uniques_of([UNIQUE])[0]))
    async with straight(dsn) as other:
        yield Target(database, relation, other)


async def test_a_part_sees_what_those_before_it_wrote(target: Target) -> None:
    status, answer = await target.send("POST", [*documents(), *documents()])
    assert status == 202
    assert [one.get("errorNum") for one in answer] == [None] * 7 + [1210] * 7
    status, answer = await target.send("POST", [{"n": 3}, {"n": 9}, {"n": 9}, {"_key": "k0", "n": 8}])
    assert [one.get("errorNum") for one in answer] == [1210, None, 1210, 1210]
    assert await target.documents() == {**dict(zip(KEYS, range(7), strict=True)), answer[1]["_key"]: 9}


async def test_nobody_sees_a_part_before_all_are_written(target: Target) -> None:
    """The row that the last part needs is locked meanwhile."""
    await target.send("POST", documents())
    async with target.other.transaction():
        await target.other.execute(f"SELECT FROM {target.relation} WHERE key = 'k6' FOR UPDATE")
        write = asyncio.create_task(target.send("PATCH", documents(100)))
        await target.waiting()
        assert (await target.documents())["k0"] == 0
    assert (await write)[0] == 202
    assert await target.documents() == dict(zip(KEYS, range(100, 107), strict=True))


async def test_a_write_that_fails_half_way_leaves_nothing(target: Target) -> None:
    """The last document, or the end of the body, is malformed."""
    await target.send("POST", documents())
    before = await target.documents()
    status, answer = await target.send("PATCH", [*documents(100), {"_key": "k0", "n": 10**400}])
    assert (status, answer["errorNum"]) == (400, 600)
    body = json.dumps(documents(100)).encode()
    status, answer = await target.send("PATCH", body[:-1] + b",]")
    assert (status, answer["errorMessage"]) == (400, "VPackError error: trailing comma is not allowed")
    assert await target.documents() == before


async def test_a_write_whose_connection_is_cut_is_repeated_from_its_beginning(target: Target) -> None:
    await target.send("POST", documents())
    before = await target.documents()
    async with target.other.transaction():
        await target.other.execute(f"SELECT FROM {target.relation} WHERE key = 'k6' FOR UPDATE")
        write = asyncio.create_task(target.send("POST", [*documents(), {"_key": "new"}]))
        await target.waiting()
        await target.other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        await target.waiting()
        assert await target.documents() == before
    status, answer = await write
    assert (status, [one.get("errorNum") for one in answer]) == (202, [*[1210] * 7, None])
    assert await target.documents() == {**before, "new": None}


async def test_an_import_that_is_refused_leaves_what_emptying_left(target: Target) -> None:
    await target.send("POST", documents())
    lines = "\n".join(map(json.dumps, [*documents(), {"_key": "no/key"}])).encode()
    path = "/_api/import?collection=c&type=documents&complete=true"
    before = await target.documents()
    for parameters, left in (("&onDuplicate=update", before), ("&overwrite=true", {})):
        status, answer = await target.send("POST", lines, path + parameters)
        assert (status, answer["errorNum"]) == (400, 1221)
        assert await target.documents() == left


async def test_documents_that_stay_locked_are_refused_and_no_others(target: Target) -> None:
    await target.send("POST", documents())
    target.writer = DocumentWriter(target.database, lock_wait=0.05, part_size=PARTS)
    async with target.other.transaction():
        await target.other.execute(f"SELECT FROM {target.relation} WHERE key IN ('k1', 'k6') FOR UPDATE")
        status, answer = await target.send("PATCH", documents(100))
        assert (status, [one.get("errorNum") for one in answer]) == (202, [None, 1200, *[None] * 4, 1200])
        path = "/_api/import?collection=c&type=array&onDuplicate=update"
        status, answer = await target.send("POST", documents(200), path)
        assert (status, answer["updated"], answer["errors"]) == (201, 5, 2)
    assert await target.documents() == {"k0": 200, "k1": 1, "k2": 202, "k3": 203, "k4": 204, "k5": 205, "k6": 6}


async def test_an_import_whose_collection_cannot_be_emptied_writes_nothing(target: Target) -> None:
    await target.send("POST", documents())
    target.writer = DocumentWriter(target.database, lock_wait=0.05, part_size=PARTS)
    async with target.other.transaction():
        await target.other.execute(f"SELECT FROM {target.relation} WHERE key = 'k6' FOR UPDATE")
        path = "/_api/import?collection=c&type=array&overwrite=true"
        status, answer = await target.send("POST", [{"_key": "new", "n": 9}], path)
        assert (status, answer["errorNum"]) == (409, 1200)
    assert await target.documents() == dict(zip(KEYS, range(7), strict=True))


async def test_documents_that_postgresql_cannot_hold_are_refused_and_no_others(target: Target) -> None:
    await target.database.execute(f"ALTER TABLE {target.relation} ADD CHECK ((doc ->> 'n')::int NOT IN (1, 6, 201))")
    status, answer = await target.send("POST", documents())
    assert (status, [one.get("errorNum") for one in answer]) == (202, [None, 10, *[None] * 4, 10])
    assert "PostgreSQL cannot hold the document" in answer[1]["errorMessage"]
    path = "/_api/import?collection=c&type=array&onDuplicate=update"
    status, answer = await target.send("POST", documents(200), path)
    assert (status, answer["created"], answer["updated"], answer["errors"]) == (201, 1, 5, 1)
    assert await target.documents() == {key: 200 + number for number, key in enumerate(KEYS) if key != "k1"}


async def test_a_value_too_large_for_an_index_of_others_is_refused_alone(target: Target) -> None:
    await target.database.execute(f"CREATE INDEX ON {target.relation} ((doc ->> 's'))")
    large = random.Random(0).randbytes(8000).hex()
    body = [one | {"s": large if one["_key"] == "k3" else ""} for one in documents()]
    status, answer = await target.send("POST", body)
    assert (status, [one.get("errorNum") for one in answer]) == (202, [*[None] * 3, 10, *[None] * 3])
    assert await target.documents() == {key: number for number, key in enumerate(KEYS) if key != "k3"}


async def test_writes_in_opposite_order_are_both_written(target: Target) -> None:
    """They deadlock: one of them is repeated from its beginning."""
    await target.send("POST", documents())
    for turn in range(1, 4):
        writes = [documents(100 * turn), documents(100 * turn)[::-1]]
        answers = await asyncio.gather(*(target.send("PATCH", one) for one in writes))
        assert [status for status, _ in answers] == [202, 202]
        assert [one for _, answer in answers for one in answer if "error" in one] == []
        assert await target.documents() == dict(zip(KEYS, range(100 * turn, 100 * turn + 7), strict=True))


async def test_generated_keys_are_those_of_one_request(target: Target) -> None:
    """Numbers rise over the parts, and above keys that documents bring."""
    status, answer = await target.send("POST", [{"n": 1}, {"_key": "7000000"}, {"n": 2}, {"n": 3}, {"n": 4}])
    assert status == 202
    assert [int(one["_key"]) for one in answer][1:] == [7000000, 7000001, 7000002, 7000003]
