"""Instances for the tests of stage changes: real leases on a real PostgreSQL, with a minimal application."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from proxy.admin import AdminServer, create
from proxy.base.config import Settings
from proxy.base.errors import PreconditionFailed
from proxy.control.controller import change
from proxy.control.instance.ack_conditions import AckConditions, Scope
from proxy.control.instance.lease import Lease
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage
from tests.ad_hoc import Database

HEARTBEAT = 0.05
LEASE = 1.5  # generous: the machine that runs the tests may be busy


class _Version(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"server": "arango", "version": "3.12.0"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@functools.cache
def answering_origin() -> str:
    """Run an empty origin; yield its URL. A flip asks it whether a rollback would be possible."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Version)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def settings_for(folder: Path, **more: Any) -> Settings:
    values: dict[str, Any] = {
        "state_dir": folder,
        "heartbeat": HEARTBEAT,
        "lease": LEASE,
        "origin": answering_origin(),
    }
    return Settings(**(values | more))


@dataclass
class Application:
    """What an instance's application reports about itself; tests set the numbers."""

    backlog: int = 0
    lag: float = 0.0
    uncaptured: int = 0
    queries: int = 0
    unapplied: int = 0
    under_way: int = 0
    clean: bool = True
    scopes: list[Scope] = field(default_factory=list)

    def conditions(self) -> AckConditions:
        def count(name: str) -> Callable[[Scope], int]:
            def counted(scope: Scope) -> int:
                self.scopes.append(scope)
                return int(getattr(self, name))

            return counted

        return AckConditions(
            backlog=count("backlog"),
            lag_seconds=lambda: self.lag,
            uncaptured_pending=count("uncaptured"),
            origin_queries=count("queries"),
            unapplied=count("unapplied"),
            under_way=count("under_way"),
            journal_clean=lambda: self.clean,
        )


class CuttableDatabase(Database):
    """The same PostgreSQL over a connection that can be cut: statements then wait, as in a frozen process."""

    def __init__(self, database: Database) -> None:
        super().__init__(database._pool, database._timeout)
        self.up = asyncio.Event()
        self.up.set()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        await self.up.wait()
        async with super().session() as session:
            yield session


@dataclass
class Instance:
    lease: Lease
    application: Application
    line: CuttableDatabase
    settings: Settings
    # its answer to `/check` in addition to the lease, if it has an admin listener
    says: dict[str, object] = field(default_factory=lambda: {"postgresql": "", "arangodb": ""})
    admin: AdminServer | None = None

    async def check(self) -> dict[str, object]:
        snapshot = self.lease.snapshot
        return {
            "instance": self.lease.instance,
            "epoch": snapshot.epoch,
            "generation": snapshot.generation,
            "diverged": self.lease.diverged,
            "backlog": self.application.backlog,
            "lag_seconds": self.application.lag,
            **self.says,
        }


class Fleet:
    """Starts instances, and ends them with the test."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.instances: list[Instance] = []

    async def start(
        self,
        name: str,
        application: Application | None = None,
        *,
        host: str = "here",
        admin: bool = False,
        **more: Any,
    ) -> Instance:
        application = application or Application()
        settings = settings_for(self.folder / name, **more)
        line = CuttableDatabase(self.database)

        async def check() -> dict[str, object]:
            """Return the answer of the lease, which is created after the listener."""
            return await instance.check()

        server = AdminServer(create(dict, lambda: None, None, check), "127.0.0.1", 0)
        if admin:
            server.bind()
        url = server.url if admin else None
        lease = Lease(line, settings, name, application.conditions(), host=host, admin_url=url)
        instance = Instance(lease, application, line, settings, admin=server if admin else None)
        self.instances.append(instance)
        await lease.start()
        if admin:
            await server.start()
        return instance

    async def crash(self, instance: Instance) -> None:
        await self._end(instance)
        self.instances.remove(instance)

    async def close(self) -> None:
        for instance in self.instances:
            await self._end(instance)

    @staticmethod
    async def _end(instance: Instance) -> None:
        await instance.lease.close(deregister=False)
        if instance.admin is not None:
            await instance.admin.close()

    async def to(self, stage: Stage, *collections: str, weight: int = 100, patient: bool = True, **more: Any) -> Any:
        """Change the stage. patient: retry if a lease expired at the last moment, as it may on a busy machine."""
        targets = [DesiredState(c, stage, weight if stage is Stage.FLIPPED else 0) for c in collections]
        limit = time.monotonic() + 20.0
        while True:
            try:
                return await change(
                    self.database,
                    targets,
                    settings=settings_for(self.folder),
                    actor="test",
                    **({"timeout": 20.0} | more),
                )
            except PreconditionFailed as error:
                if (
                    not patient
                    or "stopped acknowledging in the last moment" not in str(error)
                    or time.monotonic() > limit
                ):
                    raise

    async def flipped(self, *collections: str, weight: int = 100) -> None:
        """Flip the collections, after recording a backfill, a verification and comparisons that never ran."""
        await self.to(Stage.MIRROR, *collections)
        await self.to(Stage.SHADOW, *collections)
        for collection in collections:
            await pass_gates(self.database, collection)
        await self.to(Stage.FLIPPED, *collections, weight=weight)


async def pass_gates(database: Database, collection: str, compared: int = 10) -> None:
    """Write what the watch, a backfill, a verification and the shadow would have left; ask for few comparisons."""
    await database.execute(
        "INSERT INTO _crossfade.gate_limit (name, value, reason, actor) "
        "VALUES ('comparisons', 10, 'a short test', 'test') ON CONFLICT DO NOTHING"
    )
    await database.execute(
        "INSERT INTO _crossfade.bypass_watch (collection, mode, since, judged_until) "
        "VALUES ($1, 'log', now() - interval '1 day', now() + interval '1 day') ON CONFLICT DO NOTHING",
        collection,
    )
    for kind in ("backfill", "verify"):
        await database.execute(
            "INSERT INTO _crossfade.run (collection, kind, state, unverified_before, finished_at, result) "
            "VALUES ($1, $2, 'done', coalesce((SELECT max(id) FROM _crossfade.unverified), 0), now(), $3::text::jsonb)",
            collection,
            kind,
            '{"missing": 0, "extra": 0, "stale": 0}',
        )
    await database.execute(
        "UPDATE _crossfade.comparison SET compared = $2, matched = $2 WHERE collection = $1", collection, compared
    )
    await database.execute(
        "INSERT INTO _crossfade.shape (collection, shape, text, seen, compared) "
        "VALUES ($1, 'document.read', 'document.read', 1000, 1000) ON CONFLICT DO NOTHING",
        collection,
    )
    await database.execute(
        "INSERT INTO _crossfade.coverage (collection, shape, since, compared, matched, origin_histogram, "
        "target_histogram) SELECT collection, 'document.read', since, 1000, 1000, '{1000}', '{1000}' "
        "FROM _crossfade.comparison WHERE collection = $1 "
        "ON CONFLICT (collection, shape) DO UPDATE SET since = excluded.since",
        collection,
    )


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for a condition, and name it on a time-out."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"condition not reached: {condition}"
        await asyncio.sleep(0.005)
