"""The reverse mirror carries PostgreSQL's writes to ArangoDB, whatever happens to its appliers and to ArangoDB."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

import sql
from proxy.app.synchronous_store import SynchronousStore
from proxy.base.errors import UpstreamOutcomeUnknown
from proxy.model.revision import decode_rev
from proxy.reverse.backlog import ReverseBacklog
from proxy.reverse.batch import Batch, Version
from proxy.reverse.origin import OriginRequests
from proxy.reverse.push import FenceTest, PushEnd, push
from proxy.stores.postgres.writes import DocumentWriter
from tests.ad_hoc import Database
from tests.harness import eventually, running
from tests.integration.reverse_fixtures import Reverse, reverse
from tests.integration.target_fixtures import new_rev, take_writes
from tests.integration.test_target_writes import request


@pytest.fixture
async def pair(dsn: str) -> AsyncIterator[Reverse]:
    database = await Database.open(dsn, size=16)
    try:
        async with reverse(dsn, database, collections=("c", "d")) as made:
            yield made
    finally:
        await database.close()


async def _writes(pair: Reverse, seed: int, number: int) -> None:
    """Write documents of twenty keys in two collections: puts, changes, removals, arrays, transactions of two."""
    dice = random.Random(seed)
    for turn in range(number):
        key, name = f"k{dice.randrange(20)}", dice.choice("cd")
        if dice.random() < 0.25:
            await pair.send("DELETE", f"/_api/document/{name}", [key])
        elif dice.random() < 0.3:
            documents = [{"_key": f"k{dice.randrange(20)}", "n": turn} for _ in range(5)]
            await pair.send("POST", f"/_api/document/{name}?overwriteMode=replace", documents)
        else:
            await pair.send(
                "POST", f"/_api/document/{name}?overwriteMode=update", {"_key": key, "n": turn, "s": "ü\x00"}
            )


async def test_what_postgresql_has_arangodb_gets_with_its_revisions(pair: Reverse) -> None:
    pair.applier("one")[0].start()
    await _writes(pair, 1, 60)
    await pair.send("PUT", "/_api/collection/d/truncate")
    await pair.send("POST", "/_api/document/d", {"_key": "last"})
    backlog = ReverseBacklog(pair.database)
    backlog.start()
    pair.stack.push_async_callback(backlog.close)
    assert await backlog.carried(20)
    assert await pair.is_drained()
    assert await pair.differences() == []
    assert await pair.differences("_system/d") == []
    await backlog.refresh()
    assert backlog.figures() == {"rows": 0, "lag_seconds": 0.0, "refused": 0, "refused_documents": []}


async def test_appliers_that_take_the_lease_from_each_other(pair: Reverse) -> None:
    """Each is often frozen, for longer than its lease, before a request that may be any of its push."""
    dice = random.Random(5)
    for number in range(2):
        mirror, upstream = pair.applier(f"applier {number}", lease=0.05)

        async def freeze(_method: str, _target: bytes) -> None:
            await asyncio.sleep(0.15 if dice.random() < 0.1 else 0)

        upstream.before = freeze
        mirror.start()
    await _writes(pair, 2, 80)
    await pair.drained()
    assert await pair.differences() == []
    assert await pair.differences("_system/d") == []
    assert await pair.database.fetchval("SELECT token FROM _crossfade.applier") > 2


async def test_a_late_push_of_a_former_applier_is_refused(pair: Reverse) -> None:
    """It is frozen before its commit. Another one aborts its transaction and pushes a newer state."""
    mirror, upstream = pair.applier("frozen", lease=0.2)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def freeze(method: str, target: bytes) -> None:
        if method == "PUT" and b"/transaction/" in target:
            reached.set()
            await go_on.wait()

    upstream.before = freeze
    await pair.send("POST", "/_api/document/c", {"_key": "a", "n": 1})
    mirror.start()
    await asyncio.wait_for(reached.wait(), 20)
    await pair.send("PATCH", "/_api/document/c/a", {"n": 2})
    pair.applier("other")[0].start()
    await pair.drained()
    go_on.set()
    await eventually(lambda: not mirror.is_applier, "the frozen applier notices")
    await pair.send("DELETE", "/_api/document/c/a")
    await pair.drained()
    assert await pair.differences() == []
    assert (await pair.direct.get("/_api/transaction")).json()["transactions"] == []


async def test_the_token_refuses_a_late_push_that_was_not_aborted(pair: Reverse) -> None:
    """It read its batch, and began its transaction only after a newer token had been written."""
    mirror, upstream = pair.applier("late", lease=0.2)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def freeze(_method: str, target: bytes) -> None:
        if target.endswith(b"/transaction/begin") and not go_on.is_set():
            reached.set()
            await go_on.wait()

    upstream.before = freeze
    await pair.send("POST", "/_api/document/c", {"_key": "a", "n": 1})
    mirror.start()
    await asyncio.wait_for(reached.wait(), 20)
    await pair.send("PATCH", "/_api/document/c/a", {"n": 2})
    pair.applier("other", lease=60)[0].start()
    await pair.drained()
    await pair.direct.delete("/_api/document/c/a")  # as if ArangoDB took the writes again
    go_on.set()
    await eventually(lambda: not mirror.is_applier, "the late applier notices")
    assert (await pair.direct.get("/_api/document/c/a")).status_code == 404


async def test_an_older_token_is_refused_by_arangodb_alone(pair: Reverse) -> None:
    """Even if PostgreSQL would not say that the lease is another's, and no transaction of ArangoDB has seen both."""
    origin = OriginRequests(pair.applier("none")[1], "root", "")
    await origin.create_fence("_system")

    async def yes(_: object) -> bool:
        return True

    async def pushed(token: int, rev: str) -> PushEnd:
        raw = orjson.dumps({"_key": "a", "_rev": rev})
        batch = Batch("_system", (1,), {"c": (Version("a", decode_rev(rev), raw),)}, whole=True)
        outcome = await push(origin, FenceTest(0, token, yes, yes), batch, removes_first=False)
        return outcome.end

    older, newer = new_rev(), new_rev()
    assert await pushed(7, newer) is PushEnd.PUSHED
    assert await pushed(6, older) is PushEnd.LEASE_LOST
    assert (await pair.direct.get("/_api/document/c/a")).json()["_rev"] == newer
    assert (await pair.direct.get("/_api/document/_crossfade/part-0")).json()["token"] == 7
    assert await pushed(8, older) is PushEnd.PUSHED
    assert (await pair.direct.get("/_api/transaction")).json()["transactions"] == []


