"""Flipped collections of a development ArangoDB with users, and what promotes and demotes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.carryover.group_handover import GroupHandover
from proxy.complete.catalog_cache import CatalogCache
from proxy.control.controller import Changed
from proxy.control.promotion.complete import complete
from proxy.control.promotion.demote import demote
from proxy.control.promotion.promote import promote
from proxy.control.promotion.revision_floor import COLLECTION
from proxy.control.promotion.rights import OriginRights
from proxy.devserver.store import MemoryStore
from proxy.model.revision import Clock
from tests.ad_hoc import Database
from tests.harness import Origin
from tests.integration.control_fixtures import Application, Fleet, Instance, settings_for
from tests.integration.target_fixtures import create, put

A, B = "_system/a", "_system/b"
USERS = ("ann", "bob", "carl")


@dataclass
class Promotions:
    """broken: a step of the handover that raises what it gives."""

    database: Database
    fleet: Fleet
    origin: Origin
    client: OriginClient
    direct: httpx.AsyncClient
    settings: Settings
    broken: dict[str, Callable[[], object]] = field(default_factory=dict)

    async def promote(self, *names: str, long_pause: bool = False, **more: Any) -> Changed:
        async def judge(_: Sequence[str]) -> dict[str, Any]:
            return {}

        catalogs = CatalogCache(self.database, Clock(), root_password="", enforced=False, embedded=True)
        return await promote(
            self.database,
            names,
            settings=self.settings,
            origin=self.client,
            handover=lambda ahead: BreakableHandover(self, catalogs, ahead, long_pause=long_pause),
            judge=judge,
            refusal=lambda _: "",
            actor="test",
            **({"timeout": 20.0} | more),
        )

    async def demote(self, *names: str, **more: Any) -> Changed:
        given = {"timeout": 20.0} | more
        return await demote(self.database, names, settings=self.settings, origin=self.client, actor="test", **given)

    async def complete(self, *names: str, **more: Any) -> Changed:
        async def judge(_: Sequence[str]) -> dict[str, Any]:
            return {}

        given = {"timeout": 20.0} | more
        return await complete(
            self.database, names, settings=self.settings, judge=judge, refusal=lambda _: "", actor="test", **given
        )

    @property
    def rights(self) -> OriginRights:
        return OriginRights(self.database, self.client, "root", late=self.settings.lost_request_timeout)

    async def start(self, name: str, application: Application | None = None, **more: Any) -> Instance:
        """Start an instance whose lease does not run out, however busy the machine is."""
        return await self.fleet.start(name, application, lease=20.0, **more)

    async def granted(self) -> dict[str, Any]:
        """Return what users were granted, without Crossfade's own collection, which the first promotion makes."""
        found = {user: await self.client.granted(user) for user in USERS}
        for levels in found.values():
            levels["_system"]["collections"].pop(COLLECTION, None)
        return found

    async def levels(self, collection: str) -> dict[str, str]:
        database, _, name = collection.partition("/")
        return {user: await self.client.level(user, database, name) for user in USERS}

    async def stands(self) -> dict[str, tuple[str, str]]:
        """Return stage and writer of each collection."""
        rows = await self.database.fetch(
            "SELECT collection, stage, writer FROM _crossfade.collection JOIN _crossfade.stamp_floor USING (collection)"
        )
        return {row["collection"]: (row["stage"], row["writer"]) for row in rows}

    async def phase(self) -> str:
        found: str = await self.database.fetchval("SELECT phase FROM _crossfade.control")
        return found

    async def noted(self) -> int:
        number: int = await self.database.fetchval("SELECT count(*) FROM _crossfade.origin_right")
        return number


class BreakableHandover(GroupHandover):
    def __init__(
        self, stack: Promotions, catalogs: CatalogCache, names: Sequence[str], *, long_pause: bool = False
    ) -> None:
        super().__init__(stack.database, stack.client, catalogs, names, long_pause=long_pause)
        self._broken = stack.broken

    async def prepare(self) -> None:
        await super().prepare()
        self._reach("prepared")

    async def compare(self) -> None:
        self._reach("rights taken")
        await super().compare()
        self._reach("compared")

    async def take(self, session: Any, floor: int) -> None:
        await super().take(session, floor)
        self._reach("writes taken")

    def _reach(self, step: str) -> None:
        if step in self._broken:
            self._broken[step]()


@asynccontextmanager
async def promotions(database: Database, folder: Path, **settings: Any) -> AsyncIterator[Promotions]:
    """Two collections, flipped, with two documents each; three users, of whom carl may only read."""
    origin = Origin(MemoryStore())
    await origin.start()
    fleet = Fleet(database, folder)
    given = {"origin": origin.url, "lost_request_timeout": 0.3, "flip_hold_timeout": 8.0} | settings
    try:
        async with (
            OriginClient(origin.url, "root", "") as client,
            httpx.AsyncClient(base_url=origin.url, auth=("root", ""), timeout=30) as direct,
        ):
            stack = Promotions(database, fleet, origin, client, direct, settings_for(folder / "command", **given))
            for user, level in zip(USERS, ("rw", "none", "ro"), strict=True):
                await direct.post("/_api/user", json={"user": user})
                await direct.put(f"/_api/user/{user}/database/_system", json={"grant": level})
            for name in (A, B):
                await _flipped(stack, name)
            await direct.put("/_api/user/bob/database/_system/b", json={"grant": "rw"})
            yield stack
    finally:
        await fleet.close()
        await origin.stop()


async def _flipped(stack: Promotions, collection: str) -> None:
    name = collection.partition("/")[2]
    await stack.direct.post("/_api/collection", json={"name": name})
    await create(stack.database, collection)
    for key in ("1", "2"):
        await stack.direct.post(f"/_api/document/{name}", json={"_key": key, "n": 1})
        raw = (await stack.direct.get(f"/_api/document/{name}/{key}")).content
        await put(stack.database, collection, orjson.dumps(orjson.loads(raw)))
    await stack.database.execute("UPDATE _crossfade.collection SET stage = 'flipped', weight = 100")
    await stack.database.execute("UPDATE _crossfade.control SET generation = generation + 1")
