"""The shadow between a real PostgreSQL and ArangoDB in memory, for tests of what it finds and how it rechecks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.base.config import Settings
from proxy.devserver.store import MemoryStore
from proxy.isolation import Isolation
from proxy.model.documents import to_jsonb
from proxy.model.operations import Operation, Outcome
from proxy.operator import shapes
from proxy.operator.mismatches import list_mismatches
from proxy.shadow.comparator import Shadow
from proxy.shadow.peer_lag import PeerLag
from proxy.shadow.result_store import ResultStore
from proxy.shadow.sampling_rules import SamplingRules
from proxy.shadow.verdicts import ReadVerdict
from proxy.stores.postgres import PostgresStore
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.integration.target_fixtures import create, put

C = "db/docs"


class Origin:
    """ArangoDB in memory; `before` is called before each operation."""

    name = "origin"

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.before: Callable[[Operation], None] = lambda _operation: None
        self.requests = 0

    async def execute(self, operation: Operation) -> Outcome:
        self.requests += 1
        self.before(operation)
        return await self.memory.execute(operation)


def hand_over(
    shadow: Shadow,
    operation: Operation,
    outcome: Outcome,
    collections: tuple[str, ...] = (C,),
    *,
    reverse: bool = False,
) -> None:
    """Hand a read to the shadow as the request path does."""
    taken = shadow.sampled(operation, collections, reversed=reverse)
    if taken is not None:
        shadow.submit(taken, operation, outcome, 0.001, "/api/x")


@dataclass
class Stack:
    """Both sides, and the shadow between them."""

    database: Database
    settings: Settings
    origin: Origin = field(default_factory=Origin)
    mirrored: bool = True  # what `caught_up` returns
    catching_up: list[bytes] = field(default_factory=list)  # what the mirror applies when it is waited for
    waited: int = 0
    verdicts: list[ReadVerdict] = field(default_factory=list)  # of a `shadow_with_rules` shadow
    _applying: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.isolation = Isolation(["proxy.shadow.recheck", "proxy.shadow.explain"])  # begins with its first work
        self.lane = self.isolation.lane("shadow", workers=1, waiting=100, nice=10)
        self.explaining = self.isolation.lane("explaining", workers=1, waiting=4, nice=15)
        self.store = PostgresStore(self.database)
        self.ledger = ResultStore(self.database, self.settings, interval=3600)
        self.shadow = self.create_shadow()

    def create_shadow(self) -> Shadow:
        """Return a shadow with workers."""
        return Shadow(
            self.settings,
            self.store,
            self.origin,
            self.caught_up,
            self.ledger,
            lane=self.lane,
            explaining=self.explaining,
        )

    async def close(self) -> None:
        await self.shadow.close()
        await self.isolation.close()

    async def caught_up(self, collection: str, timeout: float) -> bool:
        assert collection == C
        assert timeout >= 0
        self.waited += 1
        async with self._applying:  # the second caller waits as well
            while self.catching_up:
                await put(self.database, C, self.catching_up.pop())
        return self.mirrored

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> tuple[Operation, Outcome]:
        names = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        payload = b"" if body is None else orjson.dumps(body)
        operation = decode_parts(method, f"/_db/db{target}".encode(), names, payload)
        return operation, self.origin.memory.run(operation)

    def insert(self, key: str, **content: object) -> bytes:
        """Insert a document into the origin; return its text."""
        assert self.ask("POST", "/_api/document/docs?overwrite=true", {"_key": key, **content})[1].status == 202
        return self.ask("GET", f"/_api/document/docs/{key}")[1].body

    async def insert_both(self, key: str, **content: object) -> bytes:
        raw = self.insert(key, **content)
        await put(self.database, C, raw)
        return raw

    async def change_target(self, key: str, change: Callable[[bytes], bytes]) -> None:
        """Change a document in PostgreSQL directly."""
        raw = change(self.ask("GET", f"/_api/document/docs/{key}")[1].body)
        await self.database.execute(
            "UPDATE db.docs SET raw = $2, doc = coalesce($3, _crossfade.queryable($2)) WHERE key = $1",
            key,
            raw.decode(),
            to_jsonb(raw),
        )

    async def compare(self, *request: Any, reverse: bool = False, leave: bool = False, **headers: str) -> None:
        """Do a read, and have the shadow compare it. leave: the client deletes a cursor after its first batch."""
        operation, outcome = self.ask(*request, **headers)
        if reverse:
            outcome = await self.store.execute(operation)
        hand_over(self.shadow, operation, outcome, reverse=reverse)
        if operation.endpoint.name == "cursor.create" and outcome.status == 201 and not reverse:
            self.read_remaining_batches(orjson.loads(outcome.body), leave=leave)
        await self.shadow.idle()

    def read_remaining_batches(self, batch: dict[str, Any], *, leave: bool) -> None:
        while batch["hasMore"]:
            operation, outcome = self.ask("DELETE" if leave else "POST", f"/_api/cursor/{batch['id']}")
            assert self.shadow.follows(operation)
            self.shadow.continued(operation, outcome)
            assert outcome.status == (202 if leave else 200)
            if leave:
                return
            batch = orjson.loads(outcome.body)

    async def read(self, key: str = "a", **options: Any) -> None:
        await self.compare("GET", f"/_api/document/docs/{key}", **options)

    async def query(
        self, text: str, bind_vars: dict[str, Any] | None = None, *, leave: bool = False, **options: Any
    ) -> None:
        body = {"query": text, "bindVars": bind_vars or {}, **options}
        await self.compare("POST", "/_api/cursor", body, leave=leave)

    async def counts(self) -> dict[str, int]:
        row = await self.database.fetchrow("SELECT * FROM _crossfade.comparison WHERE collection = $1", C)
        assert row is not None
        names = ("compared", "matched", "mismatched", "undecided", "unsupported", "lagged")
        return {name: row[name] for name in names if row[name]}

    async def mismatches(self) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """Return Return (class, paths, keys) of every mismatch."""
        return sorted((row.kind, row.paths, row.keys) for row in await list_mismatches(self.database, C))

    async def skipped(self) -> int:
        return sum(row.skipped for row in await shapes.listed(self.database, [C]))


async def stack_on(database: Database, **settings: Any) -> Stack:
    stack = Stack(database, Settings(**{"recheck_timeout": 5.0, **settings}))
    assert stack.origin.memory.run(decode_parts("POST", b"/_api/database", [], b'{"name":"db"}')).status == 201
    assert stack.ask("POST", "/_api/collection", {"name": "docs"})[1].status == 200
    await create(database, C)
    return stack


def shadow_with_rules(stack: Stack, fleet: PeerLag | None = None) -> Shadow:
    """Return a shadow with rules from PostgreSQL; the stack records its verdicts."""
    return Shadow(
        stack.settings,
        stack.store,
        stack.origin,
        stack.caught_up,
        stack.ledger,
        rules=SamplingRules(stack.settings, stack.database),
        fleet=fleet,
        lane=stack.lane,
        explaining=stack.explaining,
        sinks=(stack.verdicts.append,),
    )