async def test_a_lost_answer_to_a_commit_is_no_loss(pair: Reverse) -> None:
    mirror, upstream = pair.applier("one")
    lost: list[bytes] = []

    async def lose(method: str, target: bytes) -> None:
        if method == "PUT" and b"/transaction/" in target and len(lost) < 2:
            lost.append(target)
            upstream.before = None
            await pair.direct.put(target.decode())  # it happens, and the applier does not know
            upstream.before = lose
            raise UpstreamOutcomeUnknown("lost")

    upstream.before = lose
    mirror.start()
    await _writes(pair, 3, 20)
    await pair.drained()
    assert len(lost) == 2
    assert await pair.differences() == []


async def test_arangodb_is_away_for_a_while(pair: Reverse) -> None:
    mirror, _ = pair.applier("one")
    mirror.start()
    await _writes(pair, 4, 10)
    await pair.drained()
    await pair.origin.stop()
    await _writes(pair, 5, 30)
    await eventually(lambda: bool(mirror.waits_for), "it waits for ArangoDB")
    found = await pair.database.fetchval(sql.outbox.BACKLOG)
    assert found.rows > 0
    assert found.age > 0
    await pair.origin.start()
    await pair.drained()
    assert mirror.waits_for == ""
    assert await pair.differences() == []


