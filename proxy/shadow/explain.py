"""Explains a difference in words, by DeepDiff: the only module that imports it.

DeepDiff takes milliseconds to seconds (measurements: 7 ms for 2 KB), so it runs in one worker process with a limit of
time and of memory, started when the first fingerprint is new. What it cannot explain within them is left unexplained
and counted: class and paths are known without it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, Final

import structlog

from proxy import printed

log = structlog.get_logger(__name__)

_MAX_INPUT: Final = 256 << 10  # bytes of both answers
_MAX_TEXT: Final = 4000  # characters of an explanation


class _OutOfTime(Exception):
    pass


def _prepare(memory: int) -> None:
    """In the worker, once: what it may use. It ends with its parent, however that ends, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _end_with_parent() -> None:
    # a worker waits for work on a pipe whose other end it holds as well: it would never see that its parent was killed
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(0)


def describe(origin: bytes, target: bytes, seconds: float, values: bool) -> str | None:
    """In the worker: the sentences of DeepDiff; None over the limit. values: whether they may quote the documents."""

    def out_of_time(_number: int, _frame: Any) -> None:
        raise _OutOfTime

    previous = signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        from deepdiff import DeepDiff

        found = DeepDiff(
            printed.load(origin),
            printed.load(target),
            ignore_numeric_type_changes=True,
            verbose_level=2 if values else 1,
        )
        if not values:
            return "; ".join(f"{kind}: {', '.join(sorted(map(str, places)))}" for kind, places in found.items())[
                :_MAX_TEXT
            ]
        return str(found.pretty())[:_MAX_TEXT]
    except (_OutOfTime, MemoryError, RecursionError, ValueError):
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


class Explainer:
    """Owns the worker process. `omitted`: explanations that were over a limit."""

    def __init__(self, *, seconds: float = 5.0, memory: int = 1 << 30, values: bool = True) -> None:
        self._seconds = seconds
        self._memory = memory
        self._values = values
        self._pool: ProcessPoolExecutor | None = None
        self._turn = asyncio.Lock()
        self.omitted = 0

    async def explain(self, origin: bytes, target: bytes) -> str | None:
        """Sentences that say what differs between two JSON texts; None where that takes too long, or too much."""
        explanation = None
        if len(origin) + len(target) <= _MAX_INPUT:
            async with self._turn:
                explanation = await self._ask(origin, target)
        if explanation is None:
            self.omitted += 1
        return explanation

    async def _ask(self, origin: bytes, target: bytes) -> str | None:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, initializer=_prepare, initargs=(self._memory,))
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._pool, describe, origin, target, self._seconds, self._values)
        try:
            # the worker stops itself; the margin is for its start, and for code that no signal interrupts
            return await asyncio.wait_for(asked, self._seconds + 20)
        except (TimeoutError, BrokenProcessPool) as error:
            log.warning("a difference is left unexplained", error=type(error).__name__)
            self._discard()
            return None

    def _discard(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)

    async def close(self) -> None:
        """Ends the worker; what it was explaining is left."""
        pool = self._pool
        if pool is None:
            return
        if self._turn.locked():
            self._discard()
        self._pool = None
        await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
