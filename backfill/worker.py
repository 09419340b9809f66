"""Workers: claim chunks, carry them out, end runs. Any number of them, on any machine; PostgreSQL assigns chunks.

A worker that is stopped finishes its page and returns its chunk; one that is killed loses a page, and its chunk is
claimed by another as soon as its connection is gone, at the latest when the lease has expired. A worker that finds no
free chunk cuts one that another works on. The worker that finds all chunks of a run done ends the run: of a backfill it
first builds the index that filters use (present during the load, it would halve its rate) and analyses the table. What
stops a worker is noted with its chunk, or with the run, so that a run that does not progress shows what it waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import structlog

import sql
from backfill import checksum, run_store
from backfill.chunk_split import SPLIT_DOCUMENTS, split_largest
from backfill.copy import copy_chunk
from backfill.dump import copy_dump
from backfill.governor import Governor
from backfill.liveness_lock import LivenessLock
from backfill.origin_pages import OriginDisorder
from backfill.recheck import TIMEOUT
from backfill.run_planner import plan_due
from backfill.run_store import Claim, LeaseLost
from backfill.run_summary import VerificationTally
from backfill.source import GONE, ArangoSource
from backfill.throttle import ThrottleLimits
from backfill.verify import Verifier
from proxy.base.database import Database, Session
from proxy.base.errors import (
    ArangoError,
    CrossfadeError,
    DatabaseError,
    DatabaseUnavailable,
    StatementError,
    UpstreamError,
    error_label,
)
from proxy.operator.mismatches import list_mismatches, mark_repaired

log = structlog.get_logger(__name__)

SPLIT_PAUSE: Final = 1.0  # seconds between two looks for something to cut
BY_REVISION: Final = frozenset({"missing", "extra", "stale"})
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of workers, in seconds: poll and idle: pauses; outage: of PostgreSQL, until they give up.

    limits: of each worker, in addition to _crossfade.throttle. split: documents that either part of a cut has.
    """

    workers: int = 2
    limits: ThrottleLimits = field(default_factory=ThrottleLimits)
    lease: float = run_store.LEASE
    split: int = SPLIT_DOCUMENTS
    poll: float = 0.2
    idle: float = 1.0
    recheck_timeout: float = TIMEOUT
    outage: float = 60.0


async def _build_indexes(session: Session, row: sql.backfill.RunRow) -> None:
    """Build the indexes, after the load and without blocking writes: present during it, they would halve its rate."""
    wanted = await session.fetch(sql.indexes.CONTAINMENT_STATEMENT, row.collection)
    if json.loads(row.result).get("full_text"):
        wanted += await session.fetch(sql.indexes.FULL_TEXT_STATEMENT, row.collection)
    for broken in await session.fetch(sql.indexes.BROKEN_INDEXES, row.collection, row.relation):
        await session.execute(sql.indexes.DROP.fill(index=broken))
    for statement in wanted:
        await session.execute(sql.indexes.CARRY_OUT.fill(statement=statement))


