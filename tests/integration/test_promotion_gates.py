"""The gates of a promotion, judged by what a proxy, a development ArangoDB and PostgreSQL really have."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from proxy.base.arango_client import OriginClient
from proxy.carryover.account_copy import copy_accounts
from proxy.carryover.promotion_gates import judge_promotion
from proxy.carryover.server_reading import read_server
from proxy.control.gates.gate_types import Gate, GateVerdict
from proxy.devserver.store import MemoryStore
from proxy.model.stages import CollectionState, Stage
from proxy.reverse.canary import Canary
from proxy.reverse.origin import OriginRequests
from tests.harness import Running, eventually, running
from tests.integration.cli_fixtures import Shell, quiet_instances

__all__ = ["quiet_instances"]  # fixtures

PASS, FAIL, OPEN = GateVerdict.PASSED, GateVerdict.FAILED, GateVerdict.INCONCLUSIVE
ORDERS, CUSTOMERS = "_system/orders", "_system/customers"
JOIN = "FOR o IN orders FOR c IN customers FILTER c._key == o.customer RETURN c"
NEAR = "FOR o IN orders FILTER GEO_DISTANCE([1, 2], o.place) < 30 RETURN o"


async def ask(client: httpx.AsyncClient, query: str) -> int:
    return (await client.post("/_api/cursor", json={"query": query})).status_code


async def prepare(stack: Running) -> None:
    """Flip `orders` and `customers`, each with a document, and let clients use them."""
    await stack.default(Stage.SHADOW)
    for name in ("orders", "customers"):
        assert (await stack.client.post("/_api/collection", json={"name": name})).status_code == 200
    unique = {"type": "persistent", "fields": ["number"], "unique": True}
    assert (await stack.client.post("/_api/index?collection=orders", json=unique)).status_code == 201
    order = {"_key": "1", "number": 7, "customer": "a"}
    assert (await stack.client.post("/_api/document/orders", json=order)).status_code == 202
    assert (await stack.client.post("/_api/document/customers", json={"_key": "a"})).status_code == 202
    await stack.drained()
    await stack.move(CollectionState(Stage.FLIPPED, 100), ORDERS, CUSTOMERS)
    assert (await stack.client.get("/_api/document/orders/1")).status_code == 200
    assert await ask(stack.client, JOIN) == 201
    await seen(stack, 3)


async def seen(stack: Running, number: int) -> None:
    """Wait until that many shapes of `orders` and `customers` are counted."""

    async def counted() -> bool:
        return bool(await stack.database.fetchval("SELECT count(*) >= $1 FROM _crossfade.shape", number))

    await eventually(counted, "the requests are counted")


async def judged(stack: Running, *collections: str) -> dict[str, Gate]:
    """Return the gates of the first of collections that are promoted together, by name."""
    async with OriginClient(stack.origin.url, *stack.settings.origin_account) as origin:
        found = await judge_promotion(stack.database, stack.settings, origin, collections)
    return {gate.name: gate for gate in found[collections[0]]}


async def test_the_gates_judge_what_both_databases_and_the_proxy_have(dsn: str, tmp_path: Path) -> None:
    store = MemoryStore()
    store.server.accounts.enforce("", b"secret")
    async with running(dsn, tmp_path, store=store) as stack:
        await prepare(stack)
        gates = await judged(stack, ORDERS)
        assert gates["flipped long enough"].verdict is OPEN
        assert gates["flipped long enough"].figures.startswith("flipped at 100 % for 0.0 h")
        alone = gates["served by PostgreSQL alone"]
        assert alone.verdict is FAIL
        assert "also uses _system/customers" in alone.figures
        assert gates["definitions carried over"].verdict is PASS
        assert (gates["unique values"].verdict, gates["unique values"].figures[:16]) == (PASS, "1 unique indexes")
        assert (gates["accounts carried over"].verdict, gates["clocks agree"].verdict) == (FAIL, PASS)
        assert "user root: new" in gates["accounts carried over"].figures
        assert (gates["proxies ready"].verdict, gates["proxies ready"].figures) == (PASS, "1 answer")
        assert gates["no open transaction"].figures == "none"
        assert gates["verification current"].verdict is PASS
        assert (gates["reverse channel proven"].verdict, gates["own account"].verdict) == (PASS, FAIL)
        assert gates["reverse channel proven"].figures.startswith("1 proxies, at most ")
        assert gates["own account"].figures.startswith("root: ")  # the test's client has it

        async with OriginClient(stack.origin.url, *stack.settings.origin_account) as origin:
            server = await read_server(origin, "root")
        await copy_accounts(stack.database, server, None, actor="test", reason=None)
        gates = await judged(stack, ORDERS, CUSTOMERS)
        assert (gates["served by PostgreSQL alone"].verdict, gates["accounts carried over"].verdict) == (PASS, PASS)

        await spoil(stack)
        gates = await judged(stack, ORDERS, CUSTOMERS)
        assert "function GEO_DISTANCE" in gates["served by PostgreSQL alone"].figures
        assert "1 open" in gates["no open transaction"].figures
        assert gates["accounts carried over"].figures == "user ann: new"
        assert gates["unique values"].figures.endswith("1 and 2 have the same value")

        shell = Shell({"CROSSFADE_DSN": dsn, "CROSSFADE_ORIGIN": stack.origin.url, "COLUMNS": "220"})
        shown = await shell("gates", ORDERS, CUSTOMERS, "--for", "promotion", "--json")
        assert shown.code == 1
        assert {gate["name"] for gate in shown.json[ORDERS]} == gates.keys()
        assert (await shell("gates", ORDERS, "--for", "promotion")).out.count("accounts carried over") == 1


async def spoil(stack: Running) -> None:
    """Do what each gate is there for: an unsupported query, a new user, an open transaction, a violated index."""
    # the development server refuses the query, as PostgreSQL does; ArangoDB answers it
    body = json.dumps({"query": NEAR}).encode()
    stack.application.coverage.query("_system", body, frozenset({"orders"}), "answered by ArangoDB")
    begun = await stack.client.post("/_api/transaction/begin", json={"collections": {"write": ["orders"]}})
    headers = {"x-arango-trx-id": begun.json()["result"]["id"]}
    written = await stack.client.post("/_api/document/orders", json={"_key": "3", "number": 9}, headers=headers)
    assert written.status_code == 202, written.text
    assert (await stack.direct.post("/_api/user", json={"user": "ann", "passwd": "x"})).status_code == 201
    relation = await stack.database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", ORDERS)
    await stack.database.execute(
        f"""INSERT INTO {relation} (key, rev, raw, doc, mark)
            SELECT '2', rev + 1, raw, doc, mark FROM {relation} WHERE key = '1'"""
    )

    async def noted() -> bool:
        return bool(await stack.database.fetchval("SELECT count(*) FROM _crossfade.stream_transaction WHERE wrote"))

    await eventually(noted, "the transaction is noted")
    await stack.database.execute("UPDATE _crossfade.stream_transaction SET at = at - interval '1 minute'")
    await seen(stack, 4)


async def test_a_canary_shows_why_the_channel_does_not_work(dsn: str, tmp_path: Path) -> None:
    store = MemoryStore()
    store.server.accounts.enforce("", b"secret")
    async with running(dsn, tmp_path, store=store) as stack:
        upstream = stack.application.origin
        strong = OriginRequests(upstream, "root", "")
        assert (await Canary(stack.database, strong, "one", "_system").prove()).trouble == ""
        left = await stack.direct.get("/_api/collection/_crossfade/count")
        assert left.json()["count"] == 1  # the fence document of the canaries
        assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.canary") == 0
        weak = {"user": "weak", "passwd": "x"}
        assert (await stack.direct.post("/_api/user", json=weak)).status_code == 201
        allowed = await stack.direct.put("/_api/user/weak/database/_system", json={"grant": "ro"})
        assert allowed.status_code == 200
        proof = await Canary(stack.database, OriginRequests(upstream, "weak", "x"), "one", "_system").prove()
        assert proof.trouble.startswith("ArangoDB refuses it: ")
        await stack.origin.stop()
        assert (await Canary(stack.database, strong, "one", "_system").prove()).trouble
        assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.canary") == 0
