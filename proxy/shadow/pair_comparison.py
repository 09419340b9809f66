"""Reads both sides and compares them: on the event loop if the answers are small, else in a worker process (I2).

What takes time is not reading but comparing: computing rows, evaluating what does not compile, finding what differs.
That time has no bound for answers of any size, so that beyond `SMALL` bytes it is done in workers, which have a lower
priority than the proxy, within limits of time and memory. A read that exceeds these is not compared, with the reason
"over the limit of time" or "over the limit of memory".

A target's answer that a worker computed stays `PackedAnswer`: bytes that only workers open.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from proxy.base.errors import ArangoError, IsolationError, StatementError, Unsupported
from proxy.isolation import Lane
from proxy.model.endpoint import Effect
from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.compare_answers import TargetAnswer
from proxy.shadow.diff.documents import Difference, NotComparable
from proxy.shadow.diff.tolerances import Tolerance
from proxy.shadow.diff.verdict import ComparisonResult, Own, judge
from proxy.shadow.packed_answer import PackedAnswer, pack, unpack
from proxy.shadow.readers import Pending, ReadBothSides
from proxy.shadow.samples import shown_answers
from proxy.shadow.self_check import differs_from_itself
from proxy.stores.postgres import PostgresStore
from proxy.stores.postgres.compiled_queries import inexact
from proxy.stores.postgres.evaluation import SECONDS
from proxy.stores.postgres.queries import TEXT, NeedsWorker
from proxy.stores.postgres.worker_queries import Address, worker_database

T = TypeVar("T")
SMALL: Final = 8 << 10  # bytes of both answers that are compared on the event loop: a millisecond or two
_QUERY: Final = 8 << 10  # bytes of a query's request that is parsed on the event loop
_OVER: Final = {
    "time": "over the limit of time",
    "memory": "over the limit of memory",
    "ended": "its worker ended",
    "busy": "overloaded",
}


Answer = TargetAnswer | PackedAnswer


@dataclass(frozen=True, slots=True)
class PairResult:
    """target: its answer; seconds: that it took; judged: the comparison with the origin's, or why there is none."""

    target: Answer
    seconds: float
    judged: ComparisonResult | NotComparable


