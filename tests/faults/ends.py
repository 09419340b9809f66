"""Guarantee 7 as a table: every kind of write × each way that a write can end × stage. Data; `test_ends` runs it.

A kind (`write_kinds`) is a write, or a few that belong together, by one client. A way is how it ends: it arranges what
goes wrong, and states what must hold afterwards. A new kind or a new way is one more entry, and no other edit.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import httpx

from proxy.base.errors import JournalError, UpstreamOutcomeUnknown, UpstreamUnavailable
from proxy.model.message import Request, Response
from proxy.model.stages import Stage
from proxy.wire.velocypack import to_json
from tests.faults.write_kinds import CURSOR, PACKED, Kind, Step
from tests.harness import Running, eventually


class After(Enum):
    """What must hold after a cell, besides both databases being equal in the end."""

    ANSWERED = "ArangoDB executed it: while flipped PostgreSQL has it before the answer, or is not read"
    NOTHING = "nothing was written: the flip stands, nothing is marked, nothing is open"
    GIVEN_UP = (
        "PostgreSQL may not have it: a mark or dead letter says so, and the flip is rolled back before the answer"
    )
    UNKNOWN = "the client has no answer: what was written is known in the end"


@dataclass(frozen=True, slots=True)
class Way:
    """How a write ends. run: carries out the steps of one cell through the proxy, with whatever outcome.

    fits: the kinds that can end like that. batch: rows in each batch that the proxy reads from ArangoDB.
    stages: those in which it is tried. What `mirror` and `shadow` do with a write is the same.
    """

    name: str
    after: After
    run: Callable[[Running, Sequence[Step]], Awaitable[None]]
    fits: Callable[[Kind], bool] = lambda _: True
    batch: int = 1000
    stages: tuple[Stage, ...] = (Stage.SHADOW, Stage.FLIPPED)


async def send(stack: Running, steps: Sequence[Step], **more: Any) -> list[httpx.Response]:
    """Send the requests, one after the other, and wait for jobs; `more` goes to the HTTP client."""
    answers: list[httpx.Response] = []
    number: object = "0"
    for step in (step.filled(transaction=number) if "{transaction}" in repr(step) else step for step in steps):
        ready = step.filled(transaction=number)
        answer = await stack.client.request(
            ready.method, ready.path, content=ready.content, headers=list(ready.headers), **more
        )
        answers.append(answer)
        if ready.path.endswith("/begin") and answer.status_code == 201:
            number = answer.json()["result"]["id"]
        while (name := answer.headers.get("x-arango-async-id")) and answer.status_code in (202, 204):
            answer = await stack.client.get(f"/_api/job/{name}", **more)
    return answers


# ---- ways


async def answered(stack: Running, steps: Sequence[Step]) -> None:
    """Answered; only the first batch of a cursor is requested."""
    answers = await send(stack, steps)
    assert all(answer.status_code < 500 for answer in answers), answers[-1].text


async def binary(stack: Running, steps: Sequence[Step]) -> None:
    """Answered, as drivers with a binary protocol ask: VelocyPack both ways, over HTTP/2."""
    base = f"http://127.0.0.1:{stack.application.port}"
    async with httpx.AsyncClient(base_url=base, auth=("root", ""), http1=False, http2=True, timeout=60) as client:
        number: object = "0"
        for step in steps:
            ready = step.filled(transaction=number)
            packed = [("accept", PACKED["accept"])]
            if isinstance(ready.body, dict | list):
                packed = list(PACKED.items())
            ready = Step(ready.method, ready.path, ready.body, (*ready.headers, *packed))
            answer = await client.request(
                ready.method, ready.path, content=ready.content, headers=list(dict(ready.headers).items())
            )
            assert answer.http_version == "HTTP/2"
            assert answer.status_code < 500, answer.content
            if ready.path.endswith("/begin"):
                number = json.loads(to_json(answer.content))["result"]["id"]
            while (name := answer.headers.get("x-arango-async-id")) and answer.status_code in (202, 204):
                answer = await client.get(f"/_api/job/{name}")


async def read_on(stack: Running, steps: Sequence[Step]) -> None:
    """Answered, its cursor requested and deleted by another user, and then read to its end."""
    more = (await send(stack, steps))[-1].json()
    while more.get("hasMore"):
        path = f"{CURSOR}/{more['id']}"
        for method in ("POST", "DELETE"):
            assert (await stack.client.request(method, path, auth=UNPRIVILEGED_USER)).status_code in (401, 403, 404)
        more = (await stack.client.post(path)).json()
        assert "result" in more, more


async def deleted(stack: Running, steps: Sequence[Step]) -> None:
    """Answered, and its cursor deleted."""
    first = (await send(stack, steps))[-1].json()
    if "id" in first:
        assert (await stack.client.delete(f"{CURSOR}/{first['id']}")).status_code == 202


async def conflict(stack: Running, steps: Sequence[Step]) -> None:
    """Answered, and sent a second time, which ArangoDB refuses: 409, 404."""
    await send(stack, steps)
    assert (await send(stack, steps[-1:]))[-1].status_code in (404, 409)


UNPRIVILEGED_USER: Final = ("guest", "guest")


async def forbidden(stack: Running, steps: Sequence[Step]) -> None:
    """Refused: the user may read the database but not the collections."""
    await send(stack, steps, auth=UNPRIVILEGED_USER)


async def unknown_user(stack: Running, steps: Sequence[Step]) -> None:
    """Refused: there is no such user."""
    await send(stack, steps, auth=("nobody", "x"))


@contextlib.asynccontextmanager
async def _with_origin(
    stack: Running, behave: Callable[[Request, Callable[[], Awaitable[Response]]], Awaitable[Response]]
) -> AsyncIterator[None]:
    """Send every request to ArangoDB through `behave`, which may execute it."""
    origin = stack.application.origin
    real = origin.request

    async def request(request: Request, *, idempotent: bool = False) -> Response:
        return await behave(request, lambda: real(request, idempotent=idempotent))

    origin.request = request  # type: ignore[method-assign]
    try:
        yield
    finally:
        origin.request = real  # type: ignore[method-assign]


def _decides(request: Request, step: Step) -> bool:
    """Return True if a request to ArangoDB carries out (a part of) this step, and is not a read of the proxy itself."""
    if request.method == "GET" or (request.method == "POST" and b"/_api/cursor/" in request.target):
        return False
    return request.method == step.method or b"/_api/import" in step.path.encode()


async def lost(stack: Running, steps: Sequence[Step]) -> None:
    """Executed, and ArangoDB's answer is lost."""

    async def behave(request: Request, real: Callable[[], Awaitable[Response]]) -> Response:
        response = await real()
        if _decides(request, steps[-1]):
            raise UpstreamOutcomeUnknown("cut off in the middle of an answer")
        return response

    await _last_under(stack, steps, behave)


