"""What each read came to: counted by the ledger, told to the sinks. One place, so that every read ends exactly once.

Reads that one statement compared, and that came to the same, are counted and told at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from proxy.base import metrics
from proxy.routing.query_shapes import Shape
from proxy.shadow.diff.documents import Difference
from proxy.shadow.diff.verdict import ComparisonResult
from proxy.shadow.jobs import Job
from proxy.shadow.result_store import Ledger
from proxy.shadow.samples import Evidence
from proxy.shadow.verdicts import IGNORED, LAG, MATCH, SKIPPED, UNSETTLED, UNSUPPORTED, ReadVerdict, Sink

FAILED: Final = "failed"  # why a read has no verdict: a fault of this program, see the log


class VerdictSink:
    """Counts verdicts. began: the moment (monotonic) of the look that a verdict rests on."""

    def __init__(self, ledger: Ledger, sinks: Sequence[Sink] = ()) -> None:
        self.ledger = ledger
        self._sinks = tuple(sinks)

    def not_taken(self, collections: tuple[str, ...], shape: Shape, reason: str, *, reverse: bool = False) -> None:
        """A read that became no job, and why."""
        self.ledger.skipped(collections, shape, reason)
        for sink in self._sinks:
            sink(ReadVerdict(shape, collections, SKIPPED, reason, reversed=reverse))

    def skipped(self, job: Job, reason: str) -> None:
        self.ledger.skipped(job.collections, job.shape, reason)
        self._tell(job, SKIPPED, reason)

    def unsupported(self, job: Job) -> None:
        self.ledger.unsupported(job.collections, job.shape, began=time.monotonic())
        self._tell(job, UNSUPPORTED)

    def asked(self, collections: Sequence[str], seconds: float) -> None:
        """One statement, or one query, that the target has answered for the first look at reads of these."""
        for collection in collections:
            metrics.TARGET_READ_DURATION.labels(metrics.collection_label(collection)).observe(seconds)

    def looked(self, job: Job, *, origin: float, target: float) -> None:
        """The first look: how long both sides took, in seconds."""
        job.looked = (origin, target)
        self.ledger.seconds(job.collections, job.shape, origin=origin, target=target)

    def matched(self, job: Job, *, began: float, lagged: bool = False) -> None:
        self.ledger.matched(job.collections, job.shape, began=began, lagged=lagged)
        self._tell(job, LAG if lagged else MATCH)

    def matched_together(self, jobs: Sequence[Job], *, began: float, seconds: float) -> None:
        """Reads of one shape of one collection that one statement of so many seconds found equal."""
        first = jobs[0]
        self._looked_together(jobs, seconds)
        self.ledger.matched(first.collections, first.shape, began=began, number=len(jobs))
        self._tell_together(jobs, MATCH, seconds)

    def agreed(self, job: Job, judged: ComparisonResult, *, began: float, lagged: bool = False) -> None:
        """Both sides say the same: a match, or ignored where noise or ArangoDB's own differences took part in it."""
        self.subtracted(job, judged)
        if judged.own or judged.rules:
            self.ledger.ignored(job.collections, job.shape, began=began, rules=judged.rules)
            self._tell(job, IGNORED, "ArangoDB differs from itself" if judged.own else "noise")
        else:
            self.matched(job, began=began, lagged=lagged)

    def subtracted(self, job: Job, judged: ComparisonResult) -> None:
        """What was taken away of a difference is counted where it is known (never silently)."""
        if judged.own:
            self.ledger.subtracted(job.collections, job.shape, judged.own)

    def unsettled(self, job: Job, *, began: float) -> None:
        self.ledger.unsettled(job.collections, job.shape, began=began)
        self._tell(job, UNSETTLED)

    def mismatched(self, job: Job, difference: Difference, examples: Sequence[Evidence], *, began: float) -> None:
        self.ledger.mismatched(job.collections, job.shape, difference, examples, began=began)
        self._tell(job, difference.kind.value)

    def mismatched_together(
        self,
        jobs: Sequence[Job],
        difference: Difference,
        examples: Sequence[Evidence],
        *,
        began: float,
        seconds: float,
    ) -> None:
        """Reads of one shape of one collection that one statement of so many seconds found to differ alike."""
        first = jobs[0]
        self._looked_together(jobs, seconds)
        self.ledger.mismatched(first.collections, first.shape, difference, examples, began=began, number=len(jobs))
        self._tell_together(jobs, difference.kind.value, seconds)

    def _looked_together(self, jobs: Sequence[Job], seconds: float) -> None:
        first = jobs[0]
        origin = sum(job.seconds for job in jobs)
        self.ledger.seconds(first.collections, first.shape, origin=origin, target=seconds * len(jobs))

    def _tell_together(self, jobs: Sequence[Job], kind: str, seconds: float) -> None:
        first, origin = jobs[0], tuple([job.seconds for job in jobs])
        for sink in self._sinks:
            sink(ReadVerdict(first.shape, first.collections, kind, "", origin, seconds, number=len(jobs)))

    def _tell(self, job: Job, kind: str, reason: str = "") -> None:
        origin, target = ((job.looked[0],), job.looked[1]) if job.looked is not None else ((), 0.0)
        for sink in self._sinks:
            sink(ReadVerdict(job.shape, job.collections, kind, reason, origin, target, job.reversed))
