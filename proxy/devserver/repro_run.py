"""Reproduce the mismatch of a bundle: load its documents into a development ArangoDB in memory and into a schema of its
own in PostgreSQL, then send the same request to both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson

import sql
from proxy.base.database import Database
from proxy.devserver.store import MemoryStore
from proxy.model.operations import Operation
from proxy.model.revision import decode_rev
from proxy.shadow.diff.compare_answers import compare_answers
from proxy.shadow.diff.documents import Difference
from proxy.shadow.readers import ReadBothSides
from proxy.stores.postgres import PostgresStore
from proxy.wire.decode import decode_parts
from proxy.wire.endpoints import named


async def reproduce(database: Database, bundle: Mapping[str, Any]) -> Difference | None:
    """Return how the two sides differ here; None if they agree. What is created in PostgreSQL is removed afterwards.

    Raise ArangoError if the request is not valid, NotComparable if its answers cannot be compared, DatabaseError.
    """
    base = f"reproduce_{bundle['fingerprint']}"
    memory = MemoryStore()
    _run(memory, "POST", "/_api/database", {"name": base})
    async with _schema(database, base):
        for name, collection in bundle["collections"].items():
            await _load(database, memory, base, name.partition("/")[2], collection)
        store = PostgresStore(database)
        try:
            operation = request_of(bundle["request"], base)
            sides = ReadBothSides(store, memory)
            return compare_answers(operation, await sides.origin(operation), await sides.target(operation))
        finally:
            await store.close()


def request_of(request: Mapping[str, Any], base: str) -> Operation:
    """Return the request of a sample as an operation on another database; a cursor's rows come in one batch."""
    path = "/".join(str(request["target"]).split("/")[3:])
    headers = [(name.encode(), str(value).encode()) for name, value in (request.get("headers") or {}).items()]
    if "query" in request:
        body = {"query": request["query"], "bindVars": request.get("bindVars") or {}}
        options = {name: value for name, value in (request.get("options") or {}).items() if name != "batchSize"}
        content = orjson.dumps(body | options | {"batchSize": 1_000_000})
    else:
        content = str(request.get("body", "")).encode()
    return decode_parts(str(request["method"]), f"/_db/{base}/{path}".encode(), headers, content)


def _run(memory: MemoryStore, method: str, target: str, body: object) -> None:
    outcome = memory.run(decode_parts(method, target.encode(), [], orjson.dumps(body)))
    assert outcome.status in (200, 201, 202), outcome.body


@asynccontextmanager
async def _schema(database: Database, base: str) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await database.execute(sql.shadow.FORGET_REPRODUCTION, base)
        drop = await database.fetchval(sql.shadow.DROP_REPRODUCTION, base)
        await database.execute(sql.indexes.CARRY_OUT.fill(statement=drop))


async def _load(database: Database, memory: MemoryStore, base: str, name: str, collection: Mapping[str, Any]) -> None:
    """Load the documents of one collection, with their revisions, into both sides."""
    _run(memory, "POST", f"/_db/{base}/_api/collection", {"name": name, "type": 3 if collection["edge"] else 2})
    table = await database.fetchval(sql.collections.ENSURE, base, name, collection["edge"])
    for document in collection["documents"]:
        if document["origin"] is not None:
            operation = Operation(
                named("document.insert"),
                "POST",
                base,
                name,
                path=("_api", "document", name),
                params={"isRestore": "true"},
                body=document["origin"].encode(),
            )
            outcome = memory.run(operation)
            assert outcome.status in (201, 202), outcome.body
        if document["target"] is not None:
            rev = decode_rev(orjson.loads(document["target"])["_rev"])
            text = sql.shadow.PUT_REPRODUCTION.on(table.relation)
            await database.execute(text, document["key"], rev, document["target"], document["queryable"])
