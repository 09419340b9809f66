"""Operations and snapshots of the tests of routing."""

from __future__ import annotations

from proxy.model.operations import Operation
from proxy.model.stages import CollectionState, Phase, Snapshot, Stage, Transition
from proxy.routing.route import QueryFacts
from proxy.wire.endpoints import named

OFF, MIRROR, SHADOW = (CollectionState(stage) for stage in (Stage.OFF, Stage.MIRROR, Stage.SHADOW))
FLIPPED = CollectionState(Stage.FLIPPED, 100)


def snapshot(
    phase: Phase = Phase.IDLE, transitions: dict[str, Transition] | None = None, **states: CollectionState
) -> Snapshot:
    return Snapshot(1, 1, phase, {f"shop/{name}": s for name, s in states.items()}, {}, transitions or {})


def read(collection: str = "books", key: str = "k", **headers: str) -> Operation:
    return Operation(named("document.read"), "GET", "shop", collection, key, headers=headers)


def write(collection: str = "books", headers: dict[str, str] | None = None) -> Operation:
    return Operation(named("document.insert"), "POST", "shop", collection, headers=headers or {})


def query(body: bytes = b"q", headers: dict[str, str] | None = None) -> Operation:
    return Operation(named("cursor.create"), "POST", "shop", headers=headers or {}, body=body)


def facts(reads: str = "books", writes: str = "", *, deterministic: bool = True) -> QueryFacts:
    return QueryFacts(frozenset(reads.split()), frozenset(writes.split()), bool(writes), deterministic)
