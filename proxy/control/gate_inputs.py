"""Reads the Evidence of a collection, for the gates to judge: from PostgreSQL, and a look at ArangoDB.

Where a gate looks, nothing is changed, and nothing is believed that is older than the look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson

import sql
from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, UpstreamError
from proxy.control import thresholds
from proxy.control.gates.gate_types import (
    GapFact,
    Gate,
    GateEvidence,
    GateLimits,
    InstanceFact,
    MarkFact,
    OriginFact,
    OutOfBandFact,
    RunFact,
    ShapeFact,
    WatchFact,
)
from proxy.control.gates.gates import evaluate, missing_gates
from proxy.model.histogram import quantile
from proxy.model.revision import decode_rev

_LOOKED_UP: Final = 50  # documents of each collection that a rollback must find
_PAUSE: Final = 0.2  # seconds between two reads of one that seems to be missing


async def judge(database: Database, settings: Settings, collections: Sequence[str]) -> dict[str, tuple[Gate, ...]]:
    """Return the gates of a flip of collections (`database/name`), by what both databases have now.

    Raise DatabaseError.
    """
    limits = await thresholds.read(database)
    async with OriginClient(settings.origin_url, *settings.origin_account) as client:
        found = await read_both(database, client, collections, limits)
    return {
        collection: missing_gates(collection) if evidence is None else evaluate(evidence, limits)
        for collection, evidence in found.items()
    }


async def read_both(
    database: Database, client: OriginClient, collections: Sequence[str], limits: GateLimits
) -> dict[str, GateEvidence | None]:
    """Return what the gates of any change check of each collection, in both databases. Raise DatabaseError."""
    trouble = await _trouble(client)
    found: dict[str, GateEvidence | None] = {}
    for collection in collections:
        evidence = await read(database, collection)
        if evidence is not None:
            fact = OriginFact(trouble) if trouble else await _looked_up(database, client, collection, limits)
            evidence = replace(evidence, origin=fact)
        found[collection] = evidence
    return found


async def read(database: Database, collection: str) -> GateEvidence | None:
    """Return what the gates of `database/name` check in PostgreSQL; None if the control plane does not know it."""
    row = await database.fetchrow(sql.control.EVIDENCE, collection)
    if row is None:
        return None
    instances = await database.fetch(sql.control.INSTANCES)
    shapes = await database.fetch(sql.coverage.SHAPES, [collection])
    watch = await database.fetchrow(sql.out_of_band.WATCH_OF, collection)
    out_of_band_writes = await database.fetch(sql.out_of_band.OUT_OF_BAND_WRITES, collection)
    facts = tuple(map(shape_fact, shapes))
    return GateEvidence(
        collection=collection,
        generation=row.generation,
        instances=tuple(_instance(i) for i in instances if i.stopped_at is None),
        backfill=_run(row.backfill),
        verification=_run(row.verification),
        open_runs=tuple(orjson.loads(row.open_runs)),
        mark=_mark(row.mark),
        last_joined=row.last_joined,
        compared=row.compared,
        mismatched=row.mismatched,
        undecided=row.undecided,
        open_mismatches=row.open_mismatches,
        dead_letters=row.dead_letters,
        unsupported=tuple(fact.text for fact in facts if fact.unsupported and fact.exempt is None),
        gaps=tuple(_gap(gap) for gap in orjson.loads(row.gaps)),
        shapes=facts,
        watch=None if watch is None else WatchFact(watch.mode, watch.since, watch.behind, watch.note),
        out_of_band_writes=tuple(
            OutOfBandFact(one.key, one.removed, one.found_at, one.repaired) for one in out_of_band_writes
        ),
        out_of_band_count=out_of_band_writes[0].number if out_of_band_writes else 0,
    )


def shape_fact(row: sql.coverage.ShapeRow) -> ShapeFact:
    """Return a row of `coverage.shapes` as the gates see it."""
    return ShapeFact(
        row.shape,
        row.text,
        row.seen,
        row.compared,
        row.recent_compared,
        row.recent_undecided,
        row.recent_unsupported,
        min(sum(row.origin_histogram), sum(row.target_histogram)),
        quantile(row.origin_histogram, 0.99),
        quantile(row.target_histogram, 0.99),
        row.exempt_reason,
        orjson.loads(row.reasons),
    )


# ---- the origin


async def _trouble(client: OriginClient) -> str:
    """Return why ArangoDB does not take reads and writes; empty if it does."""
    try:
        await client.version()
        if await client.read_only():
            return "ArangoDB takes no writes: it is in read-only mode"
    except (UpstreamError, ArangoError) as error:
        return f"ArangoDB does not answer: {error}"
    return ""


async def _looked_up(database: Database, client: OriginClient, collection: str, limits: GateLimits) -> OriginFact:
    """Check that ArangoDB has what PostgreSQL wrote last. What seems to be missing is read again: it may be lag."""
    table = await database.fetchrow(sql.out_of_band.RELATION, collection)
    if table is None:
        return OriginFact(f"PostgreSQL does not know {collection}")
    relation = table.relation
    rows = await database.fetch(sql.out_of_band.NEWEST.on(relation), table.place, _LOOKED_UP)
    wanted: Mapping[str, int] = {row.key: row.rev for row in rows}
    left = wanted
    until = asyncio.get_running_loop().time() + limits.lag_seconds
    while left:
        name, _, rest = collection.partition("/")
        try:
            there = await client.revisions(name, rest, list(left))
        except (UpstreamError, ArangoError) as error:
            return OriginFact(f"ArangoDB does not show documents of {collection}: {error}")
        left = {key: rev for key, rev in left.items() if key not in there or decode_rev(there[key]) < rev}
        if not left or asyncio.get_running_loop().time() > until:
            break
        await asyncio.sleep(_PAUSE)
        now = await database.fetch(sql.documents.REVISIONS.on(relation), list(left))
        left = {row.key: row.rev for row in now if row.alive}
    return OriginFact("", len(wanted), tuple(sorted(left)))


# ---- rows


def _instance(row: sql.control.InstanceRow) -> InstanceFact:
    return InstanceFact(
        row.instance,
        row.lease_left,
        row.heartbeat_age,
        row.generation,
        row.diverged,
        row.backlog,
        row.lag_seconds,
    )


def _run(text: str | None) -> RunFact | None:
    if text is None:
        return None
    value = orjson.loads(text)
    return RunFact(value["id"], _time(value["started_at"]), value["unverified_before"], value["result"])


def _mark(text: str | None) -> MarkFact | None:
    if text is None:
        return None
    value = orjson.loads(text)
    return MarkFact(value["id"], value["reason"], value["instance"])


def _gap(value: dict[str, Any]) -> GapFact:
    return GapFact(value["endpoint"], value["reason"], value["seen"], _time(value["last_seen"]))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
