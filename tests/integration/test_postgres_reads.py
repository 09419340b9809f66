"""Reads on PostgreSQL beside the same reads of the development server: one answer, byte for byte where order is given.

Requests go through the wire, as a service sends them; the documents of both sides are the same ones.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.devserver.serve import StoreHandler
from proxy.devserver.store import MemoryStore
from proxy.model.message import Request, Response
from proxy.stores.postgres import PostgresStore
from proxy.wire.endpoints import ROWS
from tests.ad_hoc import Database
from tests.integration.target_fixtures import create, put

_GRAPH = {"name": "g", "edgeDefinitions": [{"collection": "knows", "from": ["people"], "to": ["people"]}]}
_PEOPLE = [
    {"_key": "a", "name": "Ada", "age": 36, "home": {"town": "London"}},
    {"_key": "b", "name": "Bob", "age": 36.0, "home": {"town": "Paris"}, "home.town": "no path"},
    {"_key": "c", "name": None, "age": 1e300, "tags": ["x", {"y": 1}]},
    {"_key": "d:1", "name": "nül\x00", "age": -1},
]
_KNOWS = [
    {"_key": "ab", "_from": "people/a", "_to": "people/b"},
    {"_key": "ba", "_from": "people/b", "_to": "people/a"},
    {"_key": "aa", "_from": "people/a", "_to": "people/a"},
    {"_key": "bc", "_from": "people/b", "_to": "people/c"},
]


class BothDatabases:
    """The development server and PostgreSQL with the same documents."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.memory = StoreHandler(MemoryStore())
        self.postgres = StoreHandler(PostgresStore(database))

    async def fill(self) -> None:
        await self.written("POST", "/_api/collection", {"name": "people"})
        await self.written("POST", "/_api/collection", {"name": "knows", "type": 3})
        await self.written("POST", "/_api/gharial", _GRAPH)
        await self.written("POST", "/_api/document/people", _PEOPLE)
        await self.written("POST", "/_api/document/knows", _KNOWS)
        for name in ("people", "knows", "_graphs"):
            await create(self._database, f"_system/{name}", edge=name == "knows")
            query = {"query": "FOR d IN @@c RETURN d", "bindVars": {"@c": name}}
            found = json.loads(body_of(await self.written("POST", "/_api/cursor", query)))["result"]
            for document in found:
                raw = await self.written("GET", f"/_api/document/{name}/{document['_key']}", None)
                await put(self._database, f"_system/{name}", body_of(raw))

    async def written(self, method: str, target: str, body: Any) -> Response:
        """Send a write to the development server alone."""
        data = b"" if body is None else json.dumps(body).encode()
        response = await self.memory(Request(method, target.encode(), [], data))
        assert response.status < 300, response.body
        return response

    async def answers(self, send: str, body: Any = None, **headers: str) -> list[Response]:
        """Return both answers to the same request, the development server's first."""
        method, _, target = send.partition(" ")
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        header_pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return [
            await handler(Request(method, target.encode(), list(header_pairs), data))
            for handler in (self.memory, self.postgres)
        ]


