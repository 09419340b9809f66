"""Accounts of a development ArangoDB, copied by `crossfade accounts copy`, hold on PostgreSQL alone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.devserver.store import MemoryStore
from proxy.wire.auth import make_token
from tests.ad_hoc import Database
from tests.complete_fixtures import complete_application
from tests.harness import Origin
from tests.integration.cli_fixtures import Shell, quiet_instances
from tests.integration.target_fixtures import take_writes

__all__ = ["quiet_instances"]  # fixtures
SECRET = b"of-arangodb"
ROOT = ("root", "r00t")


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    server = Origin(MemoryStore())
    server.store.server.accounts.enforce("r00t", SECRET)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def arango(origin: Origin) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=origin.url, auth=ROOT) as client:
        assert (await client.post("/_api/database", json={"name": "shop"})).status_code == 201
        for name in ("orders", "secrets"):
            assert (await client.post("/_db/shop/_api/collection", json={"name": name})).status_code == 200
        yield client


@pytest.fixture
def shell(dsn: str, origin: Origin, tmp_path: Path) -> Shell:
    return Shell(
        {
            "CROSSFADE_DSN": dsn,
            "CROSSFADE_ORIGIN": origin.url,
            "CROSSFADE_ORIGIN_PASSWORD": "r00t",
            "CROSSFADE_STATE_DIR": str(tmp_path / "cli"),
            "CROSSFADE_JWT_SECRET": "",
            "COLUMNS": "220",
        }
    )


async def user(client: httpx.AsyncClient, name: str, password: str = "x", /, levels: Any = (), **more: Any) -> None:
    answer = await client.post("/_api/user", json={"user": name, "passwd": password, **more}, auth=ROOT)
    assert answer.status_code == 201
    for place, level in dict(levels).items():
        answer = await client.put(f"/_api/user/{name}/database/{place}", json={"grant": level}, auth=ROOT)
        assert answer.status_code == 200


@asynccontextmanager
async def served(dsn: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Serve PostgreSQL alone, with collections `orders` and `secrets` in the database `shop`."""
    async with (
        complete_application(dsn, folder, root_password="not ArangoDB's") as application,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{application.port}") as client,
    ):
        for name in ("orders", "secrets"):
            made = await client.post("/_db/shop/_api/collection", json={"name": name}, auth=ROOT)
            assert made.status_code == 200, made.text
        yield client


async def may(client: httpx.AsyncClient, name: str, password: str = "x", database: str = "shop") -> str:
    """Return what a user may do with the collections `orders` and `secrets`: r, w, or - for each."""
    found = ""
    for collection in ("orders", "secrets"):
        target = f"/_db/{database}/_api/document/{collection}"
        written = await client.post(target, json={}, auth=(name, password))
        query = {"query": f"FOR d IN {collection} RETURN d"}
        read = await client.post(f"/_db/{database}/_api/cursor", json=query, auth=(name, password))
        assert written.status_code in (202, 401, 403)
        assert (read.status_code == 201) or written.status_code != 202
        found += "w" if written.status_code == 202 else "r" if read.status_code == 201 else "-"
    return found


async def test_users_keep_their_passwords_and_levels(
    arango: httpx.AsyncClient, shell: Shell, dsn: str, tmp_path: Path
) -> None:
    await user(arango, "ann", "pä:ss", {"shop": "rw"}, extra={"mail": "ann@example"})
    await user(arango, "reader", "x", {"shop": "ro"})
    await user(arango, "narrow", "x", {"shop": "ro", "shop/orders": "rw", "shop/secrets": "none"})
    await user(arango, "wild", "x", {"*": "ro"})
    await user(arango, "wilder", "x", {"shop": "ro", "shop/*": "rw"})
    await user(arango, "everywhere", "x", {"*": "ro", "*/*": "rw"})
    await user(arango, "stranger", "x", {"_system": "none"})
    await user(arango, "idle", "x", {"shop": "rw"}, active=False)
    tokens = await arango.post("/_api/token/ann", json={"name": "robot"})
    assert tokens.status_code == 200

    shown = await shell("accounts", "copy", "--dry-run")
    assert shown.code == 0
    assert "new     user ann" in shown.out
    assert "create them again for: ann" in shown.out
    assert (await shell("accounts", "copy", "--check")).code == 1
    copied = await shell("accounts", "copy", "--reason", "a test")
    assert (copied.code, "9 users" in copied.out) == (0, True), copied.out + copied.err
    assert (await shell("accounts", "copy", "--check")).code == 0
    assert (await shell("accounts", "copy", "--json")).json["changes"] == []
    assert "copy accounts" in (await shell("audit")).out

    async with served(dsn, tmp_path) as client:
        assert await may(client, "ann", "pä:ss") == "ww"
        assert await may(client, "ann", "pass") == "--"
        levels = ["reader", "narrow", "wild", "wilder", "everywhere", "stranger", "idle"]
        assert [await may(client, name) for name in levels] == ["rr", "w-", "rr", "ww", "ww", "--", "--"]
        assert (await client.get("/_api/user/ann", auth=("ann", "pä:ss"))).json()["extra"] == {"mail": "ann@example"}
        login = await client.post("/_open/auth", json={"username": "reader", "password": "x"})
        bearer = {"authorization": f"bearer {login.json()['jwt']}"}
        assert (await client.get("/_db/shop/_api/collection/orders/count", headers=bearer)).status_code == 200
        idle = await client.post("/_open/auth", json={"username": "idle", "password": "x"})
        assert idle.status_code == 401
        for target in ("/_api/user/wild/database?full=true", "/_api/user/narrow/database?full=true"):
            here, there = await both(client, arango, target)
            assert (here["shop"], here["*"]) == (there["shop"], there["*"])
        here, there = await both(client, arango, "/_db/shop/_api/database/current")
        assert here["id"] == there["id"]
        here, there = await both(client, arango, "/_db/shop/_api/collection")
        prefixes = [{one["globallyUniqueId"].partition("/")[0] for one in found} for found in (here, there)]
        assert prefixes[0] == prefixes[1]


