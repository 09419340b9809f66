"""Queries of this process that write the same documents take turns, so that they do not conflict again and again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from proxy.model import json_values

_REMEMBERED: Final = 1000  # queries that met another one
_LATELY: Final = 1.0  # seconds
_COMPARED: Final = 1024  # bytes of bind variables: queries with more of them are never the same


class Turns:
    """Locks by collection. now: seconds, of a clock that only rises.

    A query has a turn once it has met another transaction. The same query, with the same bind variables, then has one
    from its first attempt on: a thousand clients that raise one counter would all make a first attempt in vain.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._met: OrderedDict[tuple[str, bytes], float] = OrderedDict()

    @contextlib.asynccontextmanager
    async def taken(
        self, collections: Sequence[str], text: str, binds: Mapping[str, Any], *, met: bool
    ) -> AsyncIterator[Callable[[], bool]]:
        """Hold the turn of a query, if it needs one. collections: sorted. met: it has met another transaction.

        Yield a function that returns True if it has no turn and meanwhile needs one: it must begin again then.
        """
        if met:
            self._remember(_same(text, binds))

        def needed() -> bool:
            return met or self._met_lately(text, binds)

        async with contextlib.AsyncExitStack() as stack:
            has = needed()
            for name in collections if has else ():
                await stack.enter_async_context(self._locks[name])
            yield lambda: not has and needed()

    def _remember(self, same: tuple[str, bytes] | None) -> None:
        if same is not None:
            self._met[same] = self._now() + _LATELY
            self._met.move_to_end(same)
            if len(self._met) > _REMEMBERED:
                self._met.popitem(last=False)

    def _met_lately(self, text: str, binds: Mapping[str, Any]) -> bool:
        while self._met and next(iter(self._met.values())) <= self._now():
            self._met.popitem(last=False)
        return bool(self._met) and _same(text, binds) in self._met  # printed only if any query met another one


def _same(text: str, binds: Mapping[str, Any]) -> tuple[str, bytes] | None:
    printed = json_values.dump(dict(binds))
    return (text, printed) if len(printed) <= _COMPARED else None
