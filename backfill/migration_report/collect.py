"""Reads the facts of a report: the state in PostgreSQL, and checksums by reading both sides."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sql
from backfill import checksum
from backfill.key_ranges import FIRST_PAGE, next_limit
from backfill.migration_report.facts import (
    AuditEntry,
    AuditFacts,
    CollectionFacts,
    CopyFacts,
    EpochFacts,
    Facts,
    InstanceFacts,
    LeftOut,
    MismatchFacts,
    Orphans,
    RunFacts,
)
from backfill.migration_report.settings import settings_facts, versions
from backfill.source import ArangoSource
from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import (
    ArangoError,
    ConfigurationError,
    CrossfadeError,
    DatabaseError,
    PreconditionFailed,
    UpstreamError,
)
from proxy.operator import status
from proxy.state import audit

RUNS: Final = 10  # of each collection, newest first
ROWS: Final = 50  # of mismatches, epochs, audit
DEAD_LETTERS: Final = 20
_CLASSES: Final = ("missing", "extra", "stale", "different", "undecided")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The sources of the facts. database: connections without a statement timeout."""

    settings: Settings
    database: Database
    source: ArangoSource


async def gather(
    inputs: Inputs,
    collections: Sequence[str] | None,
    *,
    checksums: bool,
    progress: Progress,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Facts:
    """Read the facts of these collections (None: of all). checksums: read both sides completely.

    progress: called with a line of text for each step. Raise PreconditionFailed for an unknown collection,
    DatabaseError. An ArangoDB that does not answer raises nothing: the report states it.
    """
    began = time.monotonic()
    at = _time(now())
    rows = await inputs.database.fetch(sql.report.COLLECTIONS, None if collections is None else list(collections))
    unknown = set(collections or ()) - {row.collection for row in rows}
    if unknown:
        raise PreconditionFailed(f"{', '.join(sorted(unknown))}: not known; see `crossfade status`")
    users = await inputs.database.fetchrow(sql.report.USERS)
    found = []
    for row in rows:
        progress(f"reading {row.collection}")
        found.append(await _collection(inputs, row, users, checksums=checksums))
    return Facts(
        at=at,
        seconds=round(time.monotonic() - began, 3),
        checksums=checksums,
        collections=tuple(found),
        epochs=await _epochs(inputs.database),
        audit=await _audit(inputs.database),
        instances=await _instances(inputs.database),
        settings=settings_facts(inputs.settings),
        versions=versions(await inputs.database.fetchval(sql.server.VERSION_NAME), await _arangodb(inputs.settings)),
    )


async def _collection(
    inputs: Inputs, row: sql.report.CollectionRow, users: str | None, *, checksums: bool
) -> CollectionFacts:
    database, collection = inputs.database, row.collection
    target, tombstones, disk = await _target(database, row.relation, checksums=checksums)
    runs = await database.fetch(sql.report.RUNS, collection, RUNS)
    states = await database.fetch(sql.report.MISMATCH_COUNTS, collection)
    return CollectionFacts(
        collection=collection,
        relation=row.relation,
        edge=row.edge,
        stage=row.stage,
        weight=row.weight,
        stage_since=_time(row.stage_since),
        origin=await _origin(inputs.source, collection, checksums=checksums),
        target=target,
        tombstones=tombstones,
        disk=disk,
        compared=row.compared,
        mismatched=row.mismatched,
        shapes=row.shapes,
        shapes_compared=row.shapes_compared,
        runs=tuple(map(run_facts, runs)),
        more_runs=max(0, await database.fetchval(sql.report.RUN_COUNT, collection) - RUNS),
        mismatches=tuple(map(_mismatch, await database.fetch(sql.report.MISMATCHES, collection, ROWS))),
        mismatch_states={state.state: state.found for state in states},
        left_out=await _left_out(database, row),
        orphans=await _orphans(database, row.relation, users) if users else None,
    )


async def _target(database: Database, relation: str, *, checksums: bool) -> tuple[CopyFacts, int | None, int | None]:
    try:
        counts = await database.fetchval(sql.report.COUNTS.on(relation))
        side = CopyFacts(documents=counts.documents)
        if checksums:
            row = await database.fetchval(sql.archive.DIGEST.on(relation))
            words = [int(word) for word in row[2:]]  # w1 to w8
            side = CopyFacts(documents=row.documents, bytes=row.bytes, checksum=checksum.of_words(words))
        return side, counts.tombstones, counts.disk
    except DatabaseError as error:
        return CopyFacts(error=str(error)), None, None


async def _origin(source: ArangoSource, collection: str, *, checksums: bool) -> CopyFacts:
    database, _, name = collection.partition("/")
    try:
        if not checksums:
            return CopyFacts(documents=await source.count(database, name))
        documents, size, total, after, limit = 0, 0, 0, "", FIRST_PAGE
        while True:
            page = await source.page(database, name, after, None, limit)
            raws = [document.raw for document in page.documents]
            total += await asyncio.to_thread(_sum, raws)
            documents, size = documents + len(raws), size + page.bytes
            if page.last:
                return CopyFacts(documents, size, checksum.text(total))
            after, limit = page.documents[-1].key, next_limit(page.limit, len(raws), page.bytes)
    except (ArangoError, UpstreamError, ConfigurationError) as error:
        return CopyFacts(error=error.message if isinstance(error, ArangoError) else str(error))


def _sum(raws: Sequence[bytes]) -> int:
    return sum(int.from_bytes(hashlib.sha256(raw).digest()) for raw in raws)


def run_facts(row: sql.report.RunRow) -> RunFacts:
    """Return a row of `runs` as facts. Pure."""
    result = json.loads(row.result)
    verified = row.kind != "backfill"
    return RunFacts(
        id=row.id,
        kind=row.kind,
        mode=row.mode,
        state=row.state,
        started_at=_time(row.started_at),
        finished_at=_time(row.finished_at) if row.finished_at else None,
        seconds=round(row.seconds, 3),
        documents=row.documents,
        bytes=row.bytes,
        chunks=row.chunks,
        chunks_done=row.done,
        checked=result.get("checked") if verified else None,
        found={kind: result[kind] for kind in _CLASSES if verified and result.get(kind)},
        repaired=result.get("repaired") or 0,
        left=result.get("differences") if verified else None,
        error=result.get("error"),
    )


def _mismatch(row: sql.report.MismatchRow) -> MismatchFacts:
    return MismatchFacts(
        row.id,
        row.kind,
        tuple(row.paths),
        row.state,
        row.seen,
        row.keys,
        _time(row.first_seen),
        _time(row.last_seen),
    )


async def _left_out(database: Database, row: sql.report.CollectionRow) -> tuple[LeftOut, ...]:
    collection, base = row.collection, row.database
    found = []
    letters = await database.fetchval(sql.missing_writes.COUNT_DEAD_LETTERS, collection)
    few = await database.fetch(sql.report.DEAD_LETTERS, collection, DEAD_LETTERS)
    found += [LeftOut("dead letter", one.key, 1, one.reason) for one in few]
    if letters > len(few):
        found.append(LeftOut("dead letter", "further keys", letters - len(few), "PostgreSQL cannot hold them"))
    for one in await database.fetch(sql.report.UNVERIFIED, collection, base):
        found.append(
            LeftOut("unverified", one.reason, one.seen, "the copy may have missed a write since the last verification")
        )
    for gap in await database.fetch(sql.report.UNCOVERED, collection, base):
        where = "" if gap.collection == collection else " (somewhere in the database)"
        found.append(LeftOut("gap", gap.endpoint + where, gap.seen, gap.reason))
    for kind, number, why in (
        ("undecided", row.undecided, "comparisons whose documents kept changing"),
        ("unsupported", row.unsupported, "comparisons that PostgreSQL could not answer"),
    ):
        if number:
            found.append(LeftOut(kind, "reads", number, why))
    return tuple(found)


async def _orphans(database: Database, relation: str, users: str) -> Orphans | None:
    try:
        row = await database.fetchval(sql.report.ORPHANS.on(relation).fill(users=users))
    except DatabaseError:
        return None  # the table does not exist, which the error of its side states
    if not row.with_user:
        return None
    return Orphans(users, row.with_user, row.documents, row.users, tuple(row.ids or ()))


async def _epochs(database: Database) -> tuple[EpochFacts, ...]:
    return tuple(
        EpochFacts(
            row.epoch,
            _time(row.opened_at),
            _time(row.closed_at) if row.closed_at else None,
            row.outcome,
            row.actor,
            row.reason,
            tuple(move_text(move) for move in json.loads(row.moves)),
        )
        for row in await database.fetch(sql.report.EPOCHS, ROWS)
    )


def move_text(move: Any) -> str:
    """Return `shop/carts: shadow -> flipped 10 %`."""

    def stage(value: Any) -> str:
        return f"{value['stage']} {value['weight']} %" if value["stage"] == "flipped" else str(value["stage"])

    return f"{move['collection']}: {stage(move['before'])} -> {stage(move['after'])}"


async def _audit(database: Database) -> AuditFacts:
    walked = await audit.verify(database)
    newest = tuple(
        AuditEntry(entry.id, _time(entry.at), entry.actor, entry.action, entry.reason)
        for entry in await audit.entries(database, limit=ROWS)
    )
    return AuditFacts(walked.rows, walked.head.hex(), walked.broken, walked.why, newest)


async def _instances(database: Database) -> tuple[InstanceFacts, ...]:
    return tuple(
        InstanceFacts(
            one.instance,
            one.state,
            one.host,
            one.version,
            _time(one.joined_at),
            one.backlog,
            round(one.lag_seconds, 3),
        )
        for one in sorted(await status.instances(database), key=lambda one: one.instance)
    )


async def _arangodb(settings: Settings) -> str | None:
    try:
        async with OriginClient(settings.origin_url, *settings.origin_account) as client:
            return (await client.version()).version
    except CrossfadeError:
        return None


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
