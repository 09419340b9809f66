"""Explains a difference in words, by DeepDiff: the only module that imports it.

DeepDiff takes milliseconds to seconds (measurements: 7 ms for 2 KB), so it runs in one worker process with a limit of
time and of memory, started when the first fingerprint is new. What it cannot explain within them is left unexplained
and counted: class and paths are known without it.

The worker is this module run by itself: it imports next to nothing of the proxy, so that its start is short where a
core is all that there is. It reads questions and prints answers until its standard input ends, which it does with the
proxy, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import resource
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process
from typing import BinaryIO, Final

import structlog

from proxy import printed

log = structlog.get_logger(__name__)

_MAX_INPUT: Final = 256 << 10  # bytes of both answers
_MAX_TEXT: Final = 4000  # characters of an explanation
_MAX_WAITING: Final = 4  # differences that wait for the worker; a verdict does not wait behind more
_START_SECONDS: Final = 30.0
_NICE: Final = 10  # a tenth of what a process beside it gets: a start takes seconds at worst
_QUESTION: Final = struct.Struct("!?II")  # whether values may be quoted; bytes of both texts, which follow
_ANSWER: Final = struct.Struct("!i")  # bytes of the text that follows; negative: there is none
_NOTHING: Final = -1


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


def work(questions: BinaryIO, answers: BinaryIO, seconds: int) -> None:
    """The worker: says that it is ready by an empty answer, then answers until there are no more questions.

    After so many seconds with one of them it ends: its parent, which would have ended it, must be gone.
    """
    answers.write(_ANSWER.pack(_NOTHING))
    answers.flush()
    while len(head := questions.read(_QUESTION.size)) == _QUESTION.size:
        values, ours, theirs = _QUESTION.unpack(head)
        signal.alarm(seconds)
        text = describe(questions.read(ours), questions.read(theirs), values)
        signal.alarm(0)
        told = b"" if text is None else text.encode("utf-8", "replace")
        answers.write(_ANSWER.pack(_NOTHING if text is None else len(told)) + told)
        answers.flush()


async def _answer(worker: Process) -> str | None:
    """Raises IncompleteReadError where the worker ended."""
    assert worker.stdout is not None
    (size,) = _ANSWER.unpack(await worker.stdout.readexactly(_ANSWER.size))
    return None if size < 0 else (await worker.stdout.readexactly(size)).decode()


class Explainer:
    """Owns the worker process. `omitted`: explanations that were over a limit."""

    def __init__(self, *, seconds: float = 5.0, memory: int = 1 << 30, values: bool = True) -> None:
        self._seconds = seconds
        self._memory = memory
        self._values = values
        self._worker: Process | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self.omitted = 0

    @property
    def pid(self) -> int | None:
        """The worker's, while there is one."""
        return None if self._worker is None else self._worker.pid

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
        if self._worker is not None and self._worker.returncode is not None:  # somebody ended it meanwhile
            await self._discard()
        try:
            worker = self._worker or await self._start()
            assert worker.stdin is not None
            async with asyncio.timeout(self._seconds):
                worker.stdin.write(_QUESTION.pack(self._values, len(origin), len(target)) + origin + target)
                await worker.stdin.drain()
                return await _answer(worker)
        except (TimeoutError, OSError, RuntimeError, asyncio.IncompleteReadError) as error:
            # RuntimeError: what uvloop says of a pipe whose reader is gone
            log.warning("a difference is left unexplained", error=type(error).__name__)
            await self._discard()
            return None
        except asyncio.CancelledError:  # its answer would be taken for the next one's
            await self._discard()
            raise

    async def _start(self) -> Process:
        """A worker that is ready. Raises TimeoutError, OSError, IncompleteReadError where there will be none."""
        limits = [str(self._memory), str(math.ceil(self._seconds) + 1)]
        command = [sys.executable, "-m", "proxy.shadow.explain", *limits]
        worker = self._worker = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        with contextlib.suppress(OSError):  # its very start would keep clients waiting
            os.setpriority(os.PRIO_PROCESS, worker.pid, _NICE)
        async with asyncio.timeout(_START_SECONDS):
            await _answer(worker)
        return worker

    async def _discard(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()

    async def close(self) -> None:
        """Ends the worker; what it was explaining is left."""
        await self._discard()


if __name__ == "__main__":
    # Ctrl-C is the proxy's to answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    most, limit = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    work(sys.stdin.buffer, sys.stdout.buffer, limit)
