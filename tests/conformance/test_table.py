"""The endpoint table against the protocol page and against the cases: no endpoint that services use is missing."""

from __future__ import annotations

import pytest

from proxy.devserver.serve import StoreHandler
from proxy.devserver.store import MemoryStore
from proxy.model.message import Request
from proxy.wire.decode import decode_parts
from proxy.wire.endpoints import ROWS
from tests.conformance import runner

# protocol page, section 6, "Must" and "Common", with what sections 1 to 5, 7 and 8 say of methods
MUST = """
    GET /_api/version | POST /_open/auth
    GET /_api/database | POST /_api/database | GET /_api/database/user | GET /_api/database/current
    DELETE /_api/database/d
    GET /_api/collection | POST /_api/collection | GET /_api/collection/c | DELETE /_api/collection/c
    GET /_api/collection/c/properties | PUT /_api/collection/c/properties | GET /_api/collection/c/count
    GET /_api/collection/c/revision | GET /_api/collection/c/checksum | GET /_api/collection/c/figures
    PUT /_api/collection/c/truncate | PUT /_api/collection/c/rename
    PUT /_api/collection/c/load | PUT /_api/collection/c/unload | PUT /_api/collection/c/loadIndexesIntoMemory
    PUT /_api/collection/c/recalculateCount | PUT /_api/collection/c/compact
    GET /_api/index?collection=c | POST /_api/index?collection=c | GET /_api/index/c/0 | DELETE /_api/index/c/0
    GET /_api/document/c/k | HEAD /_api/document/c/k | POST /_api/document?collection=c | POST /_api/document/c
    PUT /_api/document/c/k | PATCH /_api/document/c/k | DELETE /_api/document/c/k
    PUT /_api/document/c | PUT /_api/document/c?onlyget=true | PATCH /_api/document/c | DELETE /_api/document/c
    POST /_api/import?collection=c
    POST /_api/cursor | POST /_api/cursor/1 | POST /_api/cursor/1/2 | PUT /_api/cursor/1 | DELETE /_api/cursor/1
    POST /_api/explain | POST /_api/query
    POST /_api/transaction/begin | GET /_api/transaction | GET /_api/transaction/1 | PUT /_api/transaction/1
    DELETE /_api/transaction/1 | DELETE /_api/transaction/write
"""
COMMON = """
    GET /_api/gharial | POST /_api/gharial | GET /_api/gharial/g | DELETE /_api/gharial/g
    GET /_api/gharial/g/vertex | POST /_api/gharial/g/vertex | DELETE /_api/gharial/g/vertex/c
    GET /_api/gharial/g/edge | POST /_api/gharial/g/edge | PUT /_api/gharial/g/edge/e | DELETE /_api/gharial/g/edge/e
    POST /_api/gharial/g/vertex/c | GET /_api/gharial/g/vertex/c/k | PUT /_api/gharial/g/vertex/c/k
    PATCH /_api/gharial/g/vertex/c/k | DELETE /_api/gharial/g/vertex/c/k
    POST /_api/gharial/g/edge/e | GET /_api/gharial/g/edge/e/k | PUT /_api/gharial/g/edge/e/k
    PATCH /_api/gharial/g/edge/e/k | DELETE /_api/gharial/g/edge/e/k
    GET /_api/edges/e?vertex=c/k | POST /_api/edges/e
    GET /_api/user | POST /_api/user | GET /_api/user/u | POST /_api/user/u | PUT /_api/user/u | PATCH /_api/user/u
    DELETE /_api/user/u | GET /_api/user/u/database | GET /_api/user/u/database/d | PUT /_api/user/u/database/d
    DELETE /_api/user/u/database/d | GET /_api/user/u/database/d/c | PUT /_api/user/u/database/d/c
    DELETE /_api/user/u/database/d/c
    PUT /_api/job/1 | PUT /_api/job/1/cancel | GET /_api/job/1 | GET /_api/job/done | GET /_api/job/pending
    DELETE /_api/job/1 | DELETE /_api/job/all | DELETE /_api/job/expired
    GET /_api/engine | GET /_admin/status | GET /_admin/server/role | GET /_admin/server/availability
    GET /_admin/time | GET /_api/view | GET /_api/analyzer | GET /_api/cluster/endpoints | POST /_open/auth/renew
    PUT /_api/simple/all | PUT /_api/simple/all-keys | PUT /_api/simple/any | PUT /_api/simple/by-example
    PUT /_api/simple/first-example | PUT /_api/simple/lookup-by-keys | PUT /_api/simple/remove-by-keys
    PUT /_api/simple/update-by-example | PUT /_api/simple/replace-by-example | PUT /_api/simple/remove-by-example
    GET /_api/wal/range | GET /_api/wal/lastTick | GET /_api/wal/tail
"""
LISTED = [
    item.strip() for text in (MUST, COMMON) for line in text.split("\n") for item in line.split("|") if item.strip()
]


@pytest.mark.parametrize("prefix", ["", "/_db/_system", "/_arango/v0", "/_arango/v0/_db/_system"])
async def test_every_listed_endpoint_is_known_and_answered(prefix: str) -> None:
    """The table knows each under every prefix; the development server answers each, and none by 501."""
    handler = StoreHandler(MemoryStore(lock_wait=0.0))
    wrong = []
    for item in LISTED:
        method, _, path = item.partition(" ")
        target = (prefix + path).encode()
        operation = decode_parts(method, target, [])
        answer = await handler(Request(method, target, [], b""))
        if operation.endpoint.name == "unknown" or operation.database != "_system" or answer.status in (405, 500, 501):
            wrong.append((item, operation.endpoint.name, answer.status, answer.body))
    assert wrong == []


def test_no_endpoint_lacks_a_case() -> None:
    sent = set()
    for case in runner.load():
        for step in case.steps:
            method, _, target = step["send"].partition(" ")
            operation = decode_parts(method, target.encode(), [])
            sent |= {(operation.endpoint.name, method), (operation.endpoint.name, "ANY")}
    assert sorted({(row.endpoint.name, row.method) for row in ROWS} - sent) == []
