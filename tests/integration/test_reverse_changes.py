"""Changes of whole collections reach ArangoDB in their order, beside documents, and whatever happens to a request."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

import sql
from proxy.base.errors import UpstreamOutcomeUnknown
from tests.ad_hoc import Database
from tests.harness import eventually
from tests.integration.reverse_fixtures import Reverse, reverse

_UNIQUE = {"type": "persistent", "fields": ["u"], "unique": True, "name": "u"}


@pytest.fixture
async def pair(dsn: str) -> AsyncIterator[Reverse]:
    database = await Database.open(dsn, size=16)
    try:
        async with reverse(dsn, database) as made:
            yield made
    finally:
        await database.close()


async def _agrees(pair: Reverse) -> None:
    """Wait for the outbox, then compare everything."""
    await pair.drained()
    ours, theirs = await pair.collections()
    assert ours == theirs
    for name in ours:
        assert await pair.differences(f"_system/{name}") == []


async def test_creations_drops_and_renamings(pair: Reverse) -> None:
    await pair.send("POST", "/_api/document/c", [{"_key": "a"}, {"_key": "b"}])
    await pair.send("PUT", "/_api/collection/c/rename", {"name": "d"})
    await pair.send("POST", "/_api/document/d", {"_key": "c"})
    await pair.send("POST", "/_api/collection", {"name": "c", "type": 3, "keyOptions": {"type": "padded"}})
    await pair.send("POST", "/_api/document/c", {"_from": "d/a", "_to": "d/b"})
    await pair.send("POST", "/_api/collection", {"name": "gone"})
    await pair.send("POST", "/_api/document/gone", {"_key": "a"})
    await pair.send("DELETE", "/_api/collection/gone")
    pair.applier("one")[0].start()
    await _agrees(pair)
    shown = (await pair.direct.get("/_api/collection/c/properties")).json()
    assert (shown["type"], shown["keyOptions"]["type"]) == (3, "padded")
    await pair.send("DELETE", "/_api/collection/d")
    await pair.send("PUT", "/_api/collection/c/rename", {"name": "d"})
    await _agrees(pair)


async def test_indexes_and_properties(pair: Reverse) -> None:
    """A unique index that ArangoDB cannot have before it has later documents does not hold these up."""
    mirror, _ = pair.applier("one")
    mirror.start()
    await pair.send("POST", "/_api/document/c", [{"_key": "a", "u": 1}, {"_key": "b", "u": 1}])
    await pair.drained()
    await pair.send("PATCH", "/_api/document/c/b", {"u": 2})
    await pair.send("POST", "/_api/index?collection=c", _UNIQUE)
    await pair.send("POST", "/_api/index?collection=c", {"type": "persistent", "fields": ["v"], "name": "v"})
    schema = {"rule": {"required": ["u"]}, "level": "moderate", "message": "no u", "type": "json"}
    await pair.send("PUT", "/_api/collection/c/properties", {"schema": schema, "waitForSync": True})
    await _agrees(pair)
    await pair.send("DELETE", "/_api/index/c/v")
    await pair.send("PUT", "/_api/collection/c/properties", {"schema": None})
    await _agrees(pair)
    names = [index["name"] for index in (await pair.direct.get("/_api/index?collection=c")).json()["indexes"]]
    assert names == ["primary", "u"]


async def test_documents_wait_for_changes(pair: Reverse) -> None:
    """The documents of a new collection of the same name are not written into the old one."""
    mirror, upstream = pair.applier("one")
    await pair.send("POST", "/_api/document/c", {"_key": "old"})
    mirror.start()
    await pair.drained()
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold(method: str, target: bytes) -> None:
        if method == "DELETE" and target.endswith(b"/collection/c"):
            reached.set()
            await go_on.wait()

    upstream.before = hold
    await pair.send("DELETE", "/_api/collection/c")
    await pair.send("POST", "/_api/collection", {"name": "c"})
    await pair.send("POST", "/_api/document/c", {"_key": "new"})
    await asyncio.wait_for(reached.wait(), 20)
    assert (await pair.direct.get("/_api/document/c/new")).status_code == 404
    go_on.set()
    await _agrees(pair)


async def test_whoever_finds_a_request_announced_waits_until_it_can_no_longer_run(pair: Reverse) -> None:
    """An applier is frozen with a drop that it has sent; the next one pushes nothing before that can no longer run."""
    mirror, upstream = pair.applier("frozen", lease=0.2, late_request=1.0)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold(method: str, target: bytes) -> None:
        if method == "DELETE" and target.endswith(b"/collection/c"):
            reached.set()
            await go_on.wait()

    upstream.before = hold
    mirror.start()
    await pair.send("DELETE", "/_api/collection/c")
    await pair.send("POST", "/_api/collection", {"name": "c"})
    await pair.send("POST", "/_api/document/c", {"_key": "new"})
    await asyncio.wait_for(reached.wait(), 20)
    other, _ = pair.applier("other", lease=30.0, late_request=1.0)
    other.start()
    await eventually(lambda: "may still run" in other.waits_for, "the other one waits")
    go_on.set()  # within the time after which it can no longer run
    await _agrees(pair)


async def test_lost_answers_to_changes(pair: Reverse) -> None:
    """Requests happen once or not at all, and the applier does not know."""
    mirror, upstream = pair.applier("one", late_request=0.05)
    dice = random.Random(3)

    async def lose(method: str, target: bytes) -> None:
        changes = b"/_api/collection" in target or b"/_api/index" in target
        if method != "GET" and changes and dice.random() < 0.3:
            if dice.random() < 0.5 and method == "DELETE":
                await pair.direct.delete(target.decode())
            raise UpstreamOutcomeUnknown("lost")

    upstream.before = lose
    mirror.start()
    for turn in range(6):
        await pair.send("POST", "/_api/collection", {"name": f"n{turn}"})
        await pair.send("POST", f"/_api/index?collection=n{turn}", _UNIQUE)
        await pair.send("POST", f"/_api/document/n{turn}", {"_key": "a", "u": turn})
        if turn % 2:
            await pair.send("PUT", f"/_api/collection/n{turn}/rename", {"name": f"m{turn}"})
        if turn % 3 == 2:
            await pair.send("DELETE", f"/_api/collection/{'nm'[turn % 2]}{turn - 2}")
    await _agrees(pair)


async def test_a_renaming_waits_for_the_name(pair: Reverse) -> None:
    """Somebody has made a collection of that name in ArangoDB; when it is gone, the renaming is done."""
    await pair.direct.post("/_api/collection", json={"name": "d"})
    mirror, _ = pair.applier("one")
    mirror.start()
    await pair.send("POST", "/_api/document/c", {"_key": "a"})
    await pair.send("PUT", "/_api/collection/c/rename", {"name": "d"})
    await eventually(lambda: "rename of _system/d" in mirror.waits_for, "it waits for the name")
    await pair.direct.delete("/_api/collection/d")
    await _agrees(pair)
    assert mirror.waits_for == ""


async def test_without_collections_in_arangodb_nothing_is_noted(pair: Reverse) -> None:
    await pair.database.execute("UPDATE _crossfade.stamp_floor SET in_arangodb = false")
    await pair.database.execute("DELETE FROM _crossfade.outbox")
    await pair.send("POST", "/_api/collection", {"name": "own"})
    await pair.send("POST", "/_api/document/own", {"_key": "a"})
    await pair.send("PUT", "/_api/collection/own/rename", {"name": "other"})
    await pair.send("POST", "/_api/index?collection=other", _UNIQUE)
    await pair.send("DELETE", "/_api/collection/other")
    assert (await pair.database.fetchval(sql.outbox.BACKLOG)).rows == 0
