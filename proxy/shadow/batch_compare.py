"""Compare reads of single documents of one collection by one statement, as far as the fast
path decides (`fast_path`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import structlog

from proxy.base.errors import ArangoError, DatabaseError
from proxy.shadow.accounting import FAILED, VerdictSink
from proxy.shadow.backpressure import Backpressure
from proxy.shadow.diff.documents import Difference, Kind
from proxy.shadow.fast_path import definite_difference, split_equal
from proxy.shadow.jobs import ReadPair, ReadToCompare
from proxy.shadow.mismatch_recorder import MismatchRecorder
from proxy.shadow.readers import ReadBothSides, document_answer
from proxy.shadow.sampling_rules import SamplingRules

log = structlog.get_logger(__name__)

_Alike = dict[tuple[Kind, tuple[str, ...]], tuple[Difference, list[ReadToCompare]]]


class StatementResult(NamedTuple):
    """The result of one statement: documents by key as they are printed, when it began (monotonic), its seconds."""

    found: Mapping[str, bytes]
    began: float
    seconds: float

    def pair(self, job: ReadToCompare) -> ReadPair:
        """Return both answers to one of the reads."""
        raw = self.found.get(job.operation.key or "")
        return ReadPair(self.began, job.outcome, document_answer(job.operation, raw))


class BatchComparer:
    """Compares groups of reads; `done(job)` is called for each that has its verdict."""

    def __init__(
        self,
        sides: ReadBothSides,
        rules: SamplingRules,
        verdicts: VerdictSink,
        confirmer: MismatchRecorder,
        backpressure: Backpressure,
        done: Callable[[ReadToCompare], None],
    ) -> None:
        self._sides = sides
        self._rules = rules
        self._verdicts = verdicts
        self._confirmer = confirmer
        self._backpressure = backpressure
        self._done = done

    async def compare(self, jobs: list[ReadToCompare]) -> StatementResult | None:
        """Leave in `jobs` what the fast path cannot decide. Return the statement for those, or None if it failed."""
        due = jobs[0].due
        await self._backpressure.wait_turn(due)
        began = time.monotonic()
        try:
            name = jobs[0].operation.qualified or ""
            found = await self._sides.documents(name, [job.operation.key or "" for job in jobs])
        except (ArangoError, DatabaseError):
            return None
        statement = StatementResult(found, began, time.monotonic() - began)
        same, jobs[:] = split_equal(jobs, found)
        self._verdicts.observe_target_read((same or jobs)[0].collections, statement.seconds)
        if same:
            try:
                self._verdicts.matched_together(same, began=began, seconds=statement.seconds)
            finally:
                self._end(same)
        if jobs and not self._tolerant(jobs[0]):
            await self._confirm(jobs, statement, due)
        return statement

    async def _confirm(self, jobs: list[ReadToCompare], statement: StatementResult, due: float) -> None:
        """Count those that certainly differ, piece by piece; all others stay in `jobs`."""
        kept = 0
        while kept < len(jobs):
            end = await self._backpressure.wait_turn(due)
            alike, kept = _piece(jobs, kept, statement, end)
            for difference, those in alike.values():
                self._certain(those, difference, statement)

    def _certain(self, jobs: Sequence[ReadToCompare], difference: Difference, statement: StatementResult) -> None:
        """Count reads that differ alike.

        An error of this program in one kind of difference does not affect the others.
        """
        try:
            self._confirmer.confirm_together(
                jobs, difference, statement.pair, began=statement.began, seconds=statement.seconds
            )
        except Exception as error:
            log.exception("mismatch_count_failed", error=type(error).__name__)
            for job in jobs:
                self._verdicts.skipped(job, FAILED)
        finally:
            self._end(jobs)

    def _tolerant(self, job: ReadToCompare) -> bool:
        """Return True if differences may be tolerated: then each read is compared by itself."""
        return bool(self._rules.tolerances(job.collections) or self._rules.own(job.collections, job.shape.name))

    def _end(self, jobs: Sequence[ReadToCompare]) -> None:
        for job in jobs:
            self._done(job)


def _piece(jobs: list[ReadToCompare], kept: int, statement: StatementResult, end: float) -> tuple[_Alike, int]:
    """Take those that certainly differ out of `jobs` after the first `kept`, one at least, until the moment `end`.

    Returns them, with the difference of the first, by class and paths; and how many of `jobs` stay.
    """
    alike: _Alike = {}
    others: list[ReadToCompare] = []
    tested = 0
    for job in jobs[kept:]:
        tested += 1
        difference = definite_difference(job, statement.found.get(job.operation.key or ""))
        if difference is None:
            others.append(job)
        else:
            alike.setdefault((difference.kind, difference.paths), (difference, []))[1].append(job)
        if time.monotonic() >= end:
            break
    jobs[kept : kept + tested] = others
    return alike, kept + len(others)
