"""Brings PostgreSQL up to what ArangoDB has of certain keys: for an answer that waits, and for dead letters."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import structlog

from proxy.base.errors import ArangoError, DatabaseError, UpstreamError, error_label
from proxy.journal.intent import Ending
from proxy.model.operations import Change
from proxy.replication.key_repair import CannotRead, KeyRepairer
from proxy.replication.target_writer import TargetWriter
from proxy.replication.verification_marks import VerificationMarks
from proxy.replication.versions import StampedVersion, is_superseded

log = structlog.get_logger(__name__)

_INTERVAL: Final = 15.0  # seconds between two checks for dead letters
_AGAIN: Final = 60.0  # seconds after which a dead letter is tried again
_AT_ONCE: Final = 100  # dead letters that are tried in one go


class TargetCatchUp:
    """Writes or repairs keys until PostgreSQL has them."""

    def __init__(self, target: TargetWriter, repairer: KeyRepairer, marks: VerificationMarks) -> None:
        self._target = target
        self._repairer = repairer
        self._marks = marks

    async def ensure(
        self, collection: str, changes: Sequence[Change], absent: Sequence[str], stamp: int | None
    ) -> Ending:
        """Make PostgreSQL have at least these versions, and what ArangoDB has of `absent` (mirror-protocol, "Flip", 2).

        Return GIVEN_UP if it cannot have them; that is marked, and the collection's flips are taken back, by then.
        stamp: the era known before ArangoDB was asked; without it what is missing is read again. Raise DatabaseError,
        UpstreamError, and ArangoError if ArangoDB refuses the proxy's own account.
        """
        left, dead = set(absent), False
        if changes:
            stored = await self._target.revisions(collection, [change.key for change in changes])
            rows = [StampedVersion(change.key, change.rev, change.raw, stamp or 0) for change in changes]
            rows = [row for row in rows if not is_superseded(row, stored.get(row.key))]
            if rows and stamp is not None:
                written = await self._target.write(collection, rows)
                left, dead = left | written.reread, bool(written.dead)
            else:
                left |= {row.key for row in rows}
        try:
            while left:
                repaired = await self._repairer.until_done(collection, sorted(left))
                left, dead = set(repaired.left), dead or bool(repaired.dead)
        except CannotRead as error:
            await self._marks.add_and_wait((collection,), f"the origin could not be read: {error}")
            return Ending.GIVEN_UP
        return Ending.GIVEN_UP if dead else Ending.APPLIED

    async def retry_dead_letters(self, seconds: float) -> None:
        """Read dead letters again that were not tried for that many seconds, and write what PostgreSQL takes of them.

        So they heal by themselves once the index, the trigger or the type is corrected. A new write, a repair and a
        verification end them too (a verification: those of documents that either side has). Raise DatabaseError.
        """
        for collection, keys in (await self._target.dead_letters.due(seconds, _AT_ONCE)).items():
            try:
                await self._repairer.until_done(collection, keys)
            except (UpstreamError, ArangoError, CannotRead) as error:
                log.debug("dead_letters_wait", collection=collection, error=error_label(error))

    async def run(self) -> None:
        """Retry dead letters until cancelled."""
        while True:
            with contextlib.suppress(DatabaseError):
                await self._target.dead_letters.end_superseded()
                await self.retry_dead_letters(_AGAIN)
            await asyncio.sleep(_INTERVAL)
