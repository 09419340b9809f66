"""Several worker processes for one command, to use more than one core.

Each child is `crossfade backfill worker` on the command's runs. A child that fails is not restarted: the others take
over its chunks. SIGTERM is forwarded to the children, and a child ends if its parent is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Final

from backfill.worker import WorkerOptions
from proxy.base.errors import CrossfadeError

_PARENT_CHECK: Final = 0.5  # seconds between two checks that the parent is alive
_COMMAND: Final = "import typer, backfill.cli; app = typer.Typer(); backfill.cli.register(app); app()"


class ProcessesFailed(CrossfadeError):
    """Every worker process failed, and the work is not finished."""


class WorkerPool:
    """Processes that work on runs. When `stop` is set they finish their pages and end."""

    def __init__(self, stop: asyncio.Event, processes: int, options: WorkerOptions) -> None:
        self._stop = stop
        self._processes = processes
        self._options = options

    async def work(self, chosen: Sequence[int]) -> None:
        """Run until all processes have ended. Raise ProcessesFailed with the first one's error output if all failed."""
        started: list[asyncio.subprocess.Process] = []
        try:
            while len(started) < self._processes:
                started.append(await self._start(chosen))
            errors = await self._ended(started)
        finally:
            for process in started:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if all(process.returncode for process in started):
            raise ProcessesFailed(errors[0] or "every process of the backfill was killed")

    async def _start(self, chosen: Sequence[int]) -> asyncio.subprocess.Process:
        limits = self._options.limits
        command = ["backfill", "worker", "--child", "--workers", str(self._options.workers)]
        for run in chosen:
            command += ["--run", str(run)]
        if limits.max_rate is not None:
            command += ["--max-rate", str(limits.max_rate)]
        if limits.max_lag is not None:
            command += ["--max-lag", str(limits.max_lag)]
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _COMMAND,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "CROSSFADE_PARENT": str(os.getpid())},
        )

    async def _ended(self, started: Sequence[asyncio.subprocess.Process]) -> list[str]:
        stopping = asyncio.create_task(self._forward_stop(started))
        try:
            outputs = await asyncio.gather(*(process.communicate() for process in started))
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
        return [err.decode("utf-8", "replace").strip() for _, err in outputs]

    async def _forward_stop(self, started: Sequence[asyncio.subprocess.Process]) -> None:
        await self._stop.wait()
        for process in started:
            if process.returncode is None:
                process.terminate()


@contextlib.asynccontextmanager
async def die_with_parent(stop: asyncio.Event) -> AsyncIterator[None]:
    """Set `stop` when the process that started this one has ended."""
    parent = int(os.environ.get("CROSSFADE_PARENT", "0")) or os.getppid()

    async def watch() -> None:
        while os.getppid() == parent:
            await asyncio.sleep(_PARENT_CHECK)
        stop.set()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
