"""The numbered surprises of the protocol page, one test each, on the development server and on PostgreSQL alone.

Those that matter to a mirror are shown through the proxy as well, in tests/integration/test_surprises.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.errors import STATUS
from proxy.complete import CompleteStore
from proxy.complete.expiry import Expiry
from proxy.devserver.serve import StoreHandler
from proxy.devserver.store import MemoryStore
from proxy.http import Listener
from proxy.model.message import Request, Response
from proxy.model.revision import decode_rev, encode_rev
from proxy.stores.base import Store
from tests.acceptance.servers import Kind
from tests.ad_hoc import Database
from tests.conformance.test_cases import JobsDone
from tests.conftest import fresh

DOCUMENT = "/_api/document/c"


class Server:
    """Requests to a store. now: seconds since the epoch, as the store sees them. expire: applies its TTL indexes."""

    def __init__(
        self, make: Callable[[Callable[[], float]], Store], expire: Callable[[Server], Awaitable[None]]
    ) -> None:
        self.now = 1_000_000.0
        self.store = make(lambda: self.now)
        self.handle = JobsDone(StoreHandler(self.store))
        self._expire = expire

    async def send(self, method: str, target: str, body: Any = None, **headers: str) -> Response:
        raw = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return await self.handle(Request(method, target.encode(), pairs, raw))

    async def get(self, method: str, target: str, body: Any = None, **headers: str) -> Any:
        answer = await self.send(method, target, body, **headers)
        assert answer.status < 400, answer
        return parsed(answer)

    async def count(self, collection: str = "c") -> int:
        found: int = (await self.get("GET", f"/_api/collection/{collection}/count"))["count"]
        return found

    async def expire(self, collection: str = "c") -> int:
        """Remove what TTL indexes have expired; return the number of documents that the collection lost."""
        before = await self.count(collection)
        await self._expire(self)
        return before - await self.count(collection)


def in_memory() -> Server:
    """Return a dedicated development server."""

    async def expire(server: Server) -> None:
        assert isinstance(server.store, MemoryStore)
        server.store.expire()

    return Server(lambda now: MemoryStore(now=now, lock_wait=0.0), expire)


def on_postgresql(database: Database) -> Server:
    """Return a server of PostgreSQL alone, which has not started."""

    async def expire(server: Server) -> None:
        await Expiry(database, now=lambda: server.now).remove_expired()

    return Server(lambda now: CompleteStore(database, now=now, lock_wait=0.01), expire)


@contextlib.asynccontextmanager
async def started(kind: Kind, dsn: str) -> AsyncIterator[Server]:
    """Start a server. dsn: of a migrated database, for PostgreSQL alone."""
    if kind is Kind.DEVELOPMENT:
        yield in_memory()
        return
    database = await Database.open(dsn, size=8)
    server = on_postgresql(database)
    assert isinstance(server.store, CompleteStore)
    try:
        await server.store.start()
        yield server
    finally:
        await server.store.close()
        await database.close()


@pytest.fixture(params=[Kind.DEVELOPMENT, Kind.COMPLETE])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Which server."""
    found: Kind = request.param
    return found


@pytest.fixture
async def server_dsn(kind: Kind, postgres_server: EmbeddedPostgres) -> str:
    """Return the DSN of a new migrated database; empty for a server that needs none."""
    return await fresh(postgres_server) if kind is Kind.COMPLETE else ""


@pytest.fixture
async def server(kind: Kind, server_dsn: str) -> AsyncIterator[Server]:
    """One of both, with the collection `c`."""
    async with started(kind, server_dsn) as server:
        await server.get("POST", "/_api/collection", {"name": "c"})
        yield server


def raw_of(answer: Response) -> bytes:
    assert isinstance(answer.body, bytes)
    return answer.body


def parsed(answer: Response) -> Any:
    return json.loads(raw_of(answer))


def content(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in ("_key", "_id", "_rev")}


async def test_1_revisions_as_text_do_not_sort_by_time_and_a_removal_has_none_of_its_own(server: Server) -> None:
    earlier, later = (encode_rev(1_750_000_000_000 << 20 | digit << 6) for digit in (26, 54))
    assert decode_rev(earlier) < decode_rev(later)
    assert earlier > later
    created = await server.get("POST", DOCUMENT, {"_key": "k"})
    assert (await server.get("DELETE", f"{DOCUMENT}/k"))["_rev"] == created["_rev"]


