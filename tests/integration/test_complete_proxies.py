"""Several processes that answer from one PostgreSQL: each sees the others' changes, and races end as in ArangoDB."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from proxy.complete import CompleteStore
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.integration.target_fixtures import take_writes

Stores = tuple[CompleteStore, CompleteStore]


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(dsn, size=16)
    yield opened
    await opened.close()


@pytest.fixture
async def stores(pool: Database) -> AsyncIterator[Stores]:
    made = CompleteStore(pool), CompleteStore(pool)
    yield made
    for store in made:
        await store.close()


async def send(
    store: CompleteStore, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Return status and body of an answer."""
    sent = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    content = b"" if body is None else orjson.dumps(body)
    outcome = await store.execute(decode_parts(method, target.encode(), sent, content, identified=True))
    return outcome.status, orjson.loads(outcome.body) if outcome.body else None


async def both(stores: Stores, method: str, target: str, body: Any = None) -> Counter[int]:
    """Send a request to both stores, four times each and concurrently; return how often each status came."""
    requests = [send(store, method, target, body) for store in stores * 4]
    return Counter(status for status, _ in await asyncio.gather(*requests))


async def test_a_change_of_the_catalog_is_seen_by_the_next_request(stores: Stores) -> None:
    one, other = stores
    await send(other, "GET", "/_api/collection")
    assert (await send(one, "POST", "/_api/collection", {"name": "c"}))[0] == 200
    assert (await send(other, "POST", "/_api/document/c", {"_key": "a"}))[0] == 202
    assert (await send(other, "PUT", "/_api/collection/c/rename", {"name": "d"}))[0] == 200
    assert (await send(one, "GET", "/_api/document/d/a"))[0] == 200
    assert (await send(one, "GET", "/_api/document/c/a"))[0] == 404
    schema = {"rule": {"required": ["n"]}, "level": "strict", "message": "no n"}
    assert (await send(one, "PUT", "/_api/collection/d/properties", {"schema": schema}))[0] == 200
    status, body = await send(other, "POST", "/_api/document/d", {"_key": "b"})
    assert (status, body["errorNum"]) == (400, 1620)
    assert (await send(other, "DELETE", "/_api/collection/d"))[0] == 200
    status, body = await send(one, "POST", "/_api/document/d", {})
    assert (status, body["errorNum"]) == (404, 1203)


async def test_a_job_is_numbered_although_the_numbers_of_its_process_have_run_out(stores: Stores) -> None:
    one, _ = stores
    await send(one, "GET", "/_api/version")
    one._catalogs.ticks.clear()
    assert await send(one, "GET", "/_api/version", headers={"x-arango-async": "store"}) == (202, None)


async def test_both_are_one_server(stores: Stores) -> None:
    ids = [(await send(store, "GET", "/_admin/status"))[1]["serverInfo"]["serverId"] for store in stores]
    assert ids[0] == ids[1]


async def test_one_of_many_creates_a_collection_and_one_drops_it(stores: Stores) -> None:
    assert await both(stores, "POST", "/_api/collection", {"name": "c"}) == {200: 1, 409: 7}
    assert await both(stores, "DELETE", "/_api/collection/c") == {200: 1, 404: 7}
    assert await both(stores, "POST", "/_api/database", {"name": "d"}) == {201: 1, 409: 7}


async def test_concurrent_changes_of_the_catalog_all_happen(stores: Stores) -> None:
    requests = [send(stores[n % 2], "POST", "/_api/collection", {"name": f"c{n}"}) for n in range(12)]
    assert {status for status, _ in await asyncio.gather(*requests)} == {200}
    _, body = await send(stores[0], "GET", "/_api/collection?excludeSystem=true")
    assert sorted(one["name"] for one in body["result"]) == sorted(f"c{n}" for n in range(12))
    assert len({one["id"] for one in body["result"]}) == 12


async def test_one_of_many_inserts_a_vertex(stores: Stores, pool: Database) -> None:
    graph = {"name": "g", "edgeDefinitions": [{"collection": "e", "from": ["v"], "to": ["v"]}]}
    assert (await send(stores[0], "POST", "/_api/gharial", graph))[0] == 202
    assert await both(stores, "POST", "/_api/gharial/g/vertex/v", {"_key": "a"}) == {202: 1, 409: 7}
    assert await both(stores, "POST", "/_api/gharial/g/vertex/v", {}) == {202: 8}
    _, body = await send(stores[0], "GET", "/_api/collection/v/count")
    assert body["count"] == 9
    revisions = await pool.fetch("SELECT rev FROM _system.v")
    assert len({row["rev"] for row in revisions}) == 9


