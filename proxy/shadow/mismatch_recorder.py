"""What happens to a confirmed difference: it is counted, kept as an example, explained.

It counts at once. An explanation takes a worker process and its time: no verdict waits for one.
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
from proxy.shadow.jobs import Job, ReadPair
from proxy.shadow.looks import Looks
from proxy.shadow.packed_answer import opened
from proxy.shadow.samples import Evidence, shown_answers
from proxy.shadow.workload import Workload

_WAITING: Final = 16  # mismatches that may wait for their explanation


class Confirmer:
    """Confirms the differences of one proxy; its owner runs `run`."""

    def __init__(
        self,
        account: VerdictSink,
        looks: Looks,
        explainer: Explainer,
        load: Workload,
    ) -> None:
        """load: counts explanations, which continue after `confirm` has returned."""
        self._account = account
        self._looks = looks
        self._ledger = account.ledger
        self._explainer = explainer
        self._load = load
        self._unexplained: asyncio.Queue[tuple[tuple[str, ...], Evidence]] = asyncio.Queue(_WAITING)

    async def confirm(self, job: Job, look: ReadPair, difference: Difference) -> None:
        """A mismatch: each of its parts has a fingerprint of its own. It counts whatever becomes of its example."""
        for number, part in enumerate(difference.each()):
            new, wanted = self._wanted(job, part)
            examples = [await self._evidence(job, look, part)] if wanted else []
            if number:  # another part of a read that is counted already
                self._ledger.found(job.collections, job.shape, part, examples, began=look.began)
            else:
                self._account.mismatched(job, part, examples, began=look.began)
            if new:
                self._explain(job, examples[0])

    def confirm_together(
        self,
        jobs: Sequence[Job],
        difference: Difference,
        look: Callable[[Job], ReadPair],
        *,
        began: float,
        seconds: float,
    ) -> None:
        """Reads of single documents of one collection that one statement of so many seconds found to differ alike.

        difference: of any of them, in one part. look: both answers of one of them, asked for examples alone.
        """
        new, wanted = self._wanted(jobs[0], difference)
        examples = [_evidence(job, look(job), difference) for job in jobs[:wanted]]
        keys = tuple(dict.fromkeys(job.operation.key for job in jobs if job.operation.key is not None))[:MAX_KEYS]
        whole = replace(difference, keys=keys)
        self._account.mismatched_together(jobs, whole, examples, began=began, seconds=seconds)
        if new:
            self._explain(jobs[0], examples[0])

    def _wanted(self, job: Job, difference: Difference) -> tuple[bool, int]:
        """Whether it is new, and how many examples of it are wanted: at least one of what is new."""
        new = self._ledger.is_new(job.collections, difference)
        return new, max(int(new), self._ledger.wanted(job.collections, difference))

    def _explain(self, job: Job, evidence: Evidence) -> None:
        if self._unexplained.full():
            self._explainer.omitted += 1
        else:
            self._unexplained.put_nowait((job.collections, evidence))
            self._load.begin()

    async def _evidence(self, job: Job, look: ReadPair, difference: Difference) -> Evidence:
        try:
            origin, target = await self._looks.shown(look.origin, look.target, difference)
        except NotComparable as reason:  # over the limits of a worker
            origin, target = b"", orjson.dumps(str(reason))
        return Evidence(job.operation, difference, origin, target, job.route, job.reversed, trace=job.trace)

    async def run(self) -> None:
        """Explains, one after the other, for ever."""
        while True:
            collections, evidence = await self._unexplained.get()
            try:
                text = await self._explainer.explain(evidence.origin, evidence.target)
                if text is not None:
                    self._ledger.explained(collections, evidence, text)
            finally:
                self._load.end()


def _evidence(job: Job, look: ReadPair, difference: Difference) -> Evidence:
    """Of documents, which are here."""
    origin, target = shown_answers(look.origin, opened(look.target), difference)
    return Evidence(job.operation, difference, origin, target, job.route, job.reversed, trace=job.trace)
