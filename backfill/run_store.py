"""Runs and chunks in PostgreSQL: how work is started, assigned, checkpointed and ended (DESIGN section 10).

A claim is a lease in PostgreSQL's time: its worker renews it with every checkpoint, in the transaction of the page. The
checkpoint of a worker that lost its claim fails, and with it the transaction, so that no page counts twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import sql
from backfill.key_ranges import KeyRange
from backfill.run_summary import RunSummary, WorkerProgress
from proxy.base.database import Database, Session
from proxy.base.errors import CrossfadeError, PreconditionFailed

Kind = Literal["backfill", "verify", "check"]
LEASE = 15.0  # seconds; a page takes far less than one


class LeaseLost(CrossfadeError):
    """Another worker has this chunk now: what this one did since its last checkpoint is rolled back."""


class RangeCut(CrossfadeError):
    """The end of this worker's chunk was given to another worker: the page is rolled back, and read up to `upper`."""

    def __init__(self, upper: str | None) -> None:
        super().__init__(f"the chunk ends at {upper!r} now")
        self.upper = upper


@dataclass(frozen=True, slots=True)
class CollectionTable:
    """The table of one collection. relation: quoted, for `Statement.on`."""

    collection: str
    database: str
    name: str
    relation: str
    stage: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that this worker holds. position: the last key done, None before the first; shard: to dump."""

    run: int
    number: int
    worker: str
    kind: Kind
    mode: str
    repair: bool
    table: CollectionTable
    range: KeyRange
    position: str | None
    result: Mapping[str, Any]
    shard: str | None = None

    @property
    def start(self) -> str:
        """The key to continue after; "" is before every key."""
        return self.position if self.position is not None else self.range.lower or ""

    def up_to(self, upper: str | None) -> Claim:
        """Return the claim with another end."""
        return replace(self, range=KeyRange(self.range.lower, upper))


async def table(database: Database, collection: str) -> CollectionTable:
    """Return the table of a mirrored collection.

    Raise PreconditionFailed if it is unknown, at stage `off`, or promoted. What is written before every proxy captures
    would be lost (mirror-protocol, answer 11); of a promoted collection ArangoDB's copy is the older one.
    """
    row = await database.fetchrow(sql.collections.FIND, collection)
    if row is None or row.stage == "off":
        what = "is not known yet" if row is None else "is at stage off"
        raise PreconditionFailed(
            f"{collection} {what}: run `crossfade mirror {collection}` first, since writes that no proxy captures "
            "would be missed"
        )
    if row.stage in ("promoted", "complete"):
        raise PreconditionFailed(f"PostgreSQL takes the writes of {collection}: there is nothing to copy from ArangoDB")
    faults = await database.fetch(sql.backfill.WRONG_MAPPING, collection, row.relation)
    if faults:
        reasons = "; ".join(faults)
        raise PreconditionFailed(f"{row.relation} cannot hold the documents of {collection}: {reasons}")
    return _table(row)


async def begin(
    database: Database,
    collection: str,
    kind: Kind,
    mode: str,
    *,
    chunks: Sequence[KeyRange],
    known: Mapping[str, Any],
    shards: Sequence[str] | None = None,
) -> int:
    """Start a run with its chunks. Return its number. known: for its result (`planned`, `repair`).

    shards: the chunks are dumps of these, one each, and no ranges.
    """
    if shards is not None:
        chunks = [KeyRange() for _ in shards]
    expected = known.get("planned", 0) // max(1, len(chunks))
    lowers, uppers = [c.lower for c in chunks], [c.upper for c in chunks]
    async with database.transaction() as session:
        await session.execute(sql.backfill.FENCE_MARKS)
        run = await session.fetchval(sql.backfill.BEGIN_RUN, collection, kind, mode, json.dumps(known))
        await session.execute(sql.backfill.ADD_CHUNKS, run, lowers, uppers, shards or [None] * len(chunks), expected)
    return run


async def open_run(
    database: Database, collection: str, kind: Kind, modes: Sequence[str], *, repair: bool, part: str = ""
) -> int | None:
    """Return an unfinished run of the same work, which is continued instead of a new one.

    A verification that is older than the newest backfill, or than the newest proxy, is cancelled instead: no gate
    would take it.
    """
    if kind == "verify":
        await database.execute(
            sql.backfill.SUPERSEDE, collection, json.dumps({"error": "superseded: started too early"})
        )
    return await database.fetchrow(sql.backfill.OPEN_RUN, collection, kind, list(modes), repair, part)


async def open_runs(database: Database) -> list[int]:
    """Return every run that has not ended."""
    return await database.fetch(sql.backfill.OPEN_RUNS)


async def claim(
    database: Database, worker: str, runs: Sequence[int] | None, lease: float = LEASE, holder: int | None = None
) -> Claim | None:
    """Claim a free chunk of these runs (None: of any open one). Return None if there is none.

    holder: of `LivenessLock`.
    """
    row = await database.fetchrow(sql.backfill.CLAIM, worker, lease, None if runs is None else list(runs), holder)
    if row is None:
        return None
    return Claim(
        run=row.run,
        number=row.number,
        worker=worker,
        kind=cast(Kind, row.kind),
        mode=row.mode,
        repair=row.repair,
        table=_table(row),
        range=KeyRange(row.lower, row.upper),
        position=row.position,
        result=json.loads(row.result),
        shard=row.shard,
    )


async def checkpoint(
    session: Session,
    claim: Claim,
    position: str | None,
    *,
    documents: int = 0,
    size: int = 0,
    result: Mapping[str, Any],
    lease: float = LEASE,
) -> None:
    """Store progress in the caller's transaction. Raise LeaseLost or RangeCut, which must roll it back."""
    me = (claim.run, claim.number, claim.worker)
    noted = await session.fetchrow(
        sql.backfill.CHECKPOINT, *me, position, documents, size, lease, json.dumps(result), claim.range.upper
    )
    if noted is None:
        held = await session.fetch(sql.backfill.HELD_RANGE, *me)
        if held:
            raise RangeCut(held[0])
        raise LeaseLost(f"chunk {claim.number} of run {claim.run} went to another worker, or the run has ended")


