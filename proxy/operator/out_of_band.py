"""Documents of out-of-band writes, listed and repaired by commands; backfill.out_of_band_watch finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sql
from proxy.base.database import Database, Session


@dataclass(frozen=True, slots=True)
class OutOfBandCount:
    """Out-of-band writes of one collection. number: documents; open: not repaired since; keys: the newest few."""

    collection: str
    number: int
    open: int
    last_found: datetime
    keys: tuple[str, ...]


async def counts(session: Session | Database) -> tuple[OutOfBandCount, ...]:
    """Return the out-of-band writes by collection. Raise DatabaseError."""
    return tuple(
        OutOfBandCount(row.collection, row.number, row.open, row.last_found, tuple(row.keys))
        for row in await session.fetch(sql.out_of_band.COUNTS)
    )


async def open_keys(database: Database, collection: str) -> list[str]:
    """Return the keys of documents of `database/name` that were written out of band and not repaired since."""
    return await database.fetch(sql.out_of_band.TO_REPAIR, collection)


async def now(database: Database) -> float:
    """Return PostgreSQL's time in seconds since the Unix epoch: what is found later is another write."""
    return await database.fetchval(sql.out_of_band.CLOCK)


async def mark_repaired(database: Database, collection: str, keys: Sequence[str], before: float) -> None:
    """Mark these keys as repaired by a read of ArangoDB that started at `before`."""
    await database.fetch(sql.out_of_band.REPAIRED, collection, list(keys), before)
