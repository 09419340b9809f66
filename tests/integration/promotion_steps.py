"""The steps of a promotion and a demotion as the commands take them, one at a time, for tests of requests beside."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from proxy.app import Application
from proxy.base.arango_client import OriginClient
from proxy.carryover.collection_handover import plan_handover
from proxy.carryover.collection_taking import read_origin_state, read_target_state, take_writes_together
from proxy.model.stages import CollectionState, Phase, Stage, Transition
from proxy.state import control_row
from tests.harness import Running, eventually, running, straight

FLIPPED = CollectionState(Stage.FLIPPED, 100)
PROMOTED = CollectionState(Stage.PROMOTED, 100)


@dataclass
class Pair:
    """Two proxies of one ArangoDB and one PostgreSQL. first, second: their clients."""

    stack: Running
    beside: Application
    second: httpx.AsyncClient

    @property
    def first(self) -> httpx.AsyncClient:
        return self.stack.client

    @property
    def clients(self) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
        return self.first, self.second

    async def noticed(self) -> None:
        """Wait until both run at the present generation."""
        generation = await self.stack.database.fetchval(_GENERATION)
        for application in (self.stack.application, self.beside):
            await eventually(
                lambda application=application: application.lease.generation >= generation, "the generation is noticed"
            )

    async def hold(self, *names: str) -> None:
        """Begin a promotion."""
        await self._begin([Transition(name, FLIPPED, PROMOTED) for name in names], Phase.HOLD)
        await self.noticed()

    async def commit_promotion(self, *names: str) -> None:
        """Let PostgreSQL take the writes, when all proxies have acknowledged that nothing is under way."""
        await eventually(self._acknowledged, "the hold is acknowledged")
        async with (
            OriginClient(self.stack.origin.url, "root", "") as origin,
            self.stack.database.transaction() as session,
        ):
            control = await control_row.lock(session)
            plans = [
                plan_handover(name, await read_origin_state(origin, name), await read_target_state(session, name))
                for name in names
            ]
            await take_writes_together(session, plans)
            await control_row.commit(session, control, actor="test", reason="test", detail={})

    async def promote(self, *names: str) -> None:
        await self.hold(*names)
        await self.commit_promotion(*names)
        await self.noticed()

    async def abort(self) -> None:
        """End the open epoch without its transitions."""
        async with self.stack.database.transaction() as session:
            control = await control_row.lock(session)
            await control_row.abort(session, control, actor="test", reason="test")
            await control_row.advance(session, control, control.epoch, Phase.IDLE)

    async def withhold(self, *names: str) -> None:
        """Begin a demotion."""
        await self.stack.database.execute(_CLOSING)
        await self._begin([Transition(name, PROMOTED, FLIPPED) for name in names], Phase.DRAIN)

    async def commit_demotion(self, *names: str) -> None:
        """Let ArangoDB take the writes again when it has all of them."""
        for name in names:
            await eventually(lambda name=name: self._carried(name), "ArangoDB has every write")
        async with self.stack.database.transaction() as session:
            control = await control_row.lock(session)
            await control_row.commit(session, control, actor="test", reason="test", detail={})

    async def _begin(self, transitions: list[Transition], phase: Phase) -> None:
        async with self.stack.database.transaction() as session:
            control = await control_row.lock(session)
            await control_row.begin(session, control, transitions, phase, actor="test", reason="test")

    async def _acknowledged(self) -> bool:
        return not await self.stack.database.fetchval(_SILENT)

    async def _carried(self, name: str) -> bool:
        return not await self.stack.database.fetchval(_OUTBOX, name)


_SILENT = """
SELECT count(*) FROM _crossfade.instance i, _crossfade.control c
WHERE i.stopped_at IS NULL AND i.acknowledged <> c.generation
"""
_GENERATION = "SELECT generation FROM _crossfade.control"
_CLOSING = "UPDATE _crossfade.control SET closing = true"
_OUTBOX = "SELECT count(*) FROM _crossfade.outbox WHERE collection = $1"


@contextlib.asynccontextmanager
async def pair(dsn: str, folder: Path, *collections: str, **overrides: Any) -> AsyncIterator[Pair]:
    """Start both, with collections of the database `_system` that are flipped."""
    given: dict[str, Any] = {"authentication": False, "lease": 10.0, "flip_hold_timeout": 60.0, **overrides}
    async with running(dsn, folder, **given) as stack, contextlib.AsyncExitStack() as rest:
        settings = stack.settings.model_copy(update={"state_dir": folder / "beside"})
        beside = await rest.enter_async_context(Application(settings))
        second = await rest.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{beside.port}", auth=("root", ""), timeout=30)
        )
        for name in collections:
            await stack.client.post("/_api/collection", json={"name": name})
        names = [f"_system/{name}" for name in collections]
        for state in (CollectionState(Stage.MIRROR), CollectionState(Stage.SHADOW), FLIPPED):
            await stack.move(state, *names)
        driver = await rest.enter_async_context(straight(dsn))
        await driver.execute("SELECT pg_advisory_lock($1)", control_row.DRIVER)  # else instances abort every epoch
        yield Pair(stack, beside, second)
