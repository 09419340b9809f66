"""Create indexes concurrently, with progress; the rest of an interrupted build is dropped before and afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, PreconditionFailed, StatementError
from proxy.stores.postgres import own_indexes

_LOOK = 1.0  # seconds between two reads of the progress


async def make(database: Database, relation: str, statement: str, tell: Callable[[str], None] = lambda _: None) -> None:
    """Execute one statement that creates or drops an index of the relation, beside running writes.

    database: one whose statements have no time-out. Raise PreconditionFailed if a value is too large for the index,
    which is then dropped, because an incomplete index refuses documents as well. Raise DatabaseError.
    """
    watching = asyncio.create_task(_watch(database, relation, tell), name="index progress")
    try:
        await database.execute(sql.indexes.CARRY_OUT.fill(statement=statement))
    except StatementError as error:
        await drop_invalid(database, relation)
        if error.sqlstate != own_indexes.TOO_LARGE:
            raise
        raise PreconditionFailed(
            f"a value is too large for an index ({error}): PostgreSQL sorts what passes the filters instead, or the "
            "query is left to ArangoDB"
        ) from error
    except asyncio.CancelledError:  # Ctrl-C
        await asyncio.shield(drop_invalid(database, relation))
        raise
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def drop_invalid(database: Database, relation: str) -> None:
    """Drop the rest of interrupted builds of Crossfade's indexes, not running builds. Raise DatabaseError."""
    for statement in await database.fetch(sql.indexes.DROPS_OF_INVALID, relation):
        await database.execute(sql.indexes.CARRY_OUT.fill(statement=statement))


async def _watch(database: Database, relation: str, tell: Callable[[str], None]) -> None:
    shown = ""
    while True:
        await asyncio.sleep(_LOOK)
        try:
            row = await database.fetchrow(sql.indexes.PROGRESS, relation)
        except DatabaseError:
            continue  # the build itself reports the error
        if row is None:
            continue
        share = "" if row.percent is None else f" {row.percent // 10 * 10} %"
        if f"{row.phase}{share}" != shown:
            shown = f"{row.phase}{share}"
            tell(shown)
