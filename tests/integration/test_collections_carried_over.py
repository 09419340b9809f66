"""Collections of a development ArangoDB, mirrored and handed over, continue on PostgreSQL alone as they were."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.base.arango_client import OriginClient
from proxy.base.errors import PreconditionFailed
from proxy.carryover.collection_handover import Handover, plan_handover
from proxy.carryover.collection_taking import find_duplicates, read_origin_state, read_target_state, take_writes
from proxy.carryover.left_behind import left_behind, read_contents
from proxy.complete.expiry import Expiry
from proxy.model.revision import decode_rev
from proxy.model.stages import Stage
from tests.ad_hoc import Database
from tests.complete_fixtures import complete_application
from tests.harness import Running, eventually, running

SYSTEM = "_system"


async def make(client: httpx.AsyncClient, name: str, *documents: dict[str, Any], **properties: Any) -> list[str]:
    """Create a collection with documents; return their keys."""
    made = await client.post("/_api/collection", json={"name": name, **properties})
    assert made.status_code == 200, made.text
    answers = (await client.post(f"/_api/document/{name}", json=list(documents))).json()
    return [answer["_key"] for answer in answers]


async def handed_over(stack: Running, collections: Sequence[str]) -> dict[str, Handover]:
    """Let PostgreSQL take the writes of collections, all in one transaction; return what they took with them."""
    await stack.drained()
    async with OriginClient(stack.origin.url, "root", "") as origin, stack.database.transaction() as session:
        plans = {
            name: plan_handover(name, await read_origin_state(origin, name), await read_target_state(session, name))
            for name in collections
        }
        for plan in plans.values():
            assert await find_duplicates(session, plan) == ()
            await take_writes(session, plan)
    return plans


@asynccontextmanager
async def complete(dsn: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        complete_application(dsn, folder, root_password=None) as application,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{application.port}", timeout=30) as client,
    ):
        yield client


async def registered(database: Database) -> list[str]:
    rows = await database.fetch("SELECT collection FROM _crossfade.collection c WHERE _crossfade.present(c)")
    return [row["collection"] for row in rows]


async def shown(client: httpx.AsyncClient, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return properties, without what a request itself adds, and indexes."""
    properties = (await client.get(f"/_api/collection/{name}/properties")).json()
    indexes = (await client.get(f"/_api/index?collection={name}")).json()["indexes"]
    return properties, indexes


async def test_key_generators_continue_without_a_repeated_key(dsn: str, tmp_path: Path) -> None:
    kinds = {
        "traditional": {"type": "traditional"},
        "auto": {"type": "autoincrement", "offset": 7, "increment": 10},
        "padded": {"type": "padded"},
        "uuid": {"type": "uuid"},
        "strict": {"type": "traditional", "allowUserKeys": False},
    }
    async with running(dsn, tmp_path / "a") as stack:
        await stack.default(Stage.MIRROR)
        given = {
            name: await make(stack.client, name, {}, {}, {}, keyOptions=options) for name, options in kinds.items()
        }
        await stack.client.post("/_api/document/traditional", json={"_key": "900000000000"})
        await stack.client.post("/_api/document/padded", json={"_key": "00000000ffffffff"})
        await stack.client.delete(f"/_api/document/auto/{given['auto'][-1]}")
        revisions = {name: (await stack.direct.get(f"/_api/collection/{name}/revision")).json() for name in kinds}
        former = {name: (await shown(stack.direct, name))[0] for name in kinds}
        plans = await handed_over(stack, await registered(stack.database))
    assert given["auto"] == ["7", "17", "27"]
    for name in kinds:
        assert plans[f"{SYSTEM}/{name}"].revision >= decode_rev(revisions[name]["revision"])
    async with complete(dsn, tmp_path / "b") as client:
        for name in kinds:
            assert (await shown(client, name))[0]["keyOptions"] == former[name]["keyOptions"]
        made = {
            name: [(await client.post(f"/_api/document/{name}", json={})).json() for _ in range(3)] for name in kinds
        }
        keys = {name: [answer["_key"] for answer in answers] for name, answers in made.items()}
        assert keys["auto"] == ["37", "47", "57"]
        assert keys["traditional"] == ["900000000001", "900000000002", "900000000003"]
        assert keys["padded"] == ["0000000100000000", "0000000100000001", "0000000100000002"]
        for name in kinds:
            assert not {*keys[name]} & {*given[name]}
            assert len({*keys[name]}) == 3
            newest = decode_rev(revisions[name]["revision"])
            assert all(decode_rev(answer["_rev"]) > newest for answer in made[name])
        refused = await client.post("/_api/document/strict", json={"_key": "mine"})
        assert refused.json()["errorNum"] == 1222