async def both(client: httpx.AsyncClient, arango: httpx.AsyncClient, target: str) -> list[Any]:
    """Return the results that PostgreSQL alone and ArangoDB answer to root."""
    return [(await one.get(target, auth=ROOT)).json()["result"] for one in (client, arango)]


async def test_a_running_proxy_notices_what_changed_and_who_is_gone(
    arango: httpx.AsyncClient, shell: Shell, dsn: str, tmp_path: Path
) -> None:
    await user(arango, "ann", "old", {"shop": "ro"})
    await user(arango, "bob", "x", {"shop": "rw"})
    assert (await shell("accounts", "copy")).code == 0
    async with served(dsn, tmp_path) as client:
        assert [await may(client, "ann", "old"), await may(client, "bob")] == ["rr", "ww"]
        await user(client, "here", "x", {"shop": "rw"})
        await arango.patch("/_api/user/ann", json={"passwd": "new", "extra": {"a": 1}})
        await arango.put("/_api/user/ann/database/shop/orders", json={"grant": "rw"})
        await arango.delete("/_api/user/bob")
        changes = (await shell("accounts", "copy", "--check", "--json")).json["changes"]
        assert {(one["name"], one["change"], *one["what"]) for one in changes} == {
            ("ann", "changed", "password", "extra", "levels of shop"),
            ("bob", "gone"),
            ("here", "gone"),
        }
        assert "gone    user here" in (await shell("accounts", "copy", "--dry-run")).out
        assert await may(client, "here") == "ww"
        assert (await shell("accounts", "copy")).code == 0
        found = [await may(client, "ann", "old"), await may(client, "ann", "new"), await may(client, "bob")]
        assert found == ["--", "wr", "--"]
        assert await may(client, "here") == "--"
        await client.patch("/_api/user/ann", json={"passwd": "third"}, auth=ROOT)
        assert await may(client, "ann", "third") == "wr"


async def test_tokens_of_arangodb_stay_valid_if_its_secret_is_set(
    arango: httpx.AsyncClient, shell: Shell, dsn: str, tmp_path: Path
) -> None:
    token = {"authorization": f"bearer {make_token('root', SECRET, time.time())}"}
    assert (await shell("accounts", "copy")).code == 0
    async with served(dsn, tmp_path) as client:
        assert (await client.get("/_api/version", headers=token)).status_code == 401
        shell.environment["CROSSFADE_JWT_SECRET"] = SECRET.decode()
        copied = (await shell("accounts", "copy", "--json")).json["changes"]
        assert copied == [{"kind": "server", "name": "identity", "change": "changed", "what": ["secret of tokens"]}]
        shell.environment["CROSSFADE_JWT_SECRET"] = ""
        assert (await shell("accounts", "copy", "--json")).json["changes"] == []
        assert (await client.get("/_api/version", headers=token)).status_code == 200


async def test_who_may_not_see_accounts_is_told_what_it_needs(arango: httpx.AsyncClient, shell: Shell) -> None:
    await user(arango, "crossfade", "x", {"_system": "ro"})
    shell.environment |= {"CROSSFADE_ORIGIN_USER": "crossfade", "CROSSFADE_ORIGIN_PASSWORD": "x"}
    refused = await shell("accounts", "copy")
    assert (refused.code, "give its user crossfade `rw` on `_system`" in refused.err) == (1, True)
    await arango.put("/_api/user/crossfade/database/_system", json={"grant": "rw"})
    assert (await shell("accounts", "copy")).code == 0


async def test_accounts_are_not_copied_over_those_of_a_promoted_collection(
    arango: httpx.AsyncClient, shell: Shell, database: Database, dsn: str, tmp_path: Path
) -> None:
    assert (await shell("accounts", "copy")).code == 0
    await take_writes(database, "shop/orders", {})
    assert (await shell("accounts", "copy")).err == (
        "crossfade: ArangoDB no longer takes the writes of shop/orders: the accounts of PostgreSQL are the valid ones\n"
    )
    assert (await shell("accounts", "copy", "--check")).code == 0


async def test_without_arangodb_nothing_is_changed(origin: Origin, shell: Shell, database: Database) -> None:
    await origin.stop()
    assert (await shell("accounts", "copy")).code == 1
    assert await database.fetchval("SELECT count(*) FROM _crossfade.catalog") == 0
    await origin.start()
