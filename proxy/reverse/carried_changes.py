"""Carry a change of a whole collection: announce it, send its request in time, and remove its row after the answer.

A request that changes a collection cannot be in a transaction, so that it carries no token, and may run late. Whoever
finds it announced on the fence document waits until it can no longer run.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from proxy.base.errors import ArangoError, UpstreamUnavailable
from proxy.reverse import changes
from proxy.reverse.announcements import Announcements
from proxy.reverse.batch import database_of
from proxy.reverse.changes import ChangeRequest
from proxy.reverse.origin import OriginRequests
from proxy.reverse.outbox import Outbox
from proxy.reverse.push import FenceTest, PushEnd, PushOutcome, announce
from sql.statements.outbox import ChangeRow, RefusedRow

_UNIQUE: Final = 1210
_UNIQUE_RETRY: Final = 1.0  # seconds: ArangoDB may need documents of later rows before it can have a unique index


class ChangeEnd(enum.Enum):
    """What became of an attempt to carry a change."""

    CARRIED = "carried"  # its row is gone, or another request must follow
    NOT_DONE = "not done"  # ArangoDB refused it, or it was too late to send it: it is tried again
    NOT_ANNOUNCED = "not announced"  # see the outcome
    LEASE_LOST = "lease lost"


@dataclass(slots=True)
class ChangeCarrier:
    """Carries changes under one token. outcome: of the last announcement. reason: why a change is not done."""

    outbox: Outbox
    origin: OriginRequests
    announcements: Announcements
    fence: FenceTest
    outcome: PushOutcome = field(default_factory=lambda: PushOutcome(PushEnd.PUSHED))
    reason: str = ""
    _last: tuple[int, ChangeRequest] | None = None

    async def carry(self, change: ChangeRow) -> ChangeEnd:
        """Carry a change, or one request of a definition. Raise DatabaseError, UpstreamError, ArangoError."""
        request = await self._request(change)
        # a request whose effect ArangoDB shows in another form than PostgreSQL would be sent without end
        if request is None or self._last == (change.id, request):
            return await self._confirmed(change)
        deadline = self.announcements.deadline()
        self.outcome = await announce(self.origin, self.fence, database_of(change.collection), change.id)
        if self.outcome.end is PushEnd.LEASE_LOST:
            return ChangeEnd.LEASE_LOST
        if self.outcome.end is not PushEnd.PUSHED:
            return ChangeEnd.NOT_ANNOUNCED
        if not self.announcements.may_be_sent(change.id, deadline):
            return ChangeEnd.NOT_DONE
        return await self._sent(change, request)

    async def _request(self, change: ChangeRow) -> ChangeRequest | None:
        """Return the request for a change; None if ArangoDB's definition is PostgreSQL's already."""
        if change.kind != changes.DEFINITION:
            return changes.request_of(change)
        wanted = await self.outbox.definition(change.collection)
        database, _, name = change.collection.partition("/")
        if wanted is None or not await self.origin.exists(database, name):
            return None
        gone = orjson.loads(change.body).get("gone", ())
        properties = await self._json(database, ("collection", name, "properties"), {})
        indexes = (await self._json(database, ("index",), {"collection": name}))["indexes"]
        return changes.definition_request(change.collection, orjson.loads(wanted), gone, properties, indexes)

    async def _json(self, database: str, path: tuple[str, ...], params: Mapping[str, str]) -> dict[str, Any]:
        body, _ = await self.origin.ask("GET", database, path, params=params, idempotent=True)
        found: dict[str, Any] = orjson.loads(body)
        return found

    async def _sent(self, change: ChangeRow, request: ChangeRequest) -> ChangeEnd:
        try:
            await self.origin.ask(
                request.method, request.database, request.path, params=request.params, body=request.body
            )
        except UpstreamUnavailable:
            self.announcements.ended(change.id)
            raise
        except ArangoError as error:
            self.announcements.ended(change.id)
            return await self._refused(change, error)
        self.announcements.ended(change.id)
        if change.kind == changes.DEFINITION:
            self._last = (change.id, request)
            return ChangeEnd.CARRIED
        return await self._confirmed(change)

    async def _refused(self, change: ChangeRow, error: ArangoError) -> ChangeEnd:
        """Decide what ArangoDB's error means. Raise it if nobody knows: documents wait for the change."""
        self.reason = f"{change.kind} of {change.collection}: {error}"
        if change.kind == changes.DEFINITION:
            if changes.definition_is_done(error):
                return ChangeEnd.CARRIED
            seconds = _UNIQUE_RETRY if error.number == _UNIQUE else None
            row = RefusedRow(change.collection, f"/{changes.DEFINITION}", str(error))
            kept = await self.outbox.refuse(self.fence.token, [row], seconds=seconds)
            return ChangeEnd.NOT_DONE if kept else ChangeEnd.LEASE_LOST
        if changes.is_done(change, error):
            return await self._confirmed(change)
        if changes.is_tried_again(change, error):
            return ChangeEnd.NOT_DONE
        raise error

    async def _confirmed(self, change: ChangeRow) -> ChangeEnd:
        kept = await self.outbox.confirm(self.fence.token, [change.id])
        return ChangeEnd.CARRIED if kept else ChangeEnd.LEASE_LOST
