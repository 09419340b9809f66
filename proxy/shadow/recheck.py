"""Look again at what differed, until it is known to be lag, a mismatch, or undecided (I8).

One check reads origin, target, origin. A check in which the target shows what the origin has answered since the read
proves lag (`origin_history`). If the origin's answer changed around the target's, a check shows nothing else. A
difference counts when consecutive checks show the same answers on both sides, with every mirror caught up in between
(this proxy's and those of the others): then what the origin showed first has reached the target, and still it differs.

Two checks are enough if answers carry revisions, which never return: reads of documents, and queries that loop over one
collection and return its documents. Values alone may return: a counter that goes up and down again between the checks
shows the same answers, and the target something in between. Then two checks count only if the collections' revisions,
which every write changes, stayed the same as well; else CHECKS_OF_VALUES are needed.

The bytes that checks read are limited per second, so that many differences at once cost clients little: large ones then
wait, and may stay undecided.
"""

from __future__ import annotations

import asyncio
import pickle
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from proxy.base.errors import ArangoError, DatabaseUnavailable, UpstreamError
from proxy.model.endpoint import Effect
from proxy.model.operations import Operation, Outcome
from proxy.model.recheck import CHECKS, Schedule, Streak
from proxy.shadow.diff.compare_answers import QueryAnswer, TargetAnswer, stable
from proxy.shadow.diff.documents import Difference, canonical
from proxy.shadow.diff.tolerances import Tolerance, without_baseline
from proxy.shadow.diff.verdict import ComparisonResult, Own, judge
from proxy.shadow.jobs import ReadPair, ReadToCompare
from proxy.shadow.origin_history import OriginHistory
from proxy.shadow.packed_answer import PackedAnswer, unpack
from proxy.shadow.pair_comparison import Answer, PairComparer
from proxy.shadow.peer_lag import PeerLag
from proxy.shadow.readers import ReadBothSides
from proxy.shadow.sampling_rules import SamplingRules
from proxy.shadow.self_check import differs_from_itself

