"""What a query with the option `profile` returns beside its rows: the plan, and how long its stages took."""

from __future__ import annotations

import time
from typing import Any

import sql
from proxy.aql.analyse import analyse
from proxy.aql.parser import parse
from proxy.base.database import Database
from proxy.devserver.store.queries.plan import plan_of, profile_of, scanned
from proxy.model import json_reader, json_values
from proxy.model.cursor_requests import CursorRequest
from proxy.stores.postgres.catalog import Catalog

Document = dict[str, Any]


class QueryProfiles:
    """Makes the profiles of queries that have run. The plan is the one that `/_api/explain` shows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables = Catalog(database)

    async def printed(self, database: str, request: CursorRequest, extra: bytes, rows: int, seconds: float) -> bytes:
        """Return `extra` as `extended` does, printed."""
        found = json_reader.load(extra)
        return json_values.dump(await self.extended(database, request, found, rows, seconds))

    async def extended(
        self, database: str, request: CursorRequest, extra: Document, rows: int, seconds: float
    ) -> Document:
        """Return `extra` with the profile of a query that had so many rows and took so many seconds."""
        marks = [time.perf_counter()]
        query = parse(request.query)
        marks.append(time.perf_counter())
        analysis = analyse(query, request.bind_vars)
        counts = {name: await self._count(f"{database}/{name}") for name in set(scanned(query))}
        plan = plan_of(query, analysis, counts.__getitem__)
        marks.append(time.perf_counter())
        marks.append(marks[-1] + seconds)
        return {**extra, **profile_of(plan, marks, rows, extra["stats"], level=request.profile)}

    async def _count(self, collection: str) -> int:
        """Return the number of documents of a collection that the query has just read."""
        relation = await self._tables.find(collection)
        return await self._database.fetchval(sql.complete.COUNT, relation.relation)
