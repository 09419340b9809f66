"""The writes of one run, of which memory holds a part: beyond a size they are sent to PostgreSQL before the run ends.

A query that fails keeps what it wrote before its last intermediate commit, and nothing else. What is still in memory is
undone there; what was sent since that commit is behind a savepoint.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from proxy.base.database import Session
from proxy.semantics.query_writes import IntermediateCommits
from proxy.stores.postgres.modifications.known_documents import EACH
from proxy.stores.postgres.modifications.query_collection import QueryCollection

PENDING: Final = 4 << 20  # bytes of documents, old and new, that wait in memory


class Undone(Exception):
    """Leaves the context of a savepoint to which the transaction is rolled back."""


class Flushes:
    """session: with the open transaction; None: nothing is sent before the end. send: writes what is pending.

    check: raises RepeatError if an error comes from a value that the run took to be free, and that is not.
    flushed: the number of writes that were sent.
    """

    def __init__(
        self,
        session: Session | None,
        send: Callable[[], Awaitable[None]],
        check: Callable[[], Awaitable[None]],
        commits: IntermediateCommits,
    ) -> None:
        self._session = session
        self._send = send
        self._check = check
        self._commits = commits
        self._pending: list[tuple[QueryCollection, str, bytes | None]] = []
        self._size = 0
        self._savepoint: contextlib.AsyncExitStack | None = None
        self.flushed = 0

    @property
    def limited(self) -> bool:
        """True if memory is."""
        return self._session is not None

    @property
    def due(self) -> bool:
        """True if more waits than memory should hold."""
        return self._session is not None and self._size > PENDING

    def note(self, collection: QueryCollection, key: str, old: bytes | None, size: int) -> None:
        """Take note of a write: a document of `size` bytes in place of `old`."""
        self._pending.append((collection, key, old))
        self._size += size + len(old or b"") + EACH
        self._commits.count(size)

    async def flush(self) -> None:
        """Send what waits. Raise whatever `send` raises."""
        kept = self._commits.kept - self.flushed
        if 0 < kept < len(self._pending):
            await self._flush_first(kept)
            kept = 0
        if self._commits.kept and kept <= 0:
            await self._begin_savepoint()
        await self._send()
        self.flushed += len(self._pending)
        self._pending, self._size = [], 0
        if kept > 0:
            await self.release()

    async def _flush_first(self, number: int) -> None:
        """Send the first writes that wait, and let the others wait still."""
        rest = self._pending[number:]
        sent = {(collection.name, key) for collection, key, _ in self._pending[:number]}
        present = {(collection.name, key): collection.present(key) for collection, key, _ in rest}
        for collection, key, old in reversed(rest):
            collection.put_back(key, old)
        await self._send()
        for collection, key, old in reversed(rest):
            if (collection.name, key) in sent:  # the first one of a key that follows has found what was sent
                collection.known.keep_written(key, old)
        for collection, key, _ in rest:
            collection.put_back(key, present[collection.name, key])
        self.flushed += number
        self._pending = rest
        await self.release()

    async def undo(self) -> None:
        """Undo the writes after the last intermediate commit, after an error of the query.

        Raise whatever `check` raises. If nothing was sent, the caller checks: it can repeat the run.
        """
        if self.flushed:
            await self._check()  # while PostgreSQL still has what was sent
        if not self._commits.kept:
            return  # nothing of the transaction is kept
        kept = self._commits.kept - self.flushed
        for collection, key, old in reversed(self._pending[max(0, kept) :]):
            collection.put_back(key, old)
        if kept < 0:
            await self.roll_back()
        else:
            await self.release()

    async def _begin_savepoint(self) -> None:
        if self._savepoint is None and self._session is not None:
            stack = contextlib.AsyncExitStack()
            await stack.enter_async_context(self._session.transaction())
            self._savepoint = stack

    async def release(self) -> None:
        """Keep what was sent."""
        stack, self._savepoint = self._savepoint, None
        if stack is not None:
            await stack.aclose()

    async def roll_back(self) -> None:
        """Undo what was sent since the last intermediate commit."""
        stack, self._savepoint = self._savepoint, None
        if stack is not None:
            with contextlib.suppress(Undone):
                await stack.__aexit__(Undone, Undone(), None)