async def unsent(stack: Running, steps: Sequence[Step]) -> None:
    """ArangoDB cannot be reached."""

    async def behave(request: Request, real: Callable[[], Awaitable[Response]]) -> Response:
        if _decides(request, steps[-1]):
            raise UpstreamUnavailable("connection refused")
        return await real()

    await _last_under(stack, steps, behave)


async def dies(stack: Running, steps: Sequence[Step]) -> None:
    """ArangoDB's process dies after it has executed the write, before it answers, and is restarted."""
    died = asyncio.Event()
    store = stack.origin.store
    execute = store.execute

    async def fatal(operation: Any) -> Any:
        outcome = await execute(operation)
        if operation.method == steps[-1].method and not died.is_set() and operation.method != "GET":
            died.set()
            await asyncio.sleep(30)
        return outcome

    async def restart() -> None:
        await died.wait()
        await stack.origin.stop()
        store.execute = execute  # type: ignore[method-assign]
        await stack.origin.start()

    async def behave(request: Request, real: Callable[[], Awaitable[Response]]) -> Response:
        if _decides(request, steps[-1]) and not died.is_set():
            store.execute = fatal  # type: ignore[method-assign]
        return await real()

    restarting = asyncio.create_task(restart())
    try:
        await _last_under(stack, steps, behave)
    finally:
        died.set()
        await restarting
        store.execute = execute  # type: ignore[method-assign]


async def dies_between(stack: Running, steps: Sequence[Step]) -> None:
    """ArangoDB dies between two batches of the cursor that the proxy reads: the rest is lost."""

    async def behave(request: Request, real: Callable[[], Awaitable[Response]]) -> Response:
        if request.method == "POST" and b"/_api/cursor/" in request.target:
            await stack.origin.stop()
            await stack.origin.start()
            stack.origin.store.server.cursors.clear()
        return await real()

    async with _with_origin(stack, behave):
        await send(stack, steps)


async def _last_under(
    stack: Running,
    steps: Sequence[Step],
    behave: Callable[[Request, Callable[[], Awaitable[Response]]], Awaitable[Response]],
) -> None:
    """Send all steps; ArangoDB behaves like that during the last one."""
    number = ""
    for step in steps[:-1]:
        answer = (await send(stack, [step.filled(transaction=number)]))[-1]
        if step.path.endswith("/begin"):
            number = answer.json()["result"]["id"]
    async with _with_origin(stack, behave):
        await send(stack, [steps[-1].filled(transaction=number)])


