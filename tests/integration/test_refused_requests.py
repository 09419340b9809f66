"""What ArangoDB refuses changes nothing: no stage, mark, stamp floor, gap or shape. What it executes has its effect.

Every endpoint that may write is requested, at every stage, and gets scripted answers of the origin.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.base.errors import UpstreamOutcomeUnknown
from proxy.model.endpoint import Effect
from proxy.model.message import Request, Response
from proxy.model.stages import CollectionState, Stage
from proxy.wire import endpoints
from tests.harness import Running, running

BOOKS = "_system/books"
_WRITES = (Effect.WRITE, Effect.QUERY, Effect.CONTROL, Effect.OPAQUE)
_PLACES = {"{c}": "books", "{k}": "a", "{g}": "g", "{id}": "17", "{i}": "1", "{d}": "shop", "{v}": "v", "*": "x"}
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class RequestCase:
    """One request. effect: what it leaves if it is executed ('' if the answer is captured)."""

    method: str
    target: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.target} {json.dumps(self.body)[:60]}"


def _query(text: str, **more: Any) -> RequestCase:
    return RequestCase("POST", "/_api/cursor", {"query": text, **more})


# in words that the table of endpoints does not have: parameters and bodies that no key is captured by
OPAQUE = [
    RequestCase("POST", "/_api/document/books?isRestore=true", {"_key": "r", "_rev": "_l6zhVTW--A"}),
    RequestCase("PUT", "/_api/document/books/a?isRestore=true", {"_rev": "_l6zhVTW--A"}),
    RequestCase("POST", "/_api/import?collection=books&type=documents&overwrite=true", {"_key": "i"}),
    RequestCase("POST", "/_api/import?collection=books&type=documents&complete=true", {"n": 1}),
    RequestCase("POST", "/_api/index?collection=books", {"type": "ttl", "fields": ["at"], "expireAfter": 1}),
    RequestCase("DELETE", "/_api/gharial/g?dropCollections=true"),
    RequestCase("DELETE", "/_api/gharial/g/vertex/books?dropCollection=true"),
    RequestCase("PUT", "/_api/collection/books/rename", {"name": "papers"}),
    RequestCase("PUT", "/_api/collection/books/truncate"),
    RequestCase("DELETE", "/_api/collection/books"),
    *(
        RequestCase("PUT", f"/_api/simple/{name}-by-example", {"collection": "books", "example": {}, "newValue": {}})
        for name in ("update", "replace", "remove")
    ),
    RequestCase("PUT", "/_api/simple/remove-by-keys", {"collection": "books", "keys": "a"}),
    _query("FOR d IN books LET x = (REMOVE d IN books) RETURN x"),
    _query("FOR d IN books UPDATE d WITH {n: 1} IN books LIMIT 1 RETURN NEW"),
    _query("A text that only a later ArangoDB understands: INSERT"),
    RequestCase("POST", "/_api/transaction", {"collections": {"write": "books"}, "action": "() => 1"}),
    RequestCase("POST", "/_api/whatever", {}),
    RequestCase("POST", "/_api/document/books/a", {"n": 1}),
    RequestCase("PUT", "/_api/collection/books/whatever", {}),
    RequestCase("PATCH", "/_db/_system/shop/orders", {}),
    RequestCase("GET", "/_db/_system/favicon.ico"),
]


def _requests_of_endpoint_table() -> list[RequestCase]:
    found = []
    for method, pattern, _, endpoint in endpoints.ROWS:
        if endpoint.effect in _WRITES:
            target = "/" + "/".join(_PLACES.get(part, part) for part in pattern.split("/"))
            found.append(
                RequestCase(method, target, None if method == "DELETE" else {"name": "books", "query": "RETURN 1"})
            )
    return found


REFUSALS = [
    (401, 11, "not authorized to execute this request"),
    (403, 11, "forbidden"),
    (404, 1203, "collection or view not found"),
    (404, 404, "unknown path '/x'"),
    (400, 601, "superfluous suffix, expecting /_api/x"),
    (405, 405, "method not supported"),
    (409, 1210, "unique constraint violated"),
    (412, 1200, "conflict"),
    (412, 21004, "queue time violated"),
    (501, 9, "not implemented"),
    (503, 21003, "queue is full"),
    (503, 503, "service unavailable due to startup or maintenance mode"),
]
# a part may have run before the error: of a query, a script, a batch, a service, or an unknown request
_SERVICES = ("/_db/_system/shop", "/_db/_system/favicon")
_IN_PARTS = ("/_api/cursor", "/_api/simple/", "/_admin/execute", "/_api/foxx", "/_api/whatever")
_WHOLE = ("/_api/document", "/_api/collection", "/_api/index", "/_api/gharial", "/_api/database", "/_api/view")


def excludes_all_writes(request: RequestCase, status: int, number: int) -> bool:
    """Return True if the error states that nothing was written, whatever the request was."""
    partly = request.target.startswith(_IN_PARTS + _SERVICES)
    if number == 601:
        return request.target.startswith(_WHOLE)
    if partly and number in (1200, 1210):
        return False
    service = request.target.startswith(_SERVICES)
    if service and (status, number) in ((403, 11), (404, 1203)):
        return False  # a service may send the same error
    return not (number == 1203 and request.target.startswith(("/_api/whatever", "/_admin/execute")))


class ScriptedAnswers:
    """Answers in place of the origin if a response is set."""

    def __init__(self, stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = stack.application.origin.request
        self.says: Callable[[Request], Response] | None = None
        monkeypatch.setattr(stack.application.origin, "request", self._request)

    async def _request(self, request: Request, *, idempotent: bool = False) -> Response:
        if self.says is None:
            return await self._real(request, idempotent=idempotent)
        return self.says(request)

    def refuse(self, status: int, number: int, message: str) -> None:
        body = {"error": True, "code": status, "errorNum": number, "errorMessage": message}
        content = json.dumps(body).encode()
        self.says = lambda _: Response(status, [(b"content-type", b"application/json")], content)


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        await started.move(CollectionState(Stage.MIRROR), BOOKS)
        await started.client.post("/_api/document/books", json={"_key": "a", "n": 0})
        await started.drained()
        yield started


async def control_state(stack: Running) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything that a request can change in the control tables."""
    await stack.drained()
    await stack.application.coverage.flush()
    await stack.application.dispatcher._gaps.flush()
    await stack.application.shadow._results.flush()
    found = {}
    for table, columns in (
        ("collection", "collection, stage, weight"),
        ("unverified", "collection, reason"),
        ("stamp_floor", "collection, floor"),
        ("uncovered", "collection, endpoint, reason, seen"),
        ("shape", "collection, shape, seen"),
    ):
        rows = await stack.database.fetch(f"SELECT {columns} FROM _crossfade.{table} ORDER BY 1, 2")
        found[table] = [tuple(row) for row in rows]
    return found


