"""The local stack's stage `flipped`: flip a collection that is created through the proxy before the answer is sent.

New collections never begin at stage flipped, and a flip has gates. A local stack starts empty, so that its gates would
have nothing to check: they do not apply. If `dev_auto_flip` is set, this handler is placed before the dispatcher, and
takes each collection through the real epochs. It is for development and tests only. Two checks remain: a collection
whose copy has another number of documents than ArangoDB is not flipped, since it was filled by out-of-band writes; nor
is an unverified one, since its copy may lack the value of a document that exists.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec
import structlog

import sql
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, DatabaseError, PreconditionFailed, UpstreamError
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.model.endpoint import Effect, Endpoint, WriteRoute
from proxy.model.lease_view import LeaseView
from proxy.model.message import Handler, Request, Response
from proxy.model.operations import Operation, Outcome
from proxy.model.stages import CollectionState, Stage
from proxy.operator import status
from proxy.stores.base import Store
from proxy.wire.decode import peek
from proxy.wire.endpoints import named

log = structlog.get_logger(__name__)

_TIMEOUT: Final = 2.0  # seconds that an answer may wait for its flip
_POLL: Final = 0.005
# effects that create collections, or roll flipped ones back
_CHANGES: Final = frozenset({Effect.CONTROL, Effect.OPAQUE})


class _Count(msgspec.Struct):
    count: int = -1


_COUNT: Final = msgspec.json.Decoder(_Count)


class Backlog(Protocol):
    """The part of the mirror that is used here."""

    @property
    def backlog(self) -> int: ...


def _makes(endpoint: Endpoint) -> bool:
    """Return True if such a request may create or rename a collection."""
    return endpoint.effect is Effect.CONTROL or endpoint.write_route is WriteRoute.GRAPH_DEFINITION


def _shadowed(states: Mapping[str, CollectionState]) -> frozenset[str]:
    return frozenset(name for name, state in states.items() if state.stage is Stage.SHADOW)


class AutoFlip:
    """A handler around the dispatcher's. origin, target: both count documents before a flip."""

    def __init__(
        self,
        handle: Handler,
        *,
        settings: Settings,
        database: Database,
        mirror: Backlog,
        origin: Store,
        target: Store,
        lease: LeaseView,
    ) -> None:
        self._handle = handle
        self._settings = settings
        self._database = database
        self._mirror = mirror
        self._origin = origin
        self._target = target
        self._lease = lease
        self._left: frozenset[str] = frozenset()
        self._one = asyncio.Lock()

    async def handle(self, request: Request) -> Response:
        """Return the dispatcher's answer; after a change of collections, once they are flipped or cannot be."""
        response = await self._handle(request)
        endpoint = peek(request.method, request.target)
        if (
            response.status < 400
            and endpoint.effect in _CHANGES
            and (_makes(endpoint) or self._waiting() != self._left)
        ):
            async with self._one:
                try:
                    await self.flip()
                except (PreconditionFailed, DatabaseError, UpstreamError, ArangoError) as error:
                    # reads go to ArangoDB, which has every write: only the stage is not as wanted
                    log.info("auto_flip_refused", reason=str(error))
        return response

    async def flip(self) -> None:
        """Flip every collection at stage shadow whose copy is complete.

        Raise PreconditionFailed, and what the stores raise.
        """
        await self._until(lambda: self._mirror.backlog == 0)
        waiting = _shadowed(await status.collection_states(self._database))
        # only those that the origin has: a stack outlives many databases, and each check is three round trips
        present = _shadowed(await status.present(self._database))
        whole = [name for name in present if await self._whole(name)]
        self._left = waiting - frozenset(whole)  # dropped, or incomplete: until they are created again
        if whole:
            await controller.change(
                self._database,
                [DesiredState(name, Stage.FLIPPED, 100) for name in whole],
                settings=self._settings,
                actor="local stack",
                reason="a local stack starts empty: gates do not apply",
                force=True,
                timeout=_TIMEOUT,
            )

    def _waiting(self) -> frozenset[str]:
        """Return the collections that this instance knows to be at stage shadow."""
        return _shadowed(self._lease.snapshot.collections)

    async def _whole(self, name: str) -> bool:
        """Return True if its copy has as many documents as ArangoDB, and no mark means that it may lack a write."""
        if await self._database.fetch(sql.trace.MARKS, name, f"{name.partition('/')[0]}/*"):
            return False
        counts = [await self._count(store, name) for store in (self._origin, self._target)]
        return counts[0] is not None and counts[0] == counts[1]

    @staticmethod
    async def _count(store: Store, name: str) -> int | None:
        database, _, collection = name.partition("/")
        path = ("_api", "collection", collection, "count")
        operation = Operation(named("collection.count"), "GET", database, collection, path=path)
        outcome = Outcome(404)
        with contextlib.suppress(ArangoError):
            outcome = await store.execute(operation)
        return _COUNT.decode(outcome.body).count if outcome.status == 200 else None

    @staticmethod
    async def _until(condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + _TIMEOUT
        while not condition() and time.monotonic() < limit:
            await asyncio.sleep(_POLL)
