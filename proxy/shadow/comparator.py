"""Runs comparisons off the path: bounded queues, a few workers, and verdicts that are never a race (I2, I8).

A first look compares what the client got with the other store; reads of single documents that come close together are
looked at by one statement. Where they differ, the settlers look again (`settle`). Every read that is handed over ends
in exactly one verdict, or is skipped with a reason: both are counted (I10), and told to the sinks.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
import structlog

from proxy.base.config import Settings
from proxy.base.errors import ArangoError, DatabaseError, Unsupported, UpstreamError
from proxy.base.supervise import supervise
from proxy.isolation import Lane
from proxy.model.endpoint import Effect
from proxy.model.operations import Operation, Outcome
from proxy.routing.query_shapes import Shape, shape_of_operation
from proxy.shadow.accounting import FAILED, VerdictSink
from proxy.shadow.backpressure import Backpressure
from proxy.shadow.batch_compare import BatchComparer, Statement
from proxy.shadow.batching import Batcher
from proxy.shadow.bounds import Bound
from proxy.shadow.cursor_assembly import CursorAssembler, cursor_to_follow
from proxy.shadow.diff.compare_answers import QueryAnswer
from proxy.shadow.diff.documents import Kind, NotComparable
from proxy.shadow.diff.tolerances import Rule
from proxy.shadow.diff.verdict import ComparisonResult, Own
from proxy.shadow.examples import Examples
from proxy.shadow.explain import Explainer
from proxy.shadow.jobs import QUEUE_BYTES, Job, ReadPair
from proxy.shadow.looks import Looks
from proxy.shadow.mismatch_recorder import Confirmer
from proxy.shadow.packed_answer import Packed
from proxy.shadow.peer_lag import PeerLag
from proxy.shadow.readers import ReadBothSides
from proxy.shadow.recheck import Rechecker
from proxy.shadow.result_store import Ledger
from proxy.shadow.sampling_rules import SamplingRules
from proxy.shadow.self_check import UNDECIDED, read_twice
from proxy.shadow.verdicts import Sink
from proxy.stores.base import Store
from proxy.stores.postgres import PostgresStore

log = structlog.get_logger(__name__)

OVERLOADED: Final = "overloaded"
_TICK: Final = 0.001  # seconds: the timers of loops know no finer one, and a sleep of less is a turn
_SHUTDOWN: Final = "shutdown"
_SETTLERS: Final = 8  # for each worker: they wait most of the time
_UNSURE_BYTES: Final = QUEUE_BYTES // 4  # of differences that wait to be settled: others are compared meanwhile
_EXPIRE: Final = 5.0  # seconds between two looks for cursors that were left
_NO_TWICE: Final = 64  # readings of the origin against itself that may wait
# an answer in no shape that ArangoDB gives
_ODD: Final = (ArangoError, ValueError, LookupError, TypeError, AttributeError, RecursionError, msgspec.DecodeError)


class SampledRead(NamedTuple):
    """A read that is to be compared. collections: `database/name` of all that it reads, sorted. reversed: PostgreSQL
    answered, and ArangoDB is the one that is asked. twice: ArangoDB is compared with itself as well.
    """

    collections: tuple[str, ...]
    shape: Shape
    twice: bool
    reversed: bool


class Shadow:
    """The shadow of one proxy. The request path touches `sampled`, `submit`, `skip`, `follows` and `went_on` alone."""

    def __init__(
        self,
        settings: Settings,
        store: PostgresStore,
        origin: Store,
        caught_up: Callable[[str, float], Awaitable[bool]],
        ledger: Ledger,
        *,
        rules: SamplingRules | None = None,
        fleet: PeerLag | None = None,
        lane: Lane | None = None,
        explaining: Lane | None = None,
        chance: Callable[[], float] = random.random,
        sinks: Sequence[Sink] = (),
        examples: Examples | None = None,
        bound: Bound | None = None,
    ) -> None:
        """caught_up(collection, timeout): True once the mirror has applied all that it took up to now.

        rules: shares and noise, by default those of the settings. fleet: the other proxies, by default none. lane:
        workers for what may take long; None: all is done here. explaining: workers for explanations; None: there are
        none. sinks: told the verdict of every read, one after the other, beside the ledger (`verdicts`). examples:
        where reads are kept by shape, by default nowhere. bound: shared with what else counts shapes.
        """
        self._examples = examples
        self._bound = bound or Bound()
        self._sides = ReadBothSides(store, origin)
        self._ledger = ledger
        self._account = VerdictSink(ledger, sinks)
        self._rules = rules or SamplingRules(settings)
        self._fleet = fleet or PeerLag()
        self._looks = Looks(self._sides, lane)
        self._settler = Rechecker(
            self._sides, self._looks, self._rules, caught_up, self._fleet, settings.recheck_timeout
        )
        quotes = not settings.redact and not settings.redact_paths
        explainer = Explainer(explaining, values=quotes)
        self._confirmer = Confirmer(self._account, self._looks, explainer, self._begun, self._ended)
        self._chance = chance
        self._concurrency = settings.shadow_concurrency
        self._most = settings.shadow_queue
        self._gathering = Batcher()
        self._arrived = asyncio.Event()
        self._groups: asyncio.Queue[list[Job]] = asyncio.Queue()
        self._unsure: asyncio.Queue[tuple[Job, ReadPair]] = asyncio.Queue(settings.shadow_queue)
        self._twice: asyncio.Queue[Job] = asyncio.Queue(_NO_TWICE)
        self._following = CursorAssembler(self._enqueue)
        self._courtesy = Backpressure(lambda: max(self._pending / self._most, self._bytes / QUEUE_BYTES))
        self._together = BatchComparer(
            self._sides, self._rules, self._account, self._confirmer, self._courtesy, self._done
        )
        self._bytes = self._unsure_bytes = 0
        self._pending = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: list[asyncio.Task[None]] = []

    # ---- the request path

    def sampled(
        self,
        operation: Operation,
        collections: tuple[str, ...],
        *,
        reversed: bool = False,  # noqa: A002
    ) -> SampledRead | None:
        """Whether a read is compared: None where it is not, which is counted. Asked before anything is put together."""
        names = collections if len(collections) == 1 else tuple(sorted({*collections}))
        shape = self._bound.of(names, shape_of_operation(operation))
        shares = self._rules.shares(names, shape.name)
        if shares.sampled < 1 and self._chance() >= shares.sampled:
            self._ledger.sampled_out(names, shape)
            return None
        self._ledger.seen(names, shape)
        return SampledRead(names, shape, shares.twice > 0 and self._chance() < shares.twice, reversed)

    def submit(
        self,
        taken: SampledRead,
        operation: Operation,
        outcome: Outcome,
        origin_seconds: float,
        route: str,
        *,
        trace: str = "",
    ) -> None:
        """Hands over what a client was answered. Never blocks; what finds no place is counted as skipped.

        taken: what `sampled` said of it. origin_seconds: how long the store that answered took. route: the API route
        that asked, or `unknown`; trace: the request's `traceparent`.
        """
        names, shape, twice, backwards = taken
        if self._examples is not None:
            self._examples.offer(shape, names, operation)
        job = Job(operation, outcome, names, origin_seconds, route, backwards, shape, trace, twice)
        if self._pending >= self._most or self._bytes + job.size > QUEUE_BYTES:
            self._account.not_taken(names, shape, OVERLOADED, reverse=backwards)
            return
        cursor = cursor_to_follow(operation, outcome) if not backwards else None
        if cursor is not None:
            self._following.begin(cursor, job)
        else:
            self._enqueue(job)

    def follows(self, operation: Operation) -> bool:
        """Whether a request goes on with a cursor whose batches are gathered for one comparison: then `went_on`."""
        return self._following.follows(operation)

    def went_on(self, operation: Operation, outcome: Outcome | None) -> None:
        """The answer to such a request; None where it was too large to keep."""
        self._following.went_on(operation, outcome)

    def skip(self, operation: Operation, collections: Iterable[str], reason: str) -> None:
        """Counts a read that could be compared and is not."""
        names = tuple(sorted({*collections}))
        shape = self._bound.of(names, shape_of_operation(operation))
        self._ledger.seen(names, shape)
        self._account.not_taken(names, shape, reason)

    def figures(self, collection: str) -> dict[str, float]:
        """The gate's figures of one collection, as last written."""
        return self._ledger.figures(collection)

    def skips(self, collection: str) -> dict[str, int]:
        """Reads that were not compared since this process began, by reason."""
        return self._ledger.skips(collection)

    def _enqueue(self, job: Job) -> None:
        job.counted = job.size
        self._bytes += job.counted
        self._begun()
        if self._pending > self._most:  # cursors that end together
            self._skipped(job, OVERLOADED)
            return
        self._gathering.add(job, time.monotonic())
        self._arrived.set()

    # ---- life

    async def start(self) -> None:
        await self._rules.start()
        await self._ledger.start()
        works = [self._gather, self._expire, self._twice_for_ever, self._confirmer.run]
        works += [self._compare_for_ever] * self._concurrency
        works += [self._settle_for_ever] * (self._concurrency * _SETTLERS)
        self._tasks = [
            asyncio.create_task(supervise(work, "shadow"), name=f"shadow {work.__qualname__}") for work in works
        ]

    async def close(self) -> None:
        """Stops comparing; what waits is counted as skipped; counts are written once more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._following.expire(everything=True)
        for job in self._gathering.left():
            self._skipped(job, _SHUTDOWN)
        while not self._groups.empty():
            for job in self._groups.get_nowait():
                self._skipped(job, _SHUTDOWN)
        while not self._unsure.empty():
            self._skipped(self._unsure.get_nowait()[0], _SHUTDOWN)
        await self._fleet.close()
        await self._rules.close()
        await self._ledger.close()

    async def idle(self) -> None:
        """Returns when nothing waits and nothing is under way; and what was counted is written."""
        await self._idle.wait()
        await self._ledger.flush()

    # ---- workers

    async def _gather(self) -> None:
        """Gives workers what has waited for others of its kind."""
        while True:
            await self._arrived.wait()
            while (due := self._gathering.due()) is not None:
                left = due - time.monotonic()
                await asyncio.sleep(max(left, _TICK) if left > 0 else 0)
                for group in self._gathering.take(time.monotonic()):
                    self._groups.put_nowait(group)
            self._arrived.clear()

    async def _compare_for_ever(self) -> None:
        while True:
            jobs = await self._groups.get()
            try:
                if len(jobs) > 1:
                    await self._compare_together(jobs)
                while jobs:
                    job = jobs.pop()
                    await self._carry_out(job, self._compare(job))
            except BaseException as error:
                self._given_up(jobs, error)  # the one that was under way has counted itself
                raise

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE)
            self._following.expire()

    async def _settle_for_ever(self) -> None:
        while True:
            job, look = await self._unsure.get()
            self._unsure_bytes -= job.size
            await self._carry_out(job, self._settle(job, look))

    async def _twice_for_ever(self) -> None:
        """ArangoDB against itself, one reading at a time: it is load for the origin, and no verdict waits for it."""
        while True:
            job = await self._twice.get()
            try:
                found = await read_twice(self._sides, job.operation, job.collections, self._looks.differs_from_itself)
            except (UpstreamError, NotComparable, *_ODD) as error:
                log.debug("ArangoDB could not be compared with itself", error=type(error).__name__)
                found = (UNDECIDED,)
            self._ledger.twice(job.collections, job.shape, found)

    async def _carry_out(self, job: Job, work: Awaitable[bool]) -> None:
        """work: True where the job goes on in another queue."""
        going_on = False
        try:
            going_on = await work
        except asyncio.CancelledError:
            self._account.skipped(job, _SHUTDOWN)
            raise
        except Unsupported:
            self._account.unsupported(job)
        except NotComparable as reason:
            self._account.skipped(job, str(reason))
        except DatabaseError:
            self._account.skipped(job, "target unavailable")
        except UpstreamError:
            self._account.skipped(job, "origin unavailable")
        except _ODD as error:
            # its content stays out of the log
            log.warning(
                "an answer could not be compared", endpoint=job.operation.endpoint.name, error=type(error).__name__
            )
            self._account.skipped(job, "not understood")
        except Exception as error:
            log.exception("a comparison failed", endpoint=job.operation.endpoint.name, error=type(error).__name__)
            self._account.skipped(job, FAILED)
        finally:
            if not going_on:
                self._done(job)

    def _given_up(self, jobs: Iterable[Job], error: BaseException) -> None:
        """What a worker that ends had in its hands."""
        for job in jobs:
            self._skipped(job, _SHUTDOWN if isinstance(error, asyncio.CancelledError) else FAILED)

    def _skipped(self, job: Job, reason: str) -> None:
        self._account.skipped(job, reason)
        self._done(job)

    def _done(self, job: Job) -> None:
        if job.twice:
            job.twice = False
            with contextlib.suppress(asyncio.QueueFull):
                self._twice.put_nowait(job)
        self._bytes -= job.counted
        self._ended()

    def _begun(self) -> None:
        self._pending += 1
        self._idle.clear()

    def _ended(self) -> None:
        self._pending -= 1
        if self._pending == 0:
            self._idle.set()

    # ---- looks

    async def _compare_together(self, jobs: list[Job]) -> None:
        """Reads of single documents of one collection, by one statement; where that fails, they stay in `jobs`."""
        said, end = await self._together.compare(jobs), 0.0
        while said is not None and jobs:
            if time.monotonic() >= end:
                end = await self._courtesy.wait_turn(jobs[0].due)
            job = jobs.pop()
            self._account.looked(job, origin=job.seconds, target=said.seconds)
            await self._carry_out(job, self._looked(job, said))

    async def _looked(self, job: Job, said: Statement) -> bool:
        """The first look at a read that the target has answered among others."""
        look, (rules, own) = said.look(job), self._noise(job)
        return await self._first(
            job, look, await self._looks.judge(job.operation, look.origin, look.target, rules, own)
        )

    async def _compare(self, job: Job) -> bool:
        """The first look at a read by itself. True where the job went on to the settlers."""
        operation, began = job.operation, time.monotonic()
        query = operation.effect is Effect.QUERY
        rules, own = self._noise(job)
        if not job.reversed:
            looked = await self._looks.look(operation, job.outcome, rules, own)
            self._account.asked(job.collections, looked.seconds)
            self._account.looked(job, origin=job.seconds, target=looked.seconds)
            return await self._first(job, ReadPair(began, job.outcome, looked.target), looked.judged)
        answer = await self._sides.origin(operation)
        seconds = time.monotonic() - began
        if query:  # what its order leaves open only an evaluation tells
            looked = await self._looks.look(operation, answer, rules, own)
            look, judged = ReadPair(began, answer, looked.target), looked.judged
        else:
            look = ReadPair(began, answer, job.outcome)
            judged = await self._looks.judge(operation, answer, job.outcome, rules, own)
        self._account.asked(job.collections, job.seconds)
        self._account.looked(job, origin=seconds, target=job.seconds)
        return await self._first(job, look, judged)

    async def _first(self, job: Job, look: ReadPair, judged: ComparisonResult | NotComparable) -> bool:
        """The verdict of a first look. True where the job went on to the settlers."""
        if isinstance(judged, NotComparable):
            raise judged
        difference = judged.difference
        if difference is None:
            self._account.agreed(job, judged, began=look.began)
        elif difference.certain and job.operation.effect is Effect.READ:
            self._account.subtracted(job, judged)
            await self._confirmer.confirm(job, look, difference)  # no lag makes two contents of one revision (I8)
        elif self._unsure.full() or self._unsure_bytes + job.size > _UNSURE_BYTES:
            self._account.unsettled(job, began=look.began)
        else:
            self._unsure_bytes += job.size
            self._unsure.put_nowait((job, look))
            return True
        return False

    async def _settle(self, job: Job, first: ReadPair) -> bool:
        """The verdict of what differed at first."""
        settled = await self._settler.settle(job, first)
        if settled is not None and settled.judged.difference is None:
            self._account.agreed(job, settled.judged, began=settled.look.began, lagged=True)
            return False
        if settled is None:
            rules, own = self._noise(job)
            look, found = first, await self._looks.judge(job.operation, first.origin, first.target, rules, own)
            if isinstance(found, NotComparable):
                raise found
            judged = found
        else:
            look, judged = settled.look, settled.judged
        difference = judged.difference
        if settled is None and difference is not None:  # among races there may be what is none
            difference = difference.certainly() if job.operation.effect is Effect.READ else None
        rows = isinstance(look.target, QueryAnswer) or (isinstance(look.target, Packed) and not look.target.error)
        differs = rows and difference is not None and difference.kind is not Kind.ERROR
        if differs and await self._looks.torn(job.operation):
            raise NotComparable("equal sort keys inside")
        if difference is not None:
            self._account.subtracted(job, judged)
            await self._confirmer.confirm(job, look, difference)
        else:
            self._account.unsettled(job, began=first.began)
        return False

    def _noise(self, job: Job) -> tuple[tuple[Rule, ...], Own]:
        """What is not to count in a read's answers."""
        return self._rules.noise(job.collections), self._rules.own(job.collections, job.shape.name)
