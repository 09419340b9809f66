"""Record a confirmed mismatch: count it, keep an example, explain it.

It counts immediately. An explanation takes a worker process and time: no verdict waits for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import orjson

from proxy.shadow.accounting import VerdictSink
from proxy.shadow.diff.documents import MAX_KEYS, Difference, NotComparable
from proxy.shadow.explain import Explainer
from proxy.shadow.jobs import ReadPair, ReadToCompare
from proxy.shadow.packed_answer import unpack
from proxy.shadow.pair_comparison import PairComparer
from proxy.shadow.samples import MismatchEvidence, shown_answers
from proxy.shadow.workload import Workload

_WAITING: Final = 16  # mismatches that may wait for their explanation


class MismatchRecorder:
    """Records the mismatches of one proxy; its owner runs `run`."""

    def __init__(
        self,
        verdicts: VerdictSink,
        pairs: PairComparer,
        explainer: Explainer,
        load: Workload,
    ) -> None:
        """load: counts explanations, which continue after `confirm` has returned."""
        self._verdicts = verdicts
        self._pairs = pairs
        self._results = verdicts.results
        self._explainer = explainer
        self._load = load
        self._unexplained: asyncio.Queue[tuple[tuple[str, ...], MismatchEvidence]] = asyncio.Queue(_WAITING)

    async def confirm(self, job: ReadToCompare, pair: ReadPair, difference: Difference) -> None:
        """Record a mismatch; each of its parts has a fingerprint. It counts whether or not an example can be kept."""
        for number, part in enumerate(difference.each()):
            new, wanted = self._wanted(job, part)
            examples = [await self._evidence(job, pair, part)] if wanted else []
            if number:  # another part of a read that is already counted
                self._results.found(job.collections, job.shape, part, examples, began=pair.began)
            else:
                self._verdicts.mismatched(job, part, examples, began=pair.began)
            if new:
                self._explain(job, examples[0])

    def confirm_together(
        self,
        jobs: Sequence[ReadToCompare],
        difference: Difference,
        pair: Callable[[ReadToCompare], ReadPair],
        *,
        began: float,
        seconds: float,
    ) -> None:
        """Record reads of single documents of one collection that one statement of `seconds` found to differ alike.

        difference: of any of them, in one part. pair: returns both answers of one of them, called for examples only.
        """
        new, wanted = self._wanted(jobs[0], difference)
        examples = [_evidence(job, pair(job), difference) for job in jobs[:wanted]]
        keys = tuple(dict.fromkeys(job.operation.key for job in jobs if job.operation.key is not None))[:MAX_KEYS]
        whole = replace(difference, keys=keys)
        self._verdicts.record_mismatches(jobs, whole, examples, began=began, seconds=seconds)
        if new:
            self._explain(jobs[0], examples[0])

    def _wanted(self, job: ReadToCompare, difference: Difference) -> tuple[bool, int]:
        """Return whether it is new, and how many examples are wanted: at least one if it is new."""
        new = self._results.is_new(job.collections, difference)
        return new, max(int(new), self._results.wanted(job.collections, difference))

    def _explain(self, job: ReadToCompare, evidence: MismatchEvidence) -> None:
        if not self._unexplained.full():
            self._unexplained.put_nowait((job.collections, evidence))
            self._load.begin()

    async def _evidence(self, job: ReadToCompare, pair: ReadPair, difference: Difference) -> MismatchEvidence:
        try:
            origin, target = await self._pairs.shown(pair.origin, pair.target, difference)
        except NotComparable as reason:  # over the limits of a worker
            origin, target = b"", orjson.dumps(str(reason))
        return MismatchEvidence(job.operation, difference, origin, target, job.route, job.reversed, trace=job.trace)

    async def run(self) -> None:
        """Explain mismatches, one after the other, without end."""
        while True:
            collections, evidence = await self._unexplained.get()
            try:
                text = await self._explainer.explain(evidence.origin, evidence.target)
                if text is not None:
                    self._results.explained(collections, evidence, text)
            finally:
                self._load.end()


def _evidence(job: ReadToCompare, pair: ReadPair, difference: Difference) -> MismatchEvidence:
    """Return the evidence for documents, which are in this process."""
    origin, target = shown_answers(pair.origin, unpack(pair.target), difference)
    return MismatchEvidence(job.operation, difference, origin, target, job.route, job.reversed, trace=job.trace)
