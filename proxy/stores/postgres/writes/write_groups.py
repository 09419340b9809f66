"""Concurrent writes of single documents of one collection share a transaction.

A write that finds no other one being prepared begins immediately. Those that come meanwhile wait until the changes of
that group are written, and are then executed together, in the order in which they came, while the former group commits.
So a transaction's round trips are paid by few writes under a small load and by many under a large one, and the commits,
which wait for the disk, overlap with the next groups.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
Written = Callable[[], None]
_CONCURRENT: Final = 4  # groups of one collection: one that is prepared, the others commit
_MOST: Final = 64  # members of a group


@dataclass(slots=True)
class _Queue(Generic[T, R]):
    """prepares: a group is between its beginning and its commit. running: groups that have not ended.

    waiting: members, with what each waits for: its result, or None if it must lead a group.
    """

    prepares: bool = False
    running: int = 0
    waiting: deque[tuple[T, asyncio.Future[R | None]]] = field(default_factory=deque)

    @property
    def free(self) -> bool:
        """True if a group may begin."""
        return not self.prepares and self.running < _CONCURRENT

    def begin(self) -> None:
        """Begin a group."""
        self.prepares = True
        self.running += 1

    def pass_on(self) -> None:
        """Let the first member that waits lead a group, if one may begin. A member that was cancelled is left out."""
        while self.waiting and self.free:
            _, future = self.waiting.popleft()
            if not future.done():
                self.begin()
                future.set_result(None)


class WriteGroups(Generic[T, R]):
    """Executes members in groups.

    run: executes a group, and returns a result for each member, in their order; it calls its second argument when only
    the commit is left. If it raises, every member of the group gets that exception.
    """

    def __init__(self, run: Callable[[Sequence[T], Written], Awaitable[Sequence[R]]]) -> None:
        self._run = run
        self._queues: defaultdict[Hashable, _Queue[T, R]] = defaultdict(_Queue)

    async def execute(self, place: Hashable, member: T) -> R:
        """Return the member's result. place: members with an equal one may share a group."""
        queue = self._queues[place]
        if queue.free and not queue.waiting:
            queue.begin()
        else:
            future: asyncio.Future[R | None] = asyncio.get_running_loop().create_future()
            queue.waiting.append((member, future))
            try:
                result = await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled() and future.result() is None:  # it was to lead
                    self._end(place, queue, prepared=False)
                raise
            if result is not None:
                return result
        return await self._lead(place, queue, member)

    async def _lead(self, place: Hashable, queue: _Queue[T, R], member: T) -> R:
        """Execute a group of this member and those that wait, and let the next group begin."""
        prepared = False

        def written() -> None:
            nonlocal prepared
            if not prepared:
                prepared, queue.prepares = True, False
                queue.pass_on()

        others: list[tuple[T, asyncio.Future[R | None]]] = []
        try:
            await asyncio.sleep(0)  # requests that have arrived already become members too
            others = [queue.waiting.popleft() for _ in range(min(len(queue.waiting), _MOST - 1))]
            results = await self._run([member, *(one for one, _ in others)], written)
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
            self._end(place, queue, prepared=prepared)

    def _end(self, place: Hashable, queue: _Queue[T, R], *, prepared: bool) -> None:
        """End a group. prepared: another one may have begun since."""
        queue.running -= 1
        if not prepared:
            queue.prepares = False
        queue.pass_on()
        if not queue.running:
            self._queues.pop(place, None)
