"""Queries that write, executed on PostgreSQL alone as a proxy does: as one statement, or evaluated."""

from __future__ import annotations

from typing import Any

from bench.corpus.world import World
from proxy.aql import Query, Result, analyse
from proxy.aql.compile import NotCompiled
from proxy.aql.compile.writes import BatchedWrite, CompiledWrite
from proxy.base.errors import ArangoError, DatabaseError, Unsupported
from proxy.model import json_values
from proxy.model.cursor_requests import CursorRequest
from proxy.model.documents import to_jsonb
from proxy.model.revision import decode_rev
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.modifications import ModificationQueries
from proxy.stores.postgres.writes.key_assignment import KeyAssignment
from tests.ad_hoc import Database

_REVISION = 1 << 61  # above those of the documents
_GIVEN_BY_THE_STORE = ("_rev", "_key", "_id")
_MADE_KEY = "made1"  # of a document that the evaluator has inserted: PostgreSQL makes another one


class WriteTarget:
    """Collections whose writes PostgreSQL takes, each in a database for the documents of one query."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = _Counting(database)
        self._made = 0

    async def executed(self, query: Query, world: World, expected: Result) -> tuple[bool, str, str]:
        """Return whether the rows are those of the evaluator, how they were made ("compiled": by one statement,
        "batched", or ""), and why not by one statement.
        """
        self._made += 1
        database = f"writes{self._made}"
        await self._fill(database, world)
        self._queries.way, self._queries.reason = "", ""
        try:
            found = await self._queries.execute(database, CursorRequest(query.text, dict(world.binds)))
        except (ArangoError, Unsupported, DatabaseError) as error:
            return False, "", f"{error}"
        ours, theirs = (sorted(map(_comparable, rows)) for rows in (found.rows, expected.rows))
        # of such rows only the number is known: DATE_NOW, or keys that each store makes
        free = bool(analyse(query, world.binds).choices) or _MADE_KEY in repr(expected.rows)
        if ours != theirs and not (free and len(ours) == len(theirs)):
            return False, "", f"WRONG: {str(found.rows)[:200]}"
        return True, self._queries.way, self._queries.reason

    async def _fill(self, database: str, world: World) -> None:
        for name, rows in world.collections.items():
            # the world calls only those edge collections that are traversed
            edge = name in world.edges or any("_from" in row and "_to" in row for row in rows)
            relation = await self._database.fetchval(
                "SELECT relation FROM _crossfade.ensure_collection($1, $2, $3)", database, name, edge
            )
            await self._database.execute(
                "SELECT _crossfade.take_writes($1, $2, '{}'::json, 0)", f"{database}/{name}", _REVISION
            )
            raws = [json_values.dump(row) for row in rows]
            await self._database.execute(
                f"INSERT INTO {relation} (key, rev, raw, doc) SELECT k, v, r, coalesce(d, _crossfade.queryable(r)) "
                "FROM unnest($1::text[], $2::bigint[], $3::json[], $4::jsonb[]) AS i (k, v, r, d)",
                [row["_key"] for row in rows],
                [decode_rev(row["_rev"]) for row in rows],
                [raw.decode() for raw in raws],
                [to_jsonb(raw) for raw in raws],
            )


class _Counting(ModificationQueries):
    """Notes how the last query was executed (way), and why it was not one statement."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, Catalog(database), KeyAssignment())
        self.way = ""
        self.reason = ""

    async def _plan(self, query: Any, request: CursorRequest) -> CompiledWrite | BatchedWrite | None:
        plan = await super()._plan(query, request)
        if isinstance(plan, BatchedWrite):
            self.way, self.reason = "batched", f"not compiled: {plan.reason}"
        elif plan is None:
            analysis = analyse(query.query, request.bind_vars)
            made = await self._statements.write_plan(query.database, query.query, request.bind_vars, analysis)
            self.reason = f"not compiled: {made.reason}" if isinstance(made, NotCompiled) else "its options"
        return plan

    async def _compiled(self, *given: Any) -> Any:
        finished = await super()._compiled(*given)
        self.way = "" if finished is None else "compiled"
        self.reason = "" if self.way else "its documents are outside what SQL does exactly"
        return finished


def _comparable(row: Any) -> str:
    """Return a row without what each store gives: revisions and keys."""
    return json_values.dump(_stripped(row)).decode()


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stripped(item) for name, item in sorted(value.items()) if name not in _GIVEN_BY_THE_STORE}
    return [_stripped(item) for item in value] if isinstance(value, list) else value
