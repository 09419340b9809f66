"""Documents that were written around the proxies, as the command line shows and mends them. Found by
backfill.out_of_band_watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sql
from proxy.base.database import Database, Session


@dataclass(frozen=True, slots=True)
class Bypassed:
    """How many documents of one collection; open: not repaired since. keys: the newest few."""

    collection: str
    number: int
    open: int
    last_found: datetime
    keys: tuple[str, ...]


async def counts(session: Session | Database) -> tuple[Bypassed, ...]:
    """By collection. Raises DatabaseError."""
    return tuple(
        Bypassed(row.collection, row.number, row.open, row.last_found, tuple(row.keys))
        for row in await session.fetch(sql.out_of_band.COUNTS)
    )


async def open_keys(database: Database, collection: str) -> list[str]:
    """Keys of documents of `database/name` that were written around the proxies and not repaired since."""
    return await database.fetch(sql.out_of_band.TO_REPAIR, collection)


async def now(database: Database) -> float:
    """PostgreSQL's time in seconds since the epoch: what is found later is another write."""
    return await database.fetchval(sql.out_of_band.CLOCK)


async def mark_repaired(database: Database, collection: str, keys: Sequence[str], before: float) -> None:
    """These were repaired, by a look that began then."""
    await database.fetch(sql.out_of_band.REPAIRED, collection, list(keys), before)