async def renew(database: Database, claim: Claim, lease: float = LEASE, waiting: str | None = None) -> None:
    """Keep the claim through a wait. waiting: for what. Raise LeaseLost."""
    if await database.fetchrow(sql.backfill.RENEW, claim.run, claim.number, claim.worker, lease, waiting) is None:
        raise LeaseLost(f"chunk {claim.number} of run {claim.run} went to another worker, or the run has ended")


async def leave(database: Database, claim: Claim, state: Literal["open", "done", "failed"], error: str = "") -> None:
    """Return the chunk (error: why), or note that it is done. Do nothing if the lease was lost."""
    await database.execute(sql.backfill.LEAVE_CHUNK, claim.run, claim.number, claim.worker, state, error or None)


async def end(
    database: Database, run: int, state: Literal["done", "failed", "cancelled"], result: Mapping[str, Any]
) -> None:
    """End an open run; one that has ended stays as it is."""
    kept = {name: value for name, value in result.items() if name != "waits"}
    await database.execute(sql.backfill.END_RUN, run, state, json.dumps(kept))


async def note_wait(database: Database, run: int, reason: str | None) -> None:
    """Store what the run waits for, apart from its workers (None: nothing)."""
    await database.execute(sql.backfill.NOTE_WAIT, run, reason)


async def statuses(database: Database, runs: Sequence[int]) -> list[RunSummary]:
    """Return the progress of these runs, in the order of their numbers."""
    rows = await database.fetch(sql.backfill.STATES, list(runs))
    return [_status(row) for row in rows]


async def latest(database: Database, collections: Sequence[str] | None) -> list[RunSummary]:
    """Return the newest run of each kind of these collections (None: all)."""
    rows = await database.fetch(sql.backfill.LATEST, None if collections is None else list(collections))
    return await statuses(database, rows)


def _table(row: sql.collections.CollectionRow | sql.backfill.ClaimRow) -> CollectionTable:
    return CollectionTable(row.collection, row.database, row.name, row.relation, row.stage)


def _status(row: sql.backfill.RunProgressRow) -> RunSummary:
    result = json.loads(row.result)
    return RunSummary(
        run=row.id,
        collection=row.collection,
        kind=row.kind,
        mode=row.mode,
        state=row.state,
        documents=row.documents,
        bytes=row.bytes,
        chunks=row.chunks,
        done=row.done,
        claimed=row.claimed,
        seconds=row.seconds,
        planned=result.get("planned", 0),
        result=result,
        waiting=tuple(json.loads(row.waiting)),
        reasons=(*json.loads(row.handed_back), *([result["waits"]] if "waits" in result else [])),
        workers=tuple(
            WorkerProgress(one["worker"], one["chunk"], one["documents"], one["expected"], one["waiting"])
            for one in json.loads(row.workers)
        ),
    )
