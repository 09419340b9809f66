"""shadow replay: send recorded reads through a proxy again, until rare query shapes are compared often enough."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import sql
from proxy.base.arango_client import ReplayClient
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed, UpstreamOutcomeUnknown, UpstreamUnavailable
from proxy.cli.naming import expand
from proxy.cli.registration import bundled
from proxy.cli.runtime import (
    DONE,
    REFUSED,
    DryRunOption,
    JsonOption,
    Selection,
    console,
    execute,
    plural,
    write_json,
)
from proxy.cli.tables import table
from proxy.control import thresholds
from proxy.model.stages import Stage
from proxy.operator import shapes
from proxy.operator.replay import Sent, WantedShape, examples_of, round_robin, sendable
from proxy.operator.shapes import State

_POLL: Final = 1.0  # seconds between two reads of the counts
_CLIENTS: Final = 8  # reads at a time
_REFUSED: Final = frozenset({401, 403})
_OPEN: Final = frozenset({State.NEVER, State.FEW})


@dataclass(slots=True)
class _Tally:
    """Counts of what was sent: answers by status, and reads without an answer."""

    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0

    @property
    def sent(self) -> int:
        return self.statuses.total() + self.lost


@bundled
def replay(
    chosen: Selection,
    *,
    rate: Annotated[float, typer.Option("--rate", min=0.1, help="how many reads are sent per second")] = 20.0,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="end after this time at the latest")] = 600.0,
    proxy: Annotated[
        str | None,
        typer.Option("--proxy", metavar="URL", help="the proxy's traffic listener; by default CROSSFADE_LISTEN_HOST"),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send recorded reads again, so that rare query shapes are compared as often as the gates need.

    Proxies keep some reads of each query shape (CROSSFADE_EXAMPLES), with keys and bind variables. They are sent as the
    account CROSSFADE_ORIGIN_USER through a proxy, which compares them as it does every read. Writes are never sent. The
    command ends when every shape has enough comparisons, or at the time limit.

    Examples:
      crossfade shadow replay shop/orders --rate 50
      crossfade shadow replay --dry-run
    """

    async def go(settings: Settings, connected: Database) -> int:
        names = None
        if chosen.collections:
            names = await expand(
                connected, chosen.collections, chosen.database, lambda s: s.stage.at_least(Stage.SHADOW), "compared"
            )
        wanted = await _wanted(connected, settings, names)
        if dry_run:
            _show(wanted, as_json=as_json)
            return DONE
        tally, left = _Tally(), wanted
        if any(one.requests for one in wanted):
            url = proxy or f"http://{settings.listen_host}:{settings.listen_port}"
            account = settings.origin_account
            async with ReplayClient(url, *account) as client:
                run = _Run(connected, settings, names, client, rate, seconds, quiet=as_json)
                tally, left = await run.until_enough(wanted)
        return _report(wanted, left, tally, as_json=as_json)

    execute(go, as_json=as_json)


async def _wanted(connected: Database, _settings: Settings, names: Sequence[str] | None) -> list[WantedShape]:
    """Return the shapes that lack comparisons, each once, the most lacking first."""
    limits = await thresholds.read(connected)
    missing: dict[str, tuple[str, set[str], int]] = {}
    for row in await shapes.listed(connected, names):
        if shapes.advise(row, limits).state in _OPEN:
            _, collections, most = missing.get(row.shape, ("", set(), 0))
            needed = max(most, limits.shape_comparisons - row.fact.decided, 1)
            missing[row.shape] = (row.text, collections | {row.collection}, needed)
    rows = await connected.fetch(sql.examples.OF_SHAPES, list(missing))
    found = examples_of((row.shape, row.request) for row in rows)
    wanted = [
        WantedShape(shape, text, tuple(sorted(of)), needed, _requests(found.get(shape, ())))
        for shape, (text, of, needed) in missing.items()
    ]
    return sorted(wanted, key=lambda one: (-one.missing, one.shape))


def _requests(examples: Sequence[Any]) -> tuple[Sent, ...]:
    return tuple(sent for example in examples if (sent := sendable(example)) is not None)