async def test_changes_by_the_general_way_are_not_lost(stores: Stores) -> None:
    await send(stores[0], "POST", "/_api/collection", {"name": "c"})
    await send(stores[0], "POST", "/_api/document/c", {"_key": "a", "n": 0})
    query = {"query": "FOR d IN c UPDATE d WITH {n: d.n + 1} IN c"}
    statuses = await both(stores, "POST", "/_api/cursor", query)
    _, body = await send(stores[1], "GET", "/_api/document/c/a")
    assert body["n"] == statuses[201]
    assert statuses[201] >= 1


async def test_writes_beside_a_drop_end_in_the_collection_or_with_1203(stores: Stores) -> None:
    await send(stores[0], "POST", "/_api/collection", {"name": "c"})
    writes = [send(store, "POST", "/_api/document/c", {}) for store in stores * 10]
    drop = send(stores[1], "DELETE", "/_api/collection/c")
    answers = await asyncio.gather(*writes[:10], drop, *writes[10:])
    assert answers[10][0] == 200
    assert {status for status, _ in answers} <= {200, 202, 404}


async def test_accounts_and_tokens_are_shared(pool: Database) -> None:
    one, other = (CompleteStore(pool, root_password="secret", rights_seconds=0) for _ in range(2))
    root = {"authorization": "Basic " + base64.b64encode(b"root:secret").decode()}
    assert (await send(one, "GET", "/_api/collection"))[0] == 401
    assert (await send(one, "POST", "/_api/collection", {"name": "c"}, root))[0] == 200
    assert (await send(other, "POST", "/_api/user", {"user": "anna", "passwd": "x"}, root))[0] == 201
    assert (await send(one, "PUT", "/_api/user/anna/database/_system/c", {"grant": "ro"}, root))[0] == 200
    assert (await send(one, "PUT", "/_api/user/anna/database/_system", {"grant": "ro"}, root))[0] == 200
    status, body = await send(one, "POST", "/_open/auth", {"username": "anna", "password": "x"})
    assert status == 200
    anna = {"authorization": f"bearer {body['jwt']}"}
    assert (await send(other, "POST", "/_api/document/c", {"_key": "a"}, root))[0] == 202
    assert (await send(other, "GET", "/_api/document/c/a", headers=anna))[0] == 200
    query = {"query": "FOR d IN c RETURN d"}
    assert (await send(other, "POST", "/_api/cursor", query, anna))[0] == 201
    status, body = await send(other, "POST", "/_api/document/c", {}, anna)
    assert (status, body["errorNum"]) == (403, 1004)
    assert (await send(one, "PUT", "/_api/user/anna/database/_system/c", {"grant": "none"}, root))[0] == 200
    assert (await send(other, "GET", "/_api/document/c/a", headers=anna))[0] == 403
    assert (await send(other, "POST", "/_api/cursor", query, anna))[0] == 403
    assert (await send(one, "DELETE", "/_api/user/anna", headers=root))[0] == 202
    assert (await send(other, "GET", "/_api/version", headers=anna))[0] == 401
    await one.close()
    await other.close()


async def test_rights_are_remembered_for_a_while_and_new_ones_hold_immediately(pool: Database) -> None:
    """Reads need no statement for the rights: the catalog is compared by the refresh, and before a refusal."""
    one, other = (CompleteStore(pool, root_password="secret", rights_seconds=600) for _ in range(2))
    root = {"authorization": "Basic " + base64.b64encode(b"root:secret").decode()}
    anna = {"authorization": "Basic " + base64.b64encode(b"anna:x").decode()}
    document = "/_api/document/c/a"
    await send(one, "POST", "/_api/collection", {"name": "c"}, root)
    await send(one, "POST", "/_api/document/c", {"_key": "a"}, root)
    assert (await send(other, "GET", document, headers=root))[0] == 200
    await send(one, "POST", "/_api/user", {"user": "anna", "passwd": "x"}, root)
    for place in ("_system", "_system/c"):
        assert (await send(one, "PUT", f"/_api/user/anna/database/{place}", {"grant": "ro"}, root))[0] == 200
    assert (await send(other, "GET", document, headers=anna))[0] == 200
    assert (await send(one, "DELETE", "/_api/user/anna", headers=root))[0] == 202
    assert (await send(one, "GET", document, headers=anna))[0] == 401
    assert (await send(other, "GET", document, headers=anna))[0] == 200
    await other.refresh_catalog()
    assert (await send(other, "GET", document, headers=anna))[0] == 401
    await one.close()
    await other.close()


