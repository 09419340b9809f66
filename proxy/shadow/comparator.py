"""Run comparisons off the request path: bounded queues, a few workers, and verdicts that are never a race (I2, I8).

A first comparison compares what the client got with the other store; single documents that are read close together are
compared by one statement. Reads that differ are rechecked (`recheck`). Every read that is submitted ends in exactly one
verdict, or is skipped with a reason: both are counted (I10), and reported to the sinks.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

import structlog

from proxy.base.config import Settings
from proxy.base.errors import DatabaseError, Unsupported, UpstreamError
from proxy.base.supervise import supervise
from proxy.isolation import Lane
from proxy.model.operations import Operation, Outcome
from proxy.routing.query_shapes import Shape, shape_of_operation
from proxy.shadow.accounting import FAILED, VerdictSink
from proxy.shadow.backpressure import Backpressure
from proxy.shadow.baseline_checker import ODD_ANSWER, BaselineChecker
from proxy.shadow.batch_compare import BatchComparer
from proxy.shadow.batching import Batcher
from proxy.shadow.bounds import Bound
from proxy.shadow.cursor_assembly import CursorAssembler, cursor_to_follow
from proxy.shadow.diff.documents import NotComparable
from proxy.shadow.examples import Examples
from proxy.shadow.explain import Explainer
from proxy.shadow.first_comparison import ReadComparer
from proxy.shadow.jobs import QUEUE_BYTES, ReadPair, ReadToCompare
from proxy.shadow.mismatch_recorder import MismatchRecorder
from proxy.shadow.pair_comparison import PairComparer
from proxy.shadow.peer_lag import PeerLag
from proxy.shadow.readers import ReadBothSides
from proxy.shadow.recheck import Rechecker
from proxy.shadow.result_store import ResultStore
from proxy.shadow.sampling_rules import SamplingRules
from proxy.shadow.verdicts import Sink
from proxy.shadow.workload import Workload
from proxy.stores.base import Store
from proxy.stores.postgres import PostgresStore

log = structlog.get_logger(__name__)

OVERLOADED: Final = "overloaded"
_TICK: Final = 0.001  # seconds: timers of event loops are not finer
_SHUTDOWN: Final = "shutdown"
_RECHECKERS: Final = 8  # for each worker: they wait most of the time
_DIFFERING_BYTES: Final = QUEUE_BYTES // 4  # of reads that wait for a recheck: the rest of the queue stays for others
_EXPIRE: Final = 5.0  # seconds between two checks for abandoned cursors


class SampledRead(NamedTuple):
    """A read that is to be compared.

    collections: `database/name` of all that it reads, sorted. reversed: PostgreSQL answered the client, and ArangoDB is
    asked. baseline: ArangoDB is compared with itself as well.
    """

    collections: tuple[str, ...]
    shape: Shape
    baseline: bool
    reversed: bool


class Shadow:
    """The shadow of one proxy. The request path uses only `sampled`, `submit`, `skip`, `follows` and `continued`."""

    def __init__(
        self,
        settings: Settings,
        store: PostgresStore,
        origin: Store,
        caught_up: Callable[[str, float], Awaitable[bool]],
        results: ResultStore,
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

        rules: shares and tolerances, by default those of the settings. fleet: the other proxies, by default none. lane:
        workers for what may take long; None: all is done here. explaining: workers for explanations; None: there are
        none. sinks: called with the verdict of every read, one after the other, beside the ledger (`verdicts`).
        examples: where reads are kept by shape, by default nowhere. bound: shared with what else counts shapes.
        """
        self._examples = examples
        self._bound = bound or Bound()
        self._sides = ReadBothSides(store, origin)
        self._results = results
        self._verdicts = VerdictSink(results, sinks)
        self._rules = rules or SamplingRules(settings)
        self._fleet = fleet or PeerLag()
        self._chance = chance
        self._concurrency = settings.shadow_concurrency
        self._load = Workload(settings.shadow_queue)
        pairs = PairComparer(self._sides, lane)
        self._rechecker = Rechecker(self._sides, pairs, self._rules, caught_up, self._fleet, settings.recheck_timeout)
        explainer = Explainer(explaining, values=not settings.redact and not settings.redact_paths)
        self._confirmer = MismatchRecorder(self._verdicts, pairs, explainer, self._load)
        self._comparer = ReadComparer(self._sides, pairs, self._rules, self._verdicts, self._confirmer, self._rechecker)
        self._backpressure = Backpressure(self._load.fill_level)
        self._batches = BatchComparer(
            self._sides, self._rules, self._verdicts, self._confirmer, self._backpressure, self._done
        )
        self._baseline = BaselineChecker(self._sides, pairs, results)
        self._assembler = CursorAssembler(self._enqueue)
        self._batcher = Batcher()
        self._arrived = asyncio.Event()
        self._groups: asyncio.Queue[list[ReadToCompare]] = asyncio.Queue()
        self._differing: asyncio.Queue[tuple[ReadToCompare, ReadPair]] = asyncio.Queue(settings.shadow_queue)
        self._differing_bytes = 0
        self._tasks: list[asyncio.Task[None]] = []

    # ---- the request path

    def sampled(
        self,
        operation: Operation,
        collections: tuple[str, ...],
        *,
        reversed: bool = False,  # noqa: A002
    ) -> SampledRead | None:
        """Decide whether a read is compared, before anything is prepared for it. None, which is counted: it is not."""
        names = collections if len(collections) == 1 else tuple(sorted({*collections}))
        shape = self._bound.of(names, shape_of_operation(operation))
        shares = self._rules.shares(names, shape.name)
        if shares.sampled < 1 and self._chance() >= shares.sampled:
            self._results.sampled_out(names, shape)
            return None
        self._results.seen(names, shape)
        return SampledRead(names, shape, shares.baseline > 0 and self._chance() < shares.baseline, reversed)

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
        """Take over what a client was answered. Never blocks; a read for which there is no room is skipped, counted.

        taken: what `sampled` returned for it. origin_seconds: how long the store that answered took. route: the API
        route that asked, or `unknown`; trace: the request's `traceparent`.
        """
        names, shape, baseline, backwards = taken
        if self._examples is not None:
            self._examples.offer(shape, names, operation)
        job = ReadToCompare(operation, outcome, names, origin_seconds, route, backwards, shape, trace, baseline)
        if not self._load.has_room(job):
            self._verdicts.skipped_before_queueing(names, shape, OVERLOADED)
            return
        cursor = cursor_to_follow(operation, outcome) if not backwards else None
        if cursor is not None:
            self._assembler.begin(cursor, job)
        else:
            self._enqueue(job)

    def follows(self, operation: Operation) -> bool:
        """Return True if a request continues a cursor whose batches are assembled for comparison: then `continued`."""
        return self._assembler.follows(operation)

    def continued(self, operation: Operation, outcome: Outcome | None) -> None:
        """Take over the answer to such a request; None if it was too large to keep."""
        self._assembler.continued(operation, outcome)

    def skip(self, operation: Operation, collections: Iterable[str], reason: str) -> None:
        """Count a read that could be compared and is not."""
        names = tuple(sorted({*collections}))
        shape = self._bound.of(names, shape_of_operation(operation))
        self._results.seen(names, shape)
        self._verdicts.skipped_before_queueing(names, shape, reason)

    def figures(self, collection: str) -> dict[str, float]:
        """Return the gate's figures of one collection, as last written."""
        return self._results.figures(collection)

    def skips(self, collection: str) -> dict[str, int]:
        """Return the number of reads that were not compared since this process began, by reason."""
        return self._results.skips(collection)

    def _enqueue(self, job: ReadToCompare) -> None:
        self._load.add(job)
        if self._load.overloaded:
            self._skip(job, OVERLOADED)
            return
        self._batcher.add(job, time.monotonic())
        self._arrived.set()

    # ---- life

    async def start(self) -> None:
        """Read the rules, and start the workers."""
        await self._rules.start()
        await self._results.start()
        works = [self._batch, self._expire, self._baseline.run, self._confirmer.run]
        works += [self._compare_batches] * self._concurrency
        works += [self._recheck] * (self._concurrency * _RECHECKERS)
        self._tasks = [
            asyncio.create_task(supervise(work, "shadow"), name=f"shadow {work.__qualname__}") for work in works
        ]

    async def close(self) -> None:
        """Stop comparing. What waits is skipped, counted, and the counts are written once more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._assembler.expire(everything=True)
        for job in self._batcher.left():
            self._skip(job, _SHUTDOWN)
        while not self._groups.empty():
            for job in self._groups.get_nowait():
                self._skip(job, _SHUTDOWN)
        while not self._differing.empty():
            self._skip(self._differing.get_nowait()[0], _SHUTDOWN)
        await self._fleet.close()
        await self._rules.close()
        await self._results.close()

    async def idle(self) -> None:
        """Return when nothing waits, nothing is in progress, and what was counted is written."""
        await self._load.idle()
        await self._results.flush()

    # ---- workers

    async def _batch(self) -> None:
        """Give workers the groups of reads that have waited for others of their kind."""
        while True:
            await self._arrived.wait()
            while (due := self._batcher.due()) is not None:
                left = due - time.monotonic()
                await asyncio.sleep(max(left, _TICK) if left > 0 else 0)
                for group in self._batcher.take(time.monotonic()):
                    self._groups.put_nowait(group)
            self._arrived.clear()

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE)
            self._assembler.expire()

    async def _compare_batches(self) -> None:
        while True:
            jobs = await self._groups.get()
            try:
                if len(jobs) > 1:
                    await self._compare_batch(jobs)
                while jobs:
                    job = jobs.pop()
                    await self._carry_out(job, self._comparer.compare(job))
            except BaseException as error:
                reason = _SHUTDOWN if isinstance(error, asyncio.CancelledError) else FAILED
                for job in jobs:  # the one that was in progress has counted itself
                    self._skip(job, reason)
                raise

    async def _compare_batch(self, jobs: list[ReadToCompare]) -> None:
        """Compare reads of single documents of one collection by one statement; if it fails, they stay in `jobs`."""
        statement, end = await self._batches.compare(jobs), 0.0
        while statement is not None and jobs:
            if time.monotonic() >= end:
                end = await self._backpressure.wait_turn(jobs[0].due)
            job = jobs.pop()
            self._verdicts.keep_timing(job, origin=job.seconds, target=statement.seconds)
            await self._carry_out(job, self._comparer.compare_answered(job, statement))

    async def _recheck(self) -> None:
        while True:
            job, pair = await self._differing.get()
            self._differing_bytes -= job.size
            await self._carry_out(job, self._comparer.recheck(job, pair))

    async def _carry_out(self, job: ReadToCompare, work: Awaitable[ReadPair | None]) -> None:
        """Await work on a read and end the read, unless the work returns a pair of answers that needs a recheck."""
        differing: ReadPair | None = None
        try:
            differing = await work
            if differing is not None and not self._queue_recheck(job, differing):
                self._verdicts.count_undecided(job, began=differing.began)
                differing = None
        except asyncio.CancelledError:
            self._verdicts.skipped(job, _SHUTDOWN)
            raise
        except Unsupported:
            self._verdicts.unsupported(job)
        except NotComparable as reason:
            self._verdicts.skipped(job, str(reason))
        except DatabaseError:
            self._verdicts.skipped(job, "target unavailable")
        except UpstreamError:
            self._verdicts.skipped(job, "origin unavailable")
        except ODD_ANSWER as error:
            # its content stays out of the log
            log.warning("answer_not_compared", endpoint=job.operation.endpoint.name, error=type(error).__name__)
            self._verdicts.skipped(job, "not understood")
        except Exception as error:
            log.exception("comparison_failed", endpoint=job.operation.endpoint.name, error=type(error).__name__)
            self._verdicts.skipped(job, FAILED)
        finally:
            if differing is None:
                self._done(job)

    def _queue_recheck(self, job: ReadToCompare, pair: ReadPair) -> bool:
        """Return False if there is no room for one more read that differs."""
        if self._differing.full() or self._differing_bytes + job.size > _DIFFERING_BYTES:
            return False
        self._differing_bytes += job.size
        self._differing.put_nowait((job, pair))
        return True

    def _skip(self, job: ReadToCompare, reason: str) -> None:
        self._verdicts.skipped(job, reason)
        self._done(job)

    def _done(self, job: ReadToCompare) -> None:
        self._baseline.offer(job)
        self._load.remove(job)
