"""Copies a collection by ArangoDB's parallel dump (`/_api/dump`, since 3.12): one snapshot, in no order of keys.

It saves ArangoDB the sorting and this process the parsing of cursors, but it is undocumented and cannot be continued: a
killed worker costs the complete collection, not a page. So it is used only on request (`--dump`).

The stamp of every batch is the era known before the snapshot was taken. What the stamp floor refuses is repaired by
key.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Final

import sql
from backfill import run_store
from backfill.checksum import fingerprinted
from backfill.copy import Copied, dead_letters_of, was_cancelled
from backfill.governor import Governor
from backfill.key_repair import repair_keys
from backfill.origin_pages import Document
from backfill.run_store import Claim, LeaseLost
from backfill.source import ArangoSource
from proxy.base.database import Database
from proxy.base.errors import ArangoError, DatabaseUnavailable, StatementError
from proxy.replication.bisection import ENOUGH
from proxy.replication.target_writer import TargetWriter

BATCH_BYTES: Final = 4 << 20
_TRIES: Final = 2 * ENOUGH


async def copy_dump(
    database: Database,
    source: ArangoSource,
    claim: Claim,
    *,
    stop: asyncio.Event,
    governor: Governor | None = None,
    lease: float = run_store.LEASE,
) -> Copied:
    """Copy the claim's shard completely, or until `stop` is set; what was done counts only if it is finished.

    Raise as `copy_chunk`.
    """
    assert claim.shard is not None
    governor = governor or Governor(database, source)
    target = TargetWriter(database, "backfill")
    me = (claim.run, claim.number, claim.worker)
    claim = replace(claim, result={k: v for k, v in claim.result.items() if k != "fingerprint"})
    if await database.fetchrow(sql.backfill.START_OVER, *me, json.dumps(dict(claim.result))) is None:
        raise LeaseLost(f"chunk {claim.number} of run {claim.run} went to another worker")
    meter = governor.meter()
    await governor.pause_if_limited(claim, meter, 0, stop=stop, lease=lease)
    era = await database.fetchval(sql.backfill.ERA)
    documents = size = refused = reread = 0
    async with contextlib.aclosing(_batches(source, claim, BATCH_BYTES)) as batches:
        async for batch in batches:
            claim = replace(claim, result=fingerprinted(claim.result, (one.raw for one in batch)))
            stale, aside = await _write(database, target, claim, batch, era, lease)
            refused += aside
            reread += len(stale)
            if stale:
                await repair_keys(database, source, claim.table.collection, stale)
            documents += len(batch)
            size += sum(len(one.raw) for one in batch)
            if stop.is_set():
                return Copied(done=False, documents=documents, bytes=size, refused=refused, reread=reread)
            await governor.pause_if_limited(claim, meter, len(batch), stop=stop, lease=lease, key=batch[-1].key)
            if stop.is_set():
                return Copied(done=False, documents=documents, bytes=size, refused=refused, reread=reread)
    return Copied(done=True, documents=documents, bytes=size, refused=refused, reread=reread)


async def _batches(source: ArangoSource, claim: Claim, size: int) -> AsyncGenerator[tuple[Document, ...], None]:
    """Yield batches. The next one is read while the one before is written."""
    assert claim.shard is not None
    base = claim.table.database
    dump = await source.begin_dump(base, claim.shard, size)
    if dump is None:
        raise ArangoError(404, "ArangoDB does not give dumps any more: begin again without --dump", status=404)
    number = 1
    ahead = asyncio.create_task(source.next_of_dump(base, dump, number))
    try:
        while (batch := await ahead) is not None:
            number += 1
            ahead = asyncio.create_task(source.next_of_dump(base, dump, number))
            if batch:
                yield batch
    finally:
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)
        await source.end_dump(base, dump)


async def _write(
    database: Database, target: TargetWriter, claim: Claim, batch: tuple[Document, ...], era: int, lease: float
) -> tuple[list[str], int]:
    """Return the keys that must be read again, and the number of dead letters."""
    tries = gone = 0
    while True:
        try:
            prepared = await target.prepare(claim.table.collection, [one.stamped(era) for one in batch])
            async with database.transaction() as session:
                written = await target.write_in(session, prepared)
                await run_store.checkpoint(
                    session,
                    claim,
                    None,
                    documents=len(batch),
                    size=sum(len(one.raw) for one in batch),
                    result=claim.result,
                    lease=lease,
                )
            return sorted(written.reread), len(written.dead) + gone
        except DatabaseUnavailable as error:
            if not was_cancelled(error) or len(batch) == 1:
                tries += 1
                if not error.of_statement or tries >= _TRIES:
                    raise
                if tries == ENOUGH:
                    batch, dead = await _without_dead(target, claim, batch, era)
                    gone += dead
                continue
            half = len(batch) // 2
            stale, aside = await _write(database, target, claim, batch[:half], era, lease)
            others, more = await _write(database, target, claim, batch[half:], era, lease)
            return sorted({*stale, *others}), aside + more + gone
        except StatementError as error:
            tries += 1
            if not error.of_statement or tries == _TRIES:
                raise
            if tries == ENOUGH:
                batch, dead = await _without_dead(target, claim, batch, era)
                gone += dead


async def _without_dead(
    target: TargetWriter, claim: Claim, batch: tuple[Document, ...], era: int
) -> tuple[tuple[Document, ...], int]:
    """Write the documents apart. Return those that PostgreSQL takes, and the number of the others."""
    dead = await dead_letters_of(target, claim.table, batch, era)
    return tuple(one for one in batch if one.key not in dead), len(dead)
