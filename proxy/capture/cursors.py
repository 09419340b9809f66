"""Cursors of modifications: the client's rows, which the proxy has read to the end, in batches like ArangoDB's.

A cursor has an id that this proxy made. It belongs to the user who opened it: others learn nothing of it, and nothing
that they ask for changes it. When it ends nothing is lost but rows: what was written has been known since before the
first answer. Another instance, or this one after a restart, has none of them (1600), like ArangoDB after a restart.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from proxy.base.errors import ArangoError
from proxy.capture.aql_plan import Asked, part
from proxy.capture.context import WriteContext
from proxy.capture.unread_rows import UnreadRows
from proxy.model.cursor_requests import misplaced_batch
from proxy.model.endpoint import Family, Verb
from proxy.model.message import Request, Response
from proxy.model.operations import Operation, Outcome
from proxy.model.own_ids import WRITE_CURSORS
from proxy.wire.encode import encode, json_outcome

_LONGEST = 1e6  # seconds: no timer takes what clients may ask for


@dataclass(slots=True)
class _Cursor:
    """number: of the batch that was sent last, from 1. owner: the `Authorization` header that opened it."""

    database: str
    owner: bytes | None
    asked: Asked
    rows: UnreadRows
    extra: bytes
    timer: asyncio.TimerHandle
    number: int = 1
    busy: bool = False


class ModificationCursors:
    """The open cursors. A cursor that no client asks for is closed when its time to live is over."""

    def __init__(self, context: WriteContext) -> None:
        self._context = context
        self._open: dict[str, _Cursor] = {}

    def close(self) -> None:
        """Close all of them."""
        for shown in list(self._open):
            self._end(shown)

    @staticmethod
    def owns(operation: Operation) -> bool:
        """Return True if a request continues a cursor that an instance of this proxy opened for a modification."""
        return operation.endpoint.family is Family.CURSOR and WRITE_CURSORS.owns(operation.path[2])

    def open(
        self, request: Request, database: str, asked: Asked, rows: UnreadRows, head: list[bytes], extra: bytes
    ) -> bytes:
        """Open a cursor; return the client's first answer. head: the rows of the first batch."""
        shown = WRITE_CURSORS.make()
        body = part(head, asked, 1, shown=shown, total=len(rows), extra=extra)
        owner = request.header(b"authorization")
        self._open[shown] = _Cursor(database, owner, asked, rows, extra, self._timer(shown, asked))
        return body

    async def continue_request(self, request: Request, operation: Operation) -> Response:
        """Answer a request for the next batch, or for the end. Raise ArangoError 1600, 1601, UpstreamError."""
        shown = operation.path[2]
        cursor = self._open.get(shown)
        if cursor is None or cursor.database != operation.database:
            raise ArangoError(1600)
        if not await self._context.owned(request, cursor.owner, cursor.database):
            return await self._context.origin.request(request)  # which has no such cursor, or does not admit the user
        if shown not in self._open:
            raise ArangoError(1600)
        if operation.endpoint.verb is Verb.DROP:
            self._end(shown)
            return encode(json_outcome(202, {"id": shown, "error": False, "code": 202}))
        return encode(Outcome(200, await self._batch(shown, cursor, operation.path[3:])))

    async def _batch(self, shown: str, cursor: _Cursor, wanted: tuple[str, ...]) -> bytes:
        if cursor.busy:
            raise ArangoError(1601)
        asked, total = cursor.asked, len(cursor.rows)
        more = cursor.number * asked.size < total
        again = bool(wanted) and wanted[0] == str(cursor.number) and asked.retries
        if not again and wanted and wanted[0] != str(cursor.number + 1):
            raise misplaced_batch(wanted[0], cursor.number)
        if not again and not more:
            raise ArangoError(1600)
        number = cursor.number if again else cursor.number + 1
        cursor.timer.cancel()
        cursor.busy = True
        try:
            rows = await asyncio.to_thread(cursor.rows.take, (number - 1) * asked.size, asked.size)
        finally:
            cursor.busy = False
            if shown in self._open:
                cursor.timer = self._timer(shown, asked)
            else:  # deleted meanwhile: this batch is the last
                cursor.rows.close()
        cursor.number = number
        if number * asked.size >= total and not asked.retries:
            self._end(shown)
        return part(rows, asked, number, shown=shown, total=total, extra=cursor.extra)

    def _timer(self, shown: str, asked: Asked) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(min(asked.ttl, _LONGEST), self._end, shown)

    def _end(self, shown: str) -> None:
        cursor = self._open.pop(shown, None)
        if cursor is not None:
            cursor.timer.cancel()
            if not cursor.busy:  # its rows cannot be closed while they are read
                cursor.rows.close()
