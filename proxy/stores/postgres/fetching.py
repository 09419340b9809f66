"""The documents that an evaluation fetches: read from PostgreSQL in pieces, within the limits of one query."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

import sql
from proxy.aql.requests import Fetch
from proxy.base.database import Session
from proxy.base.errors import Unsupported
from proxy.stores.postgres.read_fence import QueryLimits, ReadFenceError
from proxy.stores.postgres.scan_choice import ScanStatement, scan_of, scan_of_any

_BATCH: Final = 200  # rows of one round trip


class Budget:
    """What one query may still fetch. Over it: Unsupported."""

    def __init__(self, limits: QueryLimits) -> None:
        self.rows = limits.rows
        self._bytes = limits.bytes

    def spend(self, size: int, *, rows: int = 1) -> None:
        """Count a document of `size` bytes. rows: 0 for one that the query itself makes."""
        self.rows -= rows
        self._bytes -= size
        if self.rows < 0 or self._bytes < 0:
            raise Unsupported("result too large for evaluation")


async def fetch_raws(
    session: Session, relation: str, fetch: Fetch, generation: int | None, budget: Budget
) -> list[bytes]:
    """Return the documents of a fetch, and perhaps others, as ArangoDB prints them, in any order.

    generation: the fence's, None for no fence. Raise ReadFenceError, Unsupported, DatabaseError.
    """
    scan = scan_of(fetch.collection, fetch.equalities, fetch.keys, fetch.among)
    return await _scanned(session, relation, scan, generation, budget)


async def fetch_raws_of_any(session: Session, relation: str, fetches: Sequence[Fetch], budget: Budget) -> list[bytes]:
    """Return the documents of several fetches by equalities, in one statement and without a fence."""
    scan = scan_of_any([fetch.equalities for fetch in fetches])
    return await _scanned(session, relation, scan, None, budget)


async def _scanned(
    session: Session, relation: str, scan: ScanStatement, generation: int | None, budget: Budget
) -> list[bytes]:
    parameters: tuple[object, ...] = (budget.rows + 1, generation)
    if scan.value is not None:
        parameters += (scan.value,)
    raws: list[bytes] = []
    rows = session.cursor(scan.statement.on(relation), *parameters, prefetch=_BATCH)
    async with contextlib.aclosing(rows):
        async for holds, raw in rows:
            if not holds:
                raise ReadFenceError
            if raw is not None:
                budget.spend(len(raw))
                raws.append(raw.encode())
    return raws


async def counted(session: Session, relation: str, generation: int | None) -> int:
    """Return the number of documents. Raise ReadFenceError."""
    row = await session.fetchval(sql.store.SCAN_COUNT.on(relation), generation)
    if row.number is None:
        raise ReadFenceError
    return row.number
