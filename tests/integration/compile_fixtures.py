"""Documents in PostgreSQL and in memory, to compare the evaluator with a compiled statement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from proxy.aql import Fetch, QueryOptions, Result, parse, run
from proxy.aql.compile import Compiled, CompiledTable, CompiledTables, NotCompiled, compile_query
from proxy.aql.requests import Action
from proxy.base.errors import ArangoError, StatementError
from proxy.model import json_values
from proxy.model.documents import to_jsonb
from tests.ad_hoc import Database

Document = dict[str, Any]


class BothDatabases:
    """Collections in memory that are also tables."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.collections: dict[str, dict[str, Document]] = {}
        self.tables: dict[str, CompiledTable] = {}

    async def fill(self, collection: str, rows: list[Document], *, edge: bool = False) -> None:
        """Replace the collection's documents with these."""
        if collection not in self.tables:
            relation = await self.database.fetchval(
                "SELECT relation FROM _crossfade.ensure_collection('db', $1, $2)", collection, edge
            )
            self.tables[collection] = CompiledTable(relation, edge, small=True)
        documents = {}
        for number, row in enumerate(rows, 1):
            key = str(row.get("_key", number))
            documents[key] = {"_key": key, "_id": f"{collection}/{key}", "_rev": f"_r{number}", **row}
        self.collections[collection] = documents
        relation = self.tables[collection].relation
        raws = [json.dumps(row) if _lone(row) else json_values.dump(row).decode() for row in documents.values()]
        docs = [to_jsonb(raw.encode()) for raw in raws]
        async with self.database.transaction() as session:
            await session.execute(f"DELETE FROM {relation}")
            await session.execute(
                f"INSERT INTO {relation} (key, rev, raw, doc) "
                "SELECT k, 1, r, coalesce(d, _crossfade.queryable(r)) "
                "FROM unnest($1::text[], $2::json[], $3::jsonb[]) AS i (k, r, d)",
                list(documents), raws, docs,
            )  # fmt: skip

    def compiled(
        self, text: str, binds: Mapping[str, Any] | None = None, *, icu: bool = True
    ) -> Compiled | NotCompiled:
        return compile_query(parse(text), binds, CompiledTables(self.tables, icu))

    def evaluated(self, text: str, binds: Mapping[str, Any] | None = None) -> Result:
        """Return the evaluator's result. Raise ArangoError."""
        runner = run(parse(text), binds, QueryOptions(database="db"))
        answer: Any = None
        try:
            action = next(runner)
            while True:
                try:
                    answer = self._fetch(action)
                except ArangoError as error:
                    action = runner.throw(error)
                else:
                    action = runner.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result

    def _fetch(self, action: Action) -> list[Document]:
        assert isinstance(action, Fetch)
        if action.collection not in self.collections:
            raise ArangoError(1203, f"collection or view not found: {action.collection}")
        rows = self.collections[action.collection]
        return [row for key, row in sorted(rows.items()) if action.keys is None or key in action.keys]

    async def answered(self, text: str, binds: Mapping[str, Any] | None = None) -> tuple[Compiled, list[Any]] | str:
        """Return the compiled statement's result, or why there is no statement, or that it refused its data."""
        plan = self.compiled(text, binds)
        if isinstance(plan, NotCompiled):
            return plan.reason
        try:
            rows = await self.database.fetch(plan.sql, *plan.parameters)
            return plan, plan.finish.start(binds or {}, QueryOptions(database="db")).values(
                [tuple(row) for row in rows]
            )
        except StatementError as refused:
            if refused.sqlstate[:2] != "22":
                raise
            return f"refused: {refused}"


def _lone(value: Any) -> bool:
    return "\\ud" in json.dumps(value)
