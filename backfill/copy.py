"""Copies one chunk into the target: page by page, each in one transaction with its checkpoint (DESIGN section 10).

The stamp of a page is the era known before its cursor was opened. A page that the stamp floor refuses (after a
truncation or a purge) is read again with a new stamp, so that a document deleted meanwhile never comes back. The next
page is read while the current one is written. A page whose statement is cancelled is read again with half as many
documents.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import structlog

import sql
from backfill import run_store
from backfill.checksum import fingerprinted
from backfill.governor import Governor
from backfill.key_ranges import FIRST_PAGE, next_limit
from backfill.origin_pages import Document, Page
from backfill.run_store import Claim, CollectionTable, RangeCut
from backfill.source import ArangoSource
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, DatabaseTimedOut, DatabaseUnavailable, StatementError, error_label
from proxy.base.sqlstates import is_a_conflict
from proxy.replication.bisection import ENOUGH
from proxy.replication.target_writer import TargetWriter

log = structlog.get_logger(__name__)

_SHRINKS: Final = 8  # of one page that PostgreSQL cancels: to a 256th
_CANCELLED_PAUSE: Final = 0.25  # seconds, longer from time to time
_APART: Final = 5  # refusals of one page in a row: then each of its documents is tried alone
_MOST_REFUSALS: Final = 50  # of one page in a row: something raises the stamp floor all the time


@dataclass(frozen=True, slots=True)
class Copied:
    """The part of a chunk that one worker copied. done: the chunk is finished, else the worker was stopped."""

    done: bool
    documents: int = 0
    bytes: int = 0
    refused: int = 0
    reread: int = 0


@dataclass(frozen=True, slots=True)
class _Stamped:
    page: Page
    era: int


@dataclass(frozen=True, slots=True)
class _Retry:
    """The next attempt at a page: after `pause` seconds; alone: its documents one by one first; halve: half as many.

    reread: 1 if the stamp floor refused it, so that newer documents may be read now.
    """

    pause: float
    alone: bool = False
    halve: bool = False
    reread: int = 0


@dataclass(slots=True)
class _Failures:
    """The errors of the current page so far, which decide how it is retried."""

    refusals: int = 0
    cancelled: int = 0
    failures: int = 0

    def failed(self, error: DatabaseError) -> _Retry | None:
        """Count an error of the statement. Return None if the page must not be tried again."""
        if was_cancelled(error) and self.cancelled < _SHRINKS:
            self.cancelled += 1
            return _Retry(_CANCELLED_PAUSE * self.cancelled, halve=True)
        self.failures += 1
        if not error.of_statement or self.failures > ENOUGH:
            return None
        return _Retry(_CANCELLED_PAUSE, alone=self.failures == ENOUGH)

    def refused(self, collection: str) -> _Retry:
        """Count a refusal by the stamp floor. Raise StatementError if there were too many in a row."""
        self.refusals += 1
        if self.refusals > _MOST_REFUSALS:
            raise StatementError(f"a page of {collection} was refused {self.refusals} times", "40001")
        return _Retry(0.01 * self.refusals, alone=self.refusals == _APART, reread=1)


class _ReadAhead:
    """Reads pages, one ahead of the writer. Owns its task: `close()` ends it."""

    def __init__(self, read: Callable[[str, int], Awaitable[_Stamped]]) -> None:
        self._read = read
        self._task: asyncio.Task[_Stamped] | None = None

    def begin(self, after: str, limit: int) -> None:
        async def one() -> _Stamped:
            return await self._read(after, limit)

        self._task = asyncio.create_task(one())

    async def take(self) -> _Stamped:
        assert self._task is not None
        task = self._task
        try:
            return await asyncio.shield(task)
        finally:
            if task.done():
                self._task = None

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None


async def copy_chunk(
    database: Database,
    source: ArangoSource,
    claim: Claim,
    *,
    stop: asyncio.Event,
    governor: Governor | None = None,
    lease: float = run_store.LEASE,
    first_page: int = FIRST_PAGE,
) -> Copied:
    """Copy from the claim's position to the end of its range, or until `stop` is set; pages are always complete.

    Raise LeaseLost if another worker took the chunk, ArangoError (1203: the collection was dropped), OriginDisorder,
    UpstreamError, DatabaseError. Whatever was committed stays, with its position.
    """

    async def read(after: str, limit: int) -> _Stamped:
        era = await database.fetchval(sql.backfill.ERA)  # before the cursor is opened, which makes the stamp safe
        page = await source.page(claim.table.database, claim.table.name, after, claim.range.upper, limit)
        return _Stamped(page, era)

    governor = governor or Governor(database, source)
    target = TargetWriter(database, "backfill")
    meter = governor.meter()
    copied = Copied(done=False)
    position = claim.start
    limit = first_page
    setbacks = _Failures()
    aside: frozenset[str] = frozenset()  # dead letters of documents that are refused as if all were
    await governor.pause_if_limited(claim, meter, 0, stop=stop, lease=lease)
    async with _reading(_ReadAhead(read)) as ahead:
        ahead.begin(position, limit)
        while True:
            stamped = await ahead.take()
            page = stamped.page
            limit = next_limit(page.limit, len(page.documents), page.bytes)
            last = page.documents[-1].key if page.documents else position
            if not page.last:
                ahead.begin(last, limit)
            noted = replace(claim, result=fingerprinted(claim.result, (document.raw for document in page.documents)))
            written: int | _Retry
            try:
                written = await _tried(database, target, noted, stamped, last, lease, aside, setbacks)
            except RangeCut as cut:
                claim = claim.up_to(cut.upper)  # what was read goes beyond the new end
                written = _Retry(0)
            if isinstance(written, _Retry):
                if written.alone:
                    aside |= await dead_letters_of(target, claim.table, page.documents, stamped.era)
                await ahead.close()
                await asyncio.sleep(written.pause)
                ahead.begin(position, _half(page.limit) if written.halve else page.limit)
                copied = replace(copied, reread=copied.reread + written.reread)
                continue
            setbacks = _Failures()
            position, claim = last, noted
            copied = replace(
                copied,
                done=page.last,
                documents=copied.documents + len(page.documents),
                bytes=copied.bytes + page.bytes,
                refused=copied.refused + written,
            )
            if page.last or stop.is_set():
                return copied
            await governor.pause_if_limited(claim, meter, len(page.documents), stop=stop, lease=lease, key=last)
            if stop.is_set():
                return copied


async def _tried(
    database: Database,
    target: TargetWriter,
    claim: Claim,
    stamped: _Stamped,
    last: str,
    lease: float,
    aside: frozenset[str],
    setbacks: _Failures,
) -> int | _Retry:
    """Write a page. Return how many of its documents are dead letters, or how to try it again.

    Raise RangeCut, LeaseLost, and the error of PostgreSQL if trying again would not help.
    """
    try:
        dead = await _write_page(database, target, claim, stamped, last, lease, aside)
    except (DatabaseUnavailable, StatementError) as error:
        retry = setbacks.failed(error)
        if retry is None:
            raise
        if retry.halve:
            await _note_cancelled(database, claim, lease, stamped.page, error)
        return retry
    return setbacks.refused(claim.table.collection) if dead is None else dead


def _half(limit: int) -> int:
    return max(1, limit // 2)


async def _note_cancelled(database: Database, claim: Claim, lease: float, page: Page, error: DatabaseError) -> None:
    """Log that PostgreSQL cancelled a page, show it as the run's reason to wait, and renew the lease."""
    smaller = _half(page.limit)
    why = f"PostgreSQL cancelled a page of {len(page.documents)} documents ({error}): now {smaller} at a time"
    log.warning("backfill_page_cancelled", collection=claim.table.collection, error=error_label(error), next=smaller)
    await run_store.renew(database, claim, lease, why)


