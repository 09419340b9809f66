"""Reads what the gates of a completion look at, and judges."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import sql
from backfill.archive import manifest as manifests
from backfill.archive import verify
from backfill.archive.export import Progress
from backfill.archive.manifest import ArchiveManifest
from backfill.archive.storage import ArchiveError
from backfill.completion import sides
from backfill.completion.sides import Compared
from backfill.source import ArangoSource
from proxy.base.arango_client import OriginClient
from proxy.base.database import Database
from proxy.base.errors import ArangoError, ConfigurationError, UpstreamError
from proxy.carryover.completion_gates import read_completion
from proxy.control import gate_inputs, thresholds
from proxy.control.gates.completion_evidence import FinalArchiveFact, PromotedFact, SidesFact
from proxy.control.gates.gate_types import Gate, GatedChange
from proxy.control.gates.gates import evaluate, missing_gates
from proxy.state import missing_writes

RECHECK_SECONDS: Final = 20.0  # for which documents that are different are looked at again


@dataclass(frozen=True, slots=True)
class Judged:
    """The gates of each collection, and what a certificate has of them beside.

    archive: the manifest as its file has it; None without an archive. lost: what PostgreSQL does not get, in words.
    """

    gates: Mapping[str, tuple[Gate, ...]] = field(default_factory=dict)
    archive: Mapping[str, Any] | None = None
    lost: tuple[str, ...] = ()


async def judge(
    database: Database,
    origin: OriginClient,
    source: ArangoSource,
    collections: Sequence[str],
    archive: Path | None,
    progress: Progress,
) -> Judged:
    """Judge collections (`database/name`). It reads every document of both databases, and the whole archive.

    Raise DatabaseError; ArchiveError if the folder is no archive.
    """
    limits = await thresholds.read(database)
    evidence = await read_completion(database, origin, collections)
    manifest = manifests.read(archive) if archive is not None else None
    now = await missing_writes.database_time(database)
    gates: dict[str, tuple[Gate, ...]] = {}
    lost: dict[str, None] = {}
    for collection in collections:
        known = await gate_inputs.read(database, collection)
        if known is None:
            gates[collection] = missing_gates(collection, GatedChange.COMPLETION)
            continue
        completion = replace(
            evidence[collection],
            archive=await _archived(archive, manifest, collection, evidence[collection].promoted, now, progress),
            sides=await _sides(database, source, collection),
        )
        if completion.lost is not None:
            lost |= dict.fromkeys((*completion.lost.things, *filter(None, [completion.lost.trouble])))
        gates[collection] = evaluate(replace(known, completion=completion), limits, GatedChange.COMPLETION)
    shown = None if manifest is None else {"folder": str(archive), **manifests.as_json(manifest)}
    return Judged(gates, shown, tuple(lost))


async def _archived(
    folder: Path | None,
    manifest: ArchiveManifest | None,
    collection: str,
    promoted: PromotedFact | None,
    now: datetime,
    progress: Progress,
) -> FinalArchiveFact | None:
    """Read the archive of a collection whole. None if no archive was named."""
    if folder is None or manifest is None:
        return None
    entry = manifest.entry(collection)
    if entry is None:
        return FinalArchiveFact(str(folder), f"{folder} does not have {collection}")
    try:
        found = await verify.check(folder, entry, progress, asyncio.Event())
    except ArchiveError as error:
        return FinalArchiveFact(str(folder), str(error))
    if not found.right:
        what = "; ".join(map(str, found.damages)) or "its export was interrupted"
        return FinalArchiveFact(str(folder), f"{folder}: {what}")
    began = now - timedelta(seconds=promoted.seconds if promoted is not None else 0.0)
    return FinalArchiveFact(
        str(folder), late=datetime.fromisoformat(entry.started_at) >= began, documents=found.documents
    )


async def _sides(database: Database, source: ArangoSource, collection: str) -> SidesFact:
    row = await database.fetchrow(sql.collections.FIND, collection)
    if row is None:
        return SidesFact(trouble=f"PostgreSQL has no table of {collection}")
    try:
        found = await sides.compare_live(database, row.relation, source, collection, seconds=RECHECK_SECONDS)
    except (ArangoError, UpstreamError, ConfigurationError) as error:
        return SidesFact(trouble=f"ArangoDB cannot be read: {error}")
    return SidesFact(most(found), found.number, named(found))


def most(found: Compared) -> int:
    """Return how many documents the larger side has. Pure."""
    return max(found.postgresql.documents, found.arangodb.documents)


def named(found: Compared) -> tuple[str, ...]:
    """Return the first documents that are different, in words. Pure."""
    return tuple(f"{key}: {what}" for key, what in found.different[: sides.SHOWN])
