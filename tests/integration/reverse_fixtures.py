"""PostgreSQL that takes the writes of collections, a development ArangoDB, and appliers between them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

import sql
from proxy.complete import CompleteStore
from proxy.devserver.store import MemoryStore
from proxy.http import Upstream
from proxy.reverse.mirror import ReverseMirror
from proxy.reverse.origin import OriginRequests
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.harness import Origin, differences, eventually
from tests.integration.target_fixtures import take_writes

Gate = Callable[[str, bytes], Awaitable[None]]


class GatedUpstream(Upstream):
    """Requests that a test can hold. before: awaited before each, with its method and target."""

    before: Gate | None = None

    async def request(self, request: Any, *, idempotent: bool = False) -> Any:
        if self.before is not None:
            await self.before(request.method, request.target)
        return await super().request(request, idempotent=idempotent)


@dataclass
class Reverse:
    """store: takes the writes. direct: a client of ArangoDB."""

    dsn: str
    database: Database
    origin: Origin
    store: CompleteStore
    direct: httpx.AsyncClient
    stack: contextlib.AsyncExitStack
    mirrors: list[ReverseMirror] = field(default_factory=list)

    def applier(
        self, holder: str, *, lease: float = 0.5, late_request: float = 0.3
    ) -> tuple[ReverseMirror, GatedUpstream]:
        """Return an applier that is not started; it is closed with the fixture."""
        upstream = GatedUpstream(self.origin.url)
        mirror = ReverseMirror(
            self.database,
            OriginRequests(upstream, "root", ""),
            holder=holder,
            needed=lambda: True,
            late_request=late_request,
            lease=lease,
        )
        self.mirrors.append(mirror)
        self.stack.push_async_callback(upstream.close)
        self.stack.push_async_callback(mirror.close)
        return mirror, upstream

    async def send(self, method: str, target: str, body: Any = None, *, trx: str = "") -> Any:
        """Send a request to PostgreSQL; return the body of its answer, which is not an error."""
        headers = [(b"x-arango-trx-id", trx.encode())] if trx else []
        content = b"" if body is None else orjson.dumps(body)
        outcome = await self.store.execute(decode_parts(method, target.encode(), headers, content, identified=True))
        answer = orjson.loads(outcome.body) if outcome.body else None
        assert outcome.status < 400, answer
        return answer

    async def both(self, method: str, target: str, body: Any = None) -> None:
        """Send a request to both databases."""
        await self.send(method, target, body)
        answer = await self.direct.request(method, target, json=body)
        assert answer.status_code < 400, answer.text

    async def drained(self) -> None:
        """Wait until the outbox is empty."""
        await eventually(self.is_drained, "an empty outbox")

    async def is_drained(self) -> bool:
        return (await self.database.fetchval(sql.outbox.BACKLOG)).rows == 0

    async def collections(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the collections of PostgreSQL and of ArangoDB, with what is carried of their definitions."""
        shown: list[dict[str, Any]] = [{}, {}]
        names = [one["name"] for one in (await self.send("GET", "/_api/collection?excludeSystem=true"))["result"]]
        for name in names:
            properties = await self.send("GET", f"/_api/collection/{name}/properties")
            indexes = await self.send("GET", f"/_api/index?collection={name}")
            shown[0][name] = _definition(properties, indexes)
        answer = (await self.direct.get("/_api/collection?excludeSystem=true")).json()
        for name in [one["name"] for one in answer["result"]]:
            properties = (await self.direct.get(f"/_api/collection/{name}/properties")).json()
            indexes = (await self.direct.get(f"/_api/index?collection={name}")).json()
            shown[1][name] = _definition(properties, indexes)
        return shown[0], shown[1]

    async def differences(self, collection: str = "_system/c") -> list[str]:
        """What differs between both databases, revisions included."""
        return await differences(self.origin.url, self.dsn, collection)


def _definition(properties: dict[str, Any], indexes: dict[str, Any]) -> dict[str, Any]:
    kept = {name: properties[name] for name in ("type", "schema", "computedValues", "waitForSync")}
    own = [{name: value for name, value in index.items() if name != "id"} for index in indexes["indexes"]]
    return {**kept, "indexes": sorted(own, key=lambda index: str(index["name"]))}


@contextlib.asynccontextmanager
async def reverse(dsn: str, database: Database, *, collections: tuple[str, ...] = ("c",)) -> AsyncIterator[Reverse]:
    """Start an ArangoDB with empty collections whose writes PostgreSQL takes."""
    origin = Origin(MemoryStore())
    await origin.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(origin.stop)
        direct = await stack.enter_async_context(httpx.AsyncClient(base_url=origin.url, auth=("root", ""), timeout=30))
        for name in collections:
            assert (await direct.post("/_api/collection", json={"name": name})).status_code == 200
            properties = (await direct.get(f"/_api/collection/{name}/properties")).json()
            indexes = (await direct.get(f"/_api/index?collection={name}")).json()["indexes"]
            await take_writes(database, f"_system/{name}", {**properties, "indexes": indexes})
        store = CompleteStore(database)
        stack.push_async_callback(store.close)
        await store.start()
        yield Reverse(dsn, database, origin, store, direct, stack)
