"""A query of a stream transaction that only reads, as one compiled statement on the connection of the transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sql
from proxy.aql.analyse import analyse
from proxy.aql.compile import Compiled
from proxy.aql.requests import QueryOptions, Result, Stats
from proxy.base.database import Session
from proxy.base.errors import ArangoError, StatementError
from proxy.base.spool import SpooledRows, SpoolSpace
from proxy.stores.postgres.compiled_queries import AT_ONCE, PIECE, Statements, inexact
from proxy.stores.postgres.modifications.attempt import ModificationQuery

_BYTES: Final = 1 << 20  # bytes of rows that one round trip should bring


async def plan_of(statements: Statements, query: ModificationQuery) -> Compiled | None:
    """Return the statement of a query; None if it has none. Raise ArangoError 1203, DatabaseError."""
    analysis = analyse(query.query, query.binds)
    plan = await statements.plan(query.database, query.query, dict(query.binds), analysis)
    return plan if isinstance(plan, Compiled) else None


async def read(
    session: Session, plan: Compiled, binds: Mapping[str, Any], options: QueryOptions, spools: SpoolSpace
) -> Result | None:
    """Return the result over the transaction's snapshot and its own writes; None if the statement refuses its data.

    Raise ArangoError, DatabaseError.
    """
    run = plan.finish.start(binds, options)
    rows = SpooledRows(spools)
    statement = sql.modifications.COMPILED.fill(query=plan.sql)
    try:
        # in a savepoint: a statement that refuses its data must not end the stream transaction
        async with asyncio.timeout(options.max_runtime or None), session.transaction():
            cursor = session.cursor(statement, *plan.parameters, prefetch=AT_ONCE, most=_BYTES)
            async with contextlib.aclosing(cursor) as found:
                piece: list[Sequence[Any]] = []
                size = 0
                async for row in found:
                    piece.append(row)
                    size += sum([len(cell) for cell in row if cell.__class__ is str])
                    if size > PIECE or len(piece) == AT_ONCE:
                        _append(rows, run.encoded(piece))
                        piece, size = [], 0
                        await asyncio.sleep(0)
                _append(rows, run.encoded(piece))
    except TimeoutError:
        raise ArangoError(1500, "query killed because it exceeded its maxRuntime") from None
    except StatementError as error:
        if inexact(error):
            return None
        raise
    warnings = tuple(run.context.warnings)
    return Result([], None, None, warnings, Stats(scanned=len(rows)), spooled=rows)


def _append(rows: SpooledRows, encoded: Sequence[bytes]) -> None:
    for row in encoded:
        rows.append(row)
