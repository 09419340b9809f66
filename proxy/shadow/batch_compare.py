"""Reads of single documents of one collection, by one statement: what a glance tells of many at once (`glance`)."""

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
from proxy.shadow.jobs import Job, ReadPair
from proxy.shadow.mismatch_recorder import Confirmer
from proxy.shadow.readers import ReadBothSides, document_answer
from proxy.shadow.sampling_rules import SamplingRules

log = structlog.get_logger(__name__)

_Alike = dict[tuple[Kind, tuple[str, ...]], tuple[Difference, list[Job]]]


class Statement(NamedTuple):
    """What one statement said: documents by key as they are printed, the moment it began (monotonic), its seconds."""

    found: Mapping[str, bytes]
    began: float
    seconds: float

    def look(self, job: Job) -> ReadPair:
        """Both answers to one of the reads."""
        raw = self.found.get(job.operation.key or "")
        return ReadPair(self.began, job.outcome, document_answer(job.operation, raw))


class BatchComparer:
    """Compares groups of reads; `done(job)` is called for each that has its verdict."""

    def __init__(
        self,
        sides: ReadBothSides,
        rules: SamplingRules,
        account: VerdictSink,
        confirmer: Confirmer,
        courtesy: Backpressure,
        done: Callable[[Job], None],
    ) -> None:
        self._sides = sides
        self._rules = rules
        self._account = account
        self._confirmer = confirmer
        self._courtesy = courtesy
        self._done = done

    async def compare(self, jobs: list[Job]) -> Statement | None:
        """What a glance cannot tell stays in `jobs`; what the target said of it is the answer, if it said anything."""
        due = jobs[0].due
        await self._courtesy.wait_turn(due)
        began = time.monotonic()
        try:
            name = jobs[0].operation.qualified or ""
            found = await self._sides.documents(name, [job.operation.key or "" for job in jobs])
        except (ArangoError, DatabaseError):
            return None
        statement = Statement(found, began, time.monotonic() - began)
        same, jobs[:] = split_equal(jobs, found)
        self._account.asked((same or jobs)[0].collections, statement.seconds)
        if same:
            try:
                self._account.matched_together(same, began=began, seconds=statement.seconds)
            finally:
                self._end(same)
        if jobs and not self._noisy(jobs[0]):
            await self._confirm(jobs, statement, due)
        return statement

    async def _confirm(self, jobs: list[Job], statement: Statement, due: float) -> None:
        """Counts those that certainly differ, piece by piece; all others stay in `jobs`."""
        kept = 0
        while kept < len(jobs):
            end = await self._courtesy.wait_turn(due)
            alike, kept = _piece(jobs, kept, statement, end)
            for difference, those in alike.values():
                self._certain(those, difference, statement)

    def _certain(self, jobs: Sequence[Job], difference: Difference, statement: Statement) -> None:
        """A fault of this program in one kind of difference takes no other along."""
        try:
            self._confirmer.confirm_together(
                jobs, difference, statement.look, began=statement.began, seconds=statement.seconds
            )
        except Exception as error:
            log.exception("differences could not be counted", error=type(error).__name__)
            for job in jobs:
                self._account.skipped(job, FAILED)
        finally:
            self._end(jobs)

    def _noisy(self, job: Job) -> bool:
        """Whether differences may be noise: then each is looked at by itself."""
        return bool(self._rules.noise(job.collections) or self._rules.own(job.collections, job.shape.name))

    def _end(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._done(job)


def _piece(jobs: list[Job], kept: int, statement: Statement, end: float) -> tuple[_Alike, int]:
    """Takes those that certainly differ out of `jobs` behind the first `kept`, one at least, up to the moment `end`.

    Returns them, with the difference of the first, by class and paths; and how many of `jobs` are to stay.
    """
    alike: _Alike = {}
    others: list[Job] = []
    looked = 0
    for job in jobs[kept:]:
        looked += 1
        difference = definite_difference(job, statement.found.get(job.operation.key or ""))
        if difference is None:
            others.append(job)
        else:
            alike.setdefault((difference.kind, difference.paths), (difference, []))[1].append(job)
        if time.monotonic() >= end:
            break
    jobs[kept : kept + looked] = others
    return alike, kept + len(others)