CHECKS_OF_VALUES: Final = 4
_QUICK: Final = 3  # checks before any mirror is waited for: most differences are lag, and over by then
_FIRST_PAUSE: Final = 0.02  # seconds between two checks; doubled each time up to _LONGEST_PAUSE
_LONGEST_PAUSE: Final = 0.25
# of answers that rechecks may read: at most a tenth of the loop is taken from clients
_BYTES_A_SECOND: Final = 16 << 20
_LOOPS: Final = re.compile(rb"\b(?:FOR|DOCUMENT|LENGTH|COUNT|COLLECT)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RecheckResult:
    """The result of a recheck. pair: the last one; judged.difference: None for lag, or a tolerated difference."""

    pair: ReadPair
    judged: ComparisonResult


# of consecutive checks that showed the same on both sides: the revisions of the collections, at the first of them
_Streak = Streak[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Observed:
    """The result of one check.

    judged: the comparison; explained: the target shows what the origin has answered before; steady: the origin stayed
    the same around the target's answer; versioned: the answers carry revisions; repeated: both sides show what they
    showed in the check before.
    """

    judged: ComparisonResult
    explained: bool = False
    steady: bool = False
    versioned: bool = False
    repeated: bool = False


@dataclass(slots=True)
class RecheckedRead:
    """The knowledge about one read that is rechecked; pickled if a worker keeps it."""

    history: OriginHistory
    origin: Outcome | None = None  # of the check before
    target: TargetAnswer | None = None
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """The read that is rechecked. collections: how many it reads."""

    operation: Operation
    collections: int
    rules: tuple[Tolerance, ...]
    own: Own


class Rechecker:
    """Rechecks the differences of one proxy."""

    def __init__(
        self,
        sides: ReadBothSides,
        pairs: PairComparer,
        rules: SamplingRules,
        caught_up: Callable[[str, float], Awaitable[bool]],
        fleet: PeerLag,
        seconds: float,
    ) -> None:
        """caught_up(collection, timeout): True once this proxy's mirror has applied all that it took up to now.

        seconds: the time limit of one recheck.
        """
        self._sides = sides
        self._pairs = pairs
        self._rules = rules
        self._caught_up = caught_up
        self._fleet = fleet
        self._seconds = seconds
        self._free = 0.0  # the moment (monotonic) from which on another check may begin

    async def recheck(self, job: ReadToCompare, first: ReadPair) -> RecheckResult | None:
        """Recheck a read; None if it stays undecided.

        first: the pair that differed. Raise Unsupported, NotComparable, and what an odd answer makes parsers raise.
        """
        schedule = Schedule(_FIRST_PAUSE, _LONGEST_PAUSE, until=time.monotonic() + self._seconds)
        attempt = 0
        rules, own = self._rules.tolerances(job.collections), self._rules.own(job.collections, job.shape.name)
        read = _Read(job.operation, len(job.collections), rules, own)
        known: ReadPair | RecheckedRead | bytes = first
        streak: _Streak | None = None
        while schedule.left(time.monotonic()):
            if (behind := self._free - time.monotonic()) > 0:
                await asyncio.sleep(min(behind, schedule.left(time.monotonic())))
                continue
            attempt += 1
            if attempt > _QUICK and not await self._mirrored(_read_by(job), schedule.left(time.monotonic())):
                return None
            try:
                found, known = await self._check(job, read, streak, known)
            except (UpstreamError, DatabaseUnavailable):
                found = None
            if isinstance(found, RecheckResult):
                return found
            # a streak may begin with a quick check: before the next one the other mirrors have caught up
            streak = found if attempt >= _QUICK else None
            await asyncio.sleep(min(schedule.next(), schedule.left(time.monotonic())))
        return None

    async def _check(
        self, job: ReadToCompare, read: _Read, streak: _Streak | None, known: ReadPair | RecheckedRead | bytes
    ) -> tuple[_Streak | RecheckResult | None, RecheckedRead | bytes]:
        """Check once: return the end, or the streak that continues or begins with it; None if it showed nothing.

        known: what is known, at first the check that differed; what is known then is returned too.
        """
        operation, began = job.operation, time.monotonic()
        before = await self._sides.origin(operation)
        target = await self._pairs.target(operation)
        after = await self._sides.origin(operation)
        size = len(before.body) + len(after.body) + (len(target.data) if isinstance(target, PackedAnswer) else 0)
        self._free = max(self._free, time.monotonic()) + size / _BYTES_A_SECOND
        pair = ReadPair(began, after, target)
        observed, known = await self._observed(read, known, before, target, after)
        judged = observed.judged
        if judged.difference is None or (operation.effect is Effect.READ and judged.difference.certain):
            return RecheckResult(pair, judged), known
        if observed.explained:
            return RecheckResult(pair, ComparisonResult(None)), known
        if not observed.steady:
            return None, known
        revisions: tuple[str, ...] = ()
        versioned = observed.versioned
        if not versioned:
            revisions = tuple([await self._sides.revision(collection) for collection in job.collections])
        if streak is None or not observed.repeated:
            return _Streak(revisions), known
        # every check of a streak but the first waits for the mirrors
        streak = streak.then(streak.seen, repeated=True, caught_up=True)
        stood = "" not in revisions and streak.seen == revisions
        if streak.proves(CHECKS if stood or versioned else CHECKS_OF_VALUES):
            return RecheckResult(pair, judged), known
        return streak, known

    async def _observed(
        self, read: _Read, known: ReadPair | RecheckedRead | bytes, before: Outcome, target: Answer, after: Outcome
    ) -> tuple[Observed, RecheckedRead | bytes]:
        """Evaluate a check: here if all of it is small, else in a worker, which returns what is known as bytes."""
        answers: tuple[Answer | None, ...] = (before, target, after)
        if isinstance(known, ReadPair):
            answers += (known.origin, known.target)
        if not isinstance(known, bytes) and self._pairs.may_run_inline(answers):
            return observe(read, known, before, target, after)
        return await self._pairs.run_in_worker(_observe, read, known, before, target, after)

    async def _mirrored(self, collections: Iterable[str], left: float) -> bool:
        """Return True once every mirror, this proxy's and the others', has applied what it took before now."""
        waits = [self._caught_up(collection, left) for collection in collections]
        return all(await asyncio.gather(self._fleet.caught_up(left), *waits))


def observe(
    read: _Read, known: ReadPair | RecheckedRead | bytes, before: Outcome, packed: Answer, after: Outcome
) -> tuple[Observed, RecheckedRead]:
    """Return what one check shows, and what is known after it. Pure. Raise NotComparable."""
    operation, target = read.operation, unpack(packed)
    if isinstance(known, bytes):
        known = pickle.loads(known)  # noqa: S301 - a worker of this program pickled it
    if isinstance(known, ReadPair):
        known = RecheckedRead(OriginHistory(operation, known.origin, unpack(known.target), read.rules))
    assert isinstance(known, RecheckedRead)
    known.history.add(before)
    known.history.add(after)
    judged = judge(operation, after, target, read.rules, read.own)
    if judged.difference is None or (operation.effect is Effect.READ and judged.difference.certain):
        return Observed(judged), known
    if known.history.explains(target):
        return Observed(judged, explained=True), known
    if not _steady(operation, before, after, read.own):
        return Observed(judged), known
    repeated = (
        known.origin is not None
        and known.target is not None
        and known.difference == judged.difference
        and _steady(operation, known.origin, before, read.own)
        and _same(known.target, target)
    )
    known.origin, known.target, known.difference = after, target, judged.difference
    versioned = carries_revisions(operation, read.collections, target)
    return Observed(judged, steady=True, versioned=versioned, repeated=repeated), known


def _observe(
    read: _Read, known: ReadPair | RecheckedRead | bytes, before: Outcome, packed: Answer, after: Outcome
) -> tuple[Observed, bytes]:
    """Call `observe` in a worker."""
    observed, known = observe(read, known, before, packed, after)
    return observed, pickle.dumps(known, pickle.HIGHEST_PROTOCOL)


def _steady(operation: Operation, before: Outcome, after: Outcome, own: Own) -> bool:
    """Return True if the origin gave one answer twice, apart from its own differences."""
    if stable(operation, before, after):
        return True
    if not own:
        return False
    difference = differs_from_itself(operation, before, after)
    return difference is None or without_baseline(difference, own)[0] is None


def carries_revisions(operation: Operation, collections: int, target: TargetAnswer) -> bool:
    """Return True if what decides the answer shows its revision in it. collections: how many the read names."""
    if operation.effect is Effect.READ:
        return True
    if not isinstance(target, QueryAnswer) or collections != 1 or len(_LOOPS.findall(operation.body)) != 1:
        return False
    rows = target.rows.rows  # without rows, the origin's revisions are unknown
    return bool(rows) and all(isinstance(row, dict) and "_id" in row and "_rev" in row for row in rows)


def _same(first: TargetAnswer, second: TargetAnswer) -> bool:
    """Return True if the target answered the same twice."""
    if isinstance(first, ArangoError) and isinstance(second, ArangoError):
        return (first.status, first.number) == (second.status, second.number)
    if isinstance(first, QueryAnswer) and isinstance(second, QueryAnswer):
        # a scan may return equal rows in another order; a wrong order is a difference itself
        return first.full_count == second.full_count and all(
            Counter(map(canonical, one or ())) == Counter(map(canonical, other or ()))
            for one, other in (
                (first.rows.rows, second.rows.rows) if not first.rows.chosen else ((), ()),
                (first.rows.first_run, second.rows.first_run),
                (first.rows.last_run, second.rows.last_run),
            )
        )
    return first == second


def _read_by(job: ReadToCompare) -> Iterable[str]:
    """Return every collection that a read may have read: lag in any of them may be the difference."""
    operation = job.operation
    return {*job.collections, *(f"{operation.database}/{name}" for name in operation.extent)}
