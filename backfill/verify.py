"""Verifies one chunk: both sides in key order, in constant memory, resumable after every page (DESIGN section 10).

Each page reads the target first, then the origin, and compares up to where both were read. `fast` compares revisions;
`full` compares what is printed (by digest), and that the queried column is what the printed document gives. Differences
are only suspects here: they are stored with the position, and compared again in batches (backfill.recheck) before they
count. `repair` repairs what was confirmed, and compares once more. A dead letter ends if both sides agree about its key
(`proxy.state.missing_writes`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import sql
from backfill import run_store
from backfill.governor import Governor
from backfill.key_ranges import FIRST_PAGE, next_limit
from backfill.key_repair import repair_keys
from backfill.recheck import FULL_KEYS, TIMEOUT, KeyRechecker, intact
from backfill.run_store import Claim, CollectionTable, RangeCut
from backfill.run_summary import VerificationTally
from backfill.source import ArangoSource
from proxy.base.database import Database
from proxy.state import missing_writes

FAST_PAGE: Final = 5_000
MOST_PENDING: Final = 500  # suspects, before they are rechecked


@dataclass(frozen=True, slots=True)
class ComparedPage:
    """One page. bound: the key up to which both sides were read, None for the end of the range; last: key seen."""

    suspects: Mapping[str, int | None]
    origin: int
    target: int
    checked: int
    bound: str | None
    limit: int
    last: str = ""


@dataclass(frozen=True, slots=True)
class VerifiedChunk:
    """The part of a chunk that one worker verified. done: the chunk is finished, else the worker was stopped."""

    done: bool
    tally: VerificationTally


class Verifier:
    """Verifies the chunks that one worker claims. recheck_timeout: seconds for a recheck."""

    def __init__(
        self,
        database: Database,
        source: ArangoSource,
        *,
        governor: Governor | None = None,
        recheck_timeout: float = TIMEOUT,
        lease: float = run_store.LEASE,
        page: int = FAST_PAGE,
    ) -> None:
        self._database = database
        self._source = source
        self._governor = governor or Governor(database, source)
        self._recheck_timeout = recheck_timeout
        self._lease = lease
        self._page = page

    async def verify_chunk(self, claim: Claim, stop: asyncio.Event) -> VerifiedChunk:
        """Verify from the claim's position to the end of its range, or until `stop` is set; pages are always complete.

        Raise LeaseLost, OriginDisorder, ArangoError (1203: the collection was dropped), UpstreamError, DatabaseError.
        """
        full = claim.mode == "full"
        rechecker = KeyRechecker(
            self._database, self._source, claim.table, full=full, recheck_timeout=self._recheck_timeout
        )
        tally = VerificationTally.from_json(claim.result)
        position = claim.start
        limit = FIRST_PAGE if full else self._page
        meter = self._governor.meter()
        await self._governor.pause_if_limited(claim, meter, 0, stop=stop, lease=self._lease)
        while True:
            page = await (
                self._compare_full(rechecker, claim, position, limit)
                if full
                else self._compare_fast(claim, position, limit)
            )
            done = page.bound is None
            more = replace(
                tally,
                origin=tally.origin + page.origin,
                target=tally.target + page.target,
                checked=tally.checked + page.checked,
                pending={**tally.pending, **page.suspects},
            )
            # at the end of the range the position is that end: no cut removes what has been compared
            reached = page.bound if page.bound is not None else claim.range.upper or page.last or position
            try:
                await self._checkpoint(claim, reached, more, page.origin)
            except RangeCut as cut:
                claim = claim.up_to(cut.upper)
                continue
            position, limit, tally = reached, page.limit, more
            if tally.pending and (done or len(tally.pending) >= MOST_PENDING):
                tally = await self._recheck(rechecker, claim, tally)
                claim = await self._note(claim, position, tally)
            if done or stop.is_set():
                return VerifiedChunk(done, tally)
            await self._governor.pause_if_limited(
                claim, meter, page.checked, stop=stop, lease=self._lease, key=position or None
            )

    async def _recheck(self, rechecker: KeyRechecker, claim: Claim, tally: VerificationTally) -> VerificationTally:
        waits = f"{len(tally.pending):,} keys that differ are compared again, once the mirror has caught up"

        async def keep() -> None:
            await run_store.renew(self._database, claim, self._lease, waits)

        rechecked = await rechecker.recheck(tally.pending, keep)
        tally = replace(tally, pending={})
        for key, kind in rechecked.confirmed.items():
            tally = tally.found(kind, key)
        for key in rechecked.undecided:
            tally = tally.found("undecided", key)
        left = rechecked.keys
        if claim.repair and left:
            await repair_keys(self._database, self._source, claim.table.collection, left)
            again = await rechecker.recheck(dict.fromkeys(left), keep)
            tally = replace(tally, repaired=tally.repaired + len(rechecked.confirmed.keys() - set(again.keys)))
            left = again.keys
        return replace(tally, remaining=tally.remaining + len(left))

    async def _compare_fast(self, claim: Claim, after: str, limit: int) -> ComparedPage:
        table, upper = claim.table, claim.range.upper
        noted = await missing_writes.dead_letters(self._database, table.collection, after=after, upper=upper)
        statement = sql.backfill.TARGET_REVISIONS.on(table.relation)
        rows = await self._database.fetch(statement, after, upper, limit)
        page = await self._source.revisions(table.database, table.name, after, upper, limit)
        bound = _bound(rows[-1].key if len(rows) == limit else None, page.entries[-1][0] if not page.last else None)
        target = {row.key: row.rev for row in rows if bound is None or row.key <= bound}
        origin = {key: rev for key, rev in page.entries if bound is None or key <= bound}
        await self._agreed(table, noted, bound, origin)
        if origin == target:
            return ComparedPage({}, len(origin), len(target), len(origin), bound, limit, last=max(origin, default=""))
        return ComparedPage(
            suspects={key: _unseen(key, origin, target) for key, _ in origin.items() ^ target.items()},
            origin=len(origin),
            target=len(target),
            checked=len(origin.keys() | target.keys()),
            bound=bound,
            limit=limit,
            last=max(origin.keys() | target.keys(), default=""),
        )

    async def _compare_full(self, rechecker: KeyRechecker, claim: Claim, after: str, limit: int) -> ComparedPage:
        table, upper = claim.table, claim.range.upper
        noted = await missing_writes.dead_letters(self._database, table.collection, after=after, upper=upper)
        statement = sql.backfill.TARGET_DIGESTS.on(table.relation)
        rows = await self._database.fetch(statement, after, upper, limit)
        page = await self._source.page(table.database, table.name, after, upper, limit)
        documents = page.documents
        bound = _bound(rows[-1].key if len(rows) == limit else None, documents[-1].key if not page.last else None)
        target = {row.key: row for row in rows if bound is None or row.key <= bound}
        origin = {document.key: document for document in documents if bound is None or document.key <= bound}
        await self._agreed(table, noted, bound, {key: document.rev for key, document in origin.items()})
        target_revs = {key: row.rev for key, row in target.items()}
        suspects: dict[str, int | None] = {}
        doubtful: list[str] = []
        for key in origin.keys() | target.keys():
            row, document = target.get(key), origin.get(key)
            if row is None or document is None or row.rev != document.rev:
                suspects[key] = _unseen(key, origin, target_revs)
            elif row.intact is False or row.digest != hashlib.sha256(document.raw).digest():
                suspects[key] = None
            elif row.intact is None:
                doubtful.append(key)
        for at in range(0, len(doubtful), FULL_KEYS):
            found = await rechecker.documents(doubtful[at : at + FULL_KEYS])
            suspects |= {key: None for key, (_, raw, doc) in found.items() if not intact(raw, doc)}
        return ComparedPage(
            suspects=suspects,
            origin=len(origin),
            target=len(target),
            checked=len(origin.keys() | target.keys()),
            bound=bound,
            limit=next_limit(page.limit, len(documents), page.bytes),
            last=max(origin.keys() | target.keys(), default=""),
        )

    async def _agreed(
        self, table: CollectionTable, noted: Mapping[str, int], bound: str | None, origin: Mapping[str, int]
    ) -> None:
        """End the dead letters of keys that both sides were read for and agree about."""
        noted = {key: rev for key, rev in noted.items() if bound is None or key <= bound}
        await missing_writes.end_dead_letters(self._database, table.collection, table.relation, noted, origin)

    async def _note(self, claim: Claim, position: str, tally: VerificationTally) -> Claim:
        # the position is committed: a later cut lies after it
        try:
            await self._checkpoint(claim, position, tally, 0)
        except RangeCut as cut:
            return await self._note(claim.up_to(cut.upper), position, tally)
        return claim

    async def _checkpoint(self, claim: Claim, position: str, tally: VerificationTally, documents: int) -> None:
        async with self._database.transaction() as session:
            await run_store.checkpoint(
                session, claim, position or None, documents=documents, result=tally.as_json(), lease=self._lease
            )


def _bound(target: str | None, origin: str | None) -> str | None:
    """Return the key up to which both sides were read; None (the end of the range) only if both reached it."""
    if target is None or origin is None:
        return target if origin is None else origin
    return min(target, origin)


def _unseen(key: str, origin: Mapping[str, object], target: Mapping[str, int]) -> int | None:
    """Return the target's revision of a key that is not in the origin's page."""
    return target[key] if key not in origin else None
