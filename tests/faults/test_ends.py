"""Guarantee 7: what ArangoDB executed is in PostgreSQL before its answer, or PostgreSQL is not read.

Every kind of write × each way that it can end × stage, checked by reading both databases directly (`tests.faults.ends`
has the table). A test runs one way in one stage over all kinds, on its own servers.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from proxy.capture import aql_plan
from proxy.cli.repair_keys import repair_dropped
from proxy.model.stages import CollectionState, Stage
from proxy.replication import mirror as pipeline
from tests.faults.ends import UNPRIVILEGED_USER, WAYS, After, Way
from tests.faults.write_kinds import KINDS, Kind
from tests.harness import Running, running

NAMES = ("books", "links", "_graphs")
COLLECTIONS = tuple(f"_system/{name}" for name in NAMES)
STAGES = {
    Stage.MIRROR: (CollectionState(Stage.MIRROR),),
    Stage.SHADOW: (CollectionState(Stage.MIRROR), CollectionState(Stage.SHADOW)),
    Stage.FLIPPED: (CollectionState(Stage.MIRROR), CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)),
}


READ = "RETURN {" + ", ".join(f"{name}: (FOR d IN {name} RETURN d)" for name in NAMES) + "}"


@dataclass(frozen=True, slots=True)
class Environment:
    """A proxy between both databases, and direct connections to these."""

    stack: Running
    direct: asyncpg.Connection

    async def differences(self, names: Collection[str] = NAMES) -> list[str]:
        """Return what differs between ArangoDB and PostgreSQL now, reading both directly."""
        answer = await self.stack.direct.post("/_api/cursor", json={"query": READ})
        found = []
        for name in names:
            documents = answer.json()["result"][0][name]
            expected = {document["_key"]: document for document in documents}
            rows = await self.direct.fetch(f"SELECT key, raw::text FROM _system.{name} WHERE doc IS NOT NULL")
            actual = {row["key"]: json.loads(row["raw"]) for row in rows}
            found += [f"{name}/{key}: missing" for key in sorted(expected.keys() - actual.keys())]
            found += [f"{name}/{key}: a ghost" for key in sorted(actual.keys() - expected.keys())]
            found += [
                f"{name}/{key}: older"
                for key in sorted(expected.keys() & actual.keys())
                if expected[key] != actual[key]
            ]
        return found

    async def stages(self) -> dict[str, str]:
        rows = await self.direct.fetch(
            "SELECT name, stage FROM _crossfade.collection WHERE collection = ANY($1)", COLLECTIONS
        )
        return {row["name"]: row["stage"] for row in rows}

    async def all_flipped(self) -> bool:
        """Return True if every collection is flipped."""
        return set((await self.stages()).values()) == {"flipped"}

    async def marks(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.direct.fetch("SELECT collection, reason FROM _crossfade.unverified")]

    async def given_up(self) -> list[str]:
        """Return differences that no mark or dead letter covers; then repair everything."""
        covered = await self.marks() or await self.direct.fetch("SELECT key FROM _crossfade.dead_letter")
        wrong = [] if covered else [f"lacking without a mark or dead letter: {one}" for one in await self.differences()]
        mirror = self.stack.application.mirror
        await mirror.catch_up.retry_dead_letters(0)
        for collection in COLLECTIONS:
            await repair_dropped(self.stack.settings, self.stack.database, collection)  # a resync, dropped or not
        return wrong + [f"not repaired: {one}" for one in await self.differences()]

    async def prepare(self, stage: Stage) -> None:
        """Write the initial documents of a cell to both databases, and bring the collections to that stage."""
        await self.stack.direct.delete("/_api/document/books/restored")
        await self.direct.execute("DELETE FROM _crossfade.unverified")
        seed = [{"_key": f"k{n}", "n": n} for n in range(10)]
        await self.stack.client.post("/_api/document/books?overwriteMode=replace&silent=true", json=seed)
        edge = {"_key": "e", "_from": "books/k8", "_to": "books/k9"}
        await self.stack.client.post("/_api/document/links?overwriteMode=replace", json=edge)
        await self.stack.drained()
        if set((await self.stages()).values()) != {stage.value}:
            for state in STAGES[stage]:
                await self.stack.move(state, *COLLECTIONS)


@contextlib.asynccontextmanager
async def environment(dsn: str, folder: Path) -> AsyncIterator[Environment]:
    """Start it with a graph of books and links, and a user without permission on either."""
    async with running(dsn, folder, lost_request_timeout=0.05) as stack:
        stack.origin.store.server.accounts.enforce("", None)
        definition = {"collection": "links", "from": ["books"], "to": ["books"]}
        await stack.direct.post("/_api/gharial", json={"name": "g", "edgeDefinitions": [definition]})
        await stack.direct.post("/_api/user", json={"user": UNPRIVILEGED_USER[0], "passwd": UNPRIVILEGED_USER[1]})
        await stack.direct.put("/_api/user/guest/database/_system", json={"grant": "ro"})
        for name in ("books", "links"):
            await stack.direct.put(f"/_api/user/guest/database/_system/{name}", json={"grant": "none"})
        await stack.move(CollectionState(Stage.MIRROR), *COLLECTIONS)
        await stack.client.put("/_api/gharial/g/edge/links", json=definition)  # the graph's document is mirrored
        connection = await asyncpg.connect(dsn)
        try:
            yield Environment(stack, connection)
        finally:
            await connection.close()


async def cell(env: Environment, kind: Kind, way: Way, stage: Stage, number: int) -> list[str]:
    """Run the cell and return what is wrong."""
    await way.run(env.stack, [step.filled(n=number) for step in kind.steps])
    wrong: list[str] = []
    if way.after is not After.UNKNOWN:
        flipped = [name for name, now in (await env.stages()).items() if now == "flipped"]
        wrong += [f"after the answer, flipped: {one}" for one in await env.differences(flipped)]
    await env.stack.drained()
    if way.after is After.GIVEN_UP:
        return wrong + await env.given_up()
    if not kind.opaque:
        wrong += [f"in the end: {one}" for one in await env.differences()]
        wrong += [f"marked: {one}" for one in await env.marks()]
    elif way.after is After.ANSWERED and not await env.marks():
        wrong.append("not captured, and not marked")
    if stage is Stage.FLIPPED and (kind.flip or way.after is After.NOTHING) and not await env.all_flipped():
        wrong.append(f"the flip was rolled back: {await env.stages()}")
    if stage is Stage.FLIPPED and kind.flip is False and way.after is After.ANSWERED and await env.all_flipped():
        wrong.append("the flip is still in force, though a revision scan may have ended in a mark")
    return wrong


CELLS = [pytest.param(way, stage, id=f"{way.name}-{stage.value}") for way in WAYS for stage in way.stages]


@pytest.mark.parametrize(("way", "stage"), CELLS)
async def test_a_write_is_in_both_databases_whatever_its_ending(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way, stage: Stage
) -> None:
    """I1, I3, I7, I10."""
    monkeypatch.setattr(aql_plan, "_BATCH", way.batch)
    monkeypatch.setattr(pipeline, "_TICK", 0.02)
    wrong: list[str] = []
    async with environment(dsn, tmp_path) as env:
        for number, kind in enumerate(KINDS):
            if way.fits(kind):
                await env.prepare(stage)
                wrong += [f"{kind.name}: {text}" for text in await cell(env, kind, way, stage, number)]
    assert wrong == []
