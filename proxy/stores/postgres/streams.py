"""Results that are read from PostgreSQL on demand, so that results of any size take bounded memory.

A stream holds one connection, with a server-side cursor in a read-only transaction, until its last row was taken or it
is closed: all its rows are of one snapshot, as a cursor's are in ArangoDB. So the number of streams is bounded.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final

from proxy.base.database import Database, Session
from proxy.base.errors import Unsupported
from proxy.stores.postgres.compiled_queries import in_pieces, size_of
from proxy.stores.postgres.read_fence import ReadFenceError, fenced, fenced_count

MOST: Final = 4  # open streams of a store: slow clients may hold at most that many connections
_PREFETCH: Final = 200  # rows that one round trip brings at most
_PIECE: Final = 4 << 20  # bytes of rows after which a batch ends, even if more rows were requested

Encode = Callable[[Sequence[Sequence[Any]]], list[bytes]]


class Stream:
    """The rows of one statement, printed. total, full: their number with and without LIMIT; None if not requested."""

    def __init__(
        self,
        stack: contextlib.AsyncExitStack,
        first: tuple[Any, ...],
        rows: AsyncGenerator[tuple[Any, ...], None],
        encode: Encode,
        *,
        total: int | None,
        full: int | None,
    ) -> None:
        """first: the row that was read to test the fence; rows: those after it."""
        self._stack = stack
        self._next: tuple[Any, ...] | None = first
        self._rows = rows
        self._encode = encode
        self.total = total
        self.full = full
        self.ended = False

    async def take(self, number: int, most: int = _PIECE) -> list[bytes]:
        """Return up to `number` rows, fewer at the end or if they exceed about `most` bytes. Raise DatabaseError."""
        found: list[bytes] = []
        size = 0
        while len(found) < number and size < most and not self.ended:
            part: list[Sequence[Any]] = []
            held = 0
            while len(part) < min(_PREFETCH, number - len(found)) and held < most - size:
                row = self._next if self._next is not None else await anext(self._rows, None)
                self._next = None
                if row is None or row[1] is None:
                    self.ended = True
                    break
                part.append(row[1:])
                held += size_of(part[-1])
            encoded = await in_pieces(self._encode, part)
            size += sum(map(len, encoded))
            found += encoded
        if self.ended:
            await self.close()
        return found

    def on_close(self, function: Callable[[], None]) -> None:
        """Call a function when the connection is released."""
        self._stack.callback(function)

    async def close(self) -> None:
        """Release the connection; may be called twice."""
        self.ended = True
        await self._rows.aclose()
        await self._stack.aclose()


class Streams:
    """Opens streams, at most `most` concurrently."""

    def __init__(self, database: Database, *, most: int = MOST) -> None:
        self._database = database
        self._most = most
        self._open = 0
        self._kept = 0

    async def open(
        self,
        query: str,
        parameters: Sequence[object],
        generation: int | None,
        encode: Encode,
        *,
        total: bool = False,
        full_count: tuple[str, Sequence[object]] | None = None,
    ) -> Stream:
        """Return a stream of a statement's rows.

        total: count them first, in the same snapshot. full_count: a statement and its parameters, whose rows are
        counted too.

        Raise ReadFenceError, Unsupported if too many are open, DatabaseError.
        """
        if self._open >= self._most:
            raise Unsupported("too many results are being read from PostgreSQL")
        async with contextlib.AsyncExitStack() as stack:
            self._open += 1
            stack.callback(self._closed)
            session = await stack.enter_async_context(self._database.session())
            await stack.enter_async_context(session.transaction(isolation="repeatable_read", readonly=True))
            number = full = None
            if total:
                number = await _number(session, query, parameters, generation)
                generation = None  # later statements read the same snapshot, for which the fence held
            if full_count is not None:
                full = await _number(session, *full_count, generation)
                generation = None
            rows = session.cursor(
                fenced(query, len(parameters)), *parameters, generation, prefetch=_PREFETCH, most=_PIECE
            )
            first = await anext(rows, None)
            if first is None or not first[0]:
                await rows.aclose()
                raise ReadFenceError
            return Stream(stack.pop_all(), first, rows, encode, total=number, full=full)
        raise AssertionError  # the stack lets every exception through

    def _closed(self) -> None:
        self._open -= 1

    def keep(self, stream: Stream) -> bool:
        """Return True if a stream may stay open between requests, as at most MOST others do."""
        if self._kept >= MOST:
            return False
        self._kept += 1
        stream.on_close(self._released)
        return True

    def _released(self) -> None:
        self._kept -= 1


async def _number(session: Session, query: str, parameters: Sequence[object], generation: int | None) -> int:
    """Return the number of rows of a statement, under the fence."""
    row = await session.fetchval(fenced_count(query, len(parameters)), *parameters, generation)
    if row.number is None:
        raise ReadFenceError
    return row.number
