"""ArangoDB against itself (A/A): what differs between two reads with no write between them is not PostgreSQL's fault.

The collection's revision, which every write changes, is read around the two reads: only if it stayed the same do they
count, else the check is `undecided`. A race must not be learned as a difference of ArangoDB's own, for what is learned
here is subtracted from mismatches: counted as ignored, by class and path, never silently.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec
import structlog

from proxy.base.errors import ArangoError, UpstreamError
from proxy.shadow.diff.documents import NotComparable
from proxy.shadow.jobs import ReadToCompare
from proxy.shadow.pair_comparison import PairComparer
from proxy.shadow.readers import ReadBothSides
from proxy.shadow.result_store import ResultStore

log = structlog.get_logger(__name__)

UNDECIDED: Final = ("undecided", "")
_WAITING: Final = 64  # checks that may wait
# what an answer in no shape that ArangoDB gives makes parsers and comparisons raise
ODD_ANSWER: Final = (
    ArangoError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    msgspec.DecodeError,
)


class BaselineChecker:
    """Reads ArangoDB twice for a share of the reads.

    Its owner runs `run`: one check at a time, as it is load for the origin; no verdict waits for it.
    """

    def __init__(self, sides: ReadBothSides, pairs: PairComparer, results: ResultStore) -> None:
        self._sides = sides
        self._pairs = pairs
        self._results = results
        self._waiting: asyncio.Queue[ReadToCompare] = asyncio.Queue(_WAITING)

    @property
    def waiting(self) -> int:
        """Number of reads that wait for their check."""
        return self._waiting.qsize()

    def offer(self, job: ReadToCompare) -> None:
        """Queue a read that has its verdict, if it is of the share; without room it is dropped."""
        if job.baseline:
            job.baseline = False
            with contextlib.suppress(asyncio.QueueFull):
                self._waiting.put_nowait(job)

    async def run(self) -> None:
        """Check what waits, one after the other, without end."""
        while True:
            job = await self._waiting.get()
            try:
                found = await self._check(job)
            except (UpstreamError, NotComparable, *ODD_ANSWER) as error:
                log.debug("baseline_check_failed", error=type(error).__name__)
                found = (UNDECIDED,)
            self._results.baseline(job.collections, job.shape, found)

    async def _check(self, job: ReadToCompare) -> tuple[tuple[str, str], ...]:
        """Return (class, path) of what differs between two answers of the origin; UNDECIDED if writes came between
        them, or may have. Raise UpstreamError, NotComparable.
        """
        before = [await self._sides.revision(collection) for collection in job.collections]
        first = await self._sides.origin(job.operation)
        second = await self._sides.origin(job.operation)
        after = [await self._sides.revision(collection) for collection in job.collections]
        if before != after or "" in before:
            return (UNDECIDED,)
        different = await self._pairs.differs_from_itself(job.operation, first, second)
        if different is None:
            return ()
        return tuple((different.kind.value, path) for path in different.paths or ("",))
