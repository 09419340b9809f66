"""Failures on flipped collections: one bounded wait, and no unauthorized client causes a rollback (I7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.base.errors import DatabaseBusy, DatabaseUnavailable
from proxy.model.message import Request, Response
from proxy.model.operations import Operation, Outcome
from proxy.model.stages import CollectionState, Phase, Stage, Transition
from proxy.replication.mirror import Mirror
from proxy.state import control_row
from proxy.stores.postgres import PostgresStore
from proxy.stores.postgres.cursors import TargetCursors
from tests.harness import Running, eventually, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path, lease=0.3) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        for stage in (Stage.MIRROR, Stage.SHADOW):
            await started.move(CollectionState(stage), BOOKS)
        await started.client.post(DOCUMENT, json={"_key": "a", "n": 0})
        await started.drained()
        yield started


async def flip(stack: Running, weight: int) -> None:
    await stack.move(CollectionState(Stage.FLIPPED, weight), BOOKS)


async def stage(stack: Running) -> str:
    found: str = await stack.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS)
    return found


async def test_a_write_blocked_by_a_postgresql_lock_waits_once_and_causes_a_rollback(stack: Running) -> None:
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
async def test_answers_in_forms_that_cannot_be_parsed_cause_no_rollback(
    stack: Running, headers: dict[str, str]
) -> None:
    await flip(stack, 1)
    answer = await stack.client.get(DOCUMENT + "/a", headers=headers)
    assert answer.status_code in (200, 404)
    assert await stage(stack) == "flipped"


async def test_documents_shown_by_a_read_of_many_are_in_postgresql_before_the_answer(stack: Running) -> None:
    """mirror-protocol, "Flip", 2; an out-of-band write stands for that of another proxy."""
    await flip(stack, 1)
    await stack.direct.patch(DOCUMENT + "/a", json={"n": 7})
    answer = await stack.client.put(DOCUMENT + "?onlyget=true", json=["a", "none"])
    if answer.json()[0]["n"] == 7:  # the origin answered it
        assert await stack.database.fetchval("SELECT doc ->> 'n' FROM _system.books WHERE key = 'a'") == "7"


async def test_a_transient_error_causes_no_rollback(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await flip(stack, 1)
    from proxy.base.errors import UpstreamOutcomeUnknown

    real, failures = Mirror.ensure_target_has, [UpstreamOutcomeUnknown("once"), UpstreamOutcomeUnknown("twice")]

    async def sometimes(self: Mirror, *arguments: object, **named: object) -> None:
        if failures:
            raise failures.pop()
        await real(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Mirror, "ensure_target_has", sometimes)
    assert (await stack.client.get(DOCUMENT + "/none")).status_code == 404
    assert not failures
    assert await stage(stack) == "flipped"


async def test_requests_that_arangodb_refuses_cause_no_rollback(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that ArangoDB executes rolls the flip back before its answer: one with a revision from its client."""
    await flip(stack, 100)
    origin = stack.application.origin
    forward = origin.request

    async def guarded(request: Request, *, idempotent: bool = False) -> Response:
        if request.header(b"authorization") is None:
            return Response(401, [(b"content-type", b"application/json")], b'{"error":true,"code":401}')
        return await forward(request, idempotent=idempotent)

    monkeypatch.setattr(origin, "request", guarded)
    written, restored = DOCUMENT + "?isRestore=true", {"_key": "r", "_rev": "_l6zhVTW--A"}
    unknown_user = await stack.client.post(written, json=restored, auth=lambda request: request)
    assert unknown_user.status_code == 401
    assert await stage(stack) == "flipped"
    assert (await stack.client.post(written, json=restored)).status_code == 202
    assert await stage(stack) == "shadow"


