"""Splits a chunk that a worker is processing, to give an idle worker work: chunks are planned from estimates.

The split is one statement in PostgreSQL: the chunk now ends at a key that its worker has not reached, and a new chunk
starts there. The worker notices at its next checkpoint, whose transaction it rolls back (`RangeCut`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sql
from backfill.key_sampling import find_cut
from backfill.source import ArangoSource
from proxy.base.database import Database
from proxy.base.errors import ArangoError

SPLIT_DOCUMENTS: Final = 5_000


async def split_largest(database: Database, source: ArangoSource, chosen: Sequence[int] | None, least: int) -> bool:
    """Split one chunk of these runs (None: of any run) so that both parts have at least `least` documents left.

    Return False if there is no such chunk. Raise UpstreamError, DatabaseError.
    """
    for row in await database.fetch(sql.backfill.DIVISIBLE, None if chosen is None else list(chosen)):
        async with database.transaction() as session:
            if not await session.fetchval(sql.backfill.LOCK_SPLIT, row.run):
                return False  # another worker is splitting a chunk, which can be claimed afterwards
            cut = await _cut(source, row, least)
            if cut is not None and await session.fetch(sql.backfill.SPLIT, row.run, row.number, cut, row.upper):
                return True
    return False


async def _cut(source: ArangoSource, row: sql.backfill.DivisibleChunkRow, least: int) -> str | None:
    async def step(after: str, skip: int) -> str | None:
        return await source.step(row.database, row.name, after, skip)

    try:
        return await find_cut(step, row.position or row.lower or "", row.upper, least)
    except ArangoError:
        return None  # the worker that holds the chunk gets the same error and reports it