class PairComparer:
    """Reads and compares for one proxy. lane: the workers; None: everything is done here, as long as it takes."""

    def __init__(self, sides: ReadBothSides, lane: Lane | None) -> None:
        self._sides = sides
        self._lane = lane
        self._ties = asyncio.Lock()  # an evaluation is expensive

    async def compare(
        self, operation: Operation, origin: Outcome, rules: tuple[Tolerance, ...], own: Own
    ) -> PairResult:
        """Ask the target, and compare. Raise NotComparable, Unsupported, DatabaseError."""
        if operation.effect is not Effect.QUERY and self._few(operation):
            began = time.monotonic()
            target = await self._sides.target(operation)
            seconds = time.monotonic() - began
            return PairResult(target, seconds, await self.judge(operation, origin, target, rules, own))
        if self._lane is None:
            return await _compared(self._sides, operation, origin, rules, own)
        if self._light(operation):
            self._sides.comparable(operation)
            began = time.monotonic()
            try:
                found = await self._sides.pending(operation)
            except NeedsWorker:
                pass
            else:
                return await self._finished(operation, origin, found, time.monotonic() - began, rules, own)
        result: PairResult = await self._run(_compare, self._sides.store.address, operation, origin, rules, own)
        return result

    async def _finished(
        self,
        operation: Operation,
        origin: Outcome,
        found: Pending | ArangoError,
        seconds: float,
        rules: tuple[Tolerance, ...],
        own: Own,
    ) -> PairResult:
        """Complete the comparison of a light query."""
        if isinstance(found, ArangoError) or found.size + len(origin.body) <= SMALL:
            try:
                target = found if isinstance(found, ArangoError) else found.answer()
                return PairResult(target, seconds, _judged(operation, origin, target, rules, own))
            except StatementError as error:
                if not inexact(error):
                    raise
                result: PairResult = await self._run(_compare, self._sides.store.address, operation, origin, rules, own)
                return result
        address = self._sides.store.address
        worked_out: PairResult = await self._run(_finish, address, operation, origin, found, seconds, rules, own)
        return worked_out

    async def target(self, operation: Operation) -> Answer:
        """Return the target's answer only. Raise NotComparable, Unsupported, DatabaseError."""
        if self._lane is None or (operation.effect is not Effect.QUERY and self._few(operation)):
            return await self._sides.target(operation)
        pending: Pending | None = None
        if self._light(operation):
            try:
                found = await self._sides.pending(operation)
                if isinstance(found, ArangoError):
                    return found
                if found.size <= SMALL:
                    return found.answer()
                pending = found
            except NeedsWorker:
                pass
            except StatementError as error:
                if not inexact(error):
                    raise
        answer: PackedAnswer = await self._run(_target, self._sides.store.address, operation, pending)
        return answer

    async def judge(
        self, operation: Operation, origin: Outcome, target: Answer, rules: tuple[Tolerance, ...], own: Own
    ) -> ComparisonResult | NotComparable:
        """Compare two answers."""
        return await self.done(_judged, operation, origin, target, rules, own, answers=(origin, target))

    async def order_undetermined(self, operation: Operation) -> bool:
        """Return True if equal sort keys inside a query leave its result undetermined.

        Raise Unsupported, DatabaseUnavailable.
        """
        if operation.effect is not Effect.QUERY:
            return False
        async with self._ties:
            if self._lane is None:
                return await self._sides.order_undetermined(operation)
            undetermined: bool = await self._run(_order_undetermined, self._sides.store.address, operation)
            return undetermined

    async def shown(self, origin: Outcome, target: Answer, difference: Difference) -> tuple[bytes, bytes]:
        """Return both answers as evidence."""
        return await self.done(_shown, origin, target, difference, answers=(origin, target))

    async def differs_from_itself(self, operation: Operation, first: Outcome, second: Outcome) -> Difference | None:
        """Return how two answers of the origin differ. Raise NotComparable."""
        if first.body == second.body and first.status == second.status == 200:
            return None
        return await self.done(differs_from_itself, operation, first, second, answers=(first, second))

    async def done(self, function: Callable[..., T], *arguments: Any, answers: tuple[Answer | None, ...]) -> T:
        """Call a pure function of answers: here if they are small. Raise as it does, and NotComparable."""
        if self.may_run_inline(answers):
            return function(*arguments)
        value: T = await self._run(function, *arguments)
        return value

    def may_run_inline(self, answers: tuple[Answer | None, ...]) -> bool:
        """Return True if answers are small enough to be compared here."""
        if self._lane is None:
            return True
        sizes = [_size(one) for one in answers if one is not None]
        return None not in sizes and sum(size for size in sizes if size is not None) <= SMALL

    async def run_in_worker(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a pure function in a worker. Raise as it does, and NotComparable for the limits."""
        value: T = await self._run(function, *arguments)
        return value

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in a worker. Raise NotComparable for the limits, Unsupported for those of evaluation."""
        assert self._lane is not None
        try:
            return await self._lane.run(function, *arguments, seconds=SECONDS)
        except IsolationError as error:
            raise NotComparable(_OVER[error.reason]) from error

    def _few(self, operation: Operation) -> bool:
        """Return True if a read by key asks for so few documents that they may be read here."""
        return self._lane is None or len(operation.body) <= _QUERY

    @staticmethod
    def _light(operation: Operation) -> bool:
        """Return True if a query's request may be parsed here."""
        if len(operation.body) > _QUERY or operation.effect is not Effect.QUERY:
            return False
        try:
            return len(_TEXT.decode(operation.body).query) <= TEXT
        except (msgspec.DecodeError, UnicodeDecodeError):
            return True


class _Text(msgspec.Struct):
    query: str = ""


_TEXT: Final = msgspec.json.Decoder(_Text)


def _size(answer: Answer) -> int | None:
    """Return the bytes of an answer; None: unknown."""
    if isinstance(answer, Outcome):
        return len(answer.body)
    if isinstance(answer, ArangoError):
        return 0
    # rows that are in this process were found to be few
    return None if isinstance(answer, PackedAnswer) else 0


def _judged(
    operation: Operation, origin: Outcome, target: Answer, rules: tuple[Tolerance, ...], own: Own
) -> ComparisonResult | NotComparable:
    try:
        return judge(operation, origin, unpack(target), rules, own)
    except NotComparable as reason:
        return reason


def _shown(origin: Outcome, target: Answer, difference: Difference) -> tuple[bytes, bytes]:
    return shown_answers(origin, unpack(target), difference)


async def _compared(
    sides: ReadBothSides, operation: Operation, origin: Outcome, rules: tuple[Tolerance, ...], own: Own
) -> PairResult:
    if operation.effect is Effect.QUERY:
        sides.comparable(operation)
    began = time.monotonic()
    target = await sides.target(operation)
    return PairResult(target, time.monotonic() - began, _judged(operation, origin, target, rules, own))


# ---- in a worker

_sides: dict[Address, ReadBothSides] = {}


class _Nobody:
    """An origin for workers, which never ask it."""

    name = "no origin"

    async def execute(self, operation: Operation) -> Outcome:
        raise Unsupported(operation.endpoint.name)


async def _sides_of(address: Address) -> ReadBothSides:
    database = await worker_database(address)
    found = _sides.get(address)
    if found is None:
        found = _sides[address] = ReadBothSides(PostgresStore(database, limits=address.limits), _Nobody())
    return found


async def _compare(
    address: Address, operation: Operation, origin: Outcome, rules: tuple[Tolerance, ...], own: Own
) -> PairResult:
    found = await _compared(await _sides_of(address), operation, origin, rules, own)
    assert not isinstance(found.target, PackedAnswer)
    return PairResult(pack(found.target), found.seconds, found.judged)


async def _finish(
    address: Address,
    operation: Operation,
    origin: Outcome,
    pending: Pending,
    seconds: float,
    rules: tuple[Tolerance, ...],
    own: Own,
) -> PairResult:
    try:
        target: TargetAnswer = pending.answer()
    except StatementError as error:
        if not inexact(error):
            raise
        return await _compare(address, operation, origin, rules, own)
    return PairResult(pack(target), seconds, _judged(operation, origin, target, rules, own))


async def _target(address: Address, operation: Operation, pending: Pending | None) -> PackedAnswer:
    if pending is not None:
        try:
            return pack(pending.answer())
        except StatementError as error:
            if not inexact(error):
                raise
    return pack(await (await _sides_of(address)).target(operation))


async def _order_undetermined(address: Address, operation: Operation) -> bool:
    return await (await _sides_of(address)).order_undetermined(operation)
