"""Makes indexes concurrently, with progress; what an interrupted build left is dropped before, and after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, RefusedError, StatementError
from proxy.replication import own_indexes

_LOOK = 1.0  # seconds between two looks at the progress


async def make(database: Database, relation: str, statement: str, tell: Callable[[str], None] = lambda _: None) -> None:
    """Carries out one statement that makes or drops an index of the relation, beside running writes.

    database: one whose statements have no time-out. Raises RefusedError where a value is too large for it: then nothing
    is left of it, since an index that is half made refuses documents all the same. DatabaseError.
    """
    watching = asyncio.create_task(_watch(database, relation, tell), name="index progress")
    try:
        await database.execute(sql.indexes.CARRY_OUT.fill(statement=statement))
    except StatementError as error:
        await drop_invalid(database, relation)
        if error.sqlstate != own_indexes.TOO_LARGE:
            raise
        raise RefusedError(
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
    """Drops what interrupted builds left of indexes of ours; builds under way go on. Raises DatabaseError."""
    for statement in await database.fetch(sql.indexes.DROPS_OF_INVALID, relation):
        await database.execute(sql.indexes.CARRY_OUT.fill(statement=statement))


async def _watch(database: Database, relation: str, tell: Callable[[str], None]) -> None:
    said = ""
    while True:
        await asyncio.sleep(_LOOK)
        try:
            row = await database.fetchrow(sql.indexes.PROGRESS, relation)
        except DatabaseError:
            continue  # the build itself says what is the matter
        if row is None:
            continue
        share = "" if row.percent is None else f" {row.percent // 10 * 10} %"
        if f"{row.phase}{share}" != said:
            said = f"{row.phase}{share}"
            tell(said)
