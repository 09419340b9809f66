"""The first look at a read, and the verdict after the recheck: what two answers result in for one read.

The first look compares what the client got with the other store. A difference that lag can explain is not a verdict
yet: it goes to the recheck (`recheck`).
"""

from __future__ import annotations

import time

from proxy.model.endpoint import Effect
from proxy.shadow.accounting import VerdictSink
from proxy.shadow.batch_compare import Statement
from proxy.shadow.diff.compare_answers import QueryAnswer
from proxy.shadow.diff.documents import Kind, NotComparable
from proxy.shadow.diff.tolerances import Rule
from proxy.shadow.diff.verdict import ComparisonResult, Own
from proxy.shadow.jobs import Job, ReadPair
from proxy.shadow.looks import Looks
from proxy.shadow.mismatch_recorder import MismatchRecorder
from proxy.shadow.packed_answer import Packed
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
        looks: Looks,
        rules: SamplingRules,
        account: VerdictSink,
        confirmer: MismatchRecorder,
        rechecker: Rechecker,
    ) -> None:
        self._sides = sides
        self._looks = looks
        self._rules = rules
        self._account = account
        self._confirmer = confirmer
        self._rechecker = rechecker

    async def compare(self, job: Job) -> ReadPair | None:
        """Look at one read: ask the store that did not answer the client, and compare."""
        operation, began = job.operation, time.monotonic()
        rules, own = self._allowed(job)
        if not job.reversed:
            looked = await self._looks.look(operation, job.outcome, rules, own)
            self._account.asked(job.collections, looked.seconds)
            self._account.looked(job, origin=job.seconds, target=looked.seconds)
            return await self._first(job, ReadPair(began, job.outcome, looked.target), looked.judged)
        answer = await self._sides.origin(operation)
        seconds = time.monotonic() - began
        if operation.effect is Effect.QUERY:  # only an evaluation shows what its order leaves open
            looked = await self._looks.look(operation, answer, rules, own)
            look, judged = ReadPair(began, answer, looked.target), looked.judged
        else:
            look = ReadPair(began, answer, job.outcome)
            judged = await self._looks.judge(operation, answer, job.outcome, rules, own)
        self._account.asked(job.collections, job.seconds)
        self._account.looked(job, origin=seconds, target=job.seconds)
        return await self._first(job, look, judged)

    async def compare_answered(self, job: Job, statement: Statement) -> ReadPair | None:
        """Compare a read that the target has answered by one statement, together with others."""
        look, (rules, own) = statement.look(job), self._allowed(job)
        judged = await self._looks.judge(job.operation, look.origin, look.target, rules, own)
        return await self._first(job, look, judged)

    async def recheck(self, job: Job, first: ReadPair) -> None:
        """Look again until the difference is lag, a mismatch, or unsettled, and count it."""
        settled = await self._rechecker.settle(job, first)
        if settled is not None and settled.judged.difference is None:
            self._account.agreed(job, settled.judged, began=settled.look.began, lagged=True)
            return
        if settled is None:
            rules, own = self._allowed(job)
            look, found = first, await self._looks.judge(job.operation, first.origin, first.target, rules, own)
            if isinstance(found, NotComparable):
                raise found
            judged = found
        else:
            look, judged = settled.look, settled.judged
        difference = judged.difference
        if settled is None and difference is not None:  # some of several differences may be certain
            difference = difference.definite() if job.operation.effect is Effect.READ else None
        rows = isinstance(look.target, QueryAnswer) or (isinstance(look.target, Packed) and not look.target.error)
        differs = rows and difference is not None and difference.kind is not Kind.ERROR
        if differs and await self._looks.order_undetermined(job.operation):
            raise NotComparable("equal sort keys inside")
        if difference is not None:
            self._account.count_subtracted(job, judged)
            await self._confirmer.confirm(job, look, difference)
        else:
            self._account.count_unsettled(job, began=first.began)

    async def _first(self, job: Job, look: ReadPair, judged: ComparisonResult | NotComparable) -> ReadPair | None:
        """Count the verdict of a first look, or return the pair for the recheck."""
        if isinstance(judged, NotComparable):
            raise judged
        difference = judged.difference
        if difference is None:
            self._account.agreed(job, judged, began=look.began)
        elif difference.certain and job.operation.effect is Effect.READ:
            self._account.count_subtracted(job, judged)
            await self._confirmer.confirm(job, look, difference)  # lag cannot make two contents of one revision (I8)
        else:
            return look
        return None

    def _allowed(self, job: Job) -> tuple[tuple[Rule, ...], Own]:
        """Return what does not count in the read's answers: tolerances, and ArangoDB's own differences."""
        return self._rules.tolerances(job.collections), self._rules.own(job.collections, job.shape.name)
