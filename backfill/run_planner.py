"""Plans runs: what to copy or verify, cut into key ranges of about equal size without reading the documents.

Up to `key_sampling.EXACT` documents the ranges are exact quantiles of the key index; above, they are estimated by
probing it.
"""

from __future__ import annotations

import math
import random
from typing import Final

import sql
from backfill import run_store
from backfill.key_ranges import KeyRange, chunk_count, ranges
from backfill.key_sampling import EXACT, spread
from backfill.run_store import CollectionTable
from backfill.source import ArangoSource
from proxy.base.database import Database
from proxy.base.errors import ArangoError, PreconditionFailed

REQUEST_PAUSE: Final = 30.0  # seconds between two verifications of one collection that needs-verification marks trigger
SAMPLE_RANGES: Final = 20  # least number of ranges in a sample, if the collection has enough documents
MOST_PIECES: Final = 1_000
LEAST_PIECE: Final = 50  # documents
_GONE: Final = frozenset({1203, 1228})  # ArangoDB has no such collection, no such database
_SLACK_MS: Final = 60_000  # by how much ArangoDB's clock may be behind PostgreSQL's


async def plan_backfill(
    database: Database,
    source: ArangoSource,
    collection: str,
    *,
    workers: int = 2,
    dump: bool = False,
    full_text: bool = False,
) -> int:
    """Return the run to work on: the collection's unfinished backfill, else a new one.

    dump: use ArangoDB's dump API if the server has it, else pages. full_text: also create a full-text index.
    Raise PreconditionFailed at stage `off`, or if the table cannot hold documents.
    """
    table = await run_store.table(database, collection)
    unfinished = await run_store.open_run(database, collection, "backfill", ("copy", "dump"), repair=False)
    if unfinished is not None:
        return unfinished
    count = await _counted(source, table)
    known = {"planned": count, "repair": False} | ({"full_text": True} if full_text else {})
    if dump:
        dump_id = await source.begin_dump(table.database, table.name, 1 << 20)
        if dump_id is not None:
            await source.end_dump(table.database, dump_id)
            return await run_store.begin(
                database, collection, "backfill", "dump", chunks=(), known=known, shards=[table.name]
            )
    chunks = await key_ranges(source, table, count, chunk_count(count, workers))
    return await run_store.begin(database, collection, "backfill", "copy", chunks=chunks, known=known)


async def plan_verification(
    database: Database,
    source: ArangoSource,
    collection: str,
    *,
    full: bool = False,
    repair: bool = False,
    workers: int = 2,
) -> int:
    """Return the run to work on: an unfinished verification of the mode, or a new one. Raise PreconditionFailed."""
    mode = "full" if full else "fast"
    table = await run_store.table(database, collection)
    unfinished = await run_store.open_run(database, collection, "verify", (mode,), repair=repair)
    if unfinished is not None:
        return unfinished
    count = await _counted(source, table)
    chunks = await key_ranges(source, table, count, chunk_count(count, workers))
    known = {"planned": count, "repair": repair}
    return await run_store.begin(database, collection, "verify", mode, chunks=chunks, known=known)