def body_of(response: Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


@pytest.fixture
async def both(database: Database) -> BothDatabases:
    databases = BothDatabases(database)
    await databases.fill()
    return databases


_ANSWERS: list[tuple[str, Any]] = [
    ("GET /_api/document/people/a", None),
    ("GET /_api/document/people/d:1", None),
    ("GET /_api/document/people/none", None),
    ("GET /_api/document/nowhere/a", None),
    ("GET /_db/_system/_api/document/people/b", None),
    ("GET /_arango/v0/_api/document/people/b", None),
    ("HEAD /_api/document/people/c", None),
    ("PUT /_api/document/people?onlyget", ["a", "people/b", {"_key": "c"}, {"_id": "people/d:1"}, "none", 7, {}]),
    ("PUT /_api/document/people?onlyget=false&ignoreRevs=false", [{"_key": "a", "_rev": "_aaaaaaaaaa"}, "b"]),
    ("PUT /_api/document/people?onlyget=true", []),
    ("PUT /_api/document/people?onlyget=true", {"no": "array"}),
    ("PUT /_api/document/people?onlyget=true", b"[1,"),
    ("PUT /_api/document/nowhere?onlyget=true", ["a"]),
    ("GET /_api/gharial/g/vertex/people/a", None),
    ("GET /_api/gharial/g/edge/knows/ab", None),
    ("GET /_api/gharial/g/vertex/people/none", None),
    ("GET /_api/gharial/g/vertex/knows/ab", None),
    ("GET /_api/gharial/g/edge/people/a", None),
    ("GET /_api/gharial/h/vertex/people/a", None),
    ("GET /_api/gharial/g/vertex/people/a?rev=_aaaaaaaaaa", None),
    ("GET /_api/edges/people?vertex=people/a", None),
    ("GET /_api/edges/knows?vertex=people/a&direction=sideways", None),
    ("GET /_api/edges/knows", None),
    ("POST /_api/edges/knows", {"no": "array"}),
    ("PUT /_api/simple/lookup-by-keys", {"collection": "people", "keys": ["b", "people/a", "none"]}),
    ("PUT /_api/simple/lookup-by-keys", {"collection": "people", "keys": "a"}),
    ("PUT /_api/simple/first-example", {"collection": "people", "example": {"name": "Ada"}}),
    ("PUT /_api/simple/first-example", {"collection": "people", "example": {"home.town": "London"}}),
    ("PUT /_api/simple/first-example", {"collection": "people", "example": {"name": "Eve"}}),
    ("PUT /_api/simple/first-example", {"collection": "people", "example": 1}),
    ("PUT /_api/simple/by-example", {"collection": 1, "example": {}}),
    ("PUT /_api/simple/all", []),
    ("PUT /_api/simple/any", {"collection": "nowhere"}),
]


async def test_answers_equal_those_of_the_development_server_byte_for_byte(both: BothDatabases) -> None:
    for send, body in _ANSWERS:
        expected, actual = await both.answers(send, body)
        assert actual.status == expected.status, send
        assert actual.body == expected.body, send
        assert sorted(actual.headers) == sorted(expected.headers), send


_ROWS_OF: list[tuple[str, Any, str]] = [
    ("GET /_api/edges/knows?vertex=people/a", None, "edges"),
    ("GET /_api/edges/knows?vertex=people%2Fa&direction=in", None, "edges"),
    ("GET /_api/edges/knows?vertex=people/a&direction=out", None, "edges"),
    ("GET /_api/edges/knows?vertex=people/none", None, "edges"),
    ("POST /_api/edges/knows?direction=in", ["people/a", "people/c"], "edges"),
    ("PUT /_api/simple/all", {"collection": "people"}, "result"),
    ("PUT /_api/simple/all-keys", {"collection": "people"}, "result"),
    ("PUT /_api/simple/all-keys", {"collection": "people", "type": "id"}, "result"),
    ("PUT /_api/simple/all-keys", {"collection": "people", "type": "key"}, "result"),
    ("PUT /_api/simple/by-example", {"collection": "people", "example": {"age": 36}}, "result"),
    ("PUT /_api/simple/by-example", {"collection": "people", "example": {"name": "nül\x00"}}, "result"),
    ("PUT /_api/simple/by-example", {"collection": "people", "example": {"home.town": "London"}}, "result"),
    ("PUT /_api/simple/by-example", {"collection": "people", "example": {}}, "result"),
]


async def test_unordered_reads_return_the_same_rows(both: BothDatabases) -> None:
    for send, body, rows in _ROWS_OF:
        expected, actual = [json.loads(body_of(response)) for response in await both.answers(send, body)]
        assert list(actual) == list(expected), send
        assert sorted(map(json.dumps, actual.pop(rows))) == sorted(map(json.dumps, expected.pop(rows))), send
        for answer in (expected, actual):
            stats = answer.pop("stats", None) or answer["extra"].pop("stats")
            assert stats["writesExecuted"] == 0
        assert actual == expected, send


async def test_if_match_and_if_none_match_have_the_same_effect(both: BothDatabases) -> None:
    """Protocol page, section 1: one value, quoted or not; `*` and lists match nothing."""
    read, _ = await both.answers("GET /_api/document/people/a")
    rev = json.loads(body_of(read))["_rev"]
    for target in ("GET /_api/document/people/a", "HEAD /_api/document/people/a"):
        for value in (rev, f'"{rev}"', f"'{rev}'", "*", '"_aaaaaaaaaa"', f"{rev}, {rev}", f'W/"{rev}"'):
            for name in ("if_match", "if_none_match"):
                expected, actual = await both.answers(target, **{name: value})
                assert (actual.status, actual.body) == (expected.status, expected.body), (target, name, value)
                assert sorted(actual.headers) == sorted(expected.headers), (target, name, value)
    for value in (f'"{rev}"', '"_aaaaaaaaaa"', "*"):
        for name in ("if_match", "if_none_match"):
            expected, actual = await both.answers("GET /_api/gharial/g/vertex/people/a", **{name: value})
            assert (actual.status, actual.body) == (expected.status, expected.body), (name, value)


async def test_simple_reads_honour_limits_and_batches(both: BothDatabases) -> None:
    body = {"collection": "people", "batchSize": 2}
    _, first = await both.answers("PUT /_api/simple/all", body)
    opened = json.loads(body_of(first))
    assert (first.status, opened["count"], opened["hasMore"], len(opened["result"])) == (201, 4, True, 2)
    send = f"PUT /_api/cursor/{opened['id']}"
    second = json.loads(body_of((await both.answers(send))[1]))
    assert len(second["result"]) == 2
    assert second["hasMore"] is False
    _, cut = await both.answers("PUT /_api/simple/all", {"collection": "people", "skip": 1, "limit": 2})
    assert json.loads(body_of(cut))["count"] == 2
    _, rest = await both.answers("PUT /_api/simple/all", {"collection": "people", "skip": 3})
    assert json.loads(body_of(rest))["count"] == 1


async def test_a_simple_range_honours_closed(both: BothDatabases) -> None:
    body = {"collection": "people", "attribute": "age", "left": -1, "right": 36}
    for closed, count in ((False, 1), (True, 3)):
        _, answer = await both.answers("PUT /_api/simple/range", {**body, "closed": closed})
        assert json.loads(body_of(answer))["count"] == count


async def test_simple_any_returns_some_document(both: BothDatabases) -> None:
    _, answer = await both.answers("PUT /_api/simple/any", {"collection": "people"})
    assert json.loads(body_of(answer))["document"]["_key"] in {"a", "b", "c", "d:1"}


async def test_requests_that_postgresql_cannot_answer_get_501_with_a_reason(both: BothDatabases) -> None:
    """There is no origin to fall back to: 501, ArangoDB's error shape, and a reason (I10)."""
    _, answer = await both.answers("POST /_api/document/people", {"x": 1})
    assert answer.status == 501
    refused = json.loads(body_of(answer))
    assert (refused["error"], refused["code"], refused["errorNum"]) == (True, 501, 9)
    assert refused["errorMessage"] == (
        "unsupported by Crossfade: document.insert (POST /_api/document/people) on PostgreSQL"
    )


async def test_every_endpoint_has_an_answer(both: BothDatabases) -> None:
    """No endpoint raises or hangs, whatever the body."""
    names = {"{c}": "people", "{k}": "a", "{g}": "g", "{id}": "1", "{batch}": "1", "*": "x"}
    for method, pattern, *_ in ROWS:
        target = "/" + "/".join(names.get(part, "x" if part[0] == "{" else part) for part in pattern.split("/"))
        for body in (b"", b"{}", b"[1", b'{"collection":"people"}'):
            answer = await both.postgres(Request("GET" if method == "ANY" else method, target.encode(), [], body))
            assert answer.status in (200, 201, 202, 400, 404, 501), (target, answer.body)
            if answer.status >= 400:
                assert json.loads(body_of(answer))["error"] is True
