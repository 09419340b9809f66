"""Tasks that are restarted after a failure, and how their owners end them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_PAUSE: Final = 1.0  # seconds


async def supervise(work: Callable[[], Awaitable[None]], part: str) -> None:
    """Run work that never ends by itself. An unexpected error is logged, and the work is restarted.

    part: the name of its owner, for the log.
    """
    while True:
        try:
            await work()
        except Exception:
            log.exception("task_restarted", part=part)
            await asyncio.sleep(_PAUSE)


async def cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end. Raise the exception that it raised instead."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
