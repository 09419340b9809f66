"""Shows the progress of archive commands: bars in a terminal, plain lines otherwise, nothing with --json."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from backfill.archive.cli_output import volume
from backfill.archive.export import Progress as Shown

LINE_SECONDS: Final = 5.0


class Silent:
    """Shows nothing."""

    def show(self, collection: str, documents: int, size: int, planned: int) -> None:
        """Do nothing."""


class _Speed(ProgressColumn):
    """Documents per second, recently."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class ExportBars:
    """One bar for each collection."""

    def __init__(self, console: Console, what: str) -> None:
        self._what = what
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[size]:>10}"),
            _Speed(),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ExportBars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, collection: str, documents: int, size: int, planned: int) -> None:
        total = max(planned, documents, 1)
        task = self._tasks.get(collection)
        if task is None:
            task = self._progress.add_task(f"{self._what} {collection}", total=total, size="")
            self._tasks[collection] = task
        done = total if documents == planned else documents
        self._progress.update(task, completed=done, total=total, size=volume(size) if size else "")


class ExportLines:
    """A line every few seconds, for logs."""

    def __init__(
        self, console: Console, what: str, every: float = LINE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._what = what
        self._every = every
        self._clock = clock
        self._last = self._since = clock()
        self._of = ""

    def show(self, collection: str, documents: int, size: int, planned: int) -> None:
        now = self._clock()
        if collection != self._of:
            self._of, self._since = collection, now
        if now - self._last < self._every:
            return
        self._last = now
        rate = documents / (now - self._since) if now > self._since else 0.0
        text = f"{self._what} {collection}: {documents:,} of about {planned:,} documents, {rate:,.0f}/s"
        text += f", {volume(size)}" if size else ""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def shown(what: str, *, quiet: bool) -> Iterator[Shown]:
    """Provide the display that suits standard error; none if `quiet`."""
    console = Console(stderr=True)
    if quiet:
        yield Silent()
    elif console.is_terminal:
        with ExportBars(console, what) as bars:
            yield bars
    else:
        yield ExportLines(console, what)
