"""Concurrent writes of single documents of one collection share a transaction.

A write that finds no other one under way begins immediately. Those that come while some are under way wait for the end
of one, and are then executed together: one transaction, in the order in which they came. So a transaction's round trips
and its commit are paid by few writes under a small load, and by many under a large one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_CONCURRENT: Final = 2  # groups of one collection
_MOST: Final = 64  # members of a group


@dataclass(slots=True)
class _Queue(Generic[T, R]):
    """running: groups under way. waiting: members, with what each waits for: its result, or None if it must lead."""

    running: int = 0
    waiting: deque[tuple[T, asyncio.Future[R | None]]] = field(default_factory=deque)


class WriteGroups(Generic[T, R]):
    """Executes members in groups. run: executes a group, and returns a result for each member, in their order.

    If it raises, every member of the group gets that exception.
    """

    def __init__(self, run: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        self._run = run
        self._queues: defaultdict[Hashable, _Queue[T, R]] = defaultdict(_Queue)

    async def execute(self, place: Hashable, member: T) -> R:
        """Return the member's result. place: members with an equal one may share a group."""
        queue = self._queues[place]
        if queue.running >= _CONCURRENT:
            future: asyncio.Future[R | None] = asyncio.get_running_loop().create_future()
            queue.waiting.append((member, future))
            result = await future
            if result is not None:
                return result
        else:
            queue.running += 1
        return await self._lead(place, queue, member)

    async def _lead(self, place: Hashable, queue: _Queue[T, R], member: T) -> R:
        """Execute a group of this member and those that wait; let the next one that waits lead the next group."""
        others = [queue.waiting.popleft() for _ in range(min(len(queue.waiting), _MOST - 1))]
        try:
            results = await self._run([member, *(one for one, _ in others)])
        except BaseException as error:
            for _, future in others:
                if not future.done():
                    future.set_exception(error if isinstance(error, Exception) else RuntimeError("a write was ended"))
            raise
        else:
            for (_, future), result in zip(others, results[1:], strict=True):
                if not future.done():
                    future.set_result(result)
            return results[0]
        finally:
            self._end(place, queue)

    def _end(self, place: Hashable, queue: _Queue[T, R]) -> None:
        while queue.waiting:
            _, future = queue.waiting.popleft()
            if not future.done():  # its turn to lead; a member that was cancelled is left out
                future.set_result(None)
                return
        queue.running -= 1
        if not queue.running:
            self._queues.pop(place, None)
