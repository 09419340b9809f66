"""Servers that clients are tested on: the development server, a proxy in front of it in the shadow and flipped, and a
proxy over PostgreSQL alone.

Each runs in its own thread, for blocking clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from proxy.devserver.serve import TTL_INTERVAL
from proxy.model.stages import Stage
from tests.acceptance.development import development_server
from tests.complete_fixtures import complete_application
from tests.harness import Running, running

TIMEOUT = 60.0  # seconds for whatever is done on the other thread


class Kind(enum.StrEnum):
    """Which of the four."""

    DEVELOPMENT = "development"
    SHADOW = "shadow"
    FLIPPED = "flipped"
    COMPLETE = "complete"

    @property
    def reads_postgresql(self) -> bool:
        """True if PostgreSQL serves reads."""
        return self in (Kind.FLIPPED, Kind.COMPLETE)


@dataclass(frozen=True, slots=True)
class ServerUnderTest:
    """A server for clients. running: the stack behind a proxy, used only on its own loop.

    admin_port: of a proxy; 0 if there is none. dsn: of its PostgreSQL.
    """

    kind: Kind
    url: str
    running: Running | None = None
    loop: asyncio.AbstractEventLoop | None = None
    before: int = 0  # what `served` begins from: metrics are the process's
    admin_port: int = 0
    dsn: str = ""

    def on_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something of the stack on its loop."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(TIMEOUT)

    def findings(self) -> dict[str, int]:
        """Return the results of all the shadow's comparisons; empty for the development server."""
        return {} if self.running is None else self.on_loop(_findings(self.running))

    def settle(self) -> None:
        """Wait until the mirror has applied every write."""
        if self.running is not None:
            self.on_loop(self.running.drained())

    def apart(self) -> list[str]:
        """Return what differs between both databases once all is applied, except in collections marked as unverified.

        Empty for the development server, and if they are equal.
        """
        return [] if self.running is None else self.on_loop(_apart(self.running))

    def marked(self) -> list[str]:
        """Return the collections whose copy may have missed a write, with the reasons."""
        return [] if self.running is None else self.on_loop(_marked(self.running))

    def served(self) -> int:
        """Return the number of reads that PostgreSQL has served here."""
        return _served(self.admin_port) - self.before if self.admin_port else 0

    def clean(self) -> None:
        """Remove what a test has created: graphs, databases, collections, users."""
        with httpx.Client(base_url=self.url, auth=("root", ""), timeout=TIMEOUT, verify=False) as client:
            for one in client.get("/_api/transaction").json()["transactions"]:
                client.delete(f"/_api/transaction/{one['id']}")
            for graph in client.get("/_api/gharial").json()["graphs"]:
                client.delete(f"/_api/gharial/{graph['_key']}")
            for database in client.get("/_api/database").json()["result"]:
                if database != "_system":
                    client.delete(f"/_api/database/{database}")
            found = client.get("/_api/collection").json()["result"]
            for name in (one["name"] for one in found if not one["name"].startswith("_")):
                client.delete(f"/_api/collection/{name}")
            for user in client.get("/_api/user").json()["result"]:
                if user["user"] != "root":
                    client.delete(f"/_api/user/{user['user']}")


@contextmanager
def server_under_test(
    kind: Kind, dsn: str, folder: Path, *, root_password: str | None = None, secret: bytes | None = None
) -> Iterator[ServerUnderTest]:
    """Start a server.

    dsn: a migrated database, for the proxies. root_password: set if credentials are checked. secret: the key that signs
    tokens.
    """
    if kind is Kind.DEVELOPMENT:
        with development_server(root_password, secret) as url:
            yield ServerUnderTest(kind, url)
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=kind)
    thread.start()
    stack = AsyncExitStack()
    try:
        if kind is Kind.COMPLETE:
            alone = stack.enter_async_context(
                complete_application(dsn, folder, root_password=root_password, secret=secret)
            )
            application = asyncio.run_coroutine_threadsafe(alone, loop).result(TIMEOUT)
            before = _served(application.admin_port)
            yield ServerUnderTest(
                kind, f"http://127.0.0.1:{application.port}", None, loop, before, application.admin_port, dsn
            )
        else:
            starting = _start(stack, kind, dsn, folder, root_password, secret)
            started = asyncio.run_coroutine_threadsafe(starting, loop).result(TIMEOUT)
            admin = started.application.admin_port
            url = str(started.client.base_url).rstrip("/")
            yield ServerUnderTest(kind, url, started, loop, _served(admin), admin, dsn)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(TIMEOUT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT)
        loop.close()


