"""Cursors: results of queries, sent in batches and kept for a time to live. Rules: protocol page, section 4.

Beside a store that has ArangoDB for what is too large, results wait in memory up to a limit, or in PostgreSQL, and a
batch of very large rows may be shorter than requested. A store that stands alone has spools: results of any size wait
there, and batches are as long as requested, however many bytes that is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from proxy.base.errors import ArangoError
from proxy.base.spool import SpooledRows, SpoolSpace
from proxy.base.supervise import cancelled
from proxy.model.cursor_requests import CursorRequest, misplaced_batch
from proxy.model.endpoint import Family
from proxy.model.operations import Operation, Outcome
from proxy.model.own_ids import READ_CURSORS, OwnIds
from proxy.stores.postgres.spooled_answers import spooled_answer
from proxy.wire.auth import owner_of

_SWEEP: Final = 1.0  # seconds between two checks for expired streams


class RowSource(Protocol):
    """The source of rows that are not in memory yet: `streams.Stream`."""

    @property
    def ended(self) -> bool: ...

    async def take(self, number: int) -> list[bytes]: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Cursor:
    database: str
    request: CursorRequest
    rows: Sequence[bytes] | SpooledRows
    extra: bytes
    size: int  # bytes of the rows in memory
    expires: float
    total: int
    each: int  # elements of `rows` in a batch
    source: RowSource | None = None
    position: int = 0
    busy: bool = False
    batch: int = 1  # the number of the batch that was sent last
    owner: str | None = None  # the user who opened it; for all others it does not exist
    last: Callable[[], Outcome] | None = None  # the batch that was sent last

    @property
    def holds(self) -> bool:
        """True if it holds more than memory: a connection, or room on disk."""
        return self.source is not None or isinstance(self.rows, SpooledRows)


class TargetCursors:
    """Open cursors of this process. limit: bytes of rows that may wait in memory; more are refused, never dropped.

    spools: where others wait; None: nowhere. ids: of cursors; each store of a proxy has its own.
    """

    def __init__(
        self,
        *,
        limit: int = 32 << 20,
        clock: Callable[[], float] = time.monotonic,
        spools: SpoolSpace | None = None,
        ids: OwnIds = READ_CURSORS,
    ) -> None:
        self._ids = ids
        self._spools = spools
        self._limit = limit
        self._clock = clock
        self._open: dict[str, _Cursor] = {}
        self._bytes = 0
        self._expiry_task: asyncio.Task[None] | None = None

    def owns(self, operation: Operation) -> bool:
        """Return True if the cursor that the operation names was opened by the proxy, on any of its instances."""
        identifier = _names(operation)[0] if operation.endpoint.family is Family.CURSOR else ""
        return self._ids.owns(identifier)

    def open(
        self,
        database: str,
        request: CursorRequest,
        rows: Sequence[bytes],
        extra: bytes,
        owner: str | None = None,
        *,
        total: int | None = None,
    ) -> Outcome:
        """Return the first batch; the rest waits for the same user. Raise ArangoError 32 if the spools are full.

        total: the number of rows if each element of `rows` is a batch, its rows joined by commas.
        """
        each = request.batch_size if total is None else 1
        total = len(rows) if total is None else total
        if len(rows) <= each and not (request.allow_retry and request.streaming):
            return _outcome(rows, 0, len(rows), 201, _tail(request, total, extra, code=201))
        self._expire()
        size = sum(map(len, rows))
        if self._bytes + size > self._limit:
            raise ArangoError(32, "too many results wait in cursors")
        expires = self._clock() + request.ttl
        cursor = _Cursor(database, request, rows, extra, size, expires, total, each, batch=0, owner=owner)
        return self._advance(self._keep(cursor), cursor, code=201)

    async def open_stream(
        self,
        database: str,
        request: CursorRequest,
        rows: Sequence[bytes],
        source: RowSource,
        extra: bytes,
        total: int = 0,
        owner: str | None = None,
    ) -> Outcome:
        """Return the first batch of `rows`, which the rows of `source` follow; these are read on demand.

        total: the number of all rows, if the request has `count`. If there is no room for `rows`, close the source and
        raise ArangoError 32.
        """
        self._expire()
        size = sum(map(len, rows))
        if self._bytes + size > self._limit:
            await source.close()
            raise ArangoError(32, "too many results wait in cursors")
        expires = self._clock() + request.ttl
        cursor = _Cursor(
            database, request, rows, extra, size, expires, total, request.batch_size, source, batch=0, owner=owner
        )
        if self._spools is not None:
            try:
                await self._read_on(cursor)
            except BaseException:
                await source.close()
                raise
            cursor.size = 0
        return self._advance(self._keep(cursor), cursor, code=201)

    def open_spooled(
        self, database: str, request: CursorRequest, rows: SpooledRows, extra: bytes, owner: str | None = None
    ) -> Outcome:
        """Return the first batch of rows that wait on disk, if they are many."""
        if len(rows) <= request.batch_size and not (request.allow_retry and request.streaming):
            return _outcome(rows, 0, len(rows), 201, _tail(request, len(rows), extra, code=201))
        self._expire()
        expires = self._clock() + request.ttl
        cursor = _Cursor(
            database, request, rows, extra, 0, expires, len(rows), request.batch_size, batch=0, owner=owner
        )
        return self._advance(self._keep(cursor), cursor, code=201)

    async def next(self, operation: Operation) -> Outcome:
        """Return the next batch. Raise ArangoError 1600 if the cursor or the requested batch is gone; DatabaseError."""
        identifier, batch = _names(operation)
        cursor = self._find(operation, identifier)
        cursor.expires = self._clock() + cursor.request.ttl
        if batch is not None and batch == str(cursor.batch) and cursor.request.allow_retry and cursor.last is not None:
            return cursor.last()
        if batch is not None and batch != str(cursor.batch + 1):
            raise misplaced_batch(batch, cursor.batch)
        if cursor.position >= len(cursor.rows):
            raise ArangoError(1600)
        if cursor.source is not None:
            if cursor.busy:
                raise ArangoError(1601)  # another request is reading from it
            cursor.busy = True
            try:
                await self._read_on(cursor)
            except BaseException:
                self._close(identifier)
                await cursor.source.close()
                raise
            finally:
                cursor.busy = False
            if identifier not in self._open:  # deleted meanwhile: this batch is the last
                await cursor.source.close()
        return self._advance(identifier, cursor, code=200)

    async def delete(self, operation: Operation) -> Outcome:
        """Return 202, or raise ArangoError 1600. A read in progress still gets its batch, which is then the last."""
        identifier, _ = _names(operation)
        cursor = self._find(operation, identifier)
        self._close(identifier)
        if cursor.source is not None and not cursor.busy:  # its rows cannot be closed while they are read
            await cursor.source.close()
        return Outcome(202, orjson.dumps({"id": identifier, "error": False, "code": 202}))

    async def close(self) -> None:
        """Close every cursor and release their connections."""
        if self._expiry_task is not None:
            await cancelled(self._expiry_task)
        sources = [cursor.source for cursor in self._open.values() if cursor.source is not None]
        self._open.clear()
        self._bytes = 0
        for source in sources:
            await source.close()

    def _keep(self, cursor: _Cursor) -> str:
        identifier = self._ids.make()
        self._open[identifier] = cursor
        self._bytes += cursor.size
        if cursor.holds and (self._expiry_task is None or self._expiry_task.done()):
            self._expiry_task = asyncio.create_task(self._close_expired(), name="cursors: time to live")
        return identifier

    async def _read_on(self, cursor: _Cursor) -> None:
        """Drop the rows that were sent; read the next batch and one row more, which shows whether it is the last."""
        source, wanted = cursor.source, cursor.request.batch_size + 1
        assert source is not None
        if self._spools is not None:
            whole = SpooledRows(self._spools)
            for row in _rest(cursor):
                whole.append(row)
            while len(whole) < wanted and not source.ended:
                for row in await source.take(wanted - len(whole)):
                    whole.append(row)
            cursor.rows, cursor.position = whole, 0
            return
        rows = _rest(cursor)
        cursor.position = 0
        if not source.ended and len(rows) < wanted:
            rows += await source.take(wanted - len(rows))
        cursor.rows = rows

    async def _close_expired(self) -> None:
        """Close expired cursors that hold connections or room on disk, until none of them is open."""
        while await self._sweep():
            await asyncio.sleep(_SWEEP)

    async def _sweep(self) -> bool:
        """Close those that have expired by now. Return False if none is open."""
        holding = [(name, cursor) for name, cursor in self._open.items() if cursor.holds]
        now = self._clock()
        for identifier, cursor in holding:
            if cursor.expires < now and not cursor.busy and identifier in self._open:
                self._close(identifier)
                if cursor.source is not None:
                    await cursor.source.close()
        return bool(holding)

    def _advance(self, identifier: str, cursor: _Cursor, *, code: int) -> Outcome:
        # a batch of a stream may be shorter than requested if its rows are very large
        streaming = cursor.source is not None and not cursor.source.ended
        limit = len(cursor.rows) - 1 if streaming else len(cursor.rows)
        begin, end = cursor.position, min(cursor.position + cursor.each, max(limit, cursor.position + 1))
        cursor.position = end
        cursor.batch += 1
        more = end < len(cursor.rows)
        batch = str(cursor.batch + 1) if more else None
        tail = _tail(
            cursor.request,
            cursor.total,
            b"" if cursor.request.streaming and more else cursor.extra,
            code=code,
            identifier=identifier if more else None,
            next_batch=batch,
        )
        rows = cursor.rows
        if cursor.request.allow_retry:
            cursor.last = lambda: _outcome(rows, begin, end, 200, tail)  # `code` in its body is that of the first time
        elif not more:
            self._close(identifier)
        return _outcome(rows, begin, end, code, tail)

    def _find(self, operation: Operation, identifier: str) -> _Cursor:
        self._expire()
        cursor = self._open.get(identifier)
        if cursor is None or cursor.database != operation.database or cursor.expires < self._clock():
            raise ArangoError(1600)
        if cursor.owner != owner_of(operation.headers.get("authorization")):
            raise ArangoError(1600)
        return cursor

    def _close(self, identifier: str) -> None:
        cursor = self._open.pop(identifier, None)
        if cursor is not None:
            self._bytes -= cursor.size

    def _expire(self) -> None:
        now = self._clock()
        over = [name for name, cursor in self._open.items() if cursor.expires < now and cursor.source is None]
        for identifier in over:
            self._close(identifier)


def _names(operation: Operation) -> tuple[str, str | None]:
    """Return (cursor id, batch id) of /_api/cursor/{id}[/{batch}]."""
    parts = operation.path[operation.path.index("cursor") + 1 :] if "cursor" in operation.path else ()
    identifier = parts[0] if parts else operation.key or ""
    return identifier, parts[1] if len(parts) > 1 else None


def _rest(cursor: _Cursor) -> list[bytes]:
    """Return the rows of a stream that were read and not sent."""
    if not isinstance(cursor.rows, SpooledRows):
        return list(cursor.rows[cursor.position :])
    return [cursor.rows.text(place, place + 1) for place in range(cursor.position, len(cursor.rows))]


def _outcome(rows: Sequence[bytes] | SpooledRows, begin: int, end: int, code: int, tail: bytes) -> Outcome:
    """Return a batch: the rows from `begin` up to `end`, and what follows them."""
    if not isinstance(rows, SpooledRows):
        return Outcome(code, b'{"result":[' + b",".join(rows[begin:end]) + b"]" + tail)
    return spooled_answer(code, (b'{"result":[', b"]" + tail), rows, begin, end)


def _tail(
    request: CursorRequest,
    total: int,
    extra: bytes,
    *,
    code: int,
    identifier: str | None = None,
    next_batch: str | None = None,
) -> bytes:
    hint = b',"nextBatchId":"%s"' % next_batch.encode() if next_batch is not None else b""
    parts = [
        b',"hasMore":' + (b"false" if next_batch is None else b"true"),
        b',"id":"%s"' % identifier.encode() if identifier is not None else b"",
        b',"count":%d' % total if request.count else b"",
    ]
    cached = b',"cached":false'
    extra = b',"extra":' + extra if extra else b""  # a stream has it only in its last batch
    if code == 201:  # the first batch has its attributes in another order than the later ones
        parts[2:2] = [hint]
        parts += [cached, extra]
    else:
        parts += [extra, cached, hint]
    return b"".join(parts) + b',"error":false,"code":%d}' % code
