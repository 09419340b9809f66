"""Finds the documents that a store refuses among those that it takes: by halves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from proxy.base.errors import CrossfadeError

T = TypeVar("T")


async def isolated(
    items: Sequence[T],
    attempt: Callable[[Sequence[T]], Awaitable[None]],
    is_of_an_item: Callable[[CrossfadeError], bool],
) -> list[tuple[T, str]]:
    """Runs `attempt` on all of them, or on halves where it fails because of one. Those that fail alone, and why.

    An attempt that fails has had no effect. Errors that are not an item's doing are raised.
    """
    if not items:
        return []
    try:
        await attempt(items)
        return []
    except CrossfadeError as error:
        if not is_of_an_item(error):
            raise
        if len(items) == 1:
            return [(items[0], str(error))]
    half = len(items) // 2
    return [
        *await isolated(items[:half], attempt, is_of_an_item),
        *await isolated(items[half:], attempt, is_of_an_item),
    ]