async def dead_letters_of(
    target: TargetWriter, table: CollectionTable, documents: Iterable[Document], era: int
) -> frozenset[str]:
    """Write documents apart that PostgreSQL keeps refusing. Return the keys of those that are dead letters now.

    The others are applied, or must be read again. Raise DatabaseError if PostgreSQL is not healthy.
    """
    rows = [one.stamped(era) for one in documents]
    return (await target.write(table.collection, rows, last=True, alone=True)).dead


def was_cancelled(error: DatabaseError) -> bool:
    """Return True if the statement took longer than a limit allows: fewer documents at a time may help."""
    return isinstance(error, DatabaseTimedOut) or error.sqlstate == "57014"


async def _write_page(
    database: Database,
    target: TargetWriter,
    claim: Claim,
    stamped: _Stamped,
    last: str,
    lease: float,
    aside: frozenset[str],
) -> int | None:
    """Return how many documents are dead letters, None if the page must be read again. aside: keys that were before."""
    page = stamped.page
    documents = [one for one in page.documents if one.key not in aside]
    try:
        batch = await target.prepare(claim.table.collection, [one.stamped(stamped.era) for one in documents])
        async with database.transaction() as session:
            written = await target.write_in(session, batch)
            if written.reread:
                return None  # what was applied stays, the position does not move
            await run_store.checkpoint(
                session,
                claim,
                last or None,
                documents=len(page.documents),
                size=page.bytes,
                result=claim.result,
                lease=lease,
            )
            return len(written.dead) + len(page.documents) - len(documents)
    except StatementError as error:
        if is_a_conflict(error.sqlstate):
            return None
        raise


@contextlib.asynccontextmanager
async def _reading(ahead: _ReadAhead) -> AsyncIterator[_ReadAhead]:
    try:
        yield ahead
    finally:
        await ahead.close()
