"""Additional clients whose requests must not cause a rollback: they write nothing, or their writes are captured.

cursors      modifications whose cursors are not read to the end; what they wrote is read back immediately
empty        stream transactions with declared writes that write nothing, begun at one proxy and committed at another
refused      what ArangoDB refuses: invalid queries, unknown paths and collections, conflicts
unauthorized a user without permission on the collection, and an unknown user, who try to change everything
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

_BOOKS: Final = "/_api/document/books"
_UNAUTHORIZED: Final = httpx.BasicAuth("unauthorized", "secret")
_UNKNOWN_USER: Final = httpx.BasicAuth("nobody", "x")
_PACE: Final = 0.05
_REFUSED: Final[Sequence[tuple[str, str, Any]]] = (
    ("POST", "/_api/cursor", {"query": "INSERT {x: 1} INT books"}),
    ("POST", "/_api/cursor", {"query": "FOR d IN books FILTER d.n == 'please remove' RETRUN d"}),
    ("POST", "/_api/cursor", {"query": "FOR d IN books REMOVE d IN missing", "options": {"stream": True}}),
    ("PUT", f"{_BOOKS}/missing?isRestore=true", {"_rev": "_l6zhVTW--A"}),
    ("PUT", "/_api/collection/missing/truncate", None),
    ("PUT", "/_api/collection/missing/rename", {"name": "gone"}),
    ("DELETE", "/_api/collection/missing", None),
    ("DELETE", "/_api/gharial/missing?dropCollections=true", None),
    ("PUT", "/_api/simple/remove-by-example", {"collection": "missing", "example": {}}),
    ("POST", "/_api/import?collection=missing&type=documents&overwrite=true", {"n": 1}),
    ("POST", "/_api/nothing", {}),
    ("GET", "/_db/_system/favicon.ico", None),
    ("POST", "/_db/_system/shop/orders", {}),
    ("POST", "/_api/transaction", {"collections": {"write": "books"}, "action": "() => 1"}),
)
_FORBIDDEN: Final[Sequence[tuple[str, str, Any]]] = (
    *_REFUSED,
    ("PUT", "/_api/collection/books/truncate", None),
    ("PUT", "/_api/collection/books/rename", {"name": "mine"}),
    ("DELETE", "/_api/collection/books", None),
    ("POST", f"{_BOOKS}?isRestore=true", {"_key": "r", "_rev": "_l6zhVTW--A"}),
    ("POST", "/_api/import?collection=books&type=documents&overwrite=true", {"n": 1}),
    ("PUT", "/_api/simple/remove-by-example", {"collection": "books", "example": {}}),
    ("POST", "/_api/index?collection=books", {"type": "ttl", "fields": ["at"], "expireAfter": 1}),
    ("POST", "/_api/cursor", {"query": "FOR d IN books REMOVE d IN books", "options": {"stream": True}}),
    ("POST", "/_api/cursor", {"query": "FOR d IN books FILTER d.some == 1 RETURN d"}),
    ("POST", "/_admin/execute", "1"),
)

Kind = Callable[[list[httpx.AsyncClient], random.Random], Awaitable[None]]


@dataclass
class NuisanceClients:
    """Clients that run until stopped. wrong: unexpected answers; rounds: number of requests by kind."""

    ports: Sequence[int]
    seed: int
    wrong: list[str] = field(default_factory=list)
    rounds: dict[str, int] = field(default_factory=dict)
    _names: itertools.count[int] = field(default_factory=itertools.count)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run one client of each kind while the block runs."""
        kinds = (self._cursors, self._empty, self._refused, self._unauthorized)
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", auth=("root", ""), timeout=60)
                )
                for port in self.ports
            ]
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for number, kind in enumerate(kinds):
                    group.create_task(self._again(kind, clients, random.Random(self.seed + number), stop))
                try:
                    yield
                finally:
                    stop.set()

    async def _again(
        self, kind: Any, clients: list[httpx.AsyncClient], rng: random.Random, stop: asyncio.Event
    ) -> None:
        name = getattr(kind, "__name__", "")
        while not stop.is_set():
            try:
                await kind(clients, rng)
            except httpx.HTTPError as error:
                self.wrong.append(f"{name}: {error!r}")
            self.rounds[name] = self.rounds.get(name, 0) + 1
            await asyncio.sleep(_PACE)

    def _expect(self, answer: httpx.Response, *expected: int) -> None:
        if answer.status_code not in expected:
            request = f"{answer.request.method} {answer.request.url.raw_path.decode()}"
            self.wrong.append(f"{request}: {answer.status_code} {answer.text[:120]}")

    async def _cursors(self, clients: list[httpx.AsyncClient], rng: random.Random) -> None:
        base = f"pest{next(self._names)}x"
        query = "FOR i IN 1..4 INSERT {_key: CONCAT(@base, i), pest: 1} INTO books RETURN NEW._key"
        body = {"query": query, "bindVars": {"base": base}, "batchSize": 1}
        self._expect(await rng.choice(clients).post("/_api/cursor", json=body), 201)
        self._expect(await rng.choice(clients).get(f"{_BOOKS}/{base}4"), 200)
        query = "FOR i IN 1..4 REMOVE CONCAT(@base, i) IN books RETURN OLD._key"
        self._expect(await rng.choice(clients).post("/_api/cursor", json={**body, "query": query}), 201)
        self._expect(await rng.choice(clients).get(f"{_BOOKS}/{base}4"), 404)

    async def _empty(self, clients: list[httpx.AsyncClient], rng: random.Random) -> None:
        transaction = await rng.choice(clients).post(
            "/_api/transaction/begin", json={"collections": {"write": ["books"]}}
        )
        self._expect(transaction, 201)
        if transaction.status_code != 201:
            return
        number = transaction.json()["result"]["id"]
        trx = {"x-arango-trx-id": number}
        if rng.random() < 0.5:
            self._expect(await rng.choice(clients).get(f"{_BOOKS}/nobody", headers=trx), 404)
        method = "PUT" if rng.random() < 0.8 else "DELETE"
        for _ in range(rng.choice((1, 2))):
            self._expect(await rng.choice(clients).request(method, f"/_api/transaction/{number}"), 200)

    async def _refused(self, clients: list[httpx.AsyncClient], rng: random.Random) -> None:
        method, target, body = rng.choice(_REFUSED)
        answer = await rng.choice(clients).request(method, target, json=body)
        self._expect(answer, *range(400, 500), 501)

    async def _unauthorized(self, clients: list[httpx.AsyncClient], rng: random.Random) -> None:
        method, target, body = rng.choice(_FORBIDDEN)
        who = rng.choice((_UNAUTHORIZED, _UNKNOWN_USER))
        answer = await rng.choice(clients).request(method, target, json=body, auth=who)
        self._expect(answer, *range(400, 500), 501)


async def without_rights(origin: str) -> None:
    """Create the user without permissions, before the origin begins to check credentials."""
    async with httpx.AsyncClient(base_url=origin, auth=("root", "")) as direct:
        await direct.post("/_api/user", json={"user": "unauthorized", "passwd": "secret"})
        await direct.put("/_api/user/unauthorized/database/_system", json={"grant": "ro"})
        await direct.put("/_api/user/unauthorized/database/_system/books", json={"grant": "none"})
