"""A complete Crossfade in one process for integration tests: a development ArangoDB, a proxy, a migrated PostgreSQL.

`differences` compares both databases directly, over HTTP and by asyncpg, never through product code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from proxy.app import Application
from proxy.base.config import Settings, load
from proxy.base.free_port import free_port
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.devserver.serve import StoreHandler
from proxy.devserver.store import MemoryStore
from proxy.http import HttpLimits, Listener
from proxy.model.stages import CollectionState, Stage
from tests.ad_hoc import Database

WAIT_SECONDS = 30.0


async def eventually(
    condition: Callable[[], Awaitable[bool]] | Callable[[], bool], what: str, pause: float = 0.01
) -> None:
    """Wait for a condition, polled every `pause` seconds; fail with its name after WAIT_SECONDS."""
    limit = time.monotonic() + WAIT_SECONDS
    while True:
        held = condition()
        if (await held) if not isinstance(held, bool) else held:
            return
        assert time.monotonic() < limit, f"not within {WAIT_SECONDS} s: {what}"
        await asyncio.sleep(pause)


@dataclass
class Origin:
    """The development ArangoDB server in this process; it can be stopped and restarted on its port."""

    store: MemoryStore
    port: int = 0
    listener: Listener | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.port = self.port or free_port()
        self.listener = Listener(StoreHandler(self.store), host="127.0.0.1", port=self.port, limits=HttpLimits())
        await self.listener.start()

    async def stop(self) -> None:
        if self.listener is not None:
            await self.listener.close(0.1)
            self.listener = None
            await self.store.close()


@dataclass
class Running:
    """The handles of a test. `client` talks to the proxy, `direct` to the origin."""

    origin: Origin
    settings: Settings
    application: Application
    client: httpx.AsyncClient
    direct: httpx.AsyncClient
    database: Database
    dsn: str

    async def move(self, state: CollectionState, *collections: str) -> None:
        """Bring collections ('db/name') to a stage by an epoch, forcing the gates that may be forced."""
        targets = [DesiredState(name, state.stage, state.weight) for name in collections]
        await controller.change(
            self.database, targets, settings=self.settings, actor="test", reason="test", force=True, timeout=10
        )

    async def default(self, stage: Stage) -> None:
        """Set the stage of new collections of every database."""
        await self.move(CollectionState(stage), "*/*")

    async def drained(self) -> None:
        await eventually(lambda: self.application.mirror.backlog == 0, "backlog is empty")

    async def differences(self, collection: str) -> list[str]:
        return await differences(self.origin.url, self.dsn, collection)


async def differences(origin: str, dsn: str, collection: str) -> list[str]:
    """What differs between both databases, read directly from each: keys with 'missing', 'extra' or 'different'."""
    database, _, name = collection.partition("/")
    async with httpx.AsyncClient(base_url=f"{origin}/_db/{database}", auth=("root", "")) as client:
        body = {"query": "FOR d IN @@c RETURN d", "bindVars": {"@c": name}, "batchSize": 1_000_000}
        answer = await client.post("/_api/cursor", json=body)
        documents = {d["_key"]: d for d in answer.json().get("result", [])}
    connection = await asyncpg.connect(dsn)
    try:
        relation = await connection.fetchval(
            "SELECT relation FROM _crossfade.collection WHERE collection = $1", collection
        )
        rows = []
        if relation is not None:  # a collection that was dropped leaves: whatever the origin still has is missing
            rows = await connection.fetch(f"SELECT key, raw::text AS raw FROM {relation} WHERE doc IS NOT NULL")
    finally:
        await connection.close()
    stored = {row["key"]: json.loads(row["raw"]) for row in rows}
    found = [f"{key}: missing" for key in sorted(documents.keys() - stored.keys())]
    found += [f"{key}: extra" for key in sorted(stored.keys() - documents.keys())]
    found += [f"{key}: different" for key in sorted(stored.keys() & documents.keys()) if stored[key] != documents[key]]
    return found


@contextlib.asynccontextmanager
async def straight(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Open a session of an administrator, who may write whatever the preset."""
    connection = await asyncpg.connect(dsn, server_settings={"default_transaction_read_only": "off"})
    try:
        yield connection
    finally:
        await connection.close()


async def read_only(dsn: str, *, on: bool) -> None:
    """Make the database read-only, as a managed service does on a full disk, and end its existing sessions."""
    async with straight(dsn) as admin:
        name, setting = dsn.rpartition("/")[2], "on" if on else "off"
        await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {setting}")
        if on:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@contextlib.asynccontextmanager
async def running(
    dsn: str, folder: Path, *, store: MemoryStore | None = None, **overrides: Any
) -> AsyncIterator[Running]:
    """Start an origin (with the documents of `store`) and a proxy on free ports; stop everything at the end."""
    origin = Origin(store or MemoryStore())
    await origin.start()
    given: dict[str, Any] = {"heartbeat": 0.05, "lost_request_timeout": 0.2, **overrides}
    settings = load(origin=origin.url, dsn=dsn, listen_port=0, admin_port=0, state_dir=folder / "state", **given)
    try:
        async with contextlib.AsyncExitStack() as stack:
            application = await stack.enter_async_context(Application(settings))
            client = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{application.port}", auth=("root", ""), timeout=30)
            )
            direct = await stack.enter_async_context(
                httpx.AsyncClient(base_url=origin.url, auth=("root", ""), timeout=30)
            )
            database = await Database.open(dsn, size=4)
            stack.push_async_callback(database.close)
            yield Running(origin, settings, application, client, direct, database, dsn)
    finally:
        await origin.stop()
