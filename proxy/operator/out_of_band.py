"""Documents that were written around the proxies, as the command line shows and mends them. Found by
backfill.out_of_band_watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from proxy.base.database import Database, Session
from sql.loader import queries

_SQL = queries("out_of_band")


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
        Bypassed(row["collection"], row["number"], row["open"], row["last_found"], tuple(row["keys"]))
        for row in await session.fetch(_SQL["counts"].text)
    )


async def open_keys(database: Database, collection: str) -> list[str]:
    """Keys of documents of `database/name` that were written around the proxies and not repaired since."""
    return [row["key"] for row in await database.fetch(_SQL["to_repair"].text, collection)]


async def now(database: Database) -> float:
    """PostgreSQL's time in seconds since the epoch: what is found later is another write."""
    return float(await database.fetchval(_SQL["clock"].text))


async def mark_repaired(database: Database, collection: str, keys: Sequence[str], before: float) -> None:
    """These were repaired, by a look that began then."""
    await database.fetch(_SQL["repaired"].text, collection, list(keys), before)