@pytest.mark.parametrize("rows", [2_000, 1], ids=["whole", "cut"])
async def test_a_long_chain_of_unique_values(pair: Reverse, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty documents each take the value of the next one, the last that of the first, in one transaction.

    cut: a batch has one row, so that it must grow, and documents of other rows are pushed along.
    """
    monkeypatch.setattr("proxy.reverse.rounds.Limits.recover", lambda limits: setattr(limits, "rows", rows))
    index = {"type": "persistent", "fields": ["u"], "unique": True}
    await pair.both("POST", "/_api/index?collection=c", index)
    documents = [{"_key": f"k{number}", "u": number} for number in range(30)]
    await pair.send("POST", "/_api/document/c", documents)
    mirror, _ = pair.applier("one")
    mirror.start()
    await pair.drained()
    trx = (await pair.send("POST", "/_api/transaction/begin", {"collections": {"write": ["c"]}}))["result"]["id"]
    await pair.send("DELETE", "/_api/document/c", [one["_key"] for one in documents], trx=trx)
    moved = [{"_key": f"k{number}", "u": (number + 1) % 30} for number in range(30)]
    await pair.send("POST", "/_api/document/c", moved, trx=trx)
    await pair.send("PUT", f"/_api/transaction/{trx}")
    await pair.drained()
    assert await pair.differences() == []
    assert (await pair.database.fetchval(sql.outbox.BACKLOG)).refused == 0


async def test_what_arangodb_refuses_is_named_and_lets_others_pass(
    pair: Reverse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unique index that only ArangoDB has: when it is gone, the document is carried."""
    monkeypatch.setattr("proxy.reverse.outbox.RETRY_SECONDS", 0.3)
    made = await pair.direct.post(
        "/_api/index?collection=c", json={"type": "persistent", "fields": ["u"], "unique": True, "name": "own"}
    )
    assert made.status_code == 201
    mirror, _ = pair.applier("one")
    mirror.start()
    await pair.send("POST", "/_api/document/c", [{"_key": "a", "u": 1}, {"_key": "b", "u": 1}, {"_key": "c", "u": 2}])
    await pair.send("POST", "/_api/document/d", {"_key": "x"})

    async def others_passed() -> bool:
        found = await pair.database.fetchval(sql.outbox.BACKLOG)
        return found.rows == 1 and found.refused == 1

    await eventually(others_passed, "all but one document is carried")
    assert await pair.differences("_system/d") == []
    (refused,) = await pair.database.fetch(sql.outbox.REFUSED, 5)
    assert (refused.collection, refused.key in "ab") == ("_system/c", True)
    assert refused.reason.startswith("1210: unique constraint violated")
    await pair.direct.delete("/_api/index/c/own")
    await pair.drained()
    assert await pair.differences() == []
    assert (await pair.database.fetchval(sql.outbox.BACKLOG)).refused == 0


async def test_a_collection_that_arangodb_lacks_lets_others_pass(
    pair: Reverse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.reverse.outbox.RETRY_SECONDS", 0.3)
    await pair.direct.delete("/_api/collection/c")
    pair.applier("one")[0].start()
    await pair.send("POST", "/_api/document/c", {"_key": "a"})
    await pair.send("POST", "/_api/document/d", {"_key": "x"})

    async def others_passed() -> bool:
        return await pair.differences("_system/d") == [] and bool(await pair.database.fetch(sql.outbox.REFUSED, 5))

    await eventually(others_passed, "the other collection is carried")
    assert (await pair.database.fetch(sql.outbox.REFUSED, 5))[0].key == ""
    await pair.direct.post("/_api/collection", json={"name": "c"})
    await pair.drained()
    assert await pair.differences() == []


async def test_a_token_of_another_life_of_the_database_is_surpassed(pair: Reverse) -> None:
    """PostgreSQL was restored from a backup: ArangoDB has seen newer tokens than it has."""
    await pair.direct.post("/_api/collection", json={"name": "_crossfade", "isSystem": True})
    await pair.direct.post("/_api/document/_crossfade", json={"_key": "part-0", "token": 7000, "intent": 0})
    pair.applier("one")[0].start()
    await pair.send("POST", "/_api/document/c", {"_key": "a"})
    await pair.drained()
    assert await pair.database.fetchval("SELECT token FROM _crossfade.applier") > 7000
    assert await pair.differences() == []


async def test_a_proxy_carries_what_is_there_and_says_so(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as proxy:
        await proxy.direct.post("/_api/collection", json={"name": "c"})
        await take_writes(proxy.database, "_system/c", {})
        await DocumentWriter(proxy.database).execute(request("POST", "/_api/document/c", {"_key": "a"}))

        async def carried() -> bool:
            return (await proxy.direct.get("/_api/document/c/a")).status_code == 200

        await eventually(carried, "the document is carried")
        await eventually(lambda: proxy.application.reverse.is_applier, "it is the applier")
        shown = proxy.application.status()["reverse"]
        assert isinstance(shown, dict)
        assert shown["waits_for"] == ""
        assert await proxy.differences("_system/c") == []


async def test_a_synchronous_answer_comes_when_arangodb_has_the_write(pair: Reverse) -> None:
    """Without ArangoDB it is an error; reads do not wait."""
    mirror, _ = pair.applier("one")
    mirror.start()
    backlog = ReverseBacklog(pair.database)
    backlog.start()
    pair.stack.push_async_callback(backlog.close)
    store = SynchronousStore(pair.store, backlog, mirror, seconds=20)
    for number in range(5):
        assert (await store.execute(request("POST", "/_api/document/c", {"_key": f"k{number}"}))).status == 202
        assert (await pair.direct.get(f"/_api/document/c/k{number}")).status_code == 200
    await pair.origin.stop()
    hurried = SynchronousStore(pair.store, backlog, mirror, seconds=0.2)
    refused = await hurried.execute(request("PATCH", "/_api/document/c/k0", {"n": 1}))
    assert refused.status == 503
    assert b"ArangoDB does not have it yet" in refused.body
    assert (await hurried.execute(request("GET", "/_api/document/c/k0"))).status == 200
    await pair.origin.start()
    assert (await store.execute(request("PATCH", "/_api/document/c/k0", {"n": 2}))).status == 202
    assert await pair.differences() == []