@pytest.mark.parametrize(
    ("old", "patch", "new"),
    [
        ({}, {"a": {"b": None, "c": {"d": None}}}, {"a": {"c": {"d": None}}}),
        ({"x": {}}, {"x": {"c": {"d": None}}}, {"x": {"c": {"d": None}}}),
        ({"x": 1}, {"x": {"b": None}}, {"x": {"b": None}}),
        ({"x": {"y": 1, "z": 2}}, {"x": {"y": None}}, {"x": {"z": 2}}),
        ({"x": [1, 2]}, {"x": [None]}, {"x": [None]}),
    ],
)
async def test_2_keep_null_false_strips_one_level_of_what_is_new(
    server: Server, old: Any, patch: Any, new: Any
) -> None:
    await server.get("POST", DOCUMENT, {"_key": "k", **old})
    found = await server.get("PATCH", f"{DOCUMENT}/k?keepNull=false&returnNew=true", patch)
    assert content(found["new"]) == new


async def test_2_an_empty_patch_keeps_the_revision_and_any_other_does_not(server: Server) -> None:
    created = await server.get("POST", DOCUMENT, {"_key": "k", "a": 1})
    for nothing in ({}, {"_key": "k"}):
        same = await server.get("PATCH", f"{DOCUMENT}/k", nothing)
        assert same["_rev"] == same["_oldRev"] == created["_rev"]
    assert (await server.get("PATCH", f"{DOCUMENT}/k", {"a": 1}))["_rev"] != created["_rev"]


async def test_3_keep_null_is_true_for_patch_and_false_for_overwrite_mode_update(server: Server) -> None:
    await server.get("POST", DOCUMENT, {"_key": "k", "a": 1, "b": 1})
    patched = await server.get("PATCH", f"{DOCUMENT}/k?returnNew=1", {"a": None})
    assert content(patched["new"]) == {"a": None, "b": 1}
    updated = await server.get("POST", f"{DOCUMENT}?overwriteMode=update&returnNew=1", {"_key": "k", "b": None})
    assert content(updated["new"]) == {"a": None}


async def test_4_what_changed_nothing_answers_success(server: Server) -> None:
    created = await server.get("POST", DOCUMENT, {"_key": "k", "v": 5})
    ignored = await server.send("POST", f"{DOCUMENT}?overwriteMode=ignore&returnNew=true", {"_key": "k", "v": 6})
    assert ignored.status == 202
    assert parsed(ignored) == {"_id": "c/k", "_key": "k", "_rev": created["_rev"]}
    older = await server.get("PUT", f"{DOCUMENT}/k?versionAttribute=v", {"v": 5, "x": 1})
    assert older["_rev"] == older["_oldRev"] == created["_rev"]


async def test_5_some_answers_do_not_show_what_changed(server: Server) -> None:
    silent = await server.get("POST", f"{DOCUMENT}?silent=true", {"_key": "a"})
    imported = await server.get("POST", "/_api/import?collection=c&type=list", [{"_key": "b"}])
    queried = await server.get("POST", "/_api/cursor", {"query": "FOR d IN c UPDATE d WITH {x: 1} IN c"})
    example = {"collection": "c", "example": {"_key": "b"}, "newValue": {"y": 1}}
    by_example = await server.get("PUT", "/_api/simple/update-by-example", example)
    later = await server.send("POST", DOCUMENT, {"_key": "z"}, x_arango_async="true")
    assert (silent, queried["result"], by_example["updated"], later.body) == ({}, [], 1, b"")
    assert "details" not in imported
    truncated = await server.get("PUT", "/_api/collection/c/truncate")
    assert "count" not in truncated
    edges = [{"collection": "e", "from": ["c"], "to": ["c"]}]
    await server.get("POST", "/_api/gharial", {"name": "g", "edgeDefinitions": edges})
    await server.get("POST", DOCUMENT, [{"_key": "a"}, {"_key": "b"}])
    await server.get("POST", "/_api/document/e", {"_from": "c/a", "_to": "c/b"})
    removed = await server.get("DELETE", "/_api/gharial/g/vertex/c/a")
    assert removed == {"error": False, "code": 202, "removed": True}
    assert await server.count("e") == 0
    assert (await server.send("POST", "/_api/batch")).status == 404


async def test_5_expired_documents_disappear_without_an_answer(server: Server) -> None:
    await server.get("POST", "/_api/index?collection=c", {"type": "ttl", "fields": ["until"], "expireAfter": 10})
    moments = [server.now, server.now - 11, "1970-01-12T13:46:30Z", "1970-01-12T13:46:40.000", None, True, "soon", {}]
    await server.get("POST", DOCUMENT, [{"_key": str(n), "until": moment} for n, moment in enumerate(moments)])
    server.now += 1
    assert await server.expire() == 2  # an expired number and an expired text
    server.now += 10
    assert await server.expire() == 2
    assert await server.count() == 4


