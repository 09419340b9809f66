"""Keeps an idea of ArangoDB's clock, in which revisions are given (`model.clock`)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from proxy.base.errors import ArangoError, UpstreamError
from proxy.model.clock import OriginClock
from proxy.replication.revision_scan import OriginScanner

_INTERVAL: Final = 10.0  # seconds between two readings
_FIRST_INTERVAL: Final = 0.1  # likewise, until the clock was read once
_FIRST_TIMEOUT: Final = 1.0


class OriginTime:
    """Reads ArangoDB's clock from time to time."""

    def __init__(self, origin: OriginScanner, clock: OriginClock) -> None:
        self._origin = origin
        self._clock = clock
        self._refused = False  # a wrong account would fill ArangoDB's audit log with failed logins

    async def read_first(self) -> None:
        """Read the clock, waiting at most a moment: what is intended before it was read is searched in all."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_TIMEOUT):
                await self._read()

    async def run(self) -> None:
        """Read the clock until cancelled."""
        while True:
            fast = not self._clock.shown and not self._refused
            await asyncio.sleep(_FIRST_INTERVAL if fast else _INTERVAL)
            await self._read()

    async def _read(self) -> None:
        try:
            self._clock.observe_time(await self._origin.time_now("_system"))
            self._refused = False
        except UpstreamError:
            self._refused = False
        except (ArangoError, LookupError, ValueError):
            self._refused = True
