"""Several requests at a time, of a command that has many of them: not so many that they hold up others."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

T = TypeVar("T")
_AT_ONCE: Final = 8


async def together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all, a few at a time, and return their results in order. Raise the first error, once all have ended."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(each: Coroutine[Any, Any, T]) -> T:
        async with free:
            return await each

    results = await asyncio.gather(*map(one, work), return_exceptions=True)
    found: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found
