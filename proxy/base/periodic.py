"""Work that is repeated while its owner lives, and waits while PostgreSQL is unavailable: flushes and refreshes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from proxy.base.errors import DatabaseError, error_label
from proxy.base.supervise import cancelled, supervise

log = structlog.get_logger(__name__)


class Periodic:
    """Carry out `work` every `interval` seconds until closed. A DatabaseError is logged, and the work is tried again.

    name: of the task, for the log. first: carried out once before the first interval; a DatabaseError skips it.
    """

    def __init__(
        self,
        work: Callable[[], Awaitable[None]],
        name: str,
        interval: float,
        *,
        first: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._work = work
        self._name = name
        self._interval = interval
        self._first = first
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task."""
        self._task = asyncio.create_task(supervise(self._run, self._name), name=self._name)

    async def close(self) -> None:
        """End the task without carrying out the work again."""
        if self._task is not None:
            await cancelled(self._task)
            self._task = None

    async def finish(self, last: Callable[[], Awaitable[None]]) -> None:
        """End the task and carry out `last`. What PostgreSQL does not take then is lost, which is logged."""
        await self.close()
        try:
            await last()
        except DatabaseError as error:
            log.warning("pending_work_lost", part=self._name, error=error_label(error))

    async def _run(self) -> None:
        if self._first is not None:
            await self._try(self._first)
        while True:
            await asyncio.sleep(self._interval)
            await self._try(self._work)

    async def _try(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except DatabaseError as error:
            log.debug("pending_work_waits", part=self._name, error=error_label(error))
