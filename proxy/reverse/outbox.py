"""The outbox and the lease of one of its parts, in PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.reverse.batch import Batch, Keys, Version, batch_of, keys_of, of_first_database
from sql.statements.outbox import BacklogRow, ChangeRow, OutboxRow, RefusedRow

_WHOLE_LOOK: Final = 1.0  # seconds between two looks at the beginning of the outbox
_BEFORE: Final = 20_000  # ids before the oldest row, which transactions that are not committed yet may have drawn
RETRY_SECONDS: Final = 30.0  # between two attempts with a document that ArangoDB refuses


class Outbox:
    """One part. holder: names this process. lease: seconds that others wait for it. Methods raise DatabaseError."""

    def __init__(self, database: Database, *, part: int, holder: str, lease: float) -> None:
        self.part = part
        self._database = database
        self._holder = holder
        self._lease = lease
        self._was_empty = False
        self._from = 0
        self._looked = -_WHOLE_LOOK

    # ---- the lease

    async def take(self) -> int | None:
        """Take the lease; return the token, or None while another process has it."""
        return await self._database.fetchrow(sql.outbox.TAKE_LEASE, self.part, self._holder, self._lease)

    async def left_open(self) -> str | None:
        """Return the stream transaction ('database/number') that an earlier applier may have left open."""
        return await self._database.fetchrow(sql.outbox.LEFT_OPEN, self.part)

    async def renew(self, token: int, push: str | None = None) -> bool:
        """Keep the lease, and note the open stream transaction. Return False if another process has it."""
        return await self._database.fetchrow(sql.outbox.RENEW, self.part, token, self._lease, push) is not None

    async def surpass(self, token: int, newer: int) -> int | None:
        """Raise the token above one that ArangoDB has; None if another process has the lease."""
        return await self._database.fetchrow(sql.outbox.SURPASS, self.part, token, newer)

    async def give_up(self, token: int) -> None:
        """Let others take the lease at once."""
        await self._database.execute(sql.outbox.GIVE_UP_LEASE, self.part, token)

    # ---- rows

    async def has_rows(self) -> bool:
        """Return True if there is anything to carry."""
        return await self._database.fetchval(sql.outbox.NEWEST) > 0

    async def read(self, most: int, most_bytes: int, along: Keys) -> Batch | ChangeRow | None:
        """Return the next change of a collection, which documents wait for. If there is none: the oldest rows, at most
        `most`, and the present documents of their keys, all of one moment.

        most_bytes: of documents, beyond which rows are left for the next batch. along: further keys, whose
        collections the limit does not hold for. None: there are no rows.
        """
        if self._was_empty and not await self.has_rows():  # one statement instead of a transaction
            return None
        self._was_empty = False
        async with (
            self._database.session() as session,
            session.transaction(isolation="repeatable_read", readonly=True),
        ):
            change = await session.fetchrow(sql.outbox.NEXT_CHANGE, self.part)
            if change is not None:
                return change
            rows = await session.fetch(sql.outbox.ROWS, self.part, most, 0 if along else self._first_id())
            if not rows:
                self._was_empty = True
                return None
            self._from = rows[0].id - _BEFORE
            mine = of_first_database(rows)
            found = await _versions(session, mine, most_bytes, along)
        return batch_of(mine, found, all_rows=len(rows) < most and len(mine) == len(rows))

    def _first_id(self) -> int:
        """Return the id from which on to look for rows: now and then the first one."""
        now = time.monotonic()
        if now - self._looked >= _WHOLE_LOOK:
            self._from, self._looked = 0, now
        return self._from

    async def confirm(self, token: int, ids: Sequence[int]) -> bool:
        """Remove rows that ArangoDB has. Return False if another process has the lease."""
        removed = await self._database.fetch(sql.outbox.CONFIRM, self.part, token, list(ids))
        return bool(removed)

    async def definition(self, collection: str) -> str | None:
        """Return what writes to a collection must follow, as JSON; None if there is no such collection."""
        return await self._database.fetchrow(sql.writes.PROPERTIES, collection)

    async def refuse(self, token: int, refused: Sequence[RefusedRow], *, seconds: float | None = None) -> bool:
        """Note what ArangoDB refuses; it is tried again later. Return False if another process has the lease."""
        noted = await self._database.fetch(
            sql.outbox.REFUSE,
            self.part,
            token,
            [row.collection for row in refused],
            [row.key for row in refused],
            [row.reason for row in refused],
            RETRY_SECONDS if seconds is None else seconds,
        )
        return bool(noted)


async def _versions(
    session: Session, rows: Sequence[OutboxRow], most_bytes: int, along: Keys
) -> dict[str, list[Version]]:
    """Return the present documents of the rows' keys and of those along, by collection."""
    keys = keys_of(rows, along)
    relations = await session.fetch(sql.outbox.RELATIONS, list(keys))
    tables = {row.collection: row.relation for row in relations}
    found: dict[str, list[Version]] = {}
    left = most_bytes
    for collection, wanted in keys.items():
        if collection not in tables:
            found[collection] = []
            continue
        if left <= 0 and collection not in along:
            continue
        documents = await session.fetch(
            sql.outbox.PRESENT.on(tables[collection]), wanted, 1 << 62 if collection in along else left
        )
        found[collection] = [
            Version(row.key, row.rev or 0, None if row.raw is None else row.raw.encode()) for row in documents
        ]
        left -= sum(len(version.raw) for version in found[collection] if version.raw is not None)
    return found


async def backlog(database: Database) -> BacklogRow:
    """Return what ArangoDB lacks. Raise DatabaseError."""
    return await database.fetchval(sql.outbox.BACKLOG)


async def refused(database: Database, most: int) -> list[RefusedRow]:
    """Return what ArangoDB refuses, the oldest first. Raise DatabaseError."""
    return await database.fetch(sql.outbox.REFUSED, most)