class _Run:
    """One replay: workers that send, and a poll of what has been compared since."""

    def __init__(
        self,
        connected: Database,
        settings: Settings,
        names: Sequence[str] | None,
        client: ReplayClient,
        rate: float,
        seconds: float,
        *,
        quiet: bool,
    ) -> None:
        self._connected = connected
        self._settings = settings
        self._names = names
        self._client = client
        self._rate = rate
        self._end = time.monotonic() + seconds
        self._quiet = quiet
        self._tally = _Tally()
        self._round_robin: Iterator[tuple[WantedShape, Sent]] = iter(())
        self._next = time.monotonic()
        self._stop = asyncio.Event()
        self._failure: PreconditionFailed | None = None

    async def until_enough(self, wanted: list[WantedShape]) -> tuple[_Tally, list[WantedShape]]:
        """Return what was sent, and what is lacking at the end. Raise PreconditionFailed if nothing can be sent."""
        self._round_robin = round_robin(wanted)
        total = sum(one.missing for one in wanted if one.requests)
        columns = (TextColumn("compared"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[sent]} sent"))
        with Progress(*columns, TimeRemainingColumn(), console=console(stderr=True), disable=self._quiet) as bar:
            task = bar.add_task("replay", total=total, sent=0)
            async with asyncio.TaskGroup() as group:
                for _ in range(_CLIENTS):
                    group.create_task(self._send())
                left = wanted
                while any(one.requests for one in left) and time.monotonic() < self._end:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stop.wait(), _POLL)
                    if self._stop.is_set():
                        break
                    left = await _wanted(self._connected, self._settings, self._names)
                    self._round_robin = round_robin(left)
                    lacking = sum(one.missing for one in left if one.requests)
                    bar.update(task, completed=max(0, total - lacking), sent=self._tally.sent)
                self._stop.set()
        if self._failure is not None:
            raise self._failure
        return self._tally, left

    async def _send(self) -> None:
        while not self._stop.is_set():
            now = time.monotonic()
            self._next = max(self._next + 1 / self._rate, now)
            await asyncio.sleep(self._next - now)
            turn = next(self._round_robin, None)
            if turn is None or self._stop.is_set():
                continue
            sent = turn[1]
            try:
                status = await self._client.read(sent.method, sent.target, sent.headers, sent.body)
            except UpstreamOutcomeUnknown:  # one answer: the next one may come
                self._tally.lost += 1
                continue
            except UpstreamUnavailable as error:
                self._fail(
                    PreconditionFailed(
                        f"no proxy answers ({error}): give the address of its traffic listener with --proxy URL"
                    )
                )
                return
            self._tally.statuses[status] += 1
            if status in _REFUSED:
                self._fail(
                    PreconditionFailed(
                        f"the proxy answered {status} to {self._settings.origin_user}: set CROSSFADE_ORIGIN_USER and "
                        "CROSSFADE_ORIGIN_PASSWORD to an account that may read these collections"
                    )
                )

    def _fail(self, error: PreconditionFailed) -> None:
        self._failure = self._failure or error
        self._stop.set()


def _show(wanted: Sequence[WantedShape], *, as_json: bool) -> None:
    if as_json:
        write_json([_plain(one) for one in wanted])
        return
    out = console()
    if not wanted:
        out.print("every query shape was compared often enough")
        return
    shown = table("shape", "missing", "examples", "collections", "text")
    for one in wanted:
        shown.add_row(
            one.shape,
            str(one.missing),
            str(len(one.requests)),
            escape(", ".join(one.collections)),
            escape(one.text[:80]),
        )
    out.print(shown)


def _short(one: WantedShape) -> str:
    return escape(one.text[:80])


def _plain(one: WantedShape) -> dict[str, Any]:
    return {
        "shape": one.shape,
        "text": one.text,
        "collections": one.collections,
        "missing": one.missing,
        "examples": len(one.requests),
    }


def _report(wanted: Sequence[WantedShape], left: Sequence[WantedShape], tally: _Tally, *, as_json: bool) -> int:
    """Print the result of a replay and return its exit code: 1 if a shape still lacks comparisons."""
    if as_json:
        answers = {str(status): number for status, number in sorted(tally.statuses.items())}
        write_json({"sent": tally.sent, "answers": answers, "missing": [_plain(one) for one in left]})
    else:
        out = console()
        enough = f"{len(wanted) - len(left)} of {len(wanted)} query shapes have enough now"
        out.print(f"{plural(tally.sent, 'read')} sent; {enough}")
        for one in left:
            why = "no example of it is kept" if not one.requests else "`crossfade queries` shows why it is not compared"
            out.print(f"  {_short(one)}: {one.missing} more needed; {why}", soft_wrap=True)
    return REFUSED if left else DONE
