"""Requests for the count of a collection: one statement, without a transaction.

The answer has the collection's properties too. It depends on nothing but the request, the catalog and the row that the
statement returns, so an equal row gives the answer that is remembered.
"""

from __future__ import annotations

from typing import Final

import sql
from proxy.base.database import Database
from proxy.complete.catalog import ServerCatalog
from proxy.complete.loaded_part import LoadedPart
from proxy.complete.server_view import TickBlock, view_of
from proxy.devserver.store import dispatch
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from sql.statements.complete import CountedRow

_REMEMBERED: Final = 256  # answers
_Asked = tuple[str, tuple[str, ...], tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]


class CountRequests:
    """Answers them. sessions: the state of this process."""

    def __init__(self, database: Database, sessions: ServerState, ticks: TickBlock) -> None:
        self._database = database
        self._sessions = sessions
        self._ticks = ticks
        self._answers: dict[_Asked, tuple[CountedRow, Outcome]] = {}

    async def answer(self, operation: Operation, command: EndpointCommand, catalog: ServerCatalog) -> Outcome | None:
        """Return the answer; None if the general way must find it. Raise DatabaseError."""
        stored = catalog.collections.get(operation.database, {}).get(operation.collection or "")
        if stored is None or "x-arango-trx-id" in operation.headers:
            return None
        row = await self._database.fetchrow(sql.complete.COUNTED, stored.qualified)
        if row is None or row.version != catalog.version:
            return None
        asked = (
            operation.database,
            operation.path,
            tuple(operation.params.items()),
            tuple(operation.headers.items()),
        )
        known = self._answers.get(asked)
        if known is not None and known[0] == row:
            return known[1]
        part = LoadedPart(count=row.documents, newest=row.newest, last_key=int(row.last_key), taken=int(row.last_key))
        view = view_of(catalog, self._sessions, self._ticks, {stored.properties.id: part}, own_accounts=False)
        outcome = dispatch.answer(view, operation, command)
        if any(seen.missing.anything for seen in view.views.values()):
            return None
        if len(self._answers) >= _REMEMBERED:
            self._answers.clear()
        self._answers[asked] = row, outcome
        return outcome
