"""Runs comparisons off the path: a bounded queue, a few workers, and verdicts that are never a race (I2, I8).

A first look compares what the client got with the other store. Where they differ, the settlers wait until the mirror
has caught up and look again, at origin, target and origin: only where the origin's answer stood still around the
target's, in two looks in a row with the mirror caught up in between, is the difference a mismatch. Resolved on the way
it was lag; not told apart within `settle_seconds` it is unsettled.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from proxy import metrics
from proxy.aql.requests import Result
from proxy.config import Settings
from proxy.errors import ArangoError, DatabaseError, DatabaseRefused, DatabaseUnavailable, Unsupported, UpstreamError
from proxy.operations import Effect, Operation, Outcome
from proxy.shadow.classify import QueryAnswer, TargetAnswer, compare_answers, stable
from proxy.shadow.compare import Difference, NotComparable, Rows
from proxy.shadow.explain import Explainer
from proxy.shadow.ledger import Ledger
from proxy.shadow.samples import Evidence, shown_answers
from proxy.shadow.shapes import Shape, shape_of_operation
from proxy.shadow.verdicts import LAG, MATCH, SKIPPED, UNSETTLED, UNSUPPORTED, Sink, Verdict
from proxy.stores.base import Store
from proxy.stores.postgres import PostgresStore

log = structlog.get_logger(__name__)

_QUEUE_BYTES: Final = 24 << 20  # bodies that may wait
_TOGETHER: Final = 16  # documents that one statement reads when jobs queue up
_FIRST_PAUSE: Final = 0.02  # seconds between two looks; doubled each time up to _LONGEST_PAUSE
_LONGEST_PAUSE: Final = 1.0


class _Batch(msgspec.Struct):
    id: str | None = None
    more: bool = msgspec.field(name="hasMore", default=False)


_BATCH: Final = msgspec.json.Decoder(_Batch)


@dataclass(slots=True)
class _Job:
    """One read to compare. origin_seconds, target_seconds: of the first look, once they are known."""

    operation: Operation
    outcome: Outcome
    collections: tuple[str, ...]
    seconds: float
    route: str
    reversed: bool
    shape: Shape
    origin_seconds: float | None = None
    target_seconds: float | None = None

    @property
    def size(self) -> int:
        return len(self.outcome.body) + len(self.operation.body)


@dataclass(frozen=True, slots=True)
class _Look:
    """Both answers, and the moment at which looking began."""

    began: float
    origin: Outcome
    target: TargetAnswer


@dataclass(frozen=True, slots=True)
class _First:
    """The target's answer to a first look, read together with others."""

    began: float
    seconds: float
    target: Outcome


