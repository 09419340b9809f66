"""The first comparison of a read, and the verdict after the recheck.

It compares what the client got with the answer of the other database. A difference that lag can explain is not a
verdict yet: it goes to the recheck (`recheck`).
"""

from __future__ import annotations

import time

from proxy.model.endpoint import Effect
from proxy.shadow.accounting import VerdictSink
from proxy.shadow.batch_compare import StatementResult
from proxy.shadow.diff.compare_answers import QueryAnswer
from proxy.shadow.diff.documents import Kind, NotComparable
from proxy.shadow.diff.tolerances import Tolerance
from proxy.shadow.diff.verdict import ComparisonResult, Own
from proxy.shadow.jobs import ReadPair, ReadToCompare
from proxy.shadow.mismatch_recorder import MismatchRecorder
from proxy.shadow.packed_answer import PackedAnswer
from proxy.shadow.pair_comparison import PairComparer
from proxy.shadow.readers import ReadBothSides
from proxy.shadow.recheck import Rechecker
from proxy.shadow.sampling_rules import SamplingRules


class ReadComparer:
    """Compares single reads. Each method counts a verdict, or returns the pair of answers that needs a recheck.

    All raise NotComparable, Unsupported, DatabaseError, UpstreamError, and what an odd answer makes parsers raise.
    """

    def __init__(
        self,
        sides: ReadBothSides,
        pairs: PairComparer,
        rules: SamplingRules,
        verdicts: VerdictSink,
        confirmer: MismatchRecorder,
        rechecker: Rechecker,
    ) -> None:
        self._sides = sides
        self._pairs = pairs
        self._rules = rules
        self._verdicts = verdicts
        self._confirmer = confirmer
        self._rechecker = rechecker

    async def compare(self, job: ReadToCompare) -> ReadPair | None:
        """Look at one read: ask the store that did not answer the client, and compare."""
        operation, began = job.operation, time.monotonic()
        rules, own = self._allowed(job)
        if not job.reversed:
            result = await self._pairs.compare(operation, job.outcome, rules, own)
            self._verdicts.observe_target_read(job.collections, result.seconds)
            self._verdicts.keep_timing(job, origin=job.seconds, target=result.seconds)
            return await self._first(job, ReadPair(began, job.outcome, result.target), result.judged)
        answer = await self._sides.origin(operation)
        seconds = time.monotonic() - began
        if operation.effect is Effect.QUERY:  # only an evaluation shows what its order leaves open
            result = await self._pairs.compare(operation, answer, rules, own)
            pair, judged = ReadPair(began, answer, result.target), result.judged
        else:
            pair = ReadPair(began, answer, job.outcome)
            judged = await self._pairs.judge(operation, answer, job.outcome, rules, own)
        self._verdicts.observe_target_read(job.collections, job.seconds)
        self._verdicts.keep_timing(job, origin=seconds, target=job.seconds)
        return await self._first(job, pair, judged)

    async def compare_answered(self, job: ReadToCompare, statement: StatementResult) -> ReadPair | None:
        """Compare a read that the target has answered by one statement, together with others."""
        pair, (rules, own) = statement.pair(job), self._allowed(job)
        judged = await self._pairs.judge(job.operation, pair.origin, pair.target, rules, own)
        return await self._first(job, pair, judged)

    async def recheck(self, job: ReadToCompare, first: ReadPair) -> None:
        """Look again until the difference is lag, a mismatch, or undecided, and count it."""
        rechecked = await self._rechecker.recheck(job, first)
        if rechecked is not None and rechecked.judged.difference is None:
            self._verdicts.agreed(job, rechecked.judged, began=rechecked.pair.began, lagged=True)
            return
        if rechecked is None:
            rules, own = self._allowed(job)
            pair, found = first, await self._pairs.judge(job.operation, first.origin, first.target, rules, own)
            if isinstance(found, NotComparable):
                raise found
            judged = found
        else:
            pair, judged = rechecked.pair, rechecked.judged
        difference = judged.difference
        if rechecked is None and difference is not None:  # some of several differences may be certain
            difference = difference.definite() if job.operation.effect is Effect.READ else None
        rows = isinstance(pair.target, QueryAnswer) or (isinstance(pair.target, PackedAnswer) and not pair.target.error)
        differs = rows and difference is not None and difference.kind is not Kind.ERROR
        if differs and await self._pairs.order_undetermined(job.operation):
            raise NotComparable("equal sort keys inside")
        if difference is not None:
            self._verdicts.count_subtracted(job, judged)
            await self._confirmer.confirm(job, pair, difference)
        else:
            self._verdicts.count_undecided(job, began=first.began)

    async def _first(
        self, job: ReadToCompare, pair: ReadPair, judged: ComparisonResult | NotComparable
    ) -> ReadPair | None:
        """Count the verdict of a first comparison, or return the pair for the recheck."""
        if isinstance(judged, NotComparable):
            raise judged
        difference = judged.difference
        if difference is None:
            self._verdicts.agreed(job, judged, began=pair.began)
        elif difference.certain and job.operation.effect is Effect.READ:
            self._verdicts.count_subtracted(job, judged)
            await self._confirmer.confirm(job, pair, difference)  # lag cannot make two contents of one revision (I8)
        else:
            return pair
        return None

    def _allowed(self, job: ReadToCompare) -> tuple[tuple[Tolerance, ...], Own]:
        """Return what does not count in the read's answers: tolerances, and ArangoDB's own differences."""
        return self._rules.tolerances(job.collections), self._rules.own(job.collections, job.shape.name)