async def test_a_cursor_that_fails_mid_stream_returns_an_arangodb_error(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flip(stack, 100)
    await stack.client.post(DOCUMENT, json={"_key": "b"})
    opened = await stack.client.post("/_api/cursor", json={"query": "FOR b IN books RETURN b._key", "batchSize": 1})

    async def broken(self: TargetCursors, operation: Operation) -> Outcome:
        raise DatabaseUnavailable("the connection broke")

    monkeypatch.setattr(TargetCursors, "next", broken)
    answer = await stack.client.post(f"/_api/cursor/{opened.json()['id']}")
    assert (answer.status_code, answer.json()["errorNum"]) == (503, 503)


async def test_an_unparsable_query_is_counted_for_the_database(stack: Running) -> None:
    """I10: it blocks the flip of every collection that it may read."""
    number = (await stack.client.get("/_api/collection/books")).json()[
        "id"
    ]  # only ArangoDB knows which collection it is
    body = {"query": "FOR b IN @@c RETURN b", "bindVars": {"@c": number}}
    assert (await stack.client.post("/_api/cursor", json=body)).status_code == 201

    async def counted() -> bool:
        found = await stack.database.fetchval("SELECT reason FROM _crossfade.uncovered WHERE collection = '_system/*'")
        return bool(found == "query not understood")

    await eventually(counted, "the gap is in PostgreSQL")


async def served_by(stack: Running, number: int) -> list[tuple[int, str | None]]:
    """Send that many reads concurrently; return status and answering store."""
    reads = [stack.client.get(f"{DOCUMENT}/a", headers={"x-crossfade-explain": "1"}) for _ in range(number)]
    answers = await asyncio.gather(*reads)
    return [(answer.status_code, answer.headers.get("x-crossfade-served-by")) for answer in answers]


async def test_reads_wait_for_a_connection_and_stay_with_postgresql(dsn: str, tmp_path: Path) -> None:
    """An overload is queued: ArangoDB is not asked as well, and the collection stays flipped."""
    async with running(dsn, tmp_path, read_connections=1, lease=5.0) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        for stage_ in (Stage.MIRROR, Stage.SHADOW):
            await stack.move(CollectionState(stage_), BOOKS)
        await stack.client.post(DOCUMENT, json={"_key": "a", "n": 0})
        await stack.drained()
        await flip(stack, 100)
        async with stack.database.transaction() as session:
            await session.execute("LOCK TABLE _system.books IN ACCESS EXCLUSIVE MODE")
            reads = asyncio.create_task(served_by(stack, 32))
            await session.fetchval("SELECT pg_sleep(0.8)")
        assert await reads == [(200, "postgresql")] * 32
        assert await stage(stack) == "flipped"


async def test_a_full_queue_is_reported_without_a_read_from_arangodb(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flip(stack, 100)
    assert await served_by(stack, 1) == [(200, "postgresql")]

    async def busy(*_: object) -> Outcome:
        raise DatabaseBusy("every connection is in use")

    monkeypatch.setattr(PostgresStore, "fenced", busy)
    assert await served_by(stack, 1) == [(503, "crossfade")]
    assert await stage(stack) == "flipped"


async def test_a_read_that_times_out_at_postgresql_causes_no_rollback(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL answers other reads of the collection meanwhile: an overload is not an outage."""
    await flip(stack, 100)

    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Mirror, "ensure_target_has", never)
    waiting_read = asyncio.create_task(
        stack.client.get(f"{DOCUMENT}/a", headers={"accept": "application/x-velocypack"})
    )
    in_transaction = asyncio.create_task(stack.client.get(f"{DOCUMENT}/a", headers={"x-arango-trx-id": "1"}))
    while not (waiting_read.done() and in_transaction.done()):
        assert await served_by(stack, 1) == [(200, "postgresql")]
    assert {(await waiting_read).status_code, (await in_transaction).status_code} <= {200, 404, 503}
    assert await stage(stack) == "flipped"


@pytest.mark.parametrize("phase", [Phase.BEGIN, Phase.HOLD])
async def test_held_queries_do_not_wait_for_a_killed_command(dsn: str, tmp_path: Path, phase: Phase) -> None:
    """Its epoch is closed once its controller is seen to be gone, not when the longest wait is over."""
    async with running(dsn, tmp_path, flip_hold_timeout=600.0, lease=60.0) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        for stage_ in (Stage.MIRROR, Stage.SHADOW):
            await stack.move(CollectionState(stage_), BOOKS)
        async with stack.database.transaction() as session:
            transitions = [Transition(BOOKS, CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100))]
            control = await control_row.lock(session)
            await control_row.begin(session, control, transitions, phase, actor="somebody", reason=None)
        query = {"query": "FOR b IN books RETURN b"}
        assert (await asyncio.wait_for(stack.client.post("/_api/cursor", json=query), 25)).status_code == 201
        assert (await asyncio.wait_for(stack.client.get(f"{DOCUMENT}/none"), 25)).status_code == 404

        async def closed() -> bool:
            reason = await stack.database.fetchval("SELECT reason FROM _crossfade.audit ORDER BY id DESC LIMIT 1")
            return bool(reason == "its controller went away")

        async def followed() -> bool:
            return stack.application.lease.snapshot.phase is Phase.IDLE

        await eventually(closed, "the epoch is closed")  # the proxy may not even have seen its begin before
        await eventually(followed, "the proxy runs at the generation after it")