async def test_6_arrays_answer_success_with_errors_inside(server: Server) -> None:
    answer = await server.send("POST", DOCUMENT, [{"_key": "a"}, {"_key": "a"}, 5])
    assert answer.status == 202
    assert [item.get("errorNum") for item in parsed(answer)] == [None, 1210, 1227]
    assert answer.header(b"x-arango-error-codes") == b'{"1210":1,"1227":1}'
    await server.get("PUT", "/_api/collection/c/properties", {"waitForSync": True})
    assert (await server.send("POST", DOCUMENT, [{"_key": "b"}])).status == 201
    assert (await server.send("POST", DOCUMENT, [{"_key": "b"}])).status == 202  # nothing was written


async def test_7_onlyget_by_its_presence_and_bodies_of_delete(server: Server) -> None:
    await server.get("POST", DOCUMENT, {"_key": "a", "n": 1})
    for read in ("onlyget", "onlyget=true", "onlyget=false"):
        assert (await server.get("PUT", f"{DOCUMENT}?{read}", ["a"]))[0]["n"] == 1
    assert (await server.get("DELETE", DOCUMENT, ["a"]))[0]["_key"] == "a"


async def test_8_a_handle_of_another_collection_removes_from_this_one(server: Server) -> None:
    await server.get("POST", "/_api/collection", {"name": "other"})
    for name in ("c", "other"):
        await server.get("POST", f"/_api/document/{name}", {"_key": "2"})
    assert (await server.get("DELETE", DOCUMENT, ["other/2"]))[0]["_id"] == "c/2"
    assert (await server.count(), await server.count("other")) == (0, 1)


async def test_9_an_import_can_truncate_and_a_rename_changes_every_id(server: Server) -> None:
    created = await server.get("POST", DOCUMENT, {"_key": "old"})
    await server.get("POST", "/_api/import?collection=c&type=list&overwrite=true", [{"_key": "new"}])
    assert (await server.send("GET", f"{DOCUMENT}/old")).status == 404
    before = await server.get("GET", f"{DOCUMENT}/new")
    await server.get("PUT", "/_api/collection/c/rename", {"name": "d"})
    after = await server.get("GET", "/_api/document/d/new")
    assert (after["_id"], after["_rev"]) == ("d/new", before["_rev"])
    assert after["_rev"] != created["_rev"]


async def test_10_edges_may_lose_their_vertices(server: Server) -> None:
    body = {"_key": "k", "_from": "x/1", "_to": "x/2", "_other": 1, "deep": {"_from": "x/1", "_key": "k"}}
    created = await server.get("POST", f"{DOCUMENT}?returnNew=true", body)
    assert content(created["new"]) == {"_other": 1, "deep": {"_from": "x/1", "_key": "k"}}


async def test_11_nul_numbers_and_the_order_of_attributes(server: Server) -> None:
    text = (
        '{"_key":"k","z":1.0,"a":1e5,"n":-0,"m":-0.0,"u":18446744073709551615,"i":-9223372036854775808,"t":"a\\u0000b"}'
    )
    await server.get("POST", DOCUMENT, text)
    raw = raw_of(await server.send("GET", f"{DOCUMENT}/k"))
    rest = raw[raw.index(b'"z"') :]
    assert rest == (b'"z":1,"a":100000,"n":0,"m":-0,"u":18446744073709551615,"i":-9223372036854775808,"t":"a\\u0000b"}')


async def test_12_a_query_that_fails_leaves_nothing_here_and_no_answer_names_it(server: Server) -> None:
    """ArangoDB may have committed a part (intermediate commits); what the proxy does then is shown with the proxy."""
    await server.get("POST", DOCUMENT, {"_key": "5"})
    query = "FOR i IN 1..9 INSERT {_key: TO_STRING(i)} INTO c"
    refused = await server.send("POST", "/_api/cursor", {"query": query})
    assert (refused.status, parsed(refused)["errorNum"]) == (409, 1210)
    assert await server.count() == 1


