"""Shows the progress of runs: bars with rate and remaining time in a terminal, plain lines otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from backfill.run_store import statuses
from backfill.run_summary import Rate, RunSummary, duration, line
from proxy.base.database import Database
from proxy.base.errors import DatabaseError

BAR_SECONDS = 0.25
LINE_SECONDS = 5.0


class View(Protocol):
    """A display of the status of runs."""

    pause: float

    def show(self, found: Sequence[RunSummary]) -> None: ...
    def trouble(self, text: str) -> None: ...


class RunBars:
    """A bar for each run and worker, for terminals: rate, remaining time by the recent rate, why a worker waits."""

    pause = BAR_SECONDS

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>12}  {task.fields[left]}"),
            console=console,
        )
        self._tasks: dict[int, TaskID] = {}
        self._rates: dict[object, Rate] = {}
        self._workers: dict[tuple[int, str], TaskID] = {}

    def __enter__(self) -> RunBars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, found: Sequence[RunSummary]) -> None:
        for status in found:
            rate = self._rate(status.run, status.documents)
            task = self._tasks.get(status.run)
            if task is None:
                name = f"{status.kind} {status.collection}"
                task = self._progress.add_task(name, total=max(status.planned, 1), rate="", left="")
                self._tasks[status.run] = task
            ended = status.state != "open"
            self._progress.update(
                task,
                completed=status.documents,
                total=max(status.documents if ended else status.planned, status.documents, 1),
                rate=f"{rate.value:,.0f}/s",
                left=status.state if ended else _left(status, rate),
            )
            self._show_workers(status)

    def trouble(self, text: str) -> None:
        for task in self._tasks.values():
            self._progress.update(task, rate="", left=f"waits: {text}")

    def _show_workers(self, status: RunSummary) -> None:
        here = {(status.run, at.worker): at for at in status.workers if status.state == "open"}
        for key, at in here.items():
            # host:pid:number:token; the middle distinguishes workers of one machine
            name = ":".join(at.worker.split(":")[:3])
            rate = self._rate((status.run, at.chunk), at.documents)
            if key not in self._workers:
                self._workers[key] = self._progress.add_task("", total=1, rate="", left="")
            self._progress.update(
                self._workers[key],
                description=f"  {name} chunk {at.chunk}",
                completed=at.documents,
                total=max(at.expected, at.documents, 1),
                rate=f"{rate.value:,.0f}/s",
                left=f"waits: {at.waiting}" if at.waiting else "",
            )
        for key in [key for key in self._workers if key[0] == status.run and key not in here]:
            self._progress.remove_task(self._workers.pop(key))

    def _rate(self, key: object, documents: int) -> Rate:
        rate = self._rates.setdefault(key, Rate())
        rate.add(time.monotonic(), documents)
        return rate


def _left(status: RunSummary, rate: Rate) -> str:
    """Return the remaining time, or what the run waits for."""
    waits = ", ".join(status.waits_for)
    return f"waits: {waits}" if waits else f"{duration(rate.left(status.planned))} left"


class RunLines:
    """A line for each run every few seconds, for logs."""

    pause = BAR_SECONDS

    def __init__(self, console: Console, every: float = LINE_SECONDS) -> None:
        self._console = console
        self._every = every
        self._last = time.monotonic()
        self._rates: dict[int, Rate] = {}

    def trouble(self, text: str) -> None:
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._console.print(f"waits: {text}", markup=False, highlight=False, soft_wrap=True)

    def show(self, found: Sequence[RunSummary]) -> None:
        now = time.monotonic()
        for status in found:
            self._rates.setdefault(status.run, Rate()).add(now, status.documents)
        if now - self._last < self._every:
            return
        self._last = now
        for status in found:
            if status.state == "open":
                rate = self._rates[status.run]
                text = line(status, rate.value, rate.left(status.planned))
                self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextlib.asynccontextmanager
async def shown(database: Database, chosen: Sequence[int], view: View) -> AsyncIterator[None]:
    """Show the runs during the block, and once more at its end. Errors of the display do not stop the block."""

    async def follow() -> None:
        while True:
            try:
                view.show(await statuses(database, chosen))
            except DatabaseError as error:
                view.trouble(f"PostgreSQL: {error}")
            await asyncio.sleep(view.pause)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(DatabaseError):
            view.show(await statuses(database, chosen))
