"""Flipped collections where something goes wrong: one wait, never for ever; no stranger undoes a flip (I7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.cutover.stages import Stage, Standing
from proxy.errors import DatabaseUnavailable
from proxy.mirror.pipeline import Mirror
from proxy.operations import Operation, Outcome
from proxy.stores.postgres.cursors import Cursors
from proxy.wire.message import Request, Response
from tests.harness import Running, eventually, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path, lease=0.3) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        for stage in (Stage.MIRROR, Stage.SHADOW):
            await started.move(Standing(stage), BOOKS)
        await started.client.post(DOCUMENT, json={"_key": "a", "n": 0})
        await started.drained()
        yield started


async def flip(stack: Running, weight: int) -> None:
    await stack.move(Standing(Stage.FLIPPED, weight), BOOKS)


async def stage(stack: Running) -> str:
    found: str = await stack.database.fetchval("SELECT stage FROM crossfade.collection WHERE collection = $1", BOOKS)
    return found


async def test_a_write_that_postgresql_locks_out_waits_once_and_takes_the_flip_back(stack: Running) -> None:
    """Heartbeats still arrive: without giving up, the client would wait for ever (DESIGN section 9)."""
    await flip(stack, 100)
    async with stack.database.transaction() as session:
        await session.execute("LOCK TABLE _system.books IN ACCESS EXCLUSIVE MODE")
        answer = await asyncio.wait_for(stack.client.patch(DOCUMENT + "/a", json={"n": 1}), 20)
        assert answer.status_code in (201, 202)
        assert (await asyncio.wait_for(stack.client.get(DOCUMENT + "/a"), 20)).json()["n"] == 1

    async def rolled_back() -> bool:
        return await stage(stack) == "shadow" and not stack.application.lease.diverged

    await eventually(rolled_back, "it has drained, rolled back and rejoined")
    assert await stack.differences(BOOKS) == []


@pytest.mark.parametrize(
    "headers", [{"accept": "application/x-velocypack"}, {"accept-encoding": "gzip"}, {"x-arango-trx-id": "1"}]
)
async def test_an_answer_that_cannot_be_read_is_no_error(stack: Running, headers: dict[str, str]) -> None:
    await flip(stack, 1)
    answer = await stack.client.get(DOCUMENT + "/a", headers=headers)
    assert answer.status_code in (200, 404)
    assert await stage(stack) == "flipped"


async def test_what_a_read_of_many_shows_is_in_postgresql_before_the_client_sees_it(stack: Running) -> None:
    """mirror-protocol, "Flip", 2; somebody wrote around the proxy, as another proxy's write would be."""
    await flip(stack, 1)
    await stack.direct.patch(DOCUMENT + "/a", json={"n": 7})
    answer = await stack.client.put(DOCUMENT + "?onlyget=true", json=["a", "none"])
    if answer.json()[0]["n"] == 7:  # the origin answered it
        assert await stack.database.fetchval("SELECT doc ->> 'n' FROM _system.books WHERE key = 'a'") == "7"


async def test_a_fault_that_passes_costs_nobody_the_flip(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await flip(stack, 1)
    from proxy.errors import UpstreamLost

    real, failures = Mirror.bring_up, [UpstreamLost("once"), UpstreamLost("twice")]

    async def sometimes(self: Mirror, *arguments: object, **named: object) -> None:
        if failures:
            raise failures.pop()
        await real(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Mirror, "bring_up", sometimes)
    assert (await stack.client.get(DOCUMENT + "/none")).status_code == 404
    assert not failures
    assert await stage(stack) == "flipped"


async def test_who_arangodb_refuses_does_not_undo_a_flip(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ArangoDB carries out takes the flip back before it is answered: a revision that its client gave."""
    await flip(stack, 100)
    origin = stack.application.origin
    forward = origin.request

    async def guarded(request: Request, *, idempotent: bool = False) -> Response:
        if request.header(b"authorization") is None:
            return Response(401, [(b"content-type", b"application/json")], b'{"error":true,"code":401}')
        return await forward(request, idempotent=idempotent)

    monkeypatch.setattr(origin, "request", guarded)
    written, restored = DOCUMENT + "?isRestore=true", {"_key": "r", "_rev": "_l6zhVTW--A"}
    stranger = await stack.client.post(written, json=restored, auth=lambda request: request)
    assert stranger.status_code == 401
    assert await stage(stack) == "flipped"
    assert (await stack.client.post(written, json=restored)).status_code == 202
    assert await stage(stack) == "shadow"


async def test_a_cursor_that_breaks_off_is_an_error_in_arangodbs_shape(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flip(stack, 100)
    await stack.client.post(DOCUMENT, json={"_key": "b"})
    opened = await stack.client.post("/_api/cursor", json={"query": "FOR b IN books RETURN b._key", "batchSize": 1})

    async def broken(self: Cursors, operation: Operation) -> Outcome:
        raise DatabaseUnavailable("the connection broke")

    monkeypatch.setattr(Cursors, "next", broken)
    answer = await stack.client.post(f"/_api/cursor/{opened.json()['id']}")
    assert (answer.status_code, answer.json()["errorNum"]) == (503, 503)


async def test_a_query_nobody_understands_is_counted_for_the_database(stack: Running) -> None:
    """I10: it blocks the flip of every collection that it may read."""
    await stack.client.post("/_api/cursor", json={"query": "FOR v IN 1..1 OUTBOUND 'books/a' GRAPH 'g' RETURN v"})

    async def counted() -> bool:
        found = await stack.database.fetchval("SELECT effect FROM crossfade.gap WHERE collection = '_system/*'")
        return bool(found == "query not understood")

    await eventually(counted, "the gap is in PostgreSQL")
