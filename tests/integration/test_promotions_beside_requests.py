"""Requests through two proxies while collections are promoted and demoted: they wait, and none is lost or guessed.

Promotion-protocol, "Promote" 1 and "Demote" 1: no write is forwarded in a hold, and ArangoDB answers no read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.app.promoted_store import LazyPromotedStore
from proxy.model.own_ids import PROMOTED_CURSORS, PROMOTED_TRANSACTIONS
from tests.harness import eventually, straight
from tests.integration.promotion_steps import Pair, pair

A, B = "_system/a", "_system/b"
SEEN = {"X-Crossfade-Explain": "1"}
GRACE = 0.25  # seconds in which a request that does not wait has ended


@pytest.fixture
async def both(dsn: str, tmp_path: Path) -> AsyncIterator[Pair]:
    async with pair(dsn, tmp_path, "a", "b") as started:
        for name in ("a", "b"):
            await started.first.post(f"/_api/document/{name}", json=[{"_key": f"k{n}", "n": n} for n in range(5)])
        yield started


def served_by(answer: httpx.Response) -> str:
    return str(answer.headers.get("x-crossfade-served-by", ""))


async def keys(client: httpx.AsyncClient, name: str) -> set[str]:
    answer = await client.post("/_api/cursor", json={"query": f"FOR d IN {name} RETURN d._key", "batchSize": 10_000})
    assert answer.status_code == 201, answer.text
    return set(answer.json()["result"])


def writes(client: httpx.AsyncClient, tag: str) -> list[Coroutine[Any, Any, httpx.Response]]:
    """Return a write of each way."""
    big = [{"_key": f"{tag}-large-{n}", "text": "x" * 1000} for n in range(2000)]
    query = f"FOR i IN 1..2 INSERT {{_key: CONCAT('{tag}-query-', i)}} INTO a"
    return [
        client.post("/_api/document/a", json={"_key": f"{tag}-one"}),
        client.post("/_api/document/a", json=[{"_key": f"{tag}-many"}]),
        client.patch("/_api/document/a/k1", json={tag: True}),
        client.post("/_api/import?collection=a&type=list", content=json.dumps([{"_key": f"{tag}-import"}])),
        client.post("/_api/import?collection=a&type=list", content=json.dumps(big)),
        client.post("/_api/cursor", json={"query": query}),
        client.put("/_api/simple/remove-by-keys", json={"collection": "a", "keys": ["k3" if tag == "p" else "k4"]}),
        client.post("/_api/index?collection=a", json={"type": "persistent", "fields": [tag]}),
    ]


def made(tag: str) -> set[str]:
    return {f"{tag}-one", f"{tag}-many", f"{tag}-import", f"{tag}-query-1", f"{tag}-query-2", f"{tag}-large-1999"}


async def waiting(both: Pair, tags: tuple[str, str]) -> list[asyncio.Task[httpx.Response]]:
    """Begin the writes at both proxies, and find that none ends."""
    tasks = [
        asyncio.ensure_future(write)
        for client, tag in zip(both.clients, tags, strict=True)
        for write in writes(client, tag)
    ]
    done, _ = await asyncio.wait(tasks, timeout=GRACE)
    assert not done, [task.result().text for task in done]
    return tasks


async def test_writes_wait_in_a_hold_and_are_carried_out_by_postgresql(both: Pair) -> None:
    await both.hold(A)
    tasks = await waiting(both, ("p", "q"))
    assert await keys(both.stack.direct, "a") == {f"k{n}" for n in range(5)}  # nothing was forwarded
    for client in both.clients:  # reads go on, and ArangoDB answers none
        for method, path, body in (
            ("GET", "/_api/document/a/k2", None),
            ("POST", "/_api/cursor", {"query": "FOR d IN a RETURN d"}),
            ("PUT", "/_api/simple/all", {"collection": "a"}),
        ):
            answer = await client.request(method, path, json=body, headers=SEEN)
            assert (answer.status_code < 300, served_by(answer)) == (True, "postgresql"), answer.text
    assert (await both.first.post("/_api/document/b", json={"_key": "other"})).status_code in (201, 202)
    await both.commit_promotion(A)
    answers = await asyncio.gather(*tasks)
    assert {answer.status_code for answer in answers} <= {200, 201, 202}, [answer.text for answer in answers]
    for client in both.clients:
        assert await keys(client, "a") >= made("p") | made("q")
        assert (await client.get("/_api/document/a/k1")).json()["p"] is True


async def test_an_abort_lets_arangodb_carry_them_out(both: Pair) -> None:
    await both.hold(A)
    tasks = await waiting(both, ("p", "q"))
    await both.abort()
    answers = await asyncio.gather(*tasks)
    assert {answer.status_code for answer in answers} <= {200, 201, 202}, [answer.text for answer in answers]
    assert await keys(both.stack.direct, "a") >= made("p") | made("q")
    await both.stack.drained()
    assert await both.stack.differences(A) == []


async def test_writes_wait_in_a_demotion_and_are_carried_out_by_arangodb(both: Pair) -> None:
    await both.promote(A)
    for client in both.clients:
        assert (await client.post("/_api/document/a", json={"_key": f"own-{client.base_url.port}"})).status_code == 202
    await both.withhold(A)
    tasks = await waiting(both, ("p", "q"))
    for client in both.clients:
        answer = await client.get("/_api/document/a/k2", headers=SEEN)
        assert (answer.status_code, served_by(answer)) == (200, "postgresql")
    await both.commit_demotion(A)
    answers = await asyncio.gather(*tasks)
    assert {answer.status_code for answer in answers} <= {200, 201, 202}, [answer.text for answer in answers]
    present = await keys(both.stack.direct, "a")
    assert present >= made("p") | made("q")
    assert {key for key in present if key.startswith("own-")} == {
        f"own-{client.base_url.port}" for client in both.clients
    }
    await both.stack.drained()
    await eventually(lambda: both.beside.mirror.backlog == 0, "the backlog is empty")
    assert await both.stack.differences(A) == []


async def test_each_client_reads_its_writes_across_all_of_it(both: Pair) -> None:
    ends = asyncio.Event()

    async def client_of(client: httpx.AsyncClient, key: str) -> int:
        """Count up, and look at each step whether the other proxy's and one's own reads show it."""
        other = both.second if client is both.first else both.first
        count, seen = 0, 0
        await client.post("/_api/document/a", json={"_key": key, "n": 0})
        while not ends.is_set():
            count += 1
            answer = await client.patch(f"/_api/document/a/{key}", json={"n": count})
            assert answer.status_code in (201, 202), answer.text
            for reader in (client, other):
                found = await reader.get(f"/_api/document/a/{key}")
                assert found.status_code == 200, found.text
                assert found.json()["n"] == count
            query = {"query": "FOR d IN a FILTER d._key == @k RETURN d.n", "bindVars": {"k": key}}
            answer = await other.post("/_api/cursor", json=query)
            assert answer.json()["result"] == [count], answer.text
            seen += 1
        return seen

    tasks = [
        asyncio.ensure_future(client_of(client, f"c{n}-{port}"))
        for n in range(2)
        for port, client in enumerate(both.clients)
    ]
    for _ in range(2):
        await both.promote(A)
        await asyncio.sleep(0.3)
        await both.withhold(A)
        await asyncio.sleep(0.1)
        await both.commit_demotion(A)
        await both.noticed()
        await asyncio.sleep(0.3)
    ends.set()
    assert min(await asyncio.gather(*tasks)) > 0
    await both.stack.drained()
    await eventually(lambda: both.beside.mirror.backlog == 0, "the backlog is empty")
    assert await both.stack.differences(A) == []


async def test_a_proxy_that_has_not_noticed_a_demotion_is_refused_by_the_fence(
    both: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await both.promote(A)
    assert (await both.second.post("/_api/document/a", json={"_key": "before"})).status_code == 202
    await both.second.get("/_api/document/a/before")
    with monkeypatch.context() as blind:
        blind.setattr(both.beside.lease, "_adopt", lambda _: None)
        await both.withhold(A)
        stays = asyncio.ensure_future(both.second.post("/_api/document/a", json={"_key": "late"}))
        done, _ = await asyncio.wait([stays], timeout=GRACE)
        assert not done
        await both.commit_demotion(A)
        assert (await both.first.delete("/_api/document/a/before")).status_code in (200, 202)
        read = asyncio.ensure_future(both.second.get("/_api/document/a/before"))
        query = asyncio.ensure_future(keys(both.second, "a"))
        count = asyncio.ensure_future(both.second.get("/_api/collection/a/count"))
        waiting_still: list[asyncio.Task[Any]] = [stays, read, query, count]
        done, _ = await asyncio.wait(waiting_still, timeout=GRACE)
        assert not done  # its snapshot says that PostgreSQL has them; PostgreSQL refuses
        assert both.beside.lease.generation < both.stack.application.lease.generation
    assert (await stays).status_code in (201, 202)
    assert (await read).status_code == 404
    assert "before" not in await query
    assert (await count).status_code == 200
    assert "late" in await keys(both.stack.direct, "a")


async def test_what_continues_belongs_to_whoever_began_it(both: Pair) -> None:
    query = {"query": "FOR d IN a SORT d.n RETURN d.n", "batchSize": 2}
    flipped = (await both.first.post("/_api/cursor", json=query)).json()["id"]
    await both.promote(A)
    own = (await both.first.post("/_api/cursor", json=query)).json()["id"]
    assert PROMOTED_CURSORS.owns(own)
    assert not PROMOTED_CURSORS.owns(flipped)
    begun = await both.first.post("/_api/transaction/begin", json={"collections": {"write": ["a"]}})
    number = begun.json()["result"]["id"]
    assert PROMOTED_TRANSACTIONS.owns(number)
    inside = {"x-arango-trx-id": number}
    assert (await both.first.post("/_api/document/a", json={"_key": "t"}, headers=inside)).status_code == 202
    assert (await both.first.get("/_api/document/a/t")).status_code == 404
    assert (await both.first.put(f"/_api/transaction/{number}")).status_code == 200
    assert (await both.first.get("/_api/document/a/t")).status_code == 200
    for cursor in (flipped, own):
        assert (await both.first.post(f"/_api/cursor/{cursor}")).json()["result"] == [2, 3]
    other = (await both.first.post("/_api/transaction/begin", json={"collections": {"write": ["b"]}})).json()
    assert not PROMOTED_TRANSACTIONS.owns(other["result"]["id"])
    answer = await both.first.post("/_api/document/a", json={}, headers={"x-arango-trx-id": other["result"]["id"]})
    assert answer.status_code == 501
    await both.first.delete(f"/_api/transaction/{other['result']['id']}")


async def test_promoted_and_other_collections_in_one_request(both: Pair) -> None:
    await both.promote(A)
    answer = await both.first.post("/_api/cursor", json={"query": "FOR d IN a INSERT d INTO b"})
    assert answer.status_code == 501
    assert "_system/a" in answer.json()["errorMessage"]
    joined = {"query": "FOR d IN a FOR e IN b FILTER d._key == e._key RETURN d._key"}  # b is flipped
    answer = await both.first.post("/_api/cursor", json=joined, headers=SEEN)
    assert (answer.status_code, served_by(answer)) == (201, "postgresql")
    assert len(answer.json()["result"]) == 5
    answer = await both.first.post("/_api/document/b", json={"_key": "x"})
    assert answer.status_code in (201, 202)
    assert "x" in await keys(both.stack.direct, "b")


async def test_an_open_transaction_of_arangodb_counts_as_under_way(both: Pair) -> None:
    flight = both.stack.application.flight
    scope = frozenset({A})
    assert flight.at_origin(scope) == 0
    begun = await both.first.post("/_api/transaction/begin", json={"collections": {"write": ["a"]}})
    number = begun.json()["result"]["id"]
    assert flight.at_origin(scope) == 1
    await both.hold(A)
    inside = {"x-arango-trx-id": number}
    assert (await both.first.post("/_api/document/a", json={"_key": "t"}, headers=inside)).status_code == 202
    assert (await both.first.put(f"/_api/transaction/{number}")).status_code == 200
    await eventually(lambda: flight.at_origin(scope) == 0, "nothing is under way")
    await both.commit_promotion(A)
    assert (await both.second.get("/_api/document/a/t")).status_code == 200


async def test_a_large_body_waits_where_it_is(both: Pair) -> None:
    def body(tag: str) -> bytes:
        return json.dumps([{"_key": f"{tag}{n}", "text": "x" * 10_000} for n in range(600)]).encode()

    await both.hold(A)
    tasks = [
        asyncio.ensure_future(client.post("/_api/document/a?silent=true", content=body(tag)))
        for client, tag in zip(both.clients, "pq", strict=True)
    ]
    done, _ = await asyncio.wait(tasks, timeout=GRACE)
    assert not done
    await both.abort()
    assert [(await task).status_code for task in tasks] == [202, 202]
    assert await keys(both.stack.direct, "a") >= {"p599", "q599"}
    await both.stack.drained()
    await both.promote(A)
    await both.withhold(A)
    late = asyncio.ensure_future(both.second.post("/_api/document/a?silent=true", content=body("r")))
    done, _ = await asyncio.wait([late], timeout=GRACE)
    assert not done, late.result().text
    await both.abort()
    assert (await late).status_code in (201, 202)
    assert served_by(await both.first.get("/_api/document/a/r599", headers=SEEN)) == "postgresql"


async def test_a_refusal_by_arangodb_is_no_answer_while_rights_are_given_back(both: Pair) -> None:
    accounts, direct = both.stack.origin.store.server.accounts, both.stack.direct
    accounts.enforce("")
    await direct.post("/_api/user", json={"user": "ann", "passwd": "p"})
    await direct.put("/_api/user/ann/database/_system", json={"grant": "rw"})
    await direct.put("/_api/user/ann/database/_system/a", json={"grant": "ro"})

    async def write(key: str) -> int:
        answer = await both.first.post("/_api/document/a", auth=("ann", "p"), json={"_key": key})
        return answer.status_code

    assert await write("never") == 403
    taken = "INSERT INTO _crossfade.origin_right (collection, username, followed) VALUES ($1, 'ann', '{}')"
    await both.stack.database.execute(taken, A)
    assert await write("late") in (201, 202)  # as soon as the proxies have given it back
    assert await keys(direct, "a") >= {"late"}


async def test_a_refusal_from_before_rights_came_back_is_no_answer(both: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = both.stack.direct
    both.stack.origin.store.server.accounts.enforce("")
    await direct.post("/_api/user", json={"user": "ann", "passwd": "p"})
    await direct.put("/_api/user/ann/database/_system", json={"grant": "rw"})
    await direct.put("/_api/user/ann/database/_system/a", json={"grant": "ro"})

    async def given_back(*_: object) -> bool:
        await direct.put("/_api/user/ann/database/_system/a", json={"grant": "rw"})
        return False

    monkeypatch.setattr(LazyPromotedStore, "rights_taken", given_back)
    answer = await both.first.post("/_api/document/a", auth=("ann", "p"), json={"_key": "late"})
    assert answer.status_code in (201, 202)


async def test_accounts_of_postgresql_decide_about_promoted_collections(dsn: str, tmp_path: Path) -> None:
    async with pair(dsn, tmp_path, "a", "b", authentication=True) as both:
        await both.promote(A)
        wrong = ("root", "wrong")  # this ArangoDB asks nobody for a password
        assert (await both.first.get("/_api/document/b/nobody", auth=wrong)).status_code == 404
        for answer in (
            await both.first.get("/_api/document/a/nobody", auth=wrong),
            await both.first.post("/_api/document/a", json={}, auth=wrong),
            await both.first.post("/_api/cursor", json={"query": "FOR d IN a RETURN d"}, auth=wrong),
        ):
            assert answer.status_code == 401
        assert (await both.first.post("/_api/document/a", json={"_key": "k"})).status_code == 202
        assert (await both.second.get("/_api/document/a/k")).status_code == 200
        assert (await both.first.post("/_api/user", json={"user": "ann"})).status_code == 501


async def test_without_postgresql_promoted_collections_answer_503(both: Pair) -> None:
    await both.promote(A)
    assert (await both.first.post("/_api/document/a", json={"_key": "k"})).status_code == 202
    server, _, name = both.stack.dsn.rpartition("/")
    async with straight(f"{server}/postgres") as admin:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        try:
            for answer in (
                await both.first.get("/_api/document/a/k"),
                await both.first.post("/_api/document/a", json={"_key": "never"}),
                await both.first.post("/_api/cursor", json={"query": "FOR d IN a RETURN d"}),
            ):
                assert (answer.status_code, answer.json()["errorNum"]) == (503, 503)
        finally:
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    async def answers() -> bool:
        return (await both.first.get("/_api/document/a/k")).status_code == 200

    await eventually(answers, "PostgreSQL answers again")
    assert "never" not in await keys(both.first, "a")
