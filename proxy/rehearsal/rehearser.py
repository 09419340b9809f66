"""The rehearsal of one proxy: chooses writes, takes over ArangoDB's answers, and judges them off the path of requests.

Nothing waits for it. The first writes of each shape are chosen, then the share that the settings name. A chosen write
is sent with `returnOld`, so that the answer shows what it met. A write for which there is no room is dropped, counted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from proxy.base.config import Settings
from proxy.base.errors import ArangoError, DatabaseError, UpstreamError
from proxy.base.supervise import supervise
from proxy.model.message import Headers
from proxy.model.operations import Change, Operation
from proxy.rehearsal.chosen_query import ChosenQuery, ObservedQuery
from proxy.rehearsal.judge import Judge
from proxy.rehearsal.known_versions import KnownVersions
from proxy.rehearsal.observed import ObservedWrite, as_sent
from proxy.rehearsal.query_judge import QueryJudge
from proxy.rehearsal.shape_results import ShapeResults
from proxy.rehearsal.verdicts import Different, NoVerdict, Verdict
from proxy.rehearsal.write_shapes import shape_of_write
from proxy.routing.query_shapes import Shape
from proxy.shadow.backpressure import Backpressure
from proxy.shadow.diff.documents import Difference, Kind
from proxy.shadow.peer_lag import PeerLag
from proxy.shadow.result_store import ResultStore
from proxy.shadow.samples import MismatchEvidence

log = structlog.get_logger(__name__)

SEVERAL: Final = "a query that writes several collections"
DROPPED: Final = "dropped: too many wait"
LARGE: Final = "large"
NO_ANSWER: Final = "no answer"
UNAVAILABLE: Final = "documents could not be read"
SHUTDOWN: Final = "shutdown"
FAILED: Final = "the rehearsal failed"
_FIRST: Final = 20  # writes of each shape, whatever the share
_MOST: Final = 500  # writes that wait
_MOST_BYTES: Final = 16 << 20  # of them
_LARGEST: Final = 256 << 10  # bytes of a request, and four times as many of an answer
_WORKERS: Final = 8  # of which most wait for the mirrors, to confirm a difference
_SHAPES: Final = 10_000  # whose first writes are counted
_ROUTE: Final = "rehearsal of writes"
Observed = ObservedWrite | ObservedQuery


class ChosenWrite:
    """A write that is rehearsed once ArangoDB has answered."""

    __slots__ = ("_client", "_collection", "_floor", "_moment", "_rehearser", "_shape")

    def __init__(self, rehearser: Rehearser, client: Operation, collection: str, shape: Shape) -> None:
        self._rehearser = rehearser
        self._client = client
        self._collection = collection
        self._shape = shape
        self._floor = rehearser.known.newest
        self._moment = rehearser.known.moment

    def answered(self, status: int, headers: Headers, body: bytes) -> None:
        """Take over ArangoDB's answer, as it came. Never blocks."""
        if len(body) > 4 * _LARGEST:
            self._rehearser.results.without_verdict(self._collection, self._shape, LARGE)
            return
        sent = as_sent(self._client)
        self._rehearser.take(
            ObservedWrite(sent, self._collection, self._shape, self._floor, self._moment, status, headers, body)
        )

    def lost(self) -> None:
        """Count a write whose answer did not come."""
        self._rehearser.results.without_verdict(self._collection, self._shape, NO_ANSWER)