class Shadow:
    """The shadow of one proxy. `submit` is all that the request path touches."""

    def __init__(
        self,
        settings: Settings,
        store: PostgresStore,
        origin: Store,
        caught_up: Callable[[str, float], Awaitable[bool]],
        ledger: Ledger,
        *,
        explainer: Explainer | None = None,
        chance: Callable[[], float] = random.random,
        sinks: Sequence[Sink] = (),
    ) -> None:
        """caught_up(collection, timeout): True once the mirror has applied all that it took up to now.

        sinks: told the verdict of every read, one after the other, beside the ledger (`verdicts`).
        """
        self._sinks = tuple(sinks)
        self._store = store
        self._origin = origin
        self._caught_up = caught_up
        self._ledger = ledger
        self._explainer = explainer or Explainer(values=not settings.redact)
        self._chance = chance
        self._sample = settings.sample_percent / 100
        self._settle_seconds = settings.settle_seconds
        self._concurrency = settings.shadow_concurrency
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue(settings.shadow_queue)
        self._unsure: asyncio.Queue[tuple[_Job, _Look]] = asyncio.Queue(settings.shadow_queue)
        self._bytes = 0
        self._pending = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: list[asyncio.Task[None]] = []

    # ---- the request path

    def submit(
        self,
        operation: Operation,
        outcome: Outcome,
        collections: frozenset[str],
        origin_seconds: float,
        route: str,
        *,
        reversed: bool = False,  # noqa: A002
    ) -> None:
        """Hands over what a client was answered. Never blocks; what finds no place is counted as skipped.

        collections: `database/name` of all that it reads. origin_seconds: how long the store that answered took.
        reversed: PostgreSQL answered, and ArangoDB is the one that is asked.
        """
        shape, names = shape_of_operation(operation), tuple(sorted(collections))
        self._ledger.seen(names, shape)
        if self._sample < 1 and self._chance() >= self._sample:
            self._skip(names, shape, "sampled", reversed=reversed)
            return
        job = _Job(operation, outcome, names, origin_seconds, route, reversed, shape)
        if self._jobs.full() or self._bytes + job.size > _QUEUE_BYTES:
            self._skip(names, shape, "queue full", reversed=reversed)
            return
        self._bytes += job.size
        self._pending += 1
        self._idle.clear()
        self._jobs.put_nowait(job)

    def skip(self, operation: Operation, collections: frozenset[str], reason: str) -> None:
        """Counts a read that could be compared and is not."""
        shape, names = shape_of_operation(operation), tuple(sorted(collections))
        self._ledger.seen(names, shape)
        self._skip(names, shape, reason)

    def _skip(self, names: tuple[str, ...], shape: Shape, reason: str, *, reversed: bool = False) -> None:  # noqa: A002
        self._ledger.skipped(names, shape, reason)
        for sink in self._sinks:
            sink(Verdict(shape, names, SKIPPED, reason, reversed=reversed))

    def _tell(self, job: _Job, kind: str, reason: str = "") -> None:
        for sink in self._sinks:
            sink(
                Verdict(job.shape, job.collections, kind, reason, job.origin_seconds, job.target_seconds, job.reversed)
            )

    def figures(self, collection: str) -> dict[str, float]:
        """The gate's figures of one collection, as last written."""
        return self._ledger.figures(collection)

    # ---- life

    async def start(self) -> None:
        await self._ledger.start()
        for number in range(self._concurrency):
            self._tasks.append(asyncio.create_task(self._compare_for_ever(), name=f"shadow {number}"))
            self._tasks.append(asyncio.create_task(self._settle_for_ever(), name=f"shadow settler {number}"))

    async def close(self) -> None:
        """Stops comparing; what waits is counted as skipped; counts are written once more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        while not self._jobs.empty():
            self._skipped(self._jobs.get_nowait(), "shutdown")
        while not self._unsure.empty():
            self._skipped(self._unsure.get_nowait()[0], "shutdown")
        await self._explainer.close()
        await self._ledger.close()

    async def idle(self) -> None:
        """Returns when nothing waits and nothing is under way; and what was counted is written."""
        await self._idle.wait()
        await self._ledger.flush()

    # ---- workers

    async def _compare_for_ever(self) -> None:
        while True:
            jobs = [await self._jobs.get()]
            while len(jobs) < _TOGETHER and not self._jobs.empty():
                jobs.append(self._jobs.get_nowait())
            began = time.monotonic()
            try:
                answers = await self._read_together(jobs)
            except asyncio.CancelledError:
                for job in jobs:
                    self._skipped(job, "shutdown")
                raise
            elapsed = time.monotonic() - began
            while jobs:
                job = jobs.pop(0)
                answer = answers.get(id(job))
                first = None if answer is None else _First(began, elapsed, answer)
                try:
                    await self._carry_out(job, self._compare(job, first))
                except asyncio.CancelledError:
                    for left in jobs:
                        self._skipped(left, "shutdown")
                    raise

    async def _read_together(self, jobs: Sequence[_Job]) -> dict[int, Outcome]:
        """Answers of the target by the job's id, where several jobs are reads of one collection: one statement.

        What is left out, for whatever reason, is asked one by one.
        """
        groups: dict[str | None, list[_Job]] = {}
        for job in jobs:
            if job.operation.endpoint == "document.read" and not job.reversed:
                groups.setdefault(job.operation.qualified, []).append(job)
        answers: dict[int, Outcome] = {}
        for group in groups.values():
            if len(group) > 1:
                with contextlib.suppress(ArangoError, DatabaseError):
                    outcomes = await self._store.read_each([job.operation for job in group])
                    answers.update(zip(map(id, group), outcomes, strict=True))
        return answers

    async def _settle_for_ever(self) -> None:
        while True:
            job, look = await self._unsure.get()
            await self._carry_out(job, self._settle(job, look))

    async def _carry_out(self, job: _Job, work: Awaitable[bool]) -> None:
        """work: True where the job goes on in another queue."""
        going_on = False
        try:
            going_on = await work
        except asyncio.CancelledError:
            self._ledger.skipped(job.collections, job.shape, "shutdown")
            self._tell(job, SKIPPED, "shutdown")
            raise
        except Unsupported:
            self._ledger.unsupported(job.collections, job.shape, began=time.monotonic())
            self._tell(job, UNSUPPORTED)
        except NotComparable as reason:
            self._ledger.skipped(job.collections, job.shape, str(reason))
            self._tell(job, SKIPPED, str(reason))
        except DatabaseError:
            self._ledger.skipped(job.collections, job.shape, "target unavailable")
            self._tell(job, SKIPPED, "target unavailable")
        except UpstreamError:
            self._ledger.skipped(job.collections, job.shape, "origin unavailable")
            self._tell(job, SKIPPED, "origin unavailable")
        except (ArangoError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            # an answer in no shape that ArangoDB gives; its content stays out of the log
            log.warning("an answer could not be compared", endpoint=job.operation.endpoint, error=type(error).__name__)
            self._ledger.skipped(job.collections, job.shape, "not understood")
            self._tell(job, SKIPPED, "not understood")
        finally:
            if not going_on:
                self._done(job)

    def _skipped(self, job: _Job, reason: str) -> None:
        self._ledger.skipped(job.collections, job.shape, reason)
        self._tell(job, SKIPPED, reason)
        self._done(job)

    def _done(self, job: _Job) -> None:
        self._bytes -= job.size
        self._pending -= 1
        if self._pending == 0:
            self._idle.set()

    # ---- looks

    async def _compare(self, job: _Job, first: _First | None = None) -> bool:
        """The first look, its target's answer perhaps known. True where the job went on to the settlers."""
        operation, began = job.operation, time.monotonic()
        if operation.effect is Effect.QUERY:
            self._comparable(operation)
        if first is not None:
            look = _Look(first.began, job.outcome, first.target)
            origin, target = job.seconds, first.seconds
        elif not job.reversed:
            look = _Look(began, job.outcome, await self._ask_target(job))
            origin, target = job.seconds, time.monotonic() - began
        else:
            answer = await self._ask_origin(operation)
            origin, target = time.monotonic() - began, job.seconds
            query = operation.effect is Effect.QUERY  # what its order leaves open, only an evaluation tells
            look = _Look(began, answer, await self._ask_target(job) if query else job.outcome)
        for collection in job.collections:
            metrics.TARGET_SECONDS.labels(collection).observe(target)
        job.origin_seconds, job.target_seconds = origin, target
        self._ledger.seconds(job.collections, job.shape, origin=origin, target=target)
        difference = compare_answers(operation, look.origin, look.target)
        if difference is None:
            self._ledger.matched(job.collections, job.shape, began=look.began)
            self._tell(job, MATCH)
        elif difference.same_revision and operation.effect is Effect.READ:
            await self._confirm(job, look, difference)  # no lag makes two contents of one revision (I8)
        elif self._unsure.full():
            self._ledger.unsettled(job.collections, job.shape, began=look.began)
            self._tell(job, UNSETTLED)
        else:
            self._unsure.put_nowait((job, look))
            return True
        return False

    def _comparable(self, operation: Operation) -> None:
        """Raises NotComparable for a query whose answer the data of the collections it names do not decide."""
        try:
            analysis = self._store.analysis(operation)
        except ArangoError:
            return  # both sides refuse it, or one does: that compares
        if analysis.choices:
            raise NotComparable("not deterministic")
        if analysis.dynamic:
            raise NotComparable("reads what only its run tells")

    async def _settle(self, job: _Job, first: _Look) -> bool:
        """Looks again until the difference is gone (lag), stands (mismatch), or time is up (unsettled)."""
        deadline = time.monotonic() + self._settle_seconds
        pause = _FIRST_PAUSE
        previous: Outcome | None = None
        while time.monotonic() < deadline:
            if not await self._all_caught_up(job.collections, deadline):
                break
            began = time.monotonic()
            try:
                before = await self._ask_origin(job.operation)
                target = await self._ask_target(job)
                after = await self._ask_origin(job.operation)
            except (UpstreamError, DatabaseUnavailable):
                previous = None
            else:
                look = _Look(began, after, target)
                if not stable(job.operation, before, after):
                    previous = None
                else:
                    difference = compare_answers(job.operation, after, target)
                    if difference is None:
                        self._ledger.matched(job.collections, job.shape, began=began, lagged=True)
                        self._tell(job, LAG)
                        return False
                    if previous is not None and stable(job.operation, previous, before):
                        await self._confirm(job, look, difference)
                        return False
                    previous = after
            await asyncio.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, _LONGEST_PAUSE)
        self._ledger.unsettled(job.collections, job.shape, began=first.began)
        self._tell(job, UNSETTLED)
        return False

    async def _all_caught_up(self, collections: Iterable[str], deadline: float) -> bool:
        for collection in collections:
            if not await self._caught_up(collection, max(0.0, deadline - time.monotonic())):
                return False
        return True

    async def _confirm(self, job: _Job, look: _Look, difference: Difference) -> None:
        origin, target = shown_answers(look.origin, look.target, difference)
        explanation = None
        try:
            if self._ledger.is_new(job.collections, difference):
                explanation = await self._explainer.explain(origin, target)
        finally:  # it is confirmed, explained or not
            evidence = Evidence(job.operation, difference, origin, target, job.route, job.reversed, explanation)
            self._ledger.mismatched(job.collections, job.shape, evidence, began=look.began)
            self._tell(job, difference.kind.value)

    async def _ask_target(self, job: _Job) -> TargetAnswer:
        """The target's answer; what ArangoDB would give as an error is one, and so is a statement that is refused."""
        operation = job.operation
        try:
            if operation.effect is not Effect.QUERY:
                return await self._store.execute(operation)
            result = await self._store.query(operation)
        except Unsupported:
            raise
        except ArangoError as error:
            return error
        except DatabaseRefused as error:
            return ArangoError(4, str(error), status=500)
        return QueryAnswer(_rows(result, self._store.analysis(operation).unordered), result.full_count)

    async def _ask_origin(self, operation: Operation) -> Outcome:
        """The origin's answer now. A cursor that it leaves open is closed: only the first batch is compared."""
        outcome = await self._origin.execute(operation)
        if operation.endpoint == "cursor.create" and outcome.status == 201:
            batch = _BATCH.decode(outcome.body)
            if batch.more and batch.id is not None:
                path = ("_api", "cursor", batch.id)
                closing = Operation(
                    "cursor.delete", Effect.PASSTHROUGH, "DELETE", operation.database, key=batch.id, path=path
                )
                with contextlib.suppress(UpstreamError, ArangoError):
                    await self._origin.execute(closing)
        return outcome


def _rows(result: Result, unordered: bool) -> Rows:
    first, last = result.cut if result.cut is not None else (None, None)
    return Rows(result.rows, result.groups, first, last, unordered)