async def plan_sample(
    database: Database,
    source: ArangoSource,
    collection: str,
    percent: float,
    *,
    full: bool = False,
    repair: bool = False,
) -> int:
    """Return a verification of about `percent` of the documents, in random key ranges. It satisfies no gate.

    Raise PreconditionFailed.
    """
    mode, part = ("full" if full else "fast"), f"a sample of {percent:g} %"
    table = await run_store.table(database, collection)
    unfinished = await run_store.open_run(database, collection, "check", (mode,), repair=repair, part=part)
    if unfinished is not None:
        return unfinished
    count = await _counted(source, table)
    pieces = max(1, min(math.ceil(SAMPLE_RANGES * 100 / percent), MOST_PIECES, count // LEAST_PIECE))
    every = await key_ranges(source, table, count, pieces)
    chosen = random.SystemRandom().sample(every, max(1, round(len(every) * percent / 100)))
    known = {"planned": count, "repair": repair, "part": part}
    return await run_store.begin(database, collection, "check", mode, chunks=sorted(chosen, key=_order), known=known)


async def plan_changed(
    database: Database, source: ArangoSource, collection: str, *, full: bool = False, repair: bool = False
) -> int | None:
    """Return a verification of failed or changed ranges; None if there is no such range. It satisfies no gate.

    These are the ranges that the newest verification of the complete collection found different or did not finish, and
    those in which PostgreSQL has got newer versions since. Raise PreconditionFailed if nothing was verified yet.
    """
    mode, part = ("full" if full else "fast"), "what failed or changed"
    table = await run_store.table(database, collection)
    unfinished = await run_store.open_run(database, collection, "check", (mode,), repair=repair, part=part)
    if unfinished is not None:
        return unfinished
    newest = await database.fetchrow(sql.backfill.NEWEST_VERIFICATION, collection)
    if newest is None:
        raise PreconditionFailed(f"{collection} has not been verified yet: run `crossfade verify {collection}` first")
    since = max(0, newest.began - _SLACK_MS) << 20  # the upper bits of a revision are milliseconds
    rows = await database.fetch(sql.backfill.RANGES_TO_LOOK_AT.on(table.relation), since, newest.id)
    chosen = [KeyRange(row.lower, row.upper) for row in rows if row.failed or row.changed]
    if not chosen:
        return None
    count = await _counted(source, table)
    known = {"planned": count, "repair": repair, "part": part, "of_ranges": len(rows)}
    return await run_store.begin(database, collection, "check", mode, chunks=chosen, known=known)


async def key_ranges(source: ArangoSource, table: CollectionTable, count: int, chunks: int) -> tuple[KeyRange, ...]:
    """Return at most `chunks` ranges of about equal size, covering every key once. Raise ArangoError, UpstreamError."""
    if chunks < 2:
        return (KeyRange(),)
    if count <= EXACT:
        return ranges(await source.sample_keys(table.database, table.name, count, chunks - 1), chunks)

    async def step(after: str, skip: int) -> str | None:
        return await source.step(table.database, table.name, after, skip)

    cuts = await spread(step, count, chunks)
    return ranges(cuts, len(cuts) + 1)


async def _counted(source: ArangoSource, table: CollectionTable) -> int:
    """Return the origin's number of documents. Raise PreconditionFailed if it has no such collection; ArangoError."""
    try:
        return await source.count(table.database, table.name)
    except ArangoError as error:
        if error.number not in _GONE:
            raise
        raise PreconditionFailed(
            f"ArangoDB has no collection {table.collection} any more: `crossfade repair {table.collection}` removes "
            "its remains from PostgreSQL and from `crossfade status`"
        ) from error


def _order(span: KeyRange) -> str:
    return span.lower or ""


async def plan_due(database: Database, source: ArangoSource, pause: float = REQUEST_PAUSE) -> list[int]:
    """Plan verifications with repair of backfilled collections marked unverified since their last verification."""
    async with database.transaction() as session:
        await session.execute(
            sql.backfill.LOCK_REQUESTS
        )  # workers that plan concurrently must not plan the same run twice
        due = await session.fetch(sql.backfill.DUE_VERIFICATIONS, pause)
        return [await _plan_one_due(database, source, collection) for collection in due]


async def _plan_one_due(database: Database, source: ArangoSource, collection: str) -> int:
    try:
        return await plan_verification(database, source, collection, repair=True)
    except (ArangoError, PreconditionFailed):
        # the collection was dropped or cannot be read: the run fails and shows that in `crossfade status`
        return await run_store.begin(
            database, collection, "verify", "fast", chunks=ranges([], 1), known={"planned": 0, "repair": True}
        )