async def ask(stack: Running, request: RequestCase) -> httpx.Response:
    content = None if request.body is None else json.dumps(request.body)
    return await stack.client.request(request.method, request.target, content=content, headers=_JSON | request.headers)


@pytest.mark.parametrize(
    "state", [CollectionState(Stage.MIRROR), CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)]
)
async def test_refused_requests_change_nothing(
    stack: Running, state: CollectionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in (Stage.SHADOW, Stage.FLIPPED):
        if state.stage.at_least(stage):
            await stack.move(CollectionState(stage, state.weight), BOOKS)
    before = await control_state(stack)
    answers = ScriptedAnswers(stack, monkeypatch)
    for case in (*_requests_of_endpoint_table(), *OPAQUE):
        for status, number, message in REFUSALS:
            if excludes_all_writes(case, status, number):
                answers.refuse(status, number, message)
                answer = await ask(stack, case)
                assert answer.status_code == status or (answer.status_code, answer.json()["errorNum"]) == (404, 1655)
        answers.says = None
        assert await control_state(stack) == before, str(case)


@pytest.mark.parametrize("case", OPAQUE, ids=str)
async def test_executed_requests_cause_a_rollback_before_the_answer_and_leave_a_mark(
    stack: Running, case: RequestCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    before = await control_state(stack)
    answers = ScriptedAnswers(stack, monkeypatch)
    answers.says = lambda _: Response(200, [(b"content-type", b"application/json")], b"{}")
    assert (await ask(stack, case)).status_code == 200
    assert await stack.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS) == (
        "shadow"
    )
    answers.says = None
    after = await control_state(stack)
    assert (
        after["unverified"] != before["unverified"]
        or after["stamp_floor"] != before["stamp_floor"]
        or after
        == {
            **before,
            "collection": after["collection"],
            "uncovered": after["uncovered"],
            "shape": after["shape"],
        }
    )


@pytest.mark.parametrize(
    "message", [(500, 4, "internal error"), (503, 0, "no server here"), None], ids=["500", "503", "lost"]
)
@pytest.mark.parametrize("case", [OPAQUE[0], OPAQUE[8], OPAQUE[10], OPAQUE[16], OPAQUE[19]], ids=str)
async def test_requests_that_may_have_run_count_as_executed(
    stack: Running, case: RequestCase, message: tuple[int, int, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost answer, or a 5xx that does not exclude an execution: the rollback comes before the answer."""
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    answers = ScriptedAnswers(stack, monkeypatch)

    def lost(_: Request) -> Response:
        raise UpstreamOutcomeUnknown("cut")

    if message is None:
        answers.says = lost
    else:
        answers.refuse(*message)
    assert (await ask(stack, case)).status_code >= 500
    assert await stack.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS) == (
        "shadow"
    )
    answers.says = None
    await stack.drained()


@pytest.mark.parametrize(
    "text",
    [
        "INSERT {x:1} INT books",
        "FOR d IN books FILTER d.note == 'please remove' RETRUN d",
        "FOR d IN books RETURN REGEX_REPLACE(d.x, d.y, d.with)",
        "/* insert */ RETURN {update: 1",
        "FOR d IN missing UPDATE d WITH {n: 1} IN missing",
        "REMOVE 'a' IN @@c",
        "",
    ],
)
async def test_a_query_that_arangodb_cannot_parse_causes_no_rollback(stack: Running, text: str) -> None:
    """Keywords inside a string or a comment have no effect."""
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    before = await control_state(stack)
    for more in ({}, {"stream": True}, {"batchSize": 1}):
        answer = await ask(stack, _query(text, options=more))
        assert answer.status_code >= 400
    for path in ("/_api/explain", "/_api/query"):
        await ask(stack, RequestCase("POST", path, {"query": text}))
    after = await control_state(stack)
    assert after | {"uncovered": []} == before | {"uncovered": []}
    assert {row[1] for row in after["uncovered"]} <= {"explain", "query.parse"}


async def test_a_query_that_only_arangodb_can_parse_is_judged_by_the_writes_it_executed(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    answers = ScriptedAnswers(stack, monkeypatch)

    def executed(number: int) -> Callable[[Request], Response]:
        body = {"result": [], "hasMore": False, "extra": {"stats": {"writesExecuted": number}}, "code": 201}
        return lambda _: Response(201, [(b"content-type", b"application/json")], json.dumps(body).encode())

    stage = "SELECT stage FROM _crossfade.collection WHERE collection = $1"
    answers.says = executed(0)
    await ask(stack, _query("FOR d IN books A_LATER_WORD d UPDATE RETURN d"))
    assert await stack.database.fetchval(stage, BOOKS) == "flipped"
    assert (await control_state(stack))["unverified"] == []
    answers.says = executed(1)
    await ask(stack, _query("FOR d IN books A_LATER_WORD d UPDATE RETURN d"))
    assert await stack.database.fetchval(stage, BOOKS) == "shadow"
    answers.says = None
    assert {row[0] for row in (await control_state(stack))["unverified"]} == {"_system/*"}


async def test_requests_without_write_permission_cause_no_rollback(stack: Running) -> None:
    """A user with `ro` on the database and `none` on the collection, and an unknown user."""
    await stack.client.post("/_api/user", json={"user": "reader", "passwd": "secret"})
    await stack.client.put("/_api/user/reader/database/_system", json={"grant": "ro"})
    await stack.client.put("/_api/user/reader/database/_system/books", json={"grant": "none"})
    stack.origin.store.server.accounts.enforce("")
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    await stack.drained()
    await stack.application.dispatcher._gaps.flush()
    await stack.database.execute("DELETE FROM _crossfade.uncovered")
    before = await control_state(stack)
    reads = [_query(f"FOR d IN books FILTER d.a{n} == 1 RETURN d") for n in range(20)]
    near = RequestCase("PUT", "/_api/simple/near", {"collection": "books"})
    for auth in (httpx.BasicAuth("reader", "secret"), httpx.BasicAuth("nobody", "x")):
        for case in (
            *OPAQUE,
            *reads,
            near,
            RequestCase("POST", "/_admin/execute", "1"),
            RequestCase("GET", "/_api/version"),
        ):
            content = None if case.body is None else json.dumps(case.body)
            answer = await stack.client.request(case.method, case.target, content=content, headers=_JSON, auth=auth)
            assert answer.status_code >= 400 or case.target == "/_api/version", str(case)
    after = await control_state(stack)
    assert after | {"uncovered": []} == before | {"uncovered": []}
    assert {row[1] for row in after["uncovered"]} <= {"version"}