@pytest.mark.parametrize(("limit", "left"), [({"intermediateCommitCount": 2}, 5), ({"intermediateCommitSize": 1}, 5)])
async def test_12_a_query_that_fails_leaves_what_it_had_committed(
    server: Server, limit: dict[str, int], left: int
) -> None:
    """Through the proxy: tests/faults/ends.py, "in parts". None of it inside of a stream transaction."""
    await server.get("POST", DOCUMENT, {"_key": "5"})
    body = {"query": "FOR i IN 1..9 INSERT {_key: TO_STRING(i)} INTO c", "options": limit}
    transaction = await server.get("POST", "/_api/transaction/begin", {"collections": {"write": ["c"]}})
    number = transaction["result"]["id"]
    assert (await server.send("POST", "/_api/cursor", body, x_arango_trx_id=number)).status == 409
    await server.get("PUT", f"/_api/transaction/{number}")
    assert await server.count() == 1
    assert (await server.send("POST", "/_api/cursor", body)).status == 409
    assert await server.count() == left
    answer = await server.get("POST", "/_api/cursor", {**body, "query": "FOR i IN 11..14 INSERT {i} INTO c"})
    assert answer["extra"]["stats"]["intermediateCommits"] == 4 // next(iter(limit.values()))


async def test_13_412_is_a_conflict_or_a_queue_and_the_number_says_which(server: Server) -> None:
    created = await server.get("POST", DOCUMENT, {"_key": "k"})
    refused = await server.send("PUT", f"{DOCUMENT}/k", {}, if_match="_other")
    assert (refused.status, parsed(refused)["errorNum"]) == (412, 1200)
    assert STATUS[21004] == 412
    waited = await server.send("GET", f"{DOCUMENT}/k", x_arango_queue_time_seconds="5")
    assert (waited.status, waited.header(b"x-arango-queue-time-seconds")) == (200, b"0.000000")
    assert waited.header(b"etag") == f'"{created["_rev"]}"'.encode()


async def test_14_http_2_with_prior_knowledge_and_simple_queries(server: Server) -> None:
    listener = Listener(server.handle, host="127.0.0.1", port=0)
    await listener.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        frame = await asyncio.wait_for(reader.readexactly(9), 10)
        assert frame[3] == 4  # SETTINGS
        writer.close()
        await writer.wait_closed()
    finally:
        await listener.close(0.1)
    await server.get("POST", DOCUMENT, {"_key": "k", "n": 1})
    found = await server.get("PUT", "/_api/simple/by-example", {"collection": "c", "example": {"n": 1}})
    assert found["count"] == 1
    removed = await server.get("PUT", "/_api/simple/remove-by-example", {"collection": "c", "example": {"n": 1}})
    assert removed["deleted"] == 1


async def test_15_if_match_star_fails_and_one_number_has_two_statuses(server: Server) -> None:
    created = await server.get("POST", DOCUMENT, {"_key": "k"})
    for nothing in ("*", f'"{created["_rev"]}", "x"', f'W/"{created["_rev"]}"'):
        assert (await server.send("GET", f"{DOCUMENT}/k", if_match=nothing)).status == 412
        assert (await server.send("GET", f"{DOCUMENT}/k", if_none_match=nothing)).status == 200
    assert (await server.send("GET", f"{DOCUMENT}/k", if_none_match=f"'{created['_rev']}'")).status == 304
    transaction = await server.get("POST", "/_api/transaction/begin", {"collections": {"write": "c"}})
    await server.get("PATCH", f"{DOCUMENT}/k", {"a": 1}, x_arango_trx_id=transaction["result"]["id"])
    locked = await server.send("PATCH", f"{DOCUMENT}/k", {"a": 2})
    assert (locked.status, parsed(locked)["errorNum"]) == (409, 1200)


async def test_16_the_log_leaves_out_collections_that_were_dropped_since(server: Server) -> None:
    start = (await server.get("GET", "/_api/wal/lastTick"))["tick"]
    await server.get("POST", DOCUMENT, {"_key": "k"})
    assert b'"type":2300' in raw_of(await server.send("GET", f"/_api/wal/tail?from={start}"))
    await server.get("DELETE", "/_api/collection/c")
    tail = await server.send("GET", f"/_api/wal/tail?from={start}")
    assert [json.loads(line)["type"] for line in raw_of(tail).splitlines()] == [2001]
    assert tail.header(b"x-arango-replication-frompresent") == b"true"


async def test_17_a_cursor_belongs_to_the_server_that_opened_it(server: Server, kind: Kind, server_dsn: str) -> None:
    opened = await server.get("POST", "/_api/cursor", {"query": "FOR i IN 1..3 RETURN i", "batchSize": 2})
    async with started(kind, server_dsn) as other:
        assert (await other.send("POST", f"/_api/cursor/{opened['id']}")).status == 404
    assert (await server.get("POST", f"/_api/cursor/{opened['id']}"))["result"] == [3]
