"""Compiled queries on PostgreSQL: one statement, the fence within it, rows as they were stored.

What compiles is no promise: a statement may find data that SQL does not treat exactly, and refuses it (SQLSTATE 22…).
Whoever runs one then evaluates.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from proxy.aql.analyse import Analysis
from proxy.aql.ast import Query
from proxy.aql.compile import Compiled, NotCompiled, Run, Table, Tables, compile_query
from proxy.aql.requests import Options, Result, Stats
from proxy.database import Database
from proxy.errors import DatabaseRefused, Unsupported
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.fence import FenceBroken, Limits
from sql.loader import queries

AT_ONCE: Final = 200  # rows up to which a result comes in one round trip
_INDEXES_FOR: Final = 60.0  # seconds
_INEXACT: Final = "22"  # the class of SQLSTATEs that data outside what SQL does exactly give
_GROUPED: Final = "42803"  # an aggregate over columns of an outer query alone is that query's, in SQL's eyes
Rows = list[Sequence[Any]]


def inexact(error: DatabaseRefused) -> bool:
    """Whether a statement refused its data, or says something else in SQL: the query is to be evaluated."""
    return error.sqlstate[:2] == _INEXACT or error.sqlstate == _GROUPED


class Statements:
    """Compiles queries and runs what they compile to; knows whether PostgreSQL has ICU."""

    def __init__(self, database: Database, catalog: Catalog, limits: Limits) -> None:
        self._database = database
        self._catalog = catalog
        self._limits = limits
        self._icu: bool | None = None
        self._indexed: dict[str, tuple[float, frozenset[str]]] = {}

    async def plan(
        self, database: str, query: Query, binds: dict[str, Any], analysis: Analysis
    ) -> Compiled | NotCompiled:
        """The statement of a query over the collections that its text tells. Raises ArangoError 1203, DatabaseError."""
        tables = {}
        for name in sorted(analysis.reads):
            found = await self._catalog.find(f"{database}/{name}")
            tables[name] = Table(found.relation, found.edge, await self._indexes(found.relation))
        if self._icu is None:
            self._icu = bool(await self._database.fetchval(queries("store")["has_icu"].text))
        plan = compile_query(query, binds, Tables(tables, self._icu))
        if isinstance(plan, Compiled) and not plan.collections:
            return NotCompiled("reads no collection")
        return plan

    async def _indexes(self, relation: str) -> frozenset[str]:
        """The attributes that indexes of a table begin with; looked up again after a minute."""
        known, now = self._indexed.get(relation), time.monotonic()
        if known is None or known[0] < now:
            names = await self._database.fetchval(queries("store")["indexed"].text, relation)
            known = self._indexed[relation] = (now + _INDEXES_FOR, frozenset(names))
        return known[1]

    async def rows(self, plan: Compiled, run: Run, generation: int | None) -> list[bytes]:
        """The result as JSON, row by row. Raises FenceBroken, Unsupported (too large), ArangoError, DatabaseError."""
        return run.encoded(await self._fetch(plan.sql, plan.parameters, generation, plan.most))

    async def result(self, plan: Compiled, binds: dict[str, Any], options: Options) -> Result:
        """The result with what its order and its limits leave open, for comparison: no fence. Raises as `rows`."""
        run = plan.finish.start(binds, options)
        groups: tuple[int, ...] | None = None
        cut = None
        compared = plan.compared
        if compared is None:
            rows = run.values(self._few(await self._fetch(plan.sql, plan.parameters, None, plan.most)))
            if plan.order == "collect":
                groups = (1,) * len(rows)
        else:
            fetched = self._few(await self._fetch(compared.sql, compared.parameters, None, None))
            last = None if compared.count is None else compared.offset + compared.count
            values = run.values(fetched)
            placed = [(row[-2], row[-1], value) for row, value in zip(fetched, values, strict=True)]
            through = [row for row in placed if row[0] > compared.offset and (last is None or row[0] <= last)]
            rows = [value for _, _, value in through]
            groups = tuple(len(list(group)) for _, group in groupby(through, key=lambda row: row[1]))
            cut = _cut(placed, through)
        return Result(rows, groups, cut, tuple(run.context.warnings), Stats(scanned=len(rows)))

    def _few(self, rows: Rows) -> Rows:
        """Rows, not more than a comparison may hold."""
        if len(rows) > self._limits.rows:
            raise Unsupported("result too large to be compared")
        return rows

    async def _fetch(self, sql: str, parameters: tuple[object, ...], generation: int | None, most: int | None) -> Rows:
        """The rows of a statement under the fence."""
        # the statement comes last: nothing in it is ever taken for a place of the frame
        text = queries("store")["fenced"].text.replace("{generation}", f"${len(parameters) + 1}")
        text = text.replace("{query}", sql)
        found: Rows = []
        if most is not None and most <= AT_ONCE:
            for row in await self._database.fetch(text, *parameters, generation):
                if not row[0]:
                    raise FenceBroken
                if row[1]:  # else no row was found
                    found.append(row[1:])
            return found
        budget = self._limits.bytes
        async with (
            self._database.session() as session,
            session.transaction(isolation="repeatable_read", readonly=True),
            contextlib.aclosing(session.cursor(text, *parameters, generation, prefetch=AT_ONCE)) as rows,
        ):
            async for row in rows:
                size = _take(row, found)
                budget -= size
                if budget < 0:
                    raise Unsupported("result too large to be held")
        return found


def _take(row: Any, found: Rows) -> int:
    """Adds a row of the statement, without the fence's column; how many bytes it has, nearly."""
    cells = tuple(row)
    if not cells[0]:
        raise FenceBroken
    if not cells[1]:  # no row was found
        return 0
    found.append(cells[1:])
    return 64 + sum(len(cell) for cell in cells if cell.__class__ is str)


def _cut(placed: list[tuple[int, int, Any]], through: list[tuple[int, int, Any]]) -> Any:
    """The whole first and last run where LIMIT cuts them; see `requests.Result`."""
    if not through or len(placed) == len(through):
        return None
    first, last = through[0][1], through[-1][1]
    before, after = placed[0][0] < through[0][0], placed[-1][0] > through[-1][0]
    one = first == last
    head = [value for _, run, value in placed if run == first] if before or one else None
    tail = [value for _, run, value in placed if run == last] if after or one else None
    return head, tail
