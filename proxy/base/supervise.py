"""Tasks that are restarted after a failure, how their owners end them, and the signals that stop a command."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
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


class StopEvent(asyncio.Event):
    """Set when a command must end. interrupted: by SIGINT, which Ctrl-C sends."""

    interrupted: bool = False

    def interrupt(self) -> None:
        """Set the event because of SIGINT."""
        self.interrupted = True
        self.set()


@contextlib.contextmanager
def stop_on_signals(stop: StopEvent) -> Iterator[None]:
    """Let SIGTERM and SIGINT set `stop`: what runs finishes its page, part or chunk, and ends."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.interrupt)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