class Rehearser:
    """Owned by the application: start and close it. The request path uses `choose`, `skip`, and `saw`."""

    def __init__(
        self,
        settings: Settings,
        judge: Judge,
        queries: QueryJudge,
        known: KnownVersions,
        results: ShapeResults,
        ledger: ResultStore,
        peers: PeerLag,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.results = results
        self._share = settings.rehearsal_share / 100
        self._judge = judge
        self._queries = queries
        self._ledger = ledger
        self._peers = peers
        self._chance = chance
        self.known = known
        self._begun: dict[tuple[str, str], int] = {}
        self._waiting: deque[tuple[float, Observed]] = deque()
        self._bytes = 0
        self._running = 0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._backpressure = Backpressure(lambda: len(self._waiting) / _MOST)
        self._tasks: list[asyncio.Task[None]] = []

    # ---- the request path

    def choose(self, operation: Operation, collection: str, client: Operation | None = None) -> ChosenWrite | None:
        """Count a write of documents, and decide whether it is rehearsed: then it is sent so that its answer shows all.

        collection: `database/name`. client: the request that it is a part of, by whose shape it counts.
        """
        shape = shape_of_write(client or operation)
        if not self._is_chosen(operation, collection, shape, certain=client is not None):
            return None
        return ChosenWrite(self, operation, collection, shape)

    def wants(self, operation: Operation, collection: str) -> bool:
        """Return True if an import is to be sent as writes of arrays, which are then chosen as a part of it."""
        shape = shape_of_write(operation)
        return self._begun.get((collection, shape.name), 0) < _FIRST or self._chance() < self._share

    def choose_query(self, operation: Operation, collections: Sequence[str]) -> ChosenQuery | None:
        """Count a query that writes, and decide whether it is rehearsed, as `choose`. collections: that it writes."""
        shape = shape_of_write(operation)
        if len(collections) != 1:
            self.skip(operation, collections, SEVERAL)
            return None
        (collection,) = collections
        if not self._is_chosen(operation, collection, shape):
            return None

        def without(verdict: NoVerdict) -> None:
            self.results.decided(collection, shape, verdict)

        return ChosenQuery(operation, collection, shape, self.known.newest, self.known.moment, self.take, without)

    def _is_chosen(self, operation: Operation, collection: str, shape: Shape, *, certain: bool = False) -> bool:
        self.results.seen(collection, shape)
        key = collection, shape.name
        number = self._begun.get(key, 0)
        if number < _FIRST and (number or len(self._begun) < _SHAPES):
            self._begun[key] = number + 1
        elif not certain and self._chance() >= self._share:
            return False
        if len(operation.body) > _LARGEST:
            self.results.without_verdict(collection, shape, LARGE)
            return False
        if len(self._waiting) >= _MOST or self._bytes >= _MOST_BYTES:
            self.results.without_verdict(collection, shape, DROPPED)
            return False
        return True

    def skip(self, operation: Operation, collections: Iterable[str], reason: str) -> None:
        """Count a write that is never rehearsed, with the reason."""
        shape = shape_of_write(operation)
        for collection in collections:
            self.results.seen(collection, shape)
            self.results.without_verdict(collection, shape, reason)

    def saw(self, changes: Iterable[Change]) -> None:
        """Take note of what ArangoDB has written: revisions that it gives later are greater."""
        for change in changes:
            self.known.note(change)

    def take(self, write: Observed) -> None:
        """Queue a write with its answer, or count that there is no room."""
        if len(self._waiting) >= _MOST or self._bytes + write.size > _MOST_BYTES:
            self.results.without_verdict(write.collection, write.shape, DROPPED)
            return
        self._waiting.append((time.monotonic(), write))
        self._bytes += write.size
        self._idle.clear()
        self._arrived.set()

    # ---- life

    async def start(self) -> None:
        """Start the workers."""
        await self.results.start()
        self._tasks = [
            asyncio.create_task(supervise(self._work, "rehearsal"), name=f"rehearsal {number}")
            for number in range(_WORKERS)
        ]

    async def close(self) -> None:
        """End the workers. What waits is counted as not rehearsed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        while self._waiting:
            _, write = self._waiting.popleft()
            self.results.without_verdict(write.collection, write.shape, SHUTDOWN)
        self._bytes = 0
        await self._peers.close()
        await self.results.close()

    async def idle(self) -> None:
        """Return when nothing waits, and what was counted is written."""
        await self._idle.wait()
        await self.results.flush()

    # ---- workers

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            due, write = self._waiting.popleft()
            self._bytes -= write.size
            self._running += 1
            try:
                await self._backpressure.wait_turn(due)
                self._count(write, await self._judged(write))
            except asyncio.CancelledError:
                self.results.without_verdict(write.collection, write.shape, SHUTDOWN)
                raise
            finally:
                self._running -= 1
                if not self._waiting and not self._running:
                    self._idle.set()

    async def _judged(self, write: Observed) -> Verdict:
        try:
            if isinstance(write, ObservedQuery):
                return await self._queries.judge(write)
            return await self._judge.judge(write)
        except (ArangoError, DatabaseError, UpstreamError):
            return NoVerdict(UNAVAILABLE)
        except Exception as error:
            log.exception("rehearsal_failed", endpoint=write.operation.endpoint.name, error=type(error).__name__)
            return NoVerdict(FAILED)

    def _count(self, write: Observed, verdict: Verdict) -> None:
        self.results.decided(write.collection, write.shape, verdict)
        if not isinstance(verdict, Different):
            return
        paths = tuple(f"{write.operation.endpoint.name}: {path}" for path in verdict.paths)
        difference = Difference(Kind.WRITE, paths, verdict.keys)
        evidence = MismatchEvidence(write.operation, difference, verdict.origin, verdict.target, _ROUTE)
        self._ledger.found((write.collection,), write.shape, difference, (evidence,), began=time.monotonic())
