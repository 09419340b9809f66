"""Compiled queries on PostgreSQL: one statement, the fence within it, rows as they were stored.

A compiled query may still fail: a statement refuses data that SQL does not treat exactly (SQLSTATE 22…). The caller
then evaluates the query.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import sql
from proxy.aql.analyse import Analysis
from proxy.aql.ast import Query
from proxy.aql.compile import BuilderRun, Compiled, CompiledTable, CompiledTables, NotCompiled, compile_query
from proxy.aql.compile.result_builder import Finish
from proxy.aql.compile.writes import BatchedWrite, CompiledWrite, compile_write
from proxy.aql.requests import QueryOptions, Result, Stats
from proxy.base.database import Database
from proxy.base.errors import ArangoError, StatementError, Unsupported
from proxy.stores.postgres.catalog import Catalog, Relation
from proxy.stores.postgres.read_fence import QueryLimits, ReadFenceError, fenced

AT_ONCE: Final = 200  # rows up to which a result comes in one round trip
_FEW: Final = 40  # rows of one round trip if the result may turn out to be large
PIECE: Final = 64 << 10  # bytes of rows that are encoded between two turns of the event loop: milliseconds
_LOOKED_UP_FOR: Final = 60.0  # seconds
_INEXACT: Final = "22"  # SQLSTATE class of data that SQL does not treat as AQL does
_GROUPED: Final = "42803"  # in SQL, an aggregate over columns of an outer query belongs to that query
Rows = list[Sequence[Any]]


def inexact(error: StatementError) -> bool:
    """Return True if SQL differs from AQL for this query or its data: evaluate the query instead."""
    return error.sqlstate[:2] == _INEXACT or error.sqlstate == _GROUPED


async def has_icu(database: Database) -> bool:
    """Return True if this PostgreSQL can sort strings in ArangoDB's order. Raise DatabaseError.

    A server without ICU may list such a collation all the same: this checks whether the migration could create the one
    of ArangoDB's order.
    """
    return await database.fetchval(sql.store.HAS_ICU)


class TooLarge(Exception):
    """The rows of a result exceed the given number of bytes."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Rows of a statement for comparison, and all that is needed to make a result of them.

    collect: each row is a separate group. offset, count: of the LIMIT, if rows have their number and their run as the
    last two columns; else offset is None.
    """

    finish: Finish
    binds: dict[str, Any]
    options: QueryOptions
    rows: Rows
    collect: bool
    offset: int | None
    count: int | None

    @property
    def size(self) -> int:
        """Approximate bytes of the rows."""
        return sum(map(size_of, self.rows))

    def result(self) -> Result:
        """Raise ArangoError, and StatementError if SQL does not treat the data exactly."""
        run = self.finish.start(self.binds, self.options)
        groups: tuple[int, ...] | None = None
        cut = None
        if self.offset is None:
            rows = run.values(self.rows)
            if self.collect:
                groups = (1,) * len(rows)
        else:
            last = None if self.count is None else self.offset + self.count
            values = run.values(self.rows)
            placed = [(row[-2], row[-1], value) for row, value in zip(self.rows, values, strict=True)]
            through = [row for row in placed if row[0] > self.offset and (last is None or row[0] <= last)]
            rows = [value for _, _, value in through]
            groups = tuple(len(list(group)) for _, group in groupby(through, key=lambda row: row[1]))
            cut = _cut(placed, through)
        return Result(rows, groups, cut, tuple(run.context.warnings), Stats(scanned=len(rows)))


async def table_of(database: Database, found: Relation) -> CompiledTable:
    """Return what the compiler needs of a table: its indexes, and whether it is small."""
    indexed = await database.fetchval(sql.store.INDEXED, found.relation)
    small = await database.fetchval(sql.store.SMALL, found.relation)
    return CompiledTable(found.relation, found.edge, frozenset(indexed), small)


class Statements:
    """Compiles queries and runs their statements."""

    def __init__(self, database: Database, catalog: Catalog, limits: QueryLimits) -> None:
        self._database = database
        self._catalog = catalog
        self._limits = limits
        self._icu: bool | None = None
        self._tables: dict[str, tuple[float, CompiledTable]] = {}

    async def plan(
        self, database: str, query: Query, binds: dict[str, Any], analysis: Analysis
    ) -> Compiled | NotCompiled:
        """Return the statement of a query over the collections in its text. Raise ArangoError 1203, DatabaseError."""
        plan = compile_query(query, binds, await self.tables(database, analysis))
        if isinstance(plan, Compiled) and not plan.collections:
            return NotCompiled("reads no collection")
        return plan

    async def write_plan(
        self, database: str, query: Query, binds: dict[str, Any], analysis: Analysis
    ) -> CompiledWrite | BatchedWrite | NotCompiled:
        """Return what `compile_write` makes of a query. Raise ArangoError 1203, DatabaseError."""
        return compile_write(query, binds, await self.tables(database, analysis))

    async def tables(self, database: str, analysis: Analysis) -> CompiledTables:
        """Return all that the compiler needs beside the query. Raise ArangoError 1203, DatabaseError."""
        tables = {}
        for name in sorted(analysis.reads | analysis.writes):
            try:
                found = await self._catalog.find(f"{database}/{name}")
            except ArangoError:  # one that only DOCUMENT names need not exist; nothing compiles that writes to no table
                if name in analysis.reads - analysis.named:
                    raise
            else:
                tables[name] = await self._table(found)
        if self._icu is None:
            self._icu = await has_icu(self._database)
        return CompiledTables(tables, self._icu)

    async def _table(self, found: Relation) -> CompiledTable:
        """Return what the compiler needs of a table; looked up again after a minute."""
        known, now = self._tables.get(found.relation), time.monotonic()
        if known is None or known[0] < now:
            known = self._tables[found.relation] = (now + _LOOKED_UP_FOR, await table_of(self._database, found))
        return known[1]

    async def rows(self, plan: Compiled, run: BuilderRun, generation: int | None) -> list[bytes]:
        """Return the result as JSON rows. Raise ReadFenceError, Unsupported (too large), ArangoError, DatabaseError."""
        return await in_pieces(run.encoded, await self._fetch(plan.sql, plan.parameters, generation, plan.most))

    async def unfinished(
        self, plan: Compiled, binds: dict[str, Any], options: QueryOptions, most: int | None = None
    ) -> Unfinished:
        """Run the statement of such a result only. most: raise TooLarge if its rows have more bytes."""
        compared = plan.compared
        if compared is None:
            rows, count = await self._compared(plan.sql, plan.parameters, plan.most, most), None
            return Unfinished(plan.finish, binds, options, rows, plan.order == "collect", None, count)
        rows = await self._compared(compared.sql, compared.parameters, None, most)
        return Unfinished(
            plan.finish, binds, options, rows, collect=False, offset=compared.offset, count=compared.count
        )

    async def _compared(self, query: str, parameters: tuple[object, ...], number: int | None, most: int | None) -> Rows:
        """Return rows, at most as many as a comparison may hold."""
        rows = await self._fetch(query, parameters, None, number, most)
        if len(rows) > self._limits.rows:
            raise Unsupported("result too large to be compared")
        return rows

    async def _fetch(
        self,
        query: str,
        parameters: tuple[object, ...],
        generation: int | None,
        most: int | None,
        size: int | None = None,
    ) -> Rows:
        """Return the rows of a statement under the fence. size: raise TooLarge if they have more bytes."""
        statement = fenced(query, len(parameters))
        found: Rows = []
        if most is not None and most <= AT_ONCE:
            for row in await self._database.fetch(statement, *parameters, generation):
                if not row[0]:
                    raise ReadFenceError
                if row[1]:  # else no row was found
                    found.append(row[1:])
            if size is not None and sum(map(size_of, found)) > size:
                raise TooLarge
            return found
        budget = self._limits.bytes if size is None else size
        prefetch = AT_ONCE if size is None else _FEW
        async with (
            self._database.session() as session,
            session.transaction(isolation="repeatable_read", readonly=True),
            contextlib.aclosing(session.cursor(statement, *parameters, generation, prefetch=prefetch)) as rows,
        ):
            async for row in rows:
                budget -= _take(row, found)
                if budget < 0:
                    if size is not None:
                        raise TooLarge
                    raise Unsupported("result too large to be held")
        return found


async def in_pieces(encode: Callable[[Rows], list[bytes]], rows: Rows) -> list[bytes]:
    """Encode all rows, piece by piece: the event loop runs between two pieces."""
    found: list[bytes] = []
    piece: Rows = []
    size = 0
    for row in rows:
        piece.append(row)
        size += size_of(row)
        if size > PIECE:
            found += encode(piece)
            piece, size = [], 0
            await asyncio.sleep(0)
    return found + encode(piece) if found else encode(piece)


def size_of(cells: Sequence[Any]) -> int:
    """Return the size of a row in bytes, nearly."""
    return 64 + sum([len(cell) for cell in cells if cell.__class__ is str])


def _take(cells: tuple[Any, ...], found: Rows) -> int:
    """Append a row of the statement without the fence's column; return its size in bytes, nearly."""
    if not cells[0]:
        raise ReadFenceError
    if not cells[1]:  # no row was found
        return 0
    found.append(cells[1:])
    return size_of(cells)


def _cut(placed: list[tuple[int, int, Any]], through: list[tuple[int, int, Any]]) -> Any:
    """Return the whole first and last run if LIMIT cuts them; see `requests.Result`."""
    if not through or len(placed) == len(through):
        return None
    first, last = through[0][1], through[-1][1]
    before, after = placed[0][0] < through[0][0], placed[-1][0] > through[-1][0]
    one = first == last
    head = [value for _, run, value in placed if run == first] if before or one else None
    tail = [value for _, run, value in placed if run == last] if after or one else None
    return head, tail
