"""Statements with a time limit; one that hangs on a dead connection is left to end by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from proxy.base.errors import DatabaseUnavailable

_STUCK: Final = 2  # statements that may hang on a dead connection at a time
Result = TypeVar("Result")


class Deadline:
    """Call it with a statement. The outcome of a statement that is not answered in time is unknown."""

    def __init__(self) -> None:
        self.stuck: set[asyncio.Future[Any]] = set()

    async def __call__(self, statement: Coroutine[Any, Any, Result], limit: float) -> Result:
        """Return the statement's result within `limit` seconds. Raise DatabaseUnavailable, and what it raises."""
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

    async def close(self, timeout: float) -> None:
        """Cancel what hangs, and wait for it for at most `timeout` seconds."""
        for task in self.stuck:
            task.cancel()
        if self.stuck:
            await asyncio.wait(self.stuck, timeout=timeout)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self.stuck.discard(task)
        if not task.cancelled():
            task.exception()  # the caller got it, if it still waited