class Workers:
    """Some workers in this process. `work()` returns when the runs have ended, or when `stop` is set.

    Of `maintenance` no statement is limited in time: an index may take hours.
    """

    def __init__(
        self,
        database: Database,
        maintenance: Database,
        source: ArangoSource,
        options: WorkerOptions,
        stop: asyncio.Event,
    ) -> None:
        self._database = database
        self._maintenance = maintenance
        self._source = source
        self._options = options
        self._stop = stop
        self._liveness_lock = LivenessLock(database)
        self._governor = Governor(database, source, options.limits)
        self._split_at = 0.0

    async def work(self, chosen: Sequence[int] | None, *, watch: bool = False) -> None:
        """Work on these runs (None: on every open one) until none is open; with `watch`, until stopped.

        Raise UpstreamError or DatabaseError if a database stays away; the chunk is returned, or its lease expires.
        What concerns one run alone (its collection is gone) ends that run as failed.
        """
        # the first that fails ends the others, after their page
        failed: list[CrossfadeError] = []

        async def one() -> None:
            try:
                await self._one(chosen, watch=watch)
            except CrossfadeError as error:
                failed.append(error)
                self._stop.set()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._options.workers):
                    group.create_task(one())
        finally:
            await self._liveness_lock.close()
        if failed:
            raise failed[0]

    async def _one(self, chosen: Sequence[int] | None, *, watch: bool) -> None:
        name = f"{socket.gethostname()}:{os.getpid()}:{next(_numbers)}:{secrets.token_hex(4)}"
        verifier = Verifier(
            self._database,
            self._source,
            governor=self._governor,
            recheck_timeout=self._options.recheck_timeout,
            lease=self._options.lease,
        )
        away = 0.0
        while not self._stop.is_set():
            try:
                busy = await self._step(name, verifier, chosen, watch=watch)
            except (DatabaseUnavailable, UpstreamError) as error:
                # in watch mode a database may stay away for any time
                if isinstance(error, UpstreamError) and not watch:
                    raise
                if away > self._options.outage and not watch:
                    raise
                away += 1.0
                await self._pause(1.0)
                continue
            if busy is None:
                return
            if busy:
                away = 0.0
            else:
                await self._pause(self._options.poll if not watch else max(self._options.poll, self._options.idle))

    async def _step(self, name: str, verifier: Verifier, chosen: Sequence[int] | None, *, watch: bool) -> bool | None:
        """Return True if something was done, False if there is nothing to do now, None if the work has ended."""
        holder = await self._liveness_lock.holder()
        claim = await run_store.claim(self._database, name, chosen, self._options.lease, holder)
        if claim is not None:
            await self._carry_out(claim, verifier)
            return True
        for run in await self._database.fetch(sql.backfill.FINISHABLE, None if chosen is None else list(chosen)):
            if await self._finish(run):
                return True
        if await self._split(chosen):
            return True
        if watch:
            return bool(await plan_due(self._database, self._source))
        waiting = chosen if chosen is not None else await run_store.open_runs(self._database)
        statuses = await run_store.statuses(self._database, waiting)
        return False if any(status.state == "open" for status in statuses) else None

    async def _split(self, chosen: Sequence[int] | None) -> bool:
        """Cut a chunk that another worker works on, if much of it is left.

        Return True if there is a new one to claim.
        """
        now = time.monotonic()
        if now < self._split_at:
            return False
        self._split_at = now + SPLIT_PAUSE
        return await split_largest(self._database, self._source, chosen, self._options.split)

    async def _carry_out(self, claim: Claim, verifier: Verifier) -> None:
        if claim.table.stage == "off":
            await self._fail(claim, f"{claim.table.collection} left the mirror", "cancelled")
            return
        try:
            if claim.kind == "backfill":
                copy = copy_chunk if claim.shard is None else copy_dump
                copied = await copy(
                    self._database,
                    self._source,
                    claim,
                    stop=self._stop,
                    governor=self._governor,
                    lease=self._options.lease,
                )
                done = copied.done
            else:
                done = (await verifier.verify_chunk(claim, self._stop)).done
            await run_store.leave(self._database, claim, "done" if done else "open")
        except LeaseLost:
            return
        except (OriginDisorder, StatementError) as error:
            await self._fail(claim, str(error))
        except ArangoError as error:
            gone = f"ArangoDB has no collection {claim.table.collection} any more"
            await self._fail(claim, gone if error.number == GONE else f"ArangoDB refused to be read: {error}")
        except (CrossfadeError, asyncio.CancelledError) as error:
            why = "" if isinstance(error, asyncio.CancelledError) else f"chunk {claim.number}, tried again: {error}"
            with contextlib.suppress(DatabaseError):
                await run_store.leave(self._database, claim, "open", why)
            raise

    async def _fail(self, claim: Claim, error: str, state: Literal["failed", "cancelled"] = "failed") -> None:
        await run_store.leave(self._database, claim, "failed", error)
        row = await self._database.fetchrow(sql.backfill.RUN, claim.run)
        known = json.loads(row.result) if row is not None else {}
        await run_store.end(self._database, claim.run, state, {**known, "error": error})

    async def _finish(self, run: int) -> bool:
        """End a run whose chunks are done. Return False if another worker does, or if it has ended."""
        async with self._maintenance.session() as session:
            if not await session.fetchval(sql.backfill.LOCK_RUN, run):
                return False
            try:
                row = await session.fetchrow(sql.backfill.RUN, run)
                if row is None or row.state != "open":
                    return False
                if row.left_mirror:
                    error = f"{row.collection} left the mirror while the run went on: writes may have been missed"
                    await run_store.end(self._database, run, "cancelled", {**json.loads(row.result), "error": error})
                    return True
                if row.kind == "backfill":
                    await self._index(session, row)
                    await run_store.end(self._database, run, "done", await self._copied(row))
                else:
                    await self._end_verification(row)
                return True
            finally:
                with contextlib.suppress(DatabaseError):
                    await session.fetchval(sql.backfill.UNLOCK_RUN, run)

    async def _index(self, session: Session, row: sql.backfill.RunRow) -> None:
        """Build indexes and analyse.

        Raise DatabaseError; until a later attempt succeeds, the run shows what it waits for.
        """
        step = "for its index"
        await run_store.note_wait(self._database, row.id, step)
        try:
            await _build_indexes(session, row)
            step = "for its statistics"
            await session.execute(sql.indexes.ANALYZE.on(row.relation))
        except DatabaseError as error:
            log.warning("run_not_completed", collection=row.collection, step=step, error=error_label(error))
            with contextlib.suppress(DatabaseError):
                await run_store.note_wait(self._database, row.id, f"{step}, tried again: {error}")
            raise

    async def _copied(self, row: sql.backfill.RunRow) -> dict[str, Any]:
        chunks = await self._database.fetch(sql.backfill.CHUNKS, row.id)
        return {
            **json.loads(row.result),
            "documents": sum(chunk.documents for chunk in chunks),
            "bytes": sum(chunk.bytes for chunk in chunks),
            "fingerprint": checksum.add(
                json.loads(chunk.result).get("fingerprint", checksum.EMPTY) for chunk in chunks
            ),
            "dead_letters": await self._database.fetchval(sql.missing_writes.COUNT_DEAD_LETTERS, row.collection),
            "documents_origin": await self._source.count(row.database, row.name),
        }

    async def _end_verification(self, row: sql.backfill.RunRow) -> None:
        chunks = await self._database.fetch(sql.backfill.CHUNKS, row.id)
        tally = sum((VerificationTally.from_json(json.loads(chunk.result)) for chunk in chunks), VerificationTally())
        known = json.loads(row.result)
        now = await self._source.count(row.database, row.name)
        result = {**known, **tally.result(), "counted": now}
        short = min(known.get("planned", 0), now) - tally.origin
        if row.kind == "verify" and short > max(10, now // 100):
            # not proof of a fault under heavy deletion and insertion, but the collection is not verified either (I9)
            error = f"{row.collection}: pages showed {tally.origin} documents, and ArangoDB counts {now}: verify again"
            await run_store.end(self._database, row.id, "failed", {**result, "error": error})
        else:
            await run_store.end(self._database, row.id, "done", result)
            if tally.repaired and not tally.remaining:
                await self._mismatches_repaired(row)

    async def _mismatches_repaired(self, row: sql.backfill.RunRow) -> None:
        # this repairs what the shadow found too; `fast` has compared revisions only, not content
        found = await list_mismatches(self._database, row.collection, "open")
        if found and (row.mode == "full" or all(mismatch.kind in BY_REVISION for mismatch in found)):
            await mark_repaired(self._database, collection=row.collection)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
