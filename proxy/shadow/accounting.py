"""The verdict of each read: counted by the result store, reported to the sinks. One place, so that a read ends once.

Reads that one statement compared, with the same result, are counted and reported together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from proxy.base import metrics
from proxy.routing.query_shapes import Shape
from proxy.shadow.diff.documents import Difference
from proxy.shadow.diff.verdict import ComparisonResult
from proxy.shadow.jobs import ReadToCompare
from proxy.shadow.result_store import ResultStore
from proxy.shadow.samples import MismatchEvidence
from proxy.shadow.verdicts import IGNORED, LAG, MATCH, SKIPPED, UNDECIDED, UNSUPPORTED, ReadVerdict, Sink

FAILED: Final = "failed"  # why a read has no verdict: an error of this program, see the log


class VerdictSink:
    """Counts and reports verdicts. began: the moment (monotonic) of the check that a verdict is based on."""

    def __init__(self, results: ResultStore, sinks: Sequence[Sink] = ()) -> None:
        self.results = results
        self._sinks = tuple(sinks)

    def skipped_before_queueing(self, collections: tuple[str, ...], shape: Shape, reason: str) -> None:
        """Count a read that became no job, with the reason."""
        self.results.skipped(collections, shape, reason)
        for sink in self._sinks:
            sink(ReadVerdict(shape, collections, SKIPPED, reason))

    def skipped(self, job: ReadToCompare, reason: str) -> None:
        self.results.skipped(job.collections, job.shape, reason)
        self._report(job, SKIPPED, reason)

    def unsupported(self, job: ReadToCompare) -> None:
        self.results.unsupported(job.collections, job.shape, began=time.monotonic())
        self._report(job, UNSUPPORTED)

    def observe_target_read(self, collections: Sequence[str], seconds: float) -> None:
        """Observe one statement, or one query, that the target has answered for the first comparison of these reads."""
        for collection in collections:
            metrics.TARGET_READ_DURATION.labels(metrics.collection_label(collection)).observe(seconds)

    def keep_timing(self, job: ReadToCompare, *, origin: float, target: float) -> None:
        """Keep how long both sides took for the first comparison, in seconds."""
        job.timing = (origin, target)

    def matched(self, job: ReadToCompare, *, began: float, lagged: bool = False) -> None:
        self.results.matched(job.collections, job.shape, began=began, lagged=lagged)
        self._report(job, LAG if lagged else MATCH)

    def matched_together(self, jobs: Sequence[ReadToCompare], *, began: float, seconds: float) -> None:
        """Count reads of one shape of one collection that one statement of `seconds` found equal."""
        first = jobs[0]
        self.results.matched(first.collections, first.shape, began=began, number=len(jobs))
        self._report_together(jobs, MATCH, seconds)

    def agreed(self, job: ReadToCompare, judged: ComparisonResult, *, began: float, lagged: bool = False) -> None:
        """Count equal answers: a match, or ignored if tolerances or ArangoDB's own differences had a part in it."""
        self.count_subtracted(job, judged)
        if judged.own or judged.rules:
            self.results.ignored(job.collections, job.shape, began=began, rules=judged.rules)
            self._report(job, IGNORED, "ArangoDB differs from itself" if judged.own else "tolerance")
        else:
            self.matched(job, began=began, lagged=lagged)

    def count_subtracted(self, job: ReadToCompare, judged: ComparisonResult) -> None:
        """Count what was subtracted from a difference, as soon as it is known (never silently)."""
        if judged.own:
            self.results.count_subtracted(job.collections, job.shape, judged.own)

    def count_undecided(self, job: ReadToCompare, *, began: float) -> None:
        self.results.count_undecided(job.collections, job.shape, began=began)
        self._report(job, UNDECIDED)

    def mismatched(
        self, job: ReadToCompare, difference: Difference, examples: Sequence[MismatchEvidence], *, began: float
    ) -> None:
        self.results.mismatched(job.collections, job.shape, difference, examples, began=began)
        self._report(job, difference.kind.value)

    def record_mismatches(
        self,
        jobs: Sequence[ReadToCompare],
        difference: Difference,
        examples: Sequence[MismatchEvidence],
        *,
        began: float,
        seconds: float,
    ) -> None:
        """Count reads of one shape of one collection that one statement of `seconds` found to differ alike."""
        first = jobs[0]
        self.results.mismatched(first.collections, first.shape, difference, examples, began=began, number=len(jobs))
        self._report_together(jobs, difference.kind.value, seconds)

    def _report_together(self, jobs: Sequence[ReadToCompare], kind: str, seconds: float) -> None:
        first, origin = jobs[0], tuple([job.seconds for job in jobs])
        for sink in self._sinks:
            sink(ReadVerdict(first.shape, first.collections, kind, "", origin, seconds, number=len(jobs)))

    def _report(self, job: ReadToCompare, kind: str, reason: str = "") -> None:
        origin, target = ((job.timing[0],), job.timing[1]) if job.timing is not None else ((), 0.0)
        for sink in self._sinks:
            sink(ReadVerdict(job.shape, job.collections, kind, reason, origin, target))
