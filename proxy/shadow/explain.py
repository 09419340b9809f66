"""Explains a difference in words, by DeepDiff: the only module that imports it.

DeepDiff takes milliseconds to seconds (measurements: 7 ms for 2 KB), so it runs in one worker process with a limit of
time and of memory, started when the first fingerprint is new. What it cannot explain within them is left unexplained
and counted: class and paths are known without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import resource
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Final

import structlog

from proxy import printed

log = structlog.get_logger(__name__)

_MAX_INPUT: Final = 256 << 10  # bytes of both answers
_MAX_TEXT: Final = 4000  # characters of an explanation
_MAX_WAITING: Final = 4  # differences that wait for the worker; a verdict does not wait behind more
_START_SECONDS: Final = 30.0
_NICE: Final = 10  # a tenth of what a process beside it gets: a start takes seconds at worst


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


def describe(origin: bytes, target: bytes, values: bool) -> str | None:
    """In the worker: DeepDiff's sentences; None where it has none. values: whether they may quote the documents."""
    from deepdiff import DeepDiff

    try:
        found = DeepDiff(
            printed.load(origin),
            printed.load(target),
            ignore_numeric_type_changes=True,
            verbose_level=2 if values else 1,
        )
        if values:
            return str(found.pretty())[:_MAX_TEXT]
        return "; ".join(f"{kind}: {', '.join(sorted(map(str, at)))}" for kind, at in found.items())[:_MAX_TEXT]
    except (MemoryError, RecursionError, ValueError):
        return None


def _behind_everybody(pool: ProcessPoolExecutor) -> None:
    """The worker gets what CPU is left: its very start would keep clients waiting where a core is all that there is."""
    for pid in pool._processes or {}:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, _NICE)


def _ready() -> None:
    """The first task: a worker takes its time to start, and that is nobody's explanation."""


class Explainer:
    """Owns the worker process. `omitted`: explanations that were over a limit."""

    def __init__(self, *, seconds: float = 5.0, memory: int = 1 << 30, values: bool = True) -> None:
        self._seconds = seconds
        self._memory = memory
        self._values = values
        self._pool: ProcessPoolExecutor | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self.omitted = 0

    async def explain(self, origin: bytes, target: bytes) -> str | None:
        """Sentences that say what differs between two JSON texts; None where that takes too long, or too much."""
        explanation = None
        if len(origin) + len(target) <= _MAX_INPUT and self._waiting < _MAX_WAITING:
            self._waiting += 1
            try:
                async with self._turn:
                    explanation = await self._ask(origin, target)
            finally:
                self._waiting -= 1
        if explanation is None:
            self.omitted += 1
        return explanation

    async def _ask(self, origin: bytes, target: bytes) -> str | None:
        loop = asyncio.get_running_loop()
        try:
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(1, context, initializer=_prepare, initargs=(self._memory,))
                ready = loop.run_in_executor(self._pool, _ready)
                _behind_everybody(self._pool)
                await asyncio.wait_for(ready, _START_SECONDS)
            asked = loop.run_in_executor(self._pool, describe, origin, target, self._values)
            return await asyncio.wait_for(asked, self._seconds)
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
