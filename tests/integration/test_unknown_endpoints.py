"""Unknown endpoints (I10): forwarded and counted by endpoint while ArangoDB is there, refused by PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

from proxy.devserver.serve import StoreHandler
from proxy.model.message import Request
from proxy.model.stages import CollectionState, Stage
from proxy.stores.postgres import PostgresStore
from tests.ad_hoc import Database
from tests.conformance.test_table import LISTED
from tests.harness import eventually, running


async def test_unknown_endpoints_are_forwarded_and_counted(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        await stack.move(CollectionState(Stage.MIRROR), "_system/books")
        for method, target in (("GET", "/_api/nothing"), ("POST", "/_api/nothing/at/all"), ("GET", "/_admin/license")):
            through_proxy = await stack.client.request(method, target)
            direct = await stack.direct.request(method, target)
            assert (through_proxy.status_code, through_proxy.content) == (direct.status_code, direct.content)
        await stack.client.get("/_api/engine")

        async def counted() -> bool:
            rows = await stack.database.fetch("SELECT endpoint, reason, seen FROM _crossfade.uncovered")
            found = {row["endpoint"]: row["seen"] for row in rows if row["reason"] == "passthrough"}
            reasons = {row["reason"] for row in rows if row["endpoint"] == "unknown"}
            return found.get("engine") == 1 and "unknown" not in found and not reasons

        await eventually(counted, "each is counted by its endpoint")
        # a path that is not found has written nothing: an erroneous client blocks no flip
        assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.unverified") == 0


async def test_requests_that_postgresql_cannot_answer_are_refused_by_name(database: Database) -> None:
    """501 in ArangoDB's error shape with a reason, or the answer, or ArangoDB's own error: never an internal error."""
    store = PostgresStore(database)
    handler = StoreHandler(store)
    refused = 0
    try:
        for item in [*LISTED, "GET /_api/nothing", "POST /_api/nothing", "POST /_api/transaction", "GET /app"]:
            method, _, target = item.partition(" ")
            answer = await handler(Request(method, target.encode()))
            assert isinstance(answer.body, bytes)
            body = json.loads(answer.body)
            assert (body["error"], body["code"]) == (True, answer.status), item
            assert answer.status < 500 or (answer.status == 501 and body["errorNum"] == 9), item
            if answer.status == 501:
                refused += 1
                assert body["errorMessage"].startswith("unsupported by Crossfade: "), item
                assert target.partition("?")[0] in body["errorMessage"], item
    finally:
        await store.close()
    assert refused > 50