async def test_properties_indexes_and_numbers_stay_and_hold(dsn: str, tmp_path: Path) -> None:
    schema = {
        "rule": {"properties": {"n": {"type": "number"}}, "required": ["n"]},
        "level": "strict",
        "message": "n is a number",
        "type": "json",
    }
    computed = [{"name": "double", "expression": "RETURN @doc.n * 2", "overwrite": True}]
    definitions: list[dict[str, Any]] = [
        {"type": "persistent", "fields": ["mail"], "unique": True, "sparse": True, "name": "by_mail"},
        {"type": "persistent", "fields": ["tags[*]"], "deduplicate": False, "estimates": False},
        {"type": "persistent", "fields": ["n"], "storedValues": ["mail"], "cacheEnabled": True},
        {"type": "ttl", "fields": ["at"], "expireAfter": 3600, "name": "expiry"},
        {"type": "geo", "fields": ["place"], "geoJson": True},
        {"type": "inverted", "fields": ["text"], "name": "search"},
        {"type": "mdi", "fields": ["x", "y"], "fieldValueTypes": "double"},
    ]
    over = time.time() - 7200
    async with running(dsn, tmp_path / "a") as stack:
        await stack.default(Stage.MIRROR)
        properties = {"schema": schema, "computedValues": computed, "waitForSync": True, "cacheEnabled": True}
        await make(stack.client, "c", {"_key": "a", "n": 1, "mail": "a@b"}, {"_key": "b", "n": 2}, **properties)
        await make(stack.client, "e", type=3)
        for definition in definitions:
            made = await stack.client.post("/_api/index?collection=c", json=definition)
            assert made.status_code == 201, made.text
        graph = {"name": "g", "edgeDefinitions": [{"collection": "e", "from": ["c"], "to": ["c"]}]}
        assert (await stack.client.post("/_api/gharial", json=graph)).status_code == 202
        edge = {"_from": "c/a", "_to": "c/b"}
        assert (await stack.client.post("/_api/gharial/g/edge/e", json=edge)).status_code == 202
        former = [await shown(stack.direct, name) for name in ("c", "e")]
        async with OriginClient(stack.origin.url, "root", "") as origin:
            contents = await read_contents(origin, SYSTEM)
        names = await registered(stack.database)
        assert left_behind(contents, names) == ()
        assert left_behind(contents, ()) == ("1 graph definitions: mirror _system/_graphs to keep them",)
        plans = await handed_over(stack, names)
    assert len(plans["_system/c"].kept_only) == 3
    async with complete(dsn, tmp_path / "b") as client:
        for name, (theirs, indexes) in zip(("c", "e"), former, strict=True):
            ours, kept = await shown(client, name)
            assert kept == indexes
            unlike = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
            assert unlike == {"globallyUniqueId"}  # it begins with the server's name, which goes with the accounts

        bad = await client.post("/_api/document/c", json={"n": "x"})
        assert (bad.json()["errorNum"], bad.json()["errorMessage"]) == (1620, "n is a number")
        good = await client.post("/_api/document/c?returnNew=true", json={"n": 21, "at": over})
        assert (good.status_code, good.json()["new"]["double"]) == (201, 42)

        database = await Database.open(dsn, size=1)
        await Expiry(database).remove_expired()
        await database.close()
        assert (await client.get(f"/_api/document/c/{good.json()['_key']}")).status_code == 404
        assert (await client.get("/_api/collection/c/count")).json()["count"] == 2

        async def enforced() -> bool:
            answer = await client.post("/_api/document/c", json={"n": 3, "mail": "a@b"})
            if answer.status_code != 409:
                await client.delete(f"/_api/document/c/{answer.json()['_key']}")
            return answer.status_code == 409 and "index by_mail of type persistent" in answer.text

        await eventually(enforced, "the unique index is built", pause=0.5)
        found = await client.post("/_api/gharial/g/edge/e", json={"_from": "c/a", "_to": "c/none"})
        assert found.status_code == 404
        query = {"query": "FOR v IN 1..1 OUTBOUND 'c/a' GRAPH 'g' RETURN v._key"}
        answer = await client.post("/_api/cursor", json=query)
        assert (answer.status_code, answer.json().get("result")) == (201, ["b"]), answer.text
        numbers = {former[0][0]["id"], former[1][0]["id"], former[0][0]["objectId"], former[1][0]["objectId"]}
        new = (await client.post("/_api/collection", json={"name": "new"})).json()
        assert not {new["id"], new["objectId"]} & numbers
        assert int(new["id"]) > max(map(int, numbers))


async def test_documents_that_violate_a_unique_index_are_named(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as stack:
        await stack.default(Stage.MIRROR)
        await make(
            stack.client, "c", {"_key": "a", "m": 1, "l": [1, 1]}, {"_key": "b", "m": 2, "l": [3]}, {"_key": "d"}
        )
        for fields in ("m", "l[*]"):
            index = {
                "type": "persistent",
                "fields": [fields],
                "unique": True,
                "sparse": True,
                "name": f"by {fields[0]}",
            }
            assert (await stack.client.post("/_api/index?collection=c", json=index)).status_code == 201
        await stack.drained()
        await stack.database.execute("""UPDATE _system.c SET doc = '{"m": 1.0, "l": [1]}' WHERE key = 'b'""")
        async with OriginClient(stack.origin.url, "root", "") as origin, stack.database.session() as session:
            state = await read_origin_state(origin, "_system/c")
            plan = plan_handover("_system/c", state, await read_target_state(session, "_system/c"))
            assert await find_duplicates(session, plan) == (
                "unique index by m: a and b have the same value",
                "unique index by l: a and b have the same value",
            )
            with pytest.raises(PreconditionFailed, match="_system/other is not mirrored"):
                await read_target_state(session, "_system/other")
