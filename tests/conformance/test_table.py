"""The endpoint table against the protocol page and against the cases: no endpoint that services use is missing."""

from __future__ import annotations

import json

import pytest

from proxy.complete.commands import LEFT_OUT
from proxy.devserver.serve import StoreHandler
from proxy.devserver.store import MemoryStore
from proxy.model.message import Request
from proxy.wire.decode import decode_parts
from proxy.wire.endpoints import ROWS, EndpointRow
from tests.complete_fixtures import complete_store
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


def _target(row: EndpointRow) -> bytes:
    """Return a path of a row of the table, with what stands for its segments."""
    parts = ["x" if part == "*" or part.startswith("{") else part for part in row.pattern.split("/")]
    return ("/" + "/".join(parts) + (f"?{row.parameter}=x" if row.parameter else "")).encode()


async def test_what_the_development_server_answers_postgresql_alone_answers_or_names(dsn: str) -> None:
    """Every row of the table, with a body that no endpoint expects: 501 has a name from the table, and no other."""
    ours = StoreHandler(MemoryStore(lock_wait=0.0))
    wrong, named = [], set()
    async with complete_store(dsn, lock_wait=0.01) as store:
        theirs = StoreHandler(store)
        for row in ROWS:
            method = "GET" if row.method == "ANY" else row.method
            one, other = [await handler(Request(method, _target(row), [], b"{}")) for handler in (ours, theirs)]
            if other.status != 501:
                if one.status == 501 or (other.status >= 500 and other.status != one.status):
                    wrong.append((method, _target(row), one.status, other.status))
                continue
            named.add(row.endpoint.name)
            assert isinstance(other.body, bytes)
            body = json.loads(other.body)
            what = LEFT_OUT.get(row.endpoint.name)
            expected = {"error": True, "code": 501, "errorNum": 9, "errorMessage": f"unsupported by Crossfade: {what}"}
            if body != expected and (one.status, one.body) != (501, other.body):
                wrong.append((method, _target(row), one.status, body))
    assert wrong == []
    assert named >= LEFT_OUT.keys() | {"foxx", "task", "view.create", "transaction.js"}


def test_no_endpoint_lacks_a_case() -> None:
    sent = set()
    for case in runner.load():
        for step in case.steps:
            method, _, target = step["send"].partition(" ")
            operation = decode_parts(method, target.encode(), [])
            sent |= {(operation.endpoint.name, method), (operation.endpoint.name, "ANY")}
    assert sorted({(row.endpoint.name, row.method) for row in ROWS} - sent) == []
