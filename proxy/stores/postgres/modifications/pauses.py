"""The pauses of a query that calls SLEEP: its evaluation ends with PausedError, and is repeated after them.

Those that have passed take no time in the repetition. So a query waits without a connection, unless it is a part of a
stream transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from proxy.base.errors import PausedError

T = TypeVar("T")


class Pauses(Protocol):
    """The pauses of one query."""

    def begin(self) -> None:
        """Begin an evaluation, which meets all pauses again."""

    def pause(self, seconds: float) -> None:
        """Meet a pause. Raise PausedError, ArangoError 1500."""

    def finish(self) -> None:
        """End an evaluation. Raise PausedError if pauses that it has met are to be slept first."""

    async def sleep(self) -> None:
        """Sleep the pauses that the evaluation has met."""


async def after_pauses(pauses: Pauses | None, attempt: Callable[[], Awaitable[T]]) -> T:
    """Return the result of the first attempt that meets no further pause. Raise whatever it raises."""
    while True:
        try:
            return await attempt()
        except PausedError:
            if pauses is None:
                raise
        await pauses.sleep()
