"""A world in PostgreSQL, and compiled statements run on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.corpus.world import World
from bench.corpus.writes import WriteTarget
from proxy.aql import Query
from proxy.aql.compile import Compiled, CompiledTable, CompiledTables, NotCompiled, compile_query
from proxy.base.errors import StatementError
from proxy.model import json_values
from proxy.model.documents import to_jsonb
from proxy.model.revision import decode_rev
from proxy.stores.postgres.compiled_queries import has_icu
from tests.ad_hoc import Database

_INSERT = """INSERT INTO {relation} (key, rev, raw, doc)
SELECT key, rev, raw::json, _crossfade.queryable(doc::json)
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) AS given (key, rev, raw, doc)"""
INEXACT_DATA = "its documents are outside what SQL does exactly"
_DATA_ERROR_CLASS = "22"  # SQLSTATEs of data that SQL rejects: the evaluator then answers


class Refused(Exception):
    """The query has no compiled statement; the text is the reason."""


class Target:
    """Tables of one database, created once and refilled for each world."""

    def __init__(self, database: Database, *, icu: bool) -> None:
        self._database = database
        self._icu = icu
        self._tables: dict[tuple[str, bool], CompiledTable] = {}
        self._filled: set[str] = set()
        self.writes = WriteTarget(database)

    @classmethod
    async def open(cls, database: Database) -> Target:
        """Open it with this server's capabilities."""
        return cls(database, icu=await has_icu(database))

    async def fill(self, world: World) -> CompiledTables:
        """Fill the tables of the world's collections with exactly its documents."""
        tables = {name: await self._table(name, name in world.edges) for name in world.collections}
        for relation in self._filled:
            await self._database.execute(f"DELETE FROM {relation}")
        self._filled.clear()
        for name, rows in world.collections.items():
            if not rows:
                continue
            raws = [json_values.dump(row) for row in rows]
            documents = [to_jsonb(raw) for raw in raws]
            await self._database.execute(
                _INSERT.format(relation=tables[name].relation),
                [row["_key"] for row in rows],
                [decode_rev(row["_rev"]) for row in rows],
                [raw.decode() for raw in raws],
                [raw.decode() if escaped is None else escaped for raw, escaped in zip(raws, documents, strict=True)],
            )
            self._filled.add(tables[name].relation)
        return CompiledTables(tables, self._icu)

    async def _table(self, name: str, edge: bool) -> CompiledTable:
        table = self._tables.get((name, edge))
        if table is None:
            row = await self._database.fetchrow(
                "SELECT relation FROM _crossfade.ensure_collection($1, $2, $3)",
                "edges" if edge else "corpus",
                name,
                edge,
            )
            assert row is not None
            table = self._tables[(name, edge)] = CompiledTable(row["relation"], edge)
        return table

    async def answer(
        self, query: Query, binds: Mapping[str, Any], tables: CompiledTables
    ) -> tuple[Compiled, list[Any]]:
        """Return the statement and its rows. Raise Refused."""
        compiled = compile_query(query, binds, tables)
        if isinstance(compiled, NotCompiled):
            raise Refused(f"not compiled: {compiled.reason}")
        try:
            rows = await self._database.fetch(compiled.sql, *compiled.parameters)
            return compiled, compiled.finish.start(binds).values([tuple(row.values()) for row in rows])
        except StatementError as error:
            if error.sqlstate.startswith(_DATA_ERROR_CLASS):
                raise Refused(f"{INEXACT_DATA}: {error}") from error
            raise Refused(f"WRONG: PostgreSQL refuses the statement: {error}") from error
