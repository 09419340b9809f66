"""A promotion and a demotion under clients, with everything that takes part: proxy, mirror, reverse mirror, rights."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from proxy.base.arango_client import OriginClient
from proxy.carryover.group_handover import GroupHandover
from proxy.complete.catalog_cache import CatalogCache
from proxy.control.controller import Changed
from proxy.control.promotion.demote import demote
from proxy.control.promotion.promote import promote
from proxy.model.revision import Clock, decode_rev
from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, eventually, running
from tests.integration.control_fixtures import pass_gates

C = "_system/c"


async def _promote(stack: Running, origin: OriginClient) -> Changed:
    async def judge(_: Sequence[str]) -> dict[str, Any]:
        return {}

    catalogs = CatalogCache(stack.database, Clock(), root_password="", enforced=False, embedded=True)
    return await promote(
        stack.database,
        [C],
        settings=stack.settings,
        origin=origin,
        handover=lambda names: GroupHandover(stack.database, origin, catalogs, names),
        judge=judge,
        refusal=lambda _: "",
        actor="test",
    )


class Writer:
    """A client that increases a number in one document, and checks each answer; it writes and reads all the time."""

    def __init__(self, client: httpx.AsyncClient, key: str) -> None:
        self._client, self._key = client, key
        self.written = 0
        self.revision = ""
        self.ended = False

    async def run(self) -> None:
        while not self.ended:
            answer = await self._client.put(
                f"/_api/document/c/{self._key}", json={"n": self.written + 1}, headers={"if-match": self.revision}
            )
            assert answer.status_code in (201, 202), answer.text
            assert decode_rev(answer.json()["_rev"]) > decode_rev(self.revision)
            self.revision = answer.json()["_rev"]
            self.written += 1
            read = (await self._client.get(f"/_api/document/c/{self._key}")).json()
            assert (read["n"], read["_rev"]) == (self.written, self.revision)

    async def writes(self, more: int) -> None:
        until = self.written + more
        await eventually(lambda: self.written >= until, "it writes on")


async def test_clients_write_on_through_a_promotion_and_a_demotion(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path, lease=10.0) as stack, OriginClient(stack.origin.url, "root", "") as origin:
        await stack.direct.post("/_api/user", json={"user": "ann"})
        await stack.direct.put("/_api/user/ann/database/_system", json={"grant": "rw"})
        await stack.client.post("/_api/collection", json={"name": "c"})
        await stack.move(CollectionState(Stage.MIRROR), C)
        writers = [Writer(stack.client, f"k{number}") for number in range(4)]
        for number, writer in enumerate(writers):
            made = await stack.client.post("/_api/document/c", json={"_key": f"k{number}", "n": 0})
            writer.revision = made.json()["_rev"]
        await stack.drained()
        await stack.move(CollectionState(Stage.SHADOW), C)
        await pass_gates(stack.database, C)
        await stack.move(CollectionState(Stage.FLIPPED, 100), C)
        async with asyncio.TaskGroup() as tasks:
            for writer in writers:
                tasks.create_task(writer.run())
            for _ in range(2):
                await asyncio.gather(*(writer.writes(3) for writer in writers))
                await _promote(stack, origin)
                assert await origin.level("ann", "_system", "c") == "ro"
                await asyncio.gather(*(writer.writes(3) for writer in writers))
                await demote(stack.database, [C], settings=stack.settings, origin=origin, actor="test")
                assert await origin.level("ann", "_system", "c") == "rw"
            for writer in writers:
                writer.ended = True
        await stack.drained()
        assert await stack.differences(C) == []
        # what the triggers go on to note does not pile up
        noted = (
            "INSERT INTO _crossfade.count_change SELECT relation, 0 FROM _crossfade.collection, generate_series(1, 200)"
        )
        await stack.database.execute(noted)

        async def folded() -> bool:
            return bool(await stack.database.fetchval("SELECT count(*) < 200 FROM _crossfade.count_change"))

        await eventually(folded, "changes of counts are put together")
