"""PostgreSQL serves no read that ArangoDB would have refused (DESIGN section 13), on a server that checks
credentials.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.model.stages import Stage
from proxy.wire.auth import make_token
from tests.harness import Running, running

_GRAPH = {"name": "g", "edgeDefinitions": [{"collection": "knows", "from": ["people"], "to": ["people"]}]}
_QUERY = {"query": "FOR d IN people SORT d._key RETURN d", "batchSize": 1}
_READS: list[tuple[str, str, Any]] = [
    ("GET", "/_api/document/people/a", None),
    ("HEAD", "/_api/document/people/a", None),
    ("PUT", "/_api/document/people?onlyget=true", ["a"]),
    ("POST", "/_api/cursor", {"query": "FOR d IN people RETURN d"}),
    ("GET", "/_api/gharial/g/vertex/people/a", None),
    ("GET", "/_api/edges/knows?vertex=people/a", None),
    ("PUT", "/_api/simple/all", {"collection": "people"}),
    ("PUT", "/_api/simple/lookup-by-keys", {"collection": "people", "keys": ["a"]}),
]
EXPLAIN = {"x-crossfade-explain": "1"}
# user -> (permission on the database, on its collections); None: not set
_USERS: dict[str, tuple[str, str | None]] = {
    "writer": ("rw", None),
    "reader": ("ro", None),
    "blind": ("rw", "none"),
    "stranger": ("none", None),
}


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path, dev_auto_flip=True) as started:
        await started.default(Stage.SHADOW)
        client = started.client
        await client.post("/_api/collection", json={"name": "people"})
        await client.post("/_api/collection", json={"name": "knows", "type": 3})
        await client.post("/_api/gharial", json=_GRAPH)
        await client.post("/_api/document/people", json=[{"_key": "a"}, {"_key": "b"}])
        await client.post("/_api/document/knows", json={"_key": "aa", "_from": "people/a", "_to": "people/a"})
        started.origin.store.server.accounts.enforce("")
        for user, (database, collections) in _USERS.items():
            answer = await client.post("/_api/user", json={"user": user, "passwd": "secret"})
            assert answer.status_code == 201
            await client.put(f"/_api/user/{user}/database/_system", json={"grant": database})
            for name in ("people", "knows") if collections else ():
                await client.put(f"/_api/user/{user}/database/_system/{name}", json={"grant": collections})
        yield started


async def ask(
    stack: Running, user: str | None, method: str, target: str, body: Any = None, password: str = "secret"
) -> httpx.Response:
    auth = httpx.BasicAuth(user, password) if user is not None else (lambda request: request)
    return await stack.client.request(method, target, json=body, auth=auth, headers=EXPLAIN)


async def test_postgresql_serves_only_users_with_read_permission(stack: Running) -> None:
    for method, target, body in _READS:
        for user in ("writer", "reader"):
            answer = await ask(stack, user, method, target, body)
            assert answer.status_code in (200, 201), (user, target, answer.text)
            assert answer.headers["x-crossfade-served-by"] == "postgresql", target
        for other, status in (("blind", 403), ("stranger", 401), ("nobody", 401), (None, 401)):
            answer = await ask(stack, other, method, target, body)
            assert answer.headers["x-crossfade-served-by"] == "arangodb", target
            assert answer.status_code == status, (other, target, answer.text)
        guessed = await ask(stack, "reader", method, target, body, password="guessed")
        assert guessed.status_code == 401, target


async def test_a_permission_revoked_through_the_proxy_ends_immediately(stack: Running) -> None:
    assert (await ask(stack, "reader", "GET", "/_api/document/people/a")).status_code == 200
    taken = await stack.client.put("/_api/user/reader/database/_system/people", json={"grant": "none"})
    assert taken.status_code == 200
    assert (await ask(stack, "reader", "GET", "/_api/document/people/a")).status_code == 403
    assert (await ask(stack, "writer", "GET", "/_api/document/people/a")).status_code == 200
    assert (await stack.client.delete("/_api/user/writer")).status_code == 202
    assert (await ask(stack, "writer", "GET", "/_api/document/people/a")).status_code == 401


async def test_a_token_grants_its_users_permissions(stack: Running) -> None:
    """A token grants its user's permissions until it expires; an invalid signature grants nothing."""
    opened = await stack.client.post("/_open/auth", json={"username": "reader", "password": "secret"})
    token = opened.json()["jwt"]

    async def read(token_text: str) -> httpx.Response:
        headers = EXPLAIN | {"authorization": f"bearer {token_text}"}
        return await stack.client.get("/_api/document/people/a", headers=headers, auth=lambda request: request)

    answer = await read(token)
    assert (answer.status_code, answer.headers["x-crossfade-served-by"]) == (200, "postgresql")
    head, claims, signature = token.split(".")
    assert (await read(f"{head}.{claims}.{signature[::-1]}")).status_code == 401
    assert (await read(make_token("reader", b"not the server's", time.time()))).status_code == 401


async def test_a_cursor_belongs_to_the_user_who_opened_it(stack: Running) -> None:
    first = await ask(stack, "reader", "POST", "/_api/cursor", _QUERY)
    assert first.headers["x-crossfade-served-by"] == "postgresql"
    target = f"/_api/cursor/{first.json()['id']}"
    for user, status in (("writer", 404), ("stranger", 401), (None, 401)):
        for method in ("POST", "DELETE"):
            answer = await ask(stack, user, method, target)
            assert answer.status_code == status, (user, method, answer.text)
    second = await ask(stack, "reader", "POST", target)
    assert (second.status_code, second.json()["result"][0]["_key"]) == (200, "b")


async def test_writes_of_a_read_only_user_are_refused_by_arangodb(stack: Running) -> None:
    """A refused write never reaches PostgreSQL."""
    answer = await ask(stack, "reader", "POST", "/_api/document/people", {"_key": "c"})
    assert (answer.status_code, answer.json()["errorNum"]) == (403, 1004)
    await stack.drained()
    assert await stack.database.fetchval("SELECT count(*) FROM _system.people") == 2
