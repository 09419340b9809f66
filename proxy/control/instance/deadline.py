"""Statements with a time limit, of which one that hangs on a dead connection is left to end by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from proxy.base.errors import DatabaseUnavailable

_STUCK: Final = 2  # statements that time out may hang on a dead connection: so many at most
Result = TypeVar("Result")


class Deadline:
    """Call it with a statement under way. What a statement did that was not answered in time is unknown."""

    def __init__(self) -> None:
        self.stuck: set[asyncio.Future[Any]] = set()

    async def __call__(self, statement: Coroutine[Any, Any, Result], limit: float) -> Result:
        """The statement's result within `limit` seconds. Raises DatabaseUnavailable, and what the statement raises."""
        if len(self.stuck) >= _STUCK:
            statement.close()
            raise DatabaseUnavailable("earlier statements still hang")
        task = asyncio.ensure_future(statement)
        self.stuck.add(task)
        task.add_done_callback(self._ended)
        try:
            done, _ = await asyncio.wait({task}, timeout=limit)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            raise DatabaseUnavailable(f"no answer within {limit:g} s")
        return task.result()

    async def close(self, patience: float) -> None:
        """Cancels what hangs, and waits for it for so many seconds."""
        for task in self.stuck:
            task.cancel()
        if self.stuck:
            await asyncio.wait(self.stuck, timeout=patience)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self.stuck.discard(task)
        if not task.cancelled():
            task.exception()  # it has been told to whoever still waited
