"""One push: a stream transaction of ArangoDB that tests and writes the token, and makes ArangoDB have a batch.

Only the answer to the commit matters. If it is lost, the rows stay in the outbox, and the next push waits for the lock
of the fence document.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from proxy.base import failpoints
from proxy.base.errors import ArangoError, CrossfadeError
from proxy.reverse.batch import Batch
from proxy.reverse.origin import NO_COLLECTION, NO_FENCE, ElementError, FenceDocument, OriginRequests
from proxy.reverse.plan import plan

_CONFLICT: Final = 1200
_UNIQUE: Final = 1210
_NOT_FOUND: Final = 1202
_NO_DATABASE: Final = 1228
_LOCK_TIMEOUT: Final = 18
# of the whole request, because of one of its documents or of their number
_OF_THE_BODY: Final = frozenset({10, 32, 600, 413})
_ABORT_SECONDS: Final = 2.0


class PushEnd(enum.Enum):
    """How a push ended. Only PUSHED has changed anything."""

    PUSHED = "pushed"
    LEASE_LOST = "lease lost"  # another applier has it, or ArangoDB has seen a newer token
    ANNOUNCED = "announced"  # a change of a collection may still run
    BUSY = "busy"  # another transaction has a lock
    UNIQUE = "unique"  # a unique index refuses documents
    REFUSED = "refused"  # documents are refused for another reason
    BODY = "body"  # a request as a whole is refused
    MISSING = "missing"  # a collection, the database or the fence document's collection is not there


@dataclass(frozen=True, slots=True)
class PushOutcome:
    """errors: (name of the collection, error) of documents. fence: as it was before. reason: for people."""

    end: PushEnd
    errors: tuple[tuple[str, ElementError], ...] = ()
    fence: FenceDocument = NO_FENCE
    reason: str = ""


class _Ended(CrossfadeError):
    """The transaction is to be aborted."""

    def __init__(self, outcome: PushOutcome) -> None:
        super().__init__(outcome.end.value)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class FenceTest:
    """What a transaction needs to pass the fence document of a part. token: that of the lease.

    opened: notes the open transaction ('database/number'); False: the lease is another's. may_pass: says whether a
    change that was announced, by its row, can no longer run.
    """

    part: int
    token: int
    opened: Callable[[str], Awaitable[bool]]
    may_pass: Callable[[int], Awaitable[bool]]


async def push(origin: OriginRequests, fence: FenceTest, batch: Batch, *, removes_first: bool) -> PushOutcome:
    """Push a batch. Raise UpstreamError if ArangoDB does not answer, ArangoError if it refuses such requests."""

    async def carry_out(transaction: str) -> FenceDocument:
        was = await _pass_fence(origin, fence, batch.database, transaction, {})
        await _write(origin, batch, transaction, removes_first=removes_first)
        return was

    return await _in_transaction(origin, batch.database, list(batch.versions), carry_out)


async def announce(origin: OriginRequests, fence: FenceTest, database: str, row: int) -> PushOutcome:
    """Announce the change of a row on the fence document: its request may be sent then. Raise as `push`."""

    async def carry_out(transaction: str) -> FenceDocument:
        return await _pass_fence(origin, fence, database, transaction, {"intent": row})

    return await _in_transaction(origin, database, [], carry_out)


async def _in_transaction(
    origin: OriginRequests, database: str, names: list[str], carry_out: Callable[[str], Awaitable[FenceDocument]]
) -> PushOutcome:
    """Carry out something in a transaction that writes the named collections and the fence document."""
    try:
        transaction = await origin.begin(database, names)
    except ArangoError as error:
        if error.number in (NO_COLLECTION, _NO_DATABASE):
            return PushOutcome(PushEnd.MISSING, reason=error.message)
        if error.number == _LOCK_TIMEOUT:
            return PushOutcome(PushEnd.BUSY, reason=error.message)
        raise
    sent = False  # the commit: from then on its outcome is ArangoDB's
    try:
        failpoints.reach("push-begun")
        fence = await carry_out(transaction)
        failpoints.reach("push-committing")
        sent = True
        await origin.commit(database, transaction)
        failpoints.reach("push-committed")
    except _Ended as ended:
        return ended.outcome
    except ArangoError as error:
        if error.number in (_CONFLICT, _LOCK_TIMEOUT):
            return PushOutcome(PushEnd.BUSY, reason=error.message)
        if error.number == NO_COLLECTION:
            return PushOutcome(PushEnd.MISSING, reason=error.message)
        if error.number in _OF_THE_BODY or error.status == 413:
            return PushOutcome(PushEnd.BODY, reason=f"{error.number}: {error.message}")
        raise
    finally:
        if not sent:
            with contextlib.suppress(CrossfadeError, TimeoutError):
                async with asyncio.timeout(_ABORT_SECONDS):
                    await origin.abort(database, transaction)
    return PushOutcome(PushEnd.PUSHED, fence=fence)


async def _pass_fence(
    origin: OriginRequests, test: FenceTest, database: str, transaction: str, fields: dict[str, int]
) -> FenceDocument:
    """Lock the fence document, write the token and the fields; return what it was. Raise _Ended."""
    if not await test.opened(f"{database}/{transaction}"):
        raise _Ended(PushOutcome(PushEnd.LEASE_LOST))
    fence = await origin.write_fence(database, transaction, test.part, {"token": test.token, **fields})
    if fence.token > test.token:
        raise _Ended(PushOutcome(PushEnd.LEASE_LOST, fence=fence))
    if fence.intent and not await test.may_pass(fence.intent):
        raise _Ended(PushOutcome(PushEnd.ANNOUNCED, fence=fence))
    return fence


async def _write(origin: OriginRequests, batch: Batch, transaction: str, *, removes_first: bool) -> None:
    """Let ArangoDB have the documents of a batch. Raise _Ended if it refuses some."""
    errors: list[tuple[str, ElementError]] = []
    for name, versions in batch.versions.items():
        there = await origin.revisions(batch.database, transaction, name, [version.key for version in versions])
        planned = plan(versions, there, removes_first=removes_first)
        found: list[ElementError] = []
        if planned.removals:
            removed = await origin.remove(batch.database, transaction, name, planned.removals)
            found += [error for error in removed if error.number != _NOT_FOUND]
        if planned.writes:
            found += await origin.write(batch.database, transaction, name, planned.writes)
        errors += [(name, error) for error in found]
    if errors:
        raise _Ended(_refusal(errors))


def _refusal(errors: list[tuple[str, ElementError]]) -> PushOutcome:
    numbers = {error.number for _, error in errors}
    if numbers & {_CONFLICT, _LOCK_TIMEOUT}:
        return PushOutcome(PushEnd.BUSY, reason=errors[0][1].message)
    others = [found for found in errors if found[1].number != _UNIQUE]
    if others:
        return PushOutcome(PushEnd.REFUSED, tuple(others))
    return PushOutcome(PushEnd.UNIQUE, tuple(errors))