async def client_gone(stack: Running, steps: Sequence[Step]) -> None:
    """The client closes its connection while ArangoDB executes the write."""
    held, go = asyncio.Event(), asyncio.Event()

    async def behave(request: Request, real: Callable[[], Awaitable[Response]]) -> Response:
        response = await real()
        if _decides(request, steps[-1]):
            held.set()
            await go.wait()
        return response

    number = ""
    for step in steps[:-1]:
        answer = (await send(stack, [step.filled(transaction=number)]))[-1]
        if step.path.endswith("/begin"):
            number = answer.json()["result"]["id"]
    last = steps[-1].filled(transaction=number)
    async with _with_origin(stack, behave):
        _, writer = await asyncio.open_connection("127.0.0.1", stack.application.port)
        head = [f"{last.method} {last.path} HTTP/1.1", "Host: x", f"Content-Length: {len(last.content)}"]
        head += [f"{name}: {value}" for name, value in last.headers]
        head.append("Authorization: Basic " + base64.b64encode(b"root:").decode())
        writer.write("\r\n".join([*head, "", ""]).encode() + last.content)
        await asyncio.wait_for(held.wait(), 30)
        writer.transport.abort()
        go.set()
        await eventually(lambda: not stack.application.dispatcher.flight.captured, "the proxy has completed it")


async def unjournaled(stack: Running, steps: Sequence[Step]) -> None:
    """The journal cannot be written, and `on_journal_error` is `forward`."""
    journal = stack.application.mirror._journal
    real = journal.intend

    def full(*_: object, **__: object) -> int:
        raise JournalError("the disk is full")

    journal.intend = full  # type: ignore[method-assign]
    try:
        await send(stack, steps)
    finally:
        journal.intend = real  # type: ignore[method-assign]


_REFUSE: Final = """
CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'not this one'; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON _system.books FOR EACH ROW EXECUTE FUNCTION public.refuse();
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON _system.links FOR EACH ROW EXECUTE FUNCTION public.refuse();
"""


async def refused(stack: Running, steps: Sequence[Step]) -> None:
    """PostgreSQL refuses every document and every removal, by a trigger."""
    await stack.database.execute(_REFUSE)
    try:
        await send(stack, steps)
    finally:
        await stack.database.execute("DROP FUNCTION public.refuse CASCADE")


_CONFLICTS: Final = _REFUSE.replace(
    "BEGIN RAISE 'not this one'; END",
    "BEGIN IF TG_OP = 'UPDATE' AND NEW.rev = OLD.rev THEN RETURN NEW; END IF; RAISE 'x' USING ERRCODE = '40001'; END",
)
_ONE_KIND_PER_FAMILY: Final = frozenset(
    {
        "insert",
        "update, array",
        "remove",
        "import, keys",
        "AQL update",
        "AQL remove",
        "transaction",
        "vertex, remove",
        "job",
    }
)


async def conflicting(stack: Running, steps: Sequence[Step]) -> None:
    """PostgreSQL refuses every new version, by a trigger that reports a conflict, which is transient elsewhere."""
    await stack.database.execute(_CONFLICTS)
    try:
        await send(stack, steps)
    finally:
        await stack.database.execute("DROP FUNCTION public.refuse CASCADE")


def _has_cursor(kind: Kind) -> bool:
    return kind.steps[-1].path == CURSOR and "fails" not in kind.name and not kind.steps[-1].headers


def _keyed(kind: Kind) -> bool:
    return _has_cursor(kind) and bool(kind.flip)


ALL_STAGES: Final = (Stage.MIRROR, Stage.SHADOW, Stage.FLIPPED)
WAYS: Final[tuple[Way, ...]] = (
    Way("answered", After.ANSWERED, answered, stages=ALL_STAGES),
    Way("binary", After.ANSWERED, binary, stages=(Stage.FLIPPED,)),
    Way("in-batches", After.ANSWERED, answered, _has_cursor, batch=1),
    Way("read-on", After.ANSWERED, read_on, _has_cursor),
    Way("deleted", After.ANSWERED, deleted, _has_cursor),
    Way("conflict", After.ANSWERED, conflict, lambda kind: kind.conflicts),
    Way("forbidden", After.NOTHING, forbidden),
    Way("unknown-user", After.NOTHING, unknown_user),
    Way("unsent", After.NOTHING, unsent, lambda kind: not kind.name.startswith("transaction")),
    Way("unjournaled", After.GIVEN_UP, unjournaled, stages=(Stage.FLIPPED,)),
    Way("refused", After.GIVEN_UP, refused, stages=(Stage.FLIPPED,)),
    Way(
        "conflicting",
        After.GIVEN_UP,
        conflicting,
        lambda kind: kind.name in _ONE_KIND_PER_FAMILY,
        stages=(Stage.FLIPPED,),
    ),
    Way("lost", After.UNKNOWN, lost, stages=ALL_STAGES),
    Way("dies", After.UNKNOWN, dies),
    Way("dies-between", After.UNKNOWN, dies_between, _keyed, batch=1),
    Way("client-gone", After.UNKNOWN, client_gone, lambda kind: not kind.name.startswith("job")),
)
