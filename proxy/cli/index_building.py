"""Makes indexes concurrently, with progress; what an interrupted build left is dropped before, and after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.base.database import Database
from proxy.base.errors import DatabaseError, RefusedError, StatementError
from proxy.replication import own_indexes

_LOOK = 1.0  # seconds between two looks at the progress
_PROGRESS = """SELECT p.phase,
    CASE WHEN p.tuples_total > 0 THEN 100 * p.tuples_done / p.tuples_total
         WHEN p.blocks_total > 0 THEN 100 * p.blocks_done / p.blocks_total END AS percent
FROM pg_stat_progress_create_index p WHERE p.relid = to_regclass($1)"""
_INVALID = """SELECT format('DROP INDEX CONCURRENTLY IF EXISTS %I.%I', n.nspname, c.relname) AS statement
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = to_regclass($1) AND NOT i.indisvalid AND c.relname ~ '^(list_|doc[_/]|text[_/])'
    AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)"""


async def make(database: Database, relation: str, statement: str, tell: Callable[[str], None] = lambda _: None) -> None:
    """Carries out one statement that makes or drops an index of the relation, beside running writes.

    database: one whose statements have no time-out. Raises RefusedError where a value is too large for it: then nothing
    is left of it, since an index that is half made refuses documents all the same. DatabaseError.
    """
    watching = asyncio.create_task(_watch(database, relation, tell), name="index progress")
    try:
        await database.execute(statement)
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
    for row in await database.fetch(_INVALID, relation):
        await database.execute(row["statement"])


async def _watch(database: Database, relation: str, tell: Callable[[str], None]) -> None:
    said = ""
    while True:
        await asyncio.sleep(_LOOK)
        try:
            row = await database.fetchrow(_PROGRESS, relation)
        except DatabaseError:
            continue  # the build itself says what is the matter
        if row is None:
            continue
        share = "" if row["percent"] is None else f" {row['percent'] // 10 * 10} %"
        if f"{row['phase']}{share}" != said:
            said = f"{row['phase']}{share}"
            tell(said)
