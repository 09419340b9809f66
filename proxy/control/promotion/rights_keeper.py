"""Lets the rights of ArangoDB's users follow who takes the writes, whatever became of the command that changed them.

Each proxy looks every second whether rights are to be given back, and now and then whether users have got rights on
promoted collections. It also knows which rights were taken a moment ago: of a client that ArangoDB refuses with 403
although it takes the writes, they may not be back yet, so its request waits and is tried again.
"""

from __future__ import annotations

import time
from typing import Final

import structlog

import sql
from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, PreconditionFailed, UpstreamError, error_label
from proxy.base.log_throttle import LogThrottle
from proxy.base.periodic import Periodic
from proxy.control.promotion.rights import OriginRights

log = structlog.get_logger(__name__)

_INTERVAL: Final = 1.0  # seconds between two looks at PostgreSQL
_RETAKE: Final = 60.0  # seconds between two looks at ArangoDB, which cost requests for each user and collection
_TIMEOUT: Final = 10.0  # seconds for each step of a request to ArangoDB


class RightsKeeper:
    """The task of one proxy. Start it once PostgreSQL answers; close it before the connections."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._origin = OriginClient(settings.origin_url, *settings.origin_account, timeout=_TIMEOUT)
        self._rights = OriginRights(database, self._origin, settings.origin_user, late=settings.lost_request_timeout)
        self._task = Periodic(self.check, "origin-rights", _INTERVAL, first=self.check)
        self._taken: frozenset[str] = frozenset()
        self._retaken = time.monotonic()
        self._trouble = LogThrottle()

    def start(self) -> None:
        """Start the task."""
        self._task.start()

    async def close(self) -> None:
        """End the task."""
        await self._task.close()
        await self._origin.close()

    def may_lack(self, collection: str) -> bool:
        """Return True if users may lack a right on the collection that a promotion took, as of a second ago at most.

        It costs a look at a set: if ArangoDB answers 403 to a request of this collection, wait and ask `lacks`.
        """
        return collection in self._taken

    async def lacks(self, collection: str) -> bool:
        """Return True if users lack a right on the collection now. Raise DatabaseError."""
        await self._look()
        return collection in self._taken

    async def _look(self) -> None:
        self._taken = frozenset(await self._database.fetch(sql.promotion.INCOMPLETE_RIGHTS))

    async def check(self) -> None:
        """Look once, and set rights that differ. Trouble with ArangoDB is logged, and tried again.

        Raise DatabaseError.
        """
        await self._look()
        due = time.monotonic() - self._retaken > _RETAKE
        if not self._taken and not due:
            return
        try:
            await self._rights.give_back()
            if due:
                self._retaken = time.monotonic()
                await self._rights.retake()
            self._trouble.ended()
        except (ArangoError, UpstreamError, PreconditionFailed) as error:
            if self._trouble.should_log(error_label(error)):
                log.warning("origin_rights_differ", error=str(error))
        await self._look()