async def test_a_job_keeps_its_answer(stores: Stores) -> None:
    sent = decode_parts("POST", b"/_api/collection", [(b"x-arango-async", b"store")], b'{"name":"c"}')
    outcome = await stores[0].execute(sent)
    number = (outcome.header(b"x-arango-async-id") or b"").decode()
    assert outcome.status == 202
    status = 204
    while status == 204:
        await asyncio.sleep(0.01)
        status, body = await send(stores[0], "PUT", f"/_api/job/{number}")
    assert (status, body["name"]) == (200, "c")


async def test_collections_that_came_from_arangodb_are_adopted(pool: Database) -> None:
    index = {"id": "c/7", "name": "by_n", "type": "persistent", "fields": ["n"], "sparse": True, "unique": False}
    properties = {"id": "4711", "keyOptions": {"type": "autoincrement"}, "indexes": [index]}
    await take_writes(pool, "_system/c", properties, last=5)
    await take_writes(pool, "other/_graphs", {})
    await take_writes(pool, "other/e", {"type": 3})
    store = CompleteStore(pool)
    await store.start()
    _, body = await send(store, "GET", "/_api/collection/c/properties")
    assert (body["id"], body["keyOptions"]["lastValue"]) == ("4711", 5)
    _, body = await send(store, "GET", "/_api/index?collection=c")
    assert [one["name"] for one in body["indexes"]] == ["primary", "by_n"]
    status, body = await send(store, "POST", "/_api/document/c", {})
    assert (status, body["_key"]) == (202, "6")
    _, body = await send(store, "GET", "/_db/other/_api/collection")
    assert {"_graphs", "_analyzers", "e"} <= {one["name"] for one in body["result"]}
    await take_writes(pool, "_system/late", {})
    assert (await send(store, "GET", "/_api/collection/late"))[0] == 404
    again = CompleteStore(pool)
    await again.start()
    assert (await send(store, "GET", "/_api/collection/late"))[0] == 200
    for one in (store, again):
        await one.close()


async def test_numbers_that_came_from_arangodb_are_not_given_again(pool: Database) -> None:
    early = CompleteStore(pool)
    await early.start()
    index = {"id": "c/5000007", "name": "i", "type": "persistent", "fields": ["n"]}
    await take_writes(pool, "_system/c", {"id": "1001250", "objectId": "5000003", "indexes": [index]})
    store = CompleteStore(pool)
    await store.start()
    _, body = await send(store, "POST", "/_api/collection", {"name": "new"})
    assert int(body["id"]) > 5000007
    _, body = await send(store, "GET", "/_api/collection/c/properties")
    assert (body["id"], body["objectId"]) == ("1001250", "5000003")
    for one in (store, early):
        await one.close()


async def test_every_way_of_writing_counts_and_leaves_the_outbox_empty(stores: Stores, pool: Database) -> None:
    one, other = stores
    await send(one, "POST", "/_api/collection", {"name": "c"})
    keys = [{"_key": f"k{number}"} for number in range(300)]
    requests = [send(stores[number % 2], "POST", "/_api/document/c", key) for number, key in enumerate(keys)]
    await asyncio.gather(*requests)
    await asyncio.gather(*[send(one, "DELETE", f"/_api/document/c/{key['_key']}") for key in keys[:50]])
    await send(other, "POST", "/_api/document/c", keys[:20])
    await send(other, "POST", "/_api/cursor", {"query": "FOR d IN c FILTER d._key >= 'k9' REMOVE d IN c"})
    await pool.execute("DELETE FROM _system.c WHERE key = 'k100'")
    await pool.execute("INSERT INTO _system.c (key, rev, raw, doc) VALUES ('sql', 1, '{}', '{}')")
    counted = await pool.fetchval("SELECT count(*) FROM _system.c WHERE doc IS NOT NULL")
    _, body = await send(one, "GET", "/_api/collection/c/count")
    assert body["count"] == counted
    assert await pool.fetchval("SELECT count(*) FROM _crossfade.outbox") == 0
    await send(one, "PUT", "/_api/collection/c/truncate")
    _, body = await send(one, "GET", "/_api/collection/c/count")
    assert body["count"] == 0
