"""A rehearsal beside the development server in memory: each request is carried out there, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from proxy.devserver.store import MemoryStore
from proxy.model.operations import Change, Operation, Outcome
from proxy.model.revision import Clock, decode_rev
from proxy.rehearsal.collection_rules import rules_of
from proxy.rehearsal.decisions import RehearsedRules
from proxy.rehearsal.judge import Judge
from proxy.rehearsal.known_versions import KnownVersions
from proxy.rehearsal.met_documents import StoredVersion
from proxy.rehearsal.observed import ObservedWrite, as_sent
from proxy.rehearsal.verdicts import Verdict
from proxy.rehearsal.write_shapes import shape_of_write
from proxy.semantics.encoded_document import revision_of
from proxy.wire.decode import decode_parts

_NOW: Final = 1_700_000_000_000  # milliseconds, always: copies of a server give the same revisions


class Stage:
    """One collection of the development server, and what a judge may know of it. late: PostgreSQL's rows, by key."""

    def __init__(self, memory: MemoryStore, name: str) -> None:
        self.memory = memory
        self.name = name
        self.known = KnownVersions()
        self.judge = Judge(self, self, self.known)
        self.tombstones: dict[str, int] = {}
        self.floor = 0
        self.rules: RehearsedRules | None = None  # if set, instead of what the server shows
        self.late: dict[str, bytes | None] = {}

    @property
    def stored(self) -> dict[str, bytes]:
        return self.memory.server.databases["_system"].collections[self.name].documents

    def run(self, method: str, target: str, body: object = None, **headers: str) -> Outcome:
        """Carry out a request."""
        return self.memory.run(request(method, target, body, **headers))

    def observe(self, operation: Operation) -> ObservedWrite:
        """Carry out a write as it is sent for a rehearsal."""
        sent, moment, before = as_sent(operation), self.known.moment, dict(self.stored)
        self.floor = max((decode_rev(revision_of(raw)) for raw in self.stored.values()), default=0)
        outcome = self.memory.run(sent)
        name = f"_system/{self.name}"
        for key in before.keys() - self.stored.keys():
            self.tombstones[key] = decode_rev(revision_of(before[key]))
            self.known.note(Change(name, key, self.tombstones[key], None))
        for key, raw in self.stored.items():
            if before.get(key) != raw:
                self.known.note(Change(name, key, decode_rev(revision_of(raw)), raw))
        return ObservedWrite(
            sent,
            f"_system/{self.name}",
            shape_of_write(operation),
            self.floor,
            moment,
            outcome.status,
            list(outcome.headers),
            outcome.body,
        )

    async def rehearse(self, method: str, target: str, body: object = None, **headers: str) -> Verdict:
        """Carry out a write, and judge it."""
        return await self.judge.judge(self.observe(request(method, target, body, **headers)))

    # ---- what the judge asks for

    async def of(self, collection: str) -> RehearsedRules:
        """Return the collection's rules."""
        if self.rules is not None:
            return self.rules
        shown = orjson.loads(self.run("GET", f"/_api/collection/{self.name}/properties").body)
        indexes = orjson.loads(self.run("GET", f"/_api/index?collection={self.name}").body)["indexes"]
        return rules_of(shown, indexes)

    async def again(self, collection: str) -> RehearsedRules:
        """Return them as they are now."""
        return await self.of(collection)

    async def target(self, collection: str, keys: Sequence[str]) -> dict[str, StoredVersion]:
        """Return what PostgreSQL has."""
        return {key: _version(self.late.get(key, self.stored.get(key)), self.tombstones.get(key, 0)) for key in keys}

    async def settled(self, collection: str) -> bool:
        """Say that PostgreSQL has everything."""
        return True

    async def origin(self, collection: str, keys: Sequence[str]) -> dict[str, StoredVersion]:
        """Return what the development server has."""
        return {key: _version(self.stored.get(key)) for key in keys}


def _version(raw: bytes | None, tombstone: int = 0) -> StoredVersion:
    return StoredVersion(None, tombstone) if raw is None else StoredVersion(raw, decode_rev(revision_of(raw)))


def request(method: str, target: str, body: object = None, **headers: str) -> Operation:
    """Return a request; a body that is not bytes is sent as JSON."""
    text = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return decode_parts(method, target.encode(), pairs, text)


def stage_of(definition: dict[str, object], indexes: Sequence[dict[str, object]] = ()) -> Stage:
    """Create a collection in a development server of its own."""
    memory = MemoryStore(Clock(lambda: _NOW))
    stage = Stage(memory, str(definition["name"]))
    made = stage.run("POST", "/_api/collection", definition)
    assert made.status == 200, made.body
    for index in indexes:
        stage.run("POST", f"/_api/index?collection={stage.name}", index)
    return stage
