"""Takes the rights of ArangoDB's users to write promoted collections, and gives them back.

**Rights follow the row** that states who takes the writes. Whoever sees rights that differ from what it demands sets
them: the command that promotes or demotes, and every proxy from time to time (`RightsKeeper`). One process at a time
does so, by an advisory lock.

What a user had is written to PostgreSQL before it is taken, once, and removed after it was given back. A request may
run late, when its sender has given it up: until it was answered, or can no longer run, the note stays, and no
promotion of that collection is committed (`require_answered`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
import structlog

import sql
from proxy.base.arango_client import OriginClient
from proxy.base.database import Database
from proxy.base.errors import ArangoError, DatabaseError, PreconditionFailed
from proxy.base.together import together
from proxy.control.promotion.rights_plan import READS, WRITES, OriginRight, restored, right_of, takes_rights

log = structlog.get_logger(__name__)

LOCK: Final = 0x0C0_55F16  # the advisory lock of the process that changes rights
_POLL: Final = 0.02  # seconds between two attempts to be the one that changes rights
_GONE: Final = frozenset({1203, 1228, 1703})  # no such collection, database, user
_FORBIDDEN: Final = (401, 403)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A change of one right. before: when an earlier one was requested that may still happen."""

    collection: str
    user: str
    level: str | None
    before: datetime | None = None


class OriginRights:
    """account: Crossfade's own user, which keeps its rights. late: seconds after which a request can no longer run."""

    def __init__(self, database: Database, origin: OriginClient, account: str, *, late: float) -> None:
        self._database = database
        self._origin = origin
        self._account = account
        self._late = late

    async def writers(self, collections: Sequence[str]) -> tuple[OriginRight, ...]:
        """Return who may write the collections, apart from Crossfade.

        Raise PreconditionFailed if ArangoDB does not show that to Crossfade's account; UpstreamError, ArangoError.
        """
        named = [collection for collection in collections if takes_rights(collection)]
        if not named:
            return ()
        try:
            users = [user for user in await self._origin.users() if user != self._account]
            found = await together([self._of_user(user, named) for user in users])
        except ArangoError as error:
            if error.status in _FORBIDDEN:
                raise PreconditionFailed(
                    f"ArangoDB shows its users to administrators: give its user {self._account} `rw` on `_system` "
                    f"({error})"
                ) from error
            raise
        return tuple(right for rights in found for right in rights)

    async def _of_user(self, user: str, collections: Sequence[str]) -> list[OriginRight]:
        rights: list[OriginRight] = []
        everything: dict[str, object] | None = None
        for collection in collections:
            database, _, name = collection.partition("/")
            if await self._origin.level(user, database, name) == WRITES:
                everything = everything or await self._origin.granted(user)
                rights.append(right_of(collection, user, everything))
        return rights

    async def require_answered(self, collections: Sequence[str]) -> None:
        """Raise PreconditionFailed if a late request may still change rights on the collections; DatabaseError."""
        late = await self._database.fetch(sql.promotion.UNANSWERED_RIGHTS, list(collections), self._late)
        if late:
            raise PreconditionFailed(
                f"an earlier change of the rights on {', '.join(late)} was not answered by ArangoDB, and may still "
                f"happen: try again in {self._late:g} s"
            )

    async def take(self, rights: Sequence[OriginRight]) -> None:
        """Note what users had, then take their rights to write.

        Raise PreconditionFailed if an earlier request may still change one of them; DatabaseError, UpstreamError,
        ArangoError: then some are taken, and they are given back by whoever sees it.
        """
        if not rights:
            return
        async with self._alone():
            await self.require_answered(sorted({right.collection for right in rights}))
            await self._database.execute(
                sql.promotion.NOTE_RIGHTS,
                [right.collection for right in rights],
                [right.user for right in rights],
                [right.granted for right in rights],
                [orjson.dumps(dict(right.followed)).decode() for right in rights],
            )
            await self._ask([_Asked(right.collection, right.user, READS) for right in rights])

    async def give_back(self) -> int:
        """Give back every right that was taken although ArangoDB takes the writes; return how many are still awaited.

        Raise DatabaseError, UpstreamError, ArangoError.
        """
        rows = await self._database.fetch(sql.promotion.TO_GIVE_BACK, self._late)
        if not rows:
            return 0
        async with self._alone():
            rows = await self._database.fetch(sql.promotion.TO_GIVE_BACK, self._late)
            users = list(dict.fromkeys(row.username for row in rows))
            granted = dict(zip(users, await together([self._granted(user) for user in users]), strict=True))
            asked: list[_Asked] = []
            for row in rows:
                everything = granted[row.username]
                if everything is None:
                    continue  # the user is gone
                now = right_of(row.collection, row.username, everything).granted
                right = OriginRight(row.collection, row.username, row.granted, {})
                if restored(right, now):
                    asked.append(_Asked(row.collection, row.username, row.granted, row.asked_at if row.late else None))
            await self._ask(asked)
            done = [row for row in rows if not row.late]
            await self._database.execute(
                sql.promotion.FORGET_RIGHTS, [row.collection for row in done], [row.username for row in done]
            )
            if done:
                log.info("origin_rights_given_back", number=len(done))
            return len(rows) - len(done)

    async def retake(self) -> int:
        """Take the rights to write promoted collections that users were given meanwhile; return how many.

        Raise as `writers` and `take`.
        """
        promoted = await self._database.fetch(sql.carryover.TAKEN)
        rights = await self.writers(promoted)
        await self.take(rights)
        if rights:
            log.warning("origin_rights_retaken", collections=sorted({right.collection for right in rights}))
        return len(rights)

    async def _granted(self, user: str) -> dict[str, object] | None:
        try:
            return await self._origin.granted(user)
        except ArangoError as error:
            if error.number in _GONE:
                return None
            raise

    async def _ask(self, changes: Sequence[_Asked]) -> None:
        """Request changes. Those that are not answered stay noted as such, whatever ends this."""
        if not changes:
            return
        await self._database.execute(
            sql.promotion.ASKING, [one.collection for one in changes], [one.user for one in changes]
        )
        answered: list[_Asked] = []
        try:
            await together([self._change(one, answered) for one in changes])
        finally:
            # what is not noted as answered, although it was, only lets the next promotion wait
            with contextlib.suppress(DatabaseError):
                await self._database.execute(
                    sql.promotion.ANSWERED,
                    [one.collection for one in answered],
                    [one.user for one in answered],
                    [one.before for one in answered],
                )

    async def _change(self, one: _Asked, answered: list[_Asked]) -> None:
        database, _, name = one.collection.partition("/")
        try:
            await self._origin.grant(one.user, database, name, one.level)
        except ArangoError as error:
            answered.append(one)
            if error.number not in _GONE:
                raise
        else:
            answered.append(one)

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Be the only process that changes rights."""
        async with self._database.session() as session:
            while not await session.fetchval(sql.server.TRY_LOCK, LOCK):
                await asyncio.sleep(_POLL)
            try:
                yield
            finally:
                with contextlib.suppress(DatabaseError):
                    await session.execute(sql.server.UNLOCK, LOCK)