async def _start(
    stack: AsyncExitStack, kind: Kind, dsn: str, folder: Path, root_password: str | None, secret: bytes | None
) -> Running:
    started = await stack.enter_async_context(
        running(dsn, folder, dev_auto_flip=kind is Kind.FLIPPED, origin_password=root_password or "")
    )
    if root_password is not None:
        started.origin.store.server.accounts.enforce(root_password, secret)
    await started.default(Stage.SHADOW)
    expiring = asyncio.create_task(_expiring(started), name="ttl")
    stack.callback(expiring.cancel)
    return started


async def _expiring(stack: Running) -> None:
    """Remove documents that TTL indexes have expired from the origin, as any server does."""
    while True:
        await asyncio.sleep(TTL_INTERVAL)
        stack.origin.store.expire()


def _served(admin_port: int) -> int:
    text = httpx.get(f"http://127.0.0.1:{admin_port}/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("crossfade_requests_total{")]
    return int(sum(float(line.split()[-1]) for line in lines if 'served_by="target"' in line))


async def _apart(stack: Running) -> list[str]:
    await stack.drained()
    marked = {line.partition(": ")[0] for line in await _marked(stack)}
    found = [
        f"{row['collection']}/{row['key']}: dead letter, {row['reason']}"
        for row in await stack.database.fetch("SELECT collection, key, reason FROM _crossfade.dead_letter")
    ]
    for name, collection in stack.origin.store.server.collections():
        full = f"{name.name}/{collection.name}"
        known = await stack.database.fetchrow(
            "SELECT relation FROM _crossfade.collection WHERE collection = $1 AND stage <> 'off'", full
        )
        if known is None or full in marked or f"{name.name}/*" in marked:
            continue
        rows = await stack.database.fetch(
            f"SELECT key, raw::text AS raw FROM {known['relation']} WHERE doc IS NOT NULL"
        )
        stored = {row["key"]: json.loads(row["raw"]) for row in rows}
        held = {key: json.loads(raw) for key, raw in collection.documents.items()}
        found += [f"{full}/{key}: missing" for key in held.keys() - stored.keys()]
        found += [f"{full}/{key}: extra" for key in stored.keys() - held.keys()]
        found += [f"{full}/{key}: different" for key in held.keys() & stored.keys() if held[key] != stored[key]]
    return found


async def _marked(stack: Running) -> list[str]:
    rows = await stack.database.fetch(
        "SELECT DISTINCT collection, reason FROM _crossfade.unverified ORDER BY collection, reason"
    )
    return [f"{row['collection']}: {row['reason']}" for row in rows]


async def _findings(stack: Running) -> dict[str, int]:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stack.application.shadow.idle(), 20)
    row = await stack.database.fetchrow(
        "SELECT sum(compared) AS compared, (SELECT count(*) FROM _crossfade.mismatch) AS mismatched, "
        "sum(undecided) AS undecided FROM _crossfade.comparison"
    )
    kinds = await stack.database.fetch(
        "SELECT collection, class, paths, samples::text AS samples FROM _crossfade.mismatch"
    )
    shapes = await stack.database.fetch("SELECT collection, text, undecided, unsupported FROM _crossfade.shape")
    for shape in shapes:
        if shape["undecided"] or shape["unsupported"]:
            print(shape["collection"], shape["text"], shape["undecided"], shape["unsupported"])
    for kind in kinds:  # seen in the output of a test that fails
        print(kind["collection"], kind["class"], kind["paths"], kind["samples"][:2000])
    assert row is not None
    return {name: int(value or 0) for name, value in row.items()}
